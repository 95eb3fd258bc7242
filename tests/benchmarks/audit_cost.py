"""Print what an audit of the study's network costs with each budget, the table of `docs/explanation/audit.md`.

    OPENBLAS_NUM_THREADS=1 MINIROBUST_DATA=DIR python tests/benchmarks/audit_cost.py
    OPENBLAS_NUM_THREADS=1 MINIROBUST_DATA=DIR python tests/benchmarks/audit_cost.py --budgets quick --backend numpy

CPU seconds, each with the two other networks as sources.  Not collected as a test.
"""

import argparse
from time import process_time

import minirobust as mr
from data_loaders import load_mnist

TEMPERATURES = (1 / 64, 1, 4)


def main():
    options = parse_options()
    data = load_mnist()
    test = data.test[: options.samples]
    networks = {}
    for T in TEMPERATURES:
        networks[T] = mr.models.mlp(T, backend=options.backend)
        mr.fit(networks[T], mr.Adam(networks[T], lr=1e-3), data, options.epochs, progress=False)
    print(f"{data.name}, {options.epochs} epochs, {len(test)} test images, {networks[1].backend.describe()}\n")
    print("| budget | " + " | ".join(f"T = {mr.regimes.temperature_label(T)}" for T in TEMPERATURES) + " |")
    print("|---" * (1 + len(TEMPERATURES)) + "|")
    for budget in options.budgets:
        seconds = []
        for network in networks.values():
            others = [other for other in networks.values() if other is not network]
            began = process_time()
            mr.audit(network, test.pixels(), test.labels, sources=others, budget=budget)
            seconds.append(f"{process_time() - began:.0f} s")
        print(f"| {budget} | " + " | ".join(seconds) + " |", flush=True)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", nargs="+", choices=tuple(mr.masking.BUDGETS), default=list(mr.masking.BUDGETS))
    parser.add_argument("--epochs", type=int, default=30, metavar="N", help="default 30")
    parser.add_argument("--samples", type=int, default=1000, metavar="N", help="test images (default 1000)")
    parser.add_argument("--backend", default="auto", help='default "auto"')
    return parser.parse_args()


if __name__ == "__main__":
    main()
