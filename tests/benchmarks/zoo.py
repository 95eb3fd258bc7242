"""Audit every defence of `minirobust.masking.zoo`, and honest networks: what is left of them, and which checks flag.

    OPENBLAS_NUM_THREADS=1 python tests/benchmarks/zoo.py
    OPENBLAS_NUM_THREADS=1 python tests/benchmarks/zoo.py --autoattack

All networks are trained on the shipped digits. "known" is the least that any attack left of another network with the
same defence, on 200 images. "seconds" are those of the audit. With ``--autoattack``, the last column is what the
standard AutoAttack of torchattacks leaves (Croce & Hein, 2020): APGD on cross entropy, targeted APGD on DLR, FAB and
Square. It is not run on random networks. Not collected as a test.
"""

import argparse
import sys
from pathlib import Path
from time import process_time

import minirobust as mr
from data_loaders import load_mnist
from minirobust.masking.zoo import ZOO

# Robustness against FGSM, the white box and the best break, on 200 images at ε = 0.1
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
ATTACKS = (
    "clean",
    "FGSM",
    "white box",
    "white box + restart",
    "white box + smoothed",
    "transfer",
    "Square",
    "worst case",
)
HEAD = (
    "network",
    "clean",
    "FGSM",
    "white",
    "restart",
    "smoothed",
    "transfer",
    "Square",
    "worst",
    "known",
    "seconds",
    "flagged",
)


def undefended(data):
    """Return an ordinary network, as a source of images that transfer."""
    network = mr.models.mlp(1, backend="auto", seed=7)
    mr.fit(network, mr.Adam(network), data, epochs=30, progress=False)
    return network


def autoattack(network, x, y, epsilon):
    """Return which share of the images withstands AutoAttack, judged by the network."""
    import torch
    import torchattacks

    images = torch.tensor(x).permute(0, 3, 1, 2)
    attack = torchattacks.AutoAttack(mr.foreign.to_torch(network), eps=epsilon, n_classes=10, seed=0)
    made = attack(images, torch.tensor(y)).detach().permute(0, 2, 3, 1).numpy()
    assert abs(made - x).max() < epsilon + 1e-6
    return f"{(network.predict(made.clip(0, 1)) == y).mean():.3f}"


def row(name, network, source, x, y, options):
    """Return a row of the table."""
    begin = process_time()
    report = mr.audit(network, x, y, options.epsilon, [source], options.budget)
    seconds = process_time() - begin
    left = [f"{(~report.fooled[attack]).mean():.3f}" if attack in report.fooled else "-" for attack in ATTACKS]
    known = f"{KNOWN[name][2]:.3f}" if name in KNOWN else "-"
    flags = ", ".join(str(check.number) for check in report.flagged) or "none"
    verdict = "random" if report.random else "masked" if report.masked else ""
    others = [autoattack(network, x, y, options.epsilon)] if options.autoattack and not report.random else []
    print(f"{name}: {report.verdict}", flush=True)
    return name, *left, known, f"{seconds:.0f}", flags, verdict, *others


def main():
    sys.path.append(str(Path(__file__).parents[1]))
    from honest_networks import HONEST, honest

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--epsilon", type=float, default=0.1)
    parser.add_argument("--budget", choices=mr.masking.BUDGETS, default="quick")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--autoattack", action="store_true", help="also run that of torchattacks")
    parser.add_argument("--networks", nargs="+", default=[*ZOO, *HONEST], choices=[*ZOO, *HONEST], metavar="NAME")
    options = parser.parse_args()
    data = load_mnist(mini=True)
    x, y = data.test.pixels(slice(options.samples)), data.test.labels[: options.samples]
    source = undefended(data)
    rows = [HEAD]
    for name in options.networks:
        build = ZOO[name].build if name in ZOO else lambda *args, name=name, **kwargs: honest(name, *args, **kwargs)
        rows.append(row(name, build(data, options.seed, backend="auto"), source, x, y, options))
    print(f"\n{data.name}, {len(x)} test images, ε = {options.epsilon:g}, budget {options.budget!r}: share left")
    width = [max(len(cells[column]) for cells in rows if column < len(cells)) for column in range(max(map(len, rows)))]
    for cells in rows:
        print("  ".join(cell.ljust(size) for cell, size in zip(cells, width, strict=False)).rstrip())


if __name__ == "__main__":
    main()
