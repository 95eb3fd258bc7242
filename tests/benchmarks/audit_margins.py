"""Print how far every check of the audit is from its threshold, on networks for which the right answer is known.

python tests/benchmarks/audit_margins.py
python tests/benchmarks/audit_margins.py --full --seeds 3

Each column shows, over the seeds, the smallest and the largest value of the figure in a check's condition: for check 1
the samples without a gradient and the share of flipped signs, for 2 the rise, for 3 the robustness at ε = 1, for 4 the
lower end of the gap's interval, for 5 the fall, for 6 and 7 what the attack finds beyond the white box, for 8 the
robustness against the white box minus that against noise, for 9 the gap between the pixel of largest headroom and the
best of all pixels, for 10 what a smoothed gradient finds beyond the true one.  "worst" is the worst case.  The number
in a network's name is its number of epochs.  Networks are kept in a folder, so a second run does not train them again.
"""

import argparse
import os
import sys
from pathlib import Path

TEMPERATURES = (1 / 64, 1 / 16, 1 / 4, 1, 4, 16)
COLUMNS = ("zero", "flips", "rise", "ε = 1", "gap", "fall", "transfer", "Square", "noise", "pixel", "smooth", "worst")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="train on all of MNIST, not on the shipped digits")
    parser.add_argument("--data", metavar="DIR", help="folder with the MNIST files")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, nargs="+", default=(1, 5, 30))
    parser.add_argument("--budget", choices=("quick", "full"), default="quick")
    parser.add_argument("--networks", type=Path, default=Path("results/audit_margins"), metavar="DIR")
    options = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is loaded
    from data_loaders import load_mnist

    # For audited_networks.  At the end, because the tests have a folder data_loaders, too.
    sys.path.append(str(Path(__file__).parents[1]))

    data = load_mnist(options.data, mini=not options.full)
    options.networks.mkdir(parents=True, exist_ok=True)
    found = {}
    for seed in range(options.seeds):
        for name, report in reports(data, seed, options):
            found.setdefault(name, []).append(report)
            print(f"seed {seed}, {name}: {report.verdict}", file=sys.stderr, flush=True)
    test = data.test[: options.samples]
    print(f"{data.name}, {len(test)} test images, budget {options.budget!r}, seeds 0 to {options.seeds - 1}")
    rows = [("", *COLUMNS, "flagged")]
    for name, row in found.items():
        flagged = sorted({check.number for report in row for check in report.flagged})
        cells = zip(*(figures(report) for report in row), strict=True)
        rows.append((name, *map(span, cells), ", ".join(map(str, flagged)) or "none"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def reports(data, seed, options):
    """Yield the name and the audit's report of every network of one seed."""
    import audited_networks as make

    import minirobust as mr

    test = data.test[: options.samples]
    networks = {}
    for epochs, network in trained(f"{data.name}-regression", make.softmax_regression(seed), data, seed, options):
        networks[f"regression, {epochs}"] = network
    for T in TEMPERATURES:
        for epochs, network in trained(f"{data.name}-{T:g}", mr.models.mlp(T, seed=seed), data, seed, options):
            networks[f"T = {fraction(T)}, {epochs}"] = network
    for epochs, network in trained(f"{data.name}-pgd", mr.models.mlp(1, seed=seed), data, seed, options, True):
        networks[f"PGD-trained, {epochs}"] = network
    least, most = min(options.epochs), max(options.epochs)
    honest = networks[f"T = 1, {least}"]
    networks["logits × 1000"] = make.louder(honest)
    networks["8 levels"] = make.behind(make.Quantize(8), honest)
    networks["8 levels, straight"] = make.behind(make.Quantize(8, straight_through=True), honest)
    networks["gradient zeroed"] = make.behind(make.Blind(), honest)
    for name, network in networks.items():
        others = [networks[f"T = {T}, {most}"] for T in ("1", "1/4", "16") if name != f"T = {T}, {most}"]
        yield name, mr.audit(network, test.pixels(), test.labels, sources=others, budget=options.budget, seed=seed)


def trained(name, network, data, seed, options, adversarially=False):
    """Return (epochs, network) for some numbers of epochs: loaded from the folder, or trained and saved there."""
    import audited_networks as make

    import minirobust as mr

    last = 30 if len(data.train) < 10_000 else 3
    epochs = (last,) if adversarially else options.epochs
    paths = {epoch: options.networks / f"{name}-{epoch}-{seed}.h5" for epoch in epochs}
    if not all(path.exists() for path in paths.values()):
        train = make.train_adversarially if adversarially else make.train
        for epoch in train(network, data, max(epochs), seed):
            if epoch in paths:
                mr.save(paths[epoch], network)
    return [(epoch, mr.load(path, backend="auto").network) for epoch, path in paths.items()]


def figures(report):
    checks = {check.number: check for check in report.checks}
    health = checks[1].figures
    return (
        health["zero samples"],
        health["sign flips"],
        checks[2].estimate.value,
        checks[3].estimate.value,
        checks[4].estimate.low,
        checks[5].estimate.value,
        *(checks[number].estimate.value for number in (6, 7, 8, 9, 10)),
        report.robustness["worst case"].value,
    )


def span(values):
    low, high = (f"{round(value, 3) + 0:.3f}".removesuffix(".000") for value in (min(values), max(values)))
    return low if low == high else f"{low}…{high}"


def fraction(temperature):
    return f"{temperature:g}" if temperature >= 1 else f"1/{1 / temperature:g}"


if __name__ == "__main__":
    main()
