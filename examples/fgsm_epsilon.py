"""Attack networks with FGSM over a range of ε, at several temperatures, and draw their robustness.

python examples/fgsm_epsilon.py
python examples/fgsm_epsilon.py --full --epochs 30 --temperatures 0.015625 0.25 1 16

The curves are upper bounds: FGSM takes a single step, and a stronger attack fools more images.  The networks learn the
5,000 shipped digits, or all of MNIST with --full.
"""

import argparse
import logging
from pathlib import Path

from matplotlib.figure import Figure

import minirobust as mr
from data_loaders import DataNotFoundError, load_mnist

EPSILONS = (0.0, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3)


def main():
    options = parse_options()
    backend = mr.backend.get(options.backend)
    data = load_mnist(mini=not options.full)
    x, y = data.test.pixels(), data.test.labels

    print(f"{data.name}: robustness against FGSM on {len(y)} test images, after {options.epochs} epochs\n")
    print("temperature  " + "".join(f"{f'ε = {epsilon:g}':>11}" for epsilon in EPSILONS))
    networks, curves = {}, {}
    for temperature in options.temperatures:
        label = f"T = {mr.regimes.temperature_label(temperature)}"
        networks[label] = train(temperature, data, backend, options)
        curves[label] = mr.robustness.epsilon_curve(networks[label], x, y, EPSILONS)
        print(f"{label:<13}" + "".join(f"{robustness:11.3f}" for robustness in curves[label]), flush=True)

    options.output.mkdir(parents=True, exist_ok=True)
    picture = options.output / "fgsm_epsilon.png"
    draw(picture, networks, curves, x, y, options.epsilon)
    print(f"\npicture in {picture}")


def train(temperature, data, backend, options):
    net = mr.models.mlp(temperature, backend=backend, seed=options.seed)
    mr.fit(net, mr.Adam(net, lr=1e-3), data, options.epochs, seed=options.seed)
    return net


def draw(path, networks, curves, x, y, epsilon):
    """Draw the curves, and below them six digits with which FGSM fooled the first network."""
    figure = Figure(figsize=(9, 9), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(4, 5))
    mr.plots.robustness_over_epsilon(upper.subplots(), EPSILONS, curves)

    label, net = next(iter(networks.items()))
    to_numpy = net.backend.to_numpy
    attack = mr.attacks.fgsm(net, x, y, epsilon)
    fooled = (to_numpy(attack.clean_correct) & to_numpy(attack.fooled)).nonzero()[0]
    shown = fooled[:6] if len(fooled) else slice(6)
    images, adversarials = x[shown], to_numpy(attack.images)[shown]
    probabilities = (to_numpy(net.predict_proba(row)) for row in (images, adversarials))
    before, after = ([f"{p.argmax()} ({p.max():.0%})" for p in row] for row in probabilities)
    lower.suptitle(f"FGSM at ε = {epsilon:g}, {label}")
    mr.plots.adversarial_rows(lower.subplots(3, len(images), squeeze=False), images, adversarials, before, after)
    figure.savefig(path, dpi=100)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--temperatures", type=float, nargs="+", default=[1 / 64, 1 / 4, 1.0, 16.0], metavar="T", help="of the sigmoid"
    )
    parser.add_argument("--epochs", type=int, default=20, metavar="N", help="default 20")
    parser.add_argument("--epsilon", type=float, default=0.1, metavar="E", help="of the drawn images (default 0.1)")
    parser.add_argument("--backend", choices=("auto", "numpy", "numba", "cupy"), default="auto")
    parser.add_argument("--full", action="store_true", help="train on all of MNIST, not on the shipped digits")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--output", type=Path, default=Path("results"), metavar="DIR", help="default results")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # says which backend "auto" takes
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("\ninterrupted: nothing was drawn") from None
    except (mr.backend.BackendError, DataNotFoundError) as error:
        raise SystemExit(str(error)) from None
