"""Audit networks at several temperatures: are they robust, or only hard to attack?

python examples/audit_low_temperature.py
python examples/audit_low_temperature.py --full --epochs 30

Against FGSM, a network at a low temperature looks robust.  The other columns show its robustness against stronger
attacks.  "white box" is the worst of all that follow the true gradient, "smoothed" joins it with attacks that take the
sigmoid's derivative at a higher temperature, and "worst case" is the worst of all attacks for each image.  The single
pixel may take any value, so it does not count there.  The networks learn the 5,000 shipped digits, or all of MNIST with
--full.
"""

import argparse
import logging
from fractions import Fraction

import minirobust as mr
from data_loaders import DataNotFoundError, load_mnist
from minirobust.measures.regimes import temperature_label

COLUMNS = {
    "clean": "clean",
    "FGSM": "FGSM",
    "PGD": "PGD",
    "white box": "white box",
    "white box + smoothed": "smoothed",
    "transfer": "transfer",
    "Square": "Square",
    "worst case": "worst case",
    "brute-force pixel": "one pixel",
}


def main():
    options = parse_options()
    data = load_mnist(mini=not options.full)
    test = data.test[: options.samples]
    x, y = test.pixels(), test.labels
    options.backend = mr.backend.get(options.backend)
    print(f"{data.name}: {len(data.train)} training and {len(test)} test images, {options.epochs} epochs")
    networks = {T: train(T, data, options) for T in options.temperatures}

    reports = {}
    print(f"\nrobustness at ε = {options.epsilon:g}; ± is half of the widest 95 % interval in a row")
    print(f"{'T':>6}" + "".join(f"{title:>11}" for title in COLUMNS.values()) + f"{'±':>9}")
    for T, network in networks.items():
        sources = [other for temperature, other in networks.items() if temperature != T]
        report = mr.audit(network, x, y, options.epsilon, sources, options.budget, seed=options.seed)
        reports[T] = report
        rates = [report.robustness[name].value if name in report.robustness else float("nan") for name in COLUMNS]
        width = max((rate.high - rate.low) / 2 for rate in report.robustness.values())
        print(f"{temperature_label(T):>6}" + "".join(f"{rate:11.3f}" for rate in rates) + f"{width:9.3f}", flush=True)

    print()
    for T, report in reports.items():
        print(f"T = {temperature_label(T)}: {report.verdict}")
    if options.report:
        for T, report in reports.items():
            print(f"\nT = {temperature_label(T)}\n\n{report}")


def train(temperature, data, options):
    network = mr.models.mlp(temperature, backend=options.backend, seed=options.seed)
    mr.fit(network, mr.Adam(network), data, options.epochs, seed=options.seed)
    return network


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="train on all of MNIST, not on the shipped digits")
    parser.add_argument(
        "--temperatures",
        type=temperature,
        nargs="+",
        default=(1 / 64, 1 / 4, 1, 4),
        metavar="T",
        help="of the sigmoid, such as 1/64 (default 1/64 1/4 1 4)",
    )
    parser.add_argument("--epochs", type=int, default=15, metavar="N", help="default 15")
    parser.add_argument("--samples", type=int, default=500, metavar="N", help="test images to audit on (default 500)")
    parser.add_argument("--epsilon", type=float, default=0.1, metavar="E", help="default 0.1")
    parser.add_argument("--budget", choices=("quick", "full"), default="quick", help="how hard to try (default quick)")
    parser.add_argument("--report", action="store_true", help="also print the full report of every audit")
    parser.add_argument("--backend", choices=("auto", "numpy", "numba", "cupy"), default="auto")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    return parser.parse_args()


def temperature(text):
    return float(Fraction(text))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # says which backend "auto" takes
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("\ninterrupted") from None
    except (mr.backend.BackendError, DataNotFoundError) as error:
        raise SystemExit(str(error)) from None
