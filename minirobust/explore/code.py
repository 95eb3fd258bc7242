"""The lines of Python that compute what the page shows. RATIO and EPSILON stand for the values of the sliders."""

from __future__ import annotations

from pathlib import Path

SHIPPED = "network = shipped.network()"
TRAINED = "network = mr.models.mlp(1.0)\nmr.fit(network, mr.Adam(network, lr=1e-3), load_mnist(mini=True), epochs=30)"
HEAD = "import minirobust as mr\nfrom minirobust import attacks, certify\nfrom minirobust.explore import shipped\n"
MEASURE = """\
x, y = shipped.digits()
for layer in network.layers:
    if isinstance(layer, mr.TemperatureSigmoid):
        layer.temperature *= RATIO
fgsm = attacks.fgsm(network, x, y, EPSILON)
smooth = {"starts": 1, "gradients": attacks.annealed()}  # another derivative in the backward pass
others = [
    attacks.pgd(network, x, y, EPSILON, loss=mr.Margin(), **smooth),
    attacks.pgd(network, x, y, EPSILON, **smooth),
    attacks.apgd(network, x, y, EPSILON, loss=mr.Margin(), steps=40),
]
strongest = mr.robustness.worst_case([fgsm, *others])
proven = certify.crown(network, x, y, EPSILON).certified
for failed in (~fgsm.clean_correct, fgsm.fooled, strongest, ~proven):
    print(mr.robustness.network_robustness(failed, y))
"""


def ten_lines(checkpoint: Path | None = None, trained: bool = False) -> str:
    """Return the program for the network that the page shows."""
    if trained:
        return f"{HEAD}from data_loaders import load_mnist\n\n{TRAINED}\n{MEASURE}"
    network = SHIPPED if checkpoint is None else f"network = mr.load({str(checkpoint)!r}).network"
    return f"{HEAD}\n{network}\n{MEASURE}"


def named(checkpoint: Path | None) -> str:
    """Return a sentence that names the network on the page."""
    if checkpoint is None:
        return (
            "The network: 784 - 256 sigmoids - 10, trained on MNIST at T = 1 for 30 epochs. Digits: MNIST’s test set."
        )
    return f"The network: {checkpoint}. Digits: MNIST’s test set."
