"""Print the tables of `docs/explanation/certificates.md`: what each certificate proves, and how close `decide` comes.

    MINIROBUST_DATA=DIR python tests/benchmarks/certificates.py
    MINIROBUST_DATA=DIR python tests/benchmarks/certificates.py --decide --seconds 60 --temperatures 1,4 --epochs 10

Networks learn MNIST, seed 0.  Rates are means over classes of the first test images.  Not collected as a test.
"""

import argparse
from fractions import Fraction

import numpy as np

import minirobust as mr
from data_loaders import load_mnist
from minirobust import certify
from minirobust.measures.robustness import network_robustness

METHODS = {"IBP": certify.ibp, "CROWN": certify.crown, "α-CROWN": certify.alpha_crown}


def main():
    options = parse_options()
    data = load_mnist()
    test = data.test[: options.samples]
    head = ("α-CROWN", "decide", "strongest attack", "undecided", "width") if options.decide else tuple(METHODS)
    print(f"{data.name}, {len(test)} test images, {options.epochs} epochs\n")
    print("| T | ε | " + " | ".join(head) + " |\n" + "|---" * (2 + len(head)) + "|")
    for T in options.temperatures:
        network = mr.models.mlp(T, backend="auto")
        mr.fit(network, mr.Adam(network, lr=1e-3), data, options.epochs, progress=False)
        network = network.to("numpy")
        for epsilon in options.epsilons:
            row = decided(network, test, epsilon, options.seconds) if options.decide else proven(network, test, epsilon)
            print(f"| {mr.regimes.temperature_label(T)} | {epsilon:g} | " + " | ".join(row) + " |", flush=True)


def proven(network, test, epsilon):
    """Return the certified share for each method."""
    made = [method(network, test.pixels(), test.labels, epsilon) for method in METHODS.values()]
    return [f"{network_robustness(~each.certified, test.labels):.3f}" for each in made]


def decided(network, test, epsilon, seconds):
    """Return both ends of the sandwich after a search, and what is left between them."""
    x, y = test.pixels(), test.labels
    certificate, made = (
        certify.alpha_crown(network, x, y, epsilon),
        certify.decide(network, x, y, epsilon, seconds=seconds),
    )
    lower, upper = network_robustness(~made.certified, y), network_robustness(made.fooled, y)
    rates = network_robustness(~certificate.certified, y), lower, upper
    return [*(f"{rate:.3f}" for rate in rates), f"{int(np.sum(made.undecided))}", f"{upper - lower:.3f}"]


def numbers(text):
    return [float(Fraction(part)) for part in text.split(",")]


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--temperatures", type=numbers, default=[4.0, 1.0], metavar="T,...", help="default 4,1")
    parser.add_argument("--epsilons", type=numbers, default=[0.02, 0.03], metavar="E,...", help="default 0.02,0.03")
    parser.add_argument("--epochs", type=int, default=10, metavar="N", help="default 10")
    parser.add_argument("--samples", type=int, default=200, metavar="N", help="test images (default 200)")
    parser.add_argument("--decide", action="store_true", help="search where neither side decides")
    parser.add_argument("--seconds", type=float, default=15, help="of the search for each image (default 15)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
