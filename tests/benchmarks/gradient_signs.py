"""Count wrong signs of the float32 input gradient by temperature and margin: ours, the textbook's and PyTorch's.

    python tests/benchmarks/gradient_signs.py --data DIR

Trains the 784-256-10 network on MNIST at each temperature.  The margin of a test image is the logit of its label minus
the largest other logit, below 0 where the network is wrong.  For each range of margins the script prints the share of
pixels at which the float32 gradient and the same network's float64 gradient differ in sign, and in the last column
their number over all images.  PyTorch, if it is installed, differentiates a model with the same weights.  Not collected
as a test.
"""

import argparse
import importlib.util

import numpy as np

import minirobust as mr
from data_loaders import load_mnist

TEMPERATURES = (1 / 64, 1 / 8, 1, 16)
MARGINS = (5, 10, 17, 30)  # between the ranges


class Textbook:
    """Cross entropy with the gradient found in most books: p - onehot(y)."""

    def value_and_gradient(self, logits, y, target=None):
        value, _ = mr.SoftmaxCrossEntropy().value_and_gradient(logits, y)
        return value, mr.backend.of(logits).softmax(logits) - np.eye(logits.shape[1], dtype=logits.dtype)[y]


def stable(net, x, y):
    return net.input_gradient(x, y)


def textbook(net, x, y):
    return net.input_gradient(x, y, Textbook())


def pytorch(net, x, y):
    import torch

    _, hidden, sigmoid, output = net.layers
    pixels = torch.tensor(x, requires_grad=True)
    value = pixels.flatten(1)
    for layer in (hidden, output):
        value = value @ torch.tensor(layer.weight.value) + torch.tensor(layer.bias.value)
        if layer is hidden:
            value = torch.sigmoid(value / sigmoid.temperature)
    torch.nn.functional.cross_entropy(value, torch.tensor(y), reduction="sum").backward()
    return pixels.grad.numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR", help="folder with the MNIST files")
    parser.add_argument("--mini", action="store_true", help="train on the 5,000 shipped digits")
    parser.add_argument("--epochs", type=int, default=30, metavar="N", help="default 30")
    options = parser.parse_args()

    data = load_mnist(options.data, mini=options.mini)
    x, y = data.test.pixels(), data.test.labels
    contenders = {"stable": stable, "textbook": textbook}
    if importlib.util.find_spec("torch"):
        contenders["PyTorch"] = pytorch

    print(f"{'margin':<20}{'< 5':>9}{'5 - 10':>9}{'10 - 17':>9}{'17 - 30':>9}{'> 30':>9}{'signs wrong':>14}")
    for temperature in TEMPERATURES:
        net = trained(temperature, data, options.epochs)
        exact = net.to("numpy", dtype="float64")
        reference = np.sign(exact.input_gradient(x.astype("float64"), y))
        bin = np.digitize(-mr.Margin().value_and_gradient(exact.logits(x.astype("float64")), y)[0], MARGINS)
        images = np.bincount(bin, minlength=len(MARGINS) + 1)
        label = f"T = {mr.regimes.temperature_label(temperature)}"
        print(f"{label:<10}{'images':<10}" + "".join(f"{count:>9}" for count in images), flush=True)
        for name, gradient in contenders.items():
            wrong = np.sign(gradient(net, x, y)) != reference
            shares = (f"{wrong[bin == s].mean():.3%}" if n else "–" for s, n in enumerate(images))
            cells = "".join(f"{share:>9}" for share in shares)
            print(f"{'':<10}{name:<10}{cells}{wrong.sum():>14,}", flush=True)


def trained(temperature, data, epochs):
    net = mr.models.mlp(temperature)
    mr.fit(net, mr.Adam(net, lr=1e-3), data, epochs)
    return net


if __name__ == "__main__":
    main()
