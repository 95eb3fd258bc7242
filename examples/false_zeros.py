"""Attack a network twice with FGSM: with the textbook's gradient of cross entropy, and with the stable one.

python examples/mnist_mlp.py --epochs 30 && python examples/false_zeros.py
python examples/false_zeros.py --mini

If the network is confident, p_y rounds to 1 in float32, and the textbook's p_y - 1 is 0.  The rest of the gradient
points in a wrong direction, the attack fails, and the network looks more robust than it is.
"""

import command_line  # first, so that Ctrl-C prints one sentence

import minirobust as mr
from data_loaders import load_mnist

options = command_line.options(
    __doc__,
    network="results/mnist_mlp.h5",  # saved by mnist_mlp.py
    epsilon=0.1,  # of FGSM
    samples=10_000,  # the first test images
    mini=False,
    data=None,
)


class Textbook:
    """Cross entropy with the gradient found in most books: p - onehot(y)."""

    def value_and_gradient(self, logits, y, target=None):
        value, _ = mr.SoftmaxCrossEntropy().value_and_gradient(logits, y)
        backend = mr.backend.of(logits)
        onehot = (backend.xp.arange(logits.shape[1]) == y[:, None]).astype(logits.dtype)
        return value, backend.softmax(logits) - onehot


def main():
    data = load_mnist(options.data, mini=options.mini)
    test = data.test[: options.samples]
    x, y = test.pixels(), test.labels
    net = train(data) if options.mini else mr.load(options.network).network

    exact = net.to(net.backend, dtype="float64")
    reference = sign(exact.input_gradient(x.astype("float64"), y))
    print(f"{len(y)} test images of {data.name}, {net!r}\n")
    print("gradient                 wrong signs   samples affected   FGSM robustness")
    for name, loss in (("textbook, p_y - 1", Textbook()), ("stable, -Σ of the others", mr.SoftmaxCrossEntropy())):
        wrong = sign(net.input_gradient(x, y, loss)) != reference
        fooled = mr.attacks.fgsm(net, x, y, options.epsilon, loss=loss).fooled
        robustness = mr.robustness.network_robustness(fooled, y)
        print(f"{name:<24} {wrong.mean():10.2%} {wrong.any(axis=(1, 2, 3)).mean():17.1%} {robustness:17.4f}")
    fooled = mr.attacks.fgsm(exact, x.astype("float64"), y, options.epsilon).fooled
    print(f"{'in float64, for truth':<24} {mr.robustness.network_robustness(fooled, y):46.4f}")


def train(data):
    net = mr.models.mlp(1.0)
    mr.fit(net, mr.Adam(net, lr=3e-3), data, epochs=30)
    return net


def sign(gradient):
    return (gradient > 0).astype("int8") - (gradient < 0).astype("int8")


if __name__ == "__main__":
    main()
