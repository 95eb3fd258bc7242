"""Attack every defence of `minirobust.masking.zoo`, and print the share of images that it keeps under each attack.

    OPENBLAS_NUM_THREADS=1 python tests/benchmarks/zoo.py

Each defence is trained on the shipped digits. "white box" counts an image as lost if it is misclassified without an
attack or by FGSM or PGD with the defence's own gradient, "all" if any attack fools it. "known" is what other networks
with the same defence kept. Not collected as a test.
"""

import argparse
from time import perf_counter

import numpy as np

import minirobust as mr
from data_loaders import load_mnist
from minirobust.attacks import annealed, apgd, expectation, fgsm, pgd, square
from minirobust.attacks.pgd import ball
from minirobust.masking.zoo import ZOO, majority
from minirobust.stack import Evaluation

FRESH = range(10**6, 10**6 + 25)  # draws for the vote, which no attack has seen

# Robustness against FGSM, the white box and the best break, on 200 images at ε = 0.1.
KNOWN = {
    "defensive distillation": (0.660, 0.285, 0.250),
    "k-winners-take-all": (0.455, 0.215, 0.080),
    "8 levels": (0.935, 0.925, 0.020),
    "thermometer code": (0.930, 0.820, 0.005),
    "tanh staircase": (0.915, 0.815, 0.030),
    "ripple": (0.990, 0.650, 0.065),
    "logits × 10⁶": (0.925, 0.105, 0.080),
    "T = 1 at T = 1/64": (0.380, 0.095, 0.040),
    "saturation penalty": (0.615, 0.155, 0.065),
    "T = 1/64": (0.520, 0.100, 0.005),
    "input noise": (0.290, None, 0.215),
    "dropout at test time": (0.270, None, 0.105),
}


def without_stopping(model, x, y, epsilon, loss, gradients=None, steps=40):
    """Return the images of a PGD that takes all its steps.

    `pgd` stops at the first iterate that fools. That image lies on the boundary of a source, and hardly transfers; on
    a random model, it owes its success to a lucky draw.
    """
    images, (low, high) = x, ball(model, x, epsilon)
    for k in range(steps):
        guide = model if gradients is None else gradients(model, k, steps)
        _, _, gradient = guide.gradient(images, y, loss)
        images = model.backend.sign_step(images, gradient, 2.5 * epsilon / steps, low, high)
    return images


def attacks(network, random, x, y, epsilon=0.1, source=None):
    """Return functions that make adversarial images, by name: naive attacks, and those that break defences."""
    cross_entropy, margin, scale_free = mr.SoftmaxCrossEntropy(), mr.Margin(), mr.ScaleFree()

    def images(attack, **options):
        return lambda: attack(network, x, y, epsilon, **options).images

    def all_steps(model, *options):
        return lambda: without_stopping(Evaluation(model), x, y, epsilon, *options)

    naive = {"FGSM": images(fgsm), "PGD": images(pgd), "margin": images(pgd, loss=margin)}
    if random:
        return naive, {
            "expectation": all_steps(network, cross_entropy, expectation(10)),
            "expectation, margin": all_steps(network, margin, expectation(10)),
        }
    return naive, {
        "scale-free": images(apgd, loss=scale_free),
        "DLR": images(apgd, loss=mr.DLR()),
        "targets": images(pgd, loss=margin, target="all"),
        "annealed": images(pgd, gradients=annealed()),
        "annealed, margin": images(pgd, loss=margin, gradients=annealed()),
        "annealed, targets": images(apgd, starts=3, loss=scale_free, gradients=annealed(), target="all"),
        "Square": images(square, queries=2000),
        "transfer": all_steps(source, cross_entropy),
        "transfer, margin": all_steps(source, margin),
    }


def withstood(network, random, images, y):
    """Return which images are classified as labelled; if the network is random, by a majority of fresh draws."""
    model = Evaluation(network)
    return (majority(model, images, FRESH) if random else model.predict(images)) == y


def undefended(data):
    """Return an ordinary network, as a source of images that transfer."""
    network = mr.models.mlp(1, backend="numba", seed=7)
    mr.fit(network, mr.Adam(network), data, epochs=30, progress=False)
    return network


def row(name, data, source, samples, epsilon):
    """Train a defence and return a row of the table."""
    x, y, random = data.test.pixels(slice(samples)), data.test.labels[:samples], ZOO[name].random
    begin = perf_counter()
    network = ZOO[name].build(data, 0, backend="numba")
    seconds = perf_counter() - begin
    clean = withstood(network, random, x, y)
    own, others = (
        {attack: withstood(network, random, make(), y) for attack, make in group.items()}
        for group in attacks(network, random, x, y, epsilon, source)
    )
    white_box = clean & np.all([*own.values()], axis=0)
    left = {attack: kept.mean() for attack, kept in others.items()}
    best = min(left, key=left.get)
    figures = clean.mean(), *(kept.mean() for kept in own.values()), white_box.mean()
    every = (white_box & np.all([*others.values()], axis=0)).mean()
    known = " ".join("-" if value is None else f"{value:.3f}" for value in KNOWN[name])
    print(f"{name}: " + ", ".join(f"{attack} {value:.3f}" for attack, value in left.items()), flush=True)
    return name, f"{seconds:.0f}", *(f"{value:.3f}" for value in (*figures, left[best], every)), best, known


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--epsilon", type=float, default=0.1)
    parser.add_argument("--defences", choices=ZOO, nargs="+", default=list(ZOO), metavar="NAME")
    options = parser.parse_args()
    data = load_mnist(mini=True)
    source = undefended(data)
    head = "defence", "seconds", "clean", "FGSM", "PGD", "margin", "white box", "best", "all", "by", "known"
    rows = [head, *(row(name, data, source, options.samples, options.epsilon) for name in options.defences)]
    print(f"\n{data.name}, {options.samples} test images, ε = {options.epsilon:g}: share that withstands")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
