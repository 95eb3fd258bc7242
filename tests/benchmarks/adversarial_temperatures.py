"""Train networks on images from PGD at several temperatures, audit and certify them: does temperature still matter?

    OPENBLAS_NUM_THREADS=1 python tests/benchmarks/adversarial_temperatures.py --networks networks \\
        --output docs/results/adversarial-training.csv

The study's network for MNIST learns, at each temperature, from the images that PGD returns for every batch (Madry et
al., 2018).  Each network is saved to the folder `--networks` after every epoch: what was interrupted goes on there.
The audit takes the networks at the other temperatures as sources of transfer.  Not collected as a test.
"""

import argparse
from pathlib import Path

import numpy as np

import minirobust as mr
from data_loaders import load_mnist
from minirobust.study.tidy import write_csv

EPSILON = 0.1  # in training, and the greatest of the audit
EPSILONS = (0.01, 0.02, 0.03, 0.05, 0.1)
STEPS = 7  # of PGD in training
COLUMNS = ("temperature", "attack", "epsilon", "robustness", "low", "high")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", required=True, type=Path, metavar="DIR", help="where they are saved")
    parser.add_argument("--output", required=True, type=Path, metavar="CSV", help="the table of robustness")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1 / 64, 1 / 4, 1.0, 4.0], metavar="T")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--samples", type=int, default=1_000, help="test images that are audited, from the first")
    parser.add_argument("--budget", default="standard", choices=["quick", "standard", "full"])
    parser.add_argument("--backend", default="auto")
    return parser.parse_args()


def main():
    options = parse_options()
    options.networks.mkdir(parents=True, exist_ok=True)
    data = load_mnist()
    networks = {T: trained(T, data, options) for T in options.temperatures}
    x, y = data.test[: options.samples].pixels(), data.test.labels[: options.samples]
    table = []
    for T, network in networks.items():
        sources = [other for other in networks.values() if other is not network]
        report = mr.audit(network, x, y, EPSILONS, sources, options.budget)
        print(f"T = {T:g}: {report.verdict}", flush=True)
        table += [(T, *row) for row in rows(report)]
    write_csv(
        {name: np.array(column) for name, column in zip(COLUMNS, zip(*table, strict=True), strict=True)}, options.output
    )


def trained(temperature, data, options):
    """Return the network at a temperature, trained on images from PGD in a custom loop that saves every epoch."""
    path = options.networks / f"adversarial-T{temperature:g}.h5"
    if path.exists():
        network, optimizer, done = mr.load(path, backend=options.backend)
    else:
        network, done = mr.models.mlp(temperature, backend=options.backend), 0
        optimizer = mr.Adam(network)
    loss = mr.SoftmaxCrossEntropy()
    for epoch in range(done + 1, options.epochs + 1):
        network.training = True
        for x, y in mr.batches(network, data, seed=0, epoch=epoch):
            x = mr.attacks.pgd(network, x, y, EPSILON, steps=STEPS, starts=1, stop=False).images
            _, gradient = loss.value_and_gradient(network.forward(x), y)
            network.backward(gradient / len(x), input_gradient=False)
            optimizer.step()
        network.training = False
        mr.save(path, network, optimizer, epoch=epoch)
        print(f"T = {temperature:g}, epoch {epoch}", flush=True)
    return network


def rows(report):
    """Yield attack, ε, robustness and its 95 % interval: everything at the greatest ε, and the bounds at all others."""
    for attack, rate in report.robustness.items():
        yield attack, 0.0 if attack == "clean" else report.epsilon, *rate
    for sandwich in report.sandwiches:
        yield "certificate", sandwich.epsilon, *sandwich.lower
        if sandwich.epsilon < report.epsilon:
            yield "FGSM", sandwich.epsilon, *sandwich.against_fgsm
            yield "worst case", sandwich.epsilon, *sandwich.upper


if __name__ == "__main__":
    main()
