"""Train a network on MNIST, measure it after every epoch, attack it with FGSM, and draw the results.

python examples/mnist_mlp.py
python examples/mnist_mlp.py --temperature 1/64 --epochs 30
"""

import command_line  # first, so that Ctrl-C prints one sentence
from matplotlib.figure import Figure

import minirobust as mr
from data_loaders import DataNotFoundError, load_mnist

options = command_line.options(
    __doc__,
    temperature=1.0,
    epochs=10,
    epsilon=0.1,  # of FGSM
    samples=10_000,  # the first test images
    mini=False,
    data=None,
    backend="auto",
    seed=0,
    output="results",
)


def main():
    data = load_digits()
    test = data.test[: options.samples]
    x, y = test.pixels(), test.labels

    net = mr.models.mlp(options.temperature, backend=options.backend, seed=options.seed)
    optimizer = mr.Adam(net, lr=1e-3)
    print(f"{data.name}: {len(data.train)} training and {len(test)} test images, on {net.backend}")
    r1, r2 = mr.regimes.bounds(options.temperature)
    print(f"{net.summary()}\na sigmoid is linear for |net| ≤ {r1:.4g}, saturated for |net| ≥ {r2:.4g}\n")

    options.output.mkdir(parents=True, exist_ok=True)
    saved = options.output / "mnist_mlp.h5"
    history = []
    for record in mr.epochs(net, optimizer, data, options.epochs, seed=options.seed, checkpoint=saved, progress=True):
        regimes = mr.regimes.fractions(net.hidden(x), options.temperature)
        accuracy = float((net.backend.to_numpy(net.predict(x)) == y).mean())
        (robustness,) = mr.robustness.epsilon_curve(net, x, y, [options.epsilon])
        history.append({"loss": record.loss, "accuracy": accuracy, "robustness": robustness, **regimes._asdict()})
        print(
            f"epoch {record.epoch:3}  loss {record.loss:.4f}  test accuracy {accuracy:.4f}  "
            f"linear {regimes.linear:.3f}  nonlinear {regimes.nonlinear:.3f}  saturated {regimes.saturated:.3f}  "
            f"FGSM robustness {robustness:.4f}",
            flush=True,
        )

    attack = mr.attacks.fgsm(net, x, y, options.epsilon)
    print(f"\nrobustness against FGSM at epsilon = {options.epsilon:g}")
    for digit, share in enumerate(mr.robustness.by_class(attack.fooled, y)):
        print(f"  digit {digit}  {share:6.3f}")
    print(f"  network  {robustness:6.3f}")

    picture = options.output / "mnist_mlp.png"
    draw(picture, net, x, attack, history, f"{data.name}, T = {options.temperature:g}, ε = {options.epsilon:g}")
    print(f"\nsaved the network in {saved} and the picture in {picture}")


def draw(path, net, x, attack, history, title):
    """Draw eight correctly classified digits that are misclassified after the attack, and the training curves."""
    to_numpy = net.backend.to_numpy
    fooled = (to_numpy(attack.clean_correct) & to_numpy(attack.fooled)).nonzero()[0]
    shown = fooled[:8] if len(fooled) else slice(8)
    images, adversarials = x[shown], to_numpy(attack.images)[shown]
    probabilities = (to_numpy(net.predict_proba(row)) for row in (images, adversarials))
    before, after = ([f"{p.argmax()} ({p.max():.0%})" for p in row] for row in probabilities)
    figure = Figure(figsize=(11, 9))
    mr.plots.training_story(figure, history, images, adversarials, before, after, title)
    figure.savefig(path, dpi=100)


def load_digits():
    """Return MNIST, or the 5,000 shipped digits if MNIST can be neither found nor downloaded."""
    try:
        return load_mnist(options.data, mini=options.mini)
    except DataNotFoundError:
        if options.data is not None:
            raise
        print("MNIST was not found and could not be downloaded: training on the 5,000 shipped digits instead")
        return load_mnist(mini=True)


if __name__ == "__main__":
    main()
