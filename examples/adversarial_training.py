"""Train a network on adversarial images in a loop of your own, and compare its audit with a plainly trained network's.

python examples/adversarial_training.py
python examples/adversarial_training.py --full --epochs 5

Before every step, PGD attacks the batch, and the network learns from what the attack returns (Madry et al., 2018).  The
audit tells whether the network has become robust or only hides its gradient.  The networks learn the 5,000 shipped
digits, or all of MNIST with --full.
"""

import argparse
import logging

import minirobust as mr
from data_loaders import DataNotFoundError, load_mnist

EPSILON = 0.1  # largest change of a pixel, in training and in the audit
STEPS = 5  # of PGD in training; the audit takes more
TEMPERATURE = 1.0
EPOCHS = 15
BATCH_SIZE = 64
LEARNING_RATE = 2e-3
AUDITED = 500  # test images


def main():
    options = parse_options()
    backend = mr.backend.get(options.backend)
    data = load_mnist(mini=not options.full)
    test = data.test[:AUDITED]
    x, y = test.pixels(), test.labels
    print(f"{data.name}: {len(data.train)} images, {options.epochs} epochs, audited on {len(test)} test images")

    plain, robust = (mr.models.mlp(TEMPERATURE, backend=backend, seed=options.seed) for _ in range(2))
    mr.fit(plain, mr.Adam(plain, lr=LEARNING_RATE), data, options.epochs, batch_size=BATCH_SIZE, seed=options.seed)
    print("\nadversarial training")
    train_adversarially(robust, data, options.epochs, options.seed)

    print(f"\n{'trained':<15}{'clean accuracy':>15}{f'worst case at ε = {EPSILON:g}':>25}")
    reports = {}
    for name, network, other in (("plainly", plain, robust), ("adversarially", robust, plain)):
        # The other network is a source of transfer attacks, which a hidden gradient does not stop.
        report = mr.audit(network, x, y, EPSILON, sources=[other], seed=options.seed)
        reports[name] = report
        clean, worst = (report.robustness[key].value for key in ("clean", "worst case"))
        print(f"{name:<15}{clean:>15.3f}{worst:>25.3f}", flush=True)
    print()
    for name, report in reports.items():
        print(f"trained {name}: {report.verdict}")


def train_adversarially(network, data, epochs, seed):
    """Train as `mr.fit` does, but on the images that PGD returns for every batch."""
    optimizer = mr.Adam(network, lr=LEARNING_RATE)
    loss = mr.SoftmaxCrossEntropy()
    network.training = True  # for layers that differ in training, such as Dropout
    for epoch in range(1, epochs + 1):
        for x, y in mr.batches(network, data, BATCH_SIZE, seed, epoch):
            x = mr.attacks.pgd(network, x, y, EPSILON, steps=STEPS, starts=1).images
            logits = network.forward(x)
            value, gradient = loss.value_and_gradient(logits, y)
            network.backward(gradient / len(x), input_gradient=False)
            optimizer.step()
        print(f"epoch {epoch:3}  loss of the last batch {float(value.mean()):.4f}", flush=True)
    network.training = False


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="train on all of MNIST, not on the shipped digits")
    parser.add_argument("--epochs", type=int, default=EPOCHS, metavar="N", help=f"default {EPOCHS}")
    parser.add_argument("--backend", choices=("auto", "numpy", "numba", "cupy"), default="auto")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # says which backend "auto" takes
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("\ninterrupted") from None
    except (mr.backend.BackendError, DataNotFoundError) as error:
        raise SystemExit(str(error)) from None
