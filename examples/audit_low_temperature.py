"""Audit networks at several temperatures: are they robust, or only hard to attack?

python examples/audit_low_temperature.py
python examples/audit_low_temperature.py --full --epochs 30

A network at a low temperature looks robust against FGSM.  The other columns show its robustness against stronger
attacks.  "white box" is the worst of all attacks along the true gradient.  "smoothed" also includes attacks that take
the sigmoid's derivative at a higher temperature.  "worst case" is the worst of all attacks for each image, except for
"one pixel", which may change its pixel by more than ε.  The networks learn the 5,000 shipped digits, or all of MNIST
with --full.
"""

import command_line  # first, so that Ctrl-C prints one sentence

import minirobust as mr
from data_loaders import load_mnist
from minirobust.measures.regimes import temperature_label

options = command_line.options(
    __doc__,
    temperatures=(1 / 64, 1 / 4, 1.0, 4.0),
    epochs=15,
    epsilon=0.1,
    samples=500,  # the first test images, which are audited
    budget="quick",
    report=False,
    full=False,
    backend="auto",
    seed=0,
)

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
    data = load_mnist(mini=not options.full)
    test = data.test[: options.samples]
    x, y = test.pixels(), test.labels
    print(f"{data.name}: {len(data.train)} training and {len(test)} test images, {options.epochs} epochs")
    networks = {T: train(T, data) for T in options.temperatures}

    reports = {}
    print(f"\nrobustness against attacks at ε = {options.epsilon:g}; ± is half of the widest 95 % interval in a row")
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


def train(temperature, data):
    network = mr.models.mlp(temperature, backend=options.backend, seed=options.seed)
    mr.fit(network, mr.Adam(network), data, options.epochs, seed=options.seed)
    return network


if __name__ == "__main__":
    main()
