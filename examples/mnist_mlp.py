"""Train a network on MNIST, measure it after every epoch, attack it with FGSM, and draw the results.

python examples/mnist_mlp.py
python examples/mnist_mlp.py --temperature 0.015625 --epochs 30
"""

import argparse
import logging
from pathlib import Path

from matplotlib.figure import Figure

import minirobust as mr
from data_loaders import DataNotFoundError, load_mnist


def main():
    options = parse_options()
    data = load_digits(options)
    x, y = data.test.pixels(), data.test.labels

    net = mr.models.mlp(options.temperature, backend=options.backend, seed=options.seed)
    optimizer = mr.Adam(net, lr=1e-3)
    print(f"{data.name}: {len(data.train)} training and {len(data.test)} test images, on {net.backend}")
    r1, r2 = mr.regimes.bounds(options.temperature)
    print(f"{net.summary()}\na sigmoid is linear for |net| ≤ {r1:.4g}, saturated for |net| ≥ {r2:.4g}\n")

    options.output.mkdir(parents=True, exist_ok=True)
    saved = options.output / "mnist_mlp.h5"
    history = []
    for record in mr.epochs(net, optimizer, data, options.epochs, seed=options.seed, checkpoint=saved, progress=True):
        regimes = mr.regimes.fractions(net.hidden(x), options.temperature)
        accuracy = float((net.backend.to_numpy(net.predict(x)) == y).mean())
        (robustness,) = mr.robustness.epsilon_curve(net, x, y, [options.epsilon])
        history.append({"loss": record.loss, "accuracy": accuracy, "robustness": robustness, **regimes._asdict()})
        print(
            f"epoch {record.epoch:3}  loss {record.loss:.4f}  test accuracy {accuracy:.4f}  "
            f"linear {regimes.linear:.3f}  nonlinear {regimes.nonlinear:.3f}  saturated {regimes.saturated:.3f}  "
            f"FGSM robustness {robustness:.4f}",
            flush=True,
        )

    attack = mr.attacks.fgsm(net, x, y, options.epsilon)
    print(f"\nrobustness against FGSM at epsilon = {options.epsilon:g}")
    for digit, share in enumerate(mr.robustness.by_class(attack.fooled, y)):
        print(f"  digit {digit}  {share:6.3f}")
    print(f"  network  {robustness:6.3f}")

    picture = options.output / "mnist_mlp.png"
    draw(picture, net, x, attack, history, f"{data.name}, T = {options.temperature:g}, ε = {options.epsilon:g}")
    print(f"\nsaved the network in {saved} and the picture in {picture}")


def draw(path, net, x, attack, history, title):
    """Draw eight correctly classified digits that the attack turned into others, and the curves of the training."""
    to_numpy = net.backend.to_numpy
    fooled = (to_numpy(attack.clean_correct) & to_numpy(attack.fooled)).nonzero()[0]
    shown = fooled[:8] if len(fooled) else slice(8)
    images, adversarials = x[shown], to_numpy(attack.images)[shown]
    probabilities = (to_numpy(net.predict_proba(row)) for row in (images, adversarials))
    before, after = ([f"{p.argmax()} ({p.max():.0%})" for p in row] for row in probabilities)
    figure = Figure(figsize=(11, 9))
    mr.plots.training_story(figure, history, images, adversarials, before, after, title)
    figure.savefig(path, dpi=100)


def load_digits(options):
    """Return MNIST, or the 5,000 shipped digits if MNIST is neither found nor downloaded."""
    try:
        return load_mnist(options.data, mini=options.mini)
    except DataNotFoundError:
        if options.data is not None:
            raise
        print("MNIST was not found and could not be downloaded: training on the 5,000 shipped digits instead")
        return load_mnist(mini=True)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="of the sigmoid (default 1)")
    parser.add_argument("--epochs", type=int, default=10, metavar="N", help="default 10")
    parser.add_argument("--epsilon", type=float, default=0.1, metavar="E", help="of FGSM (default 0.1)")
    parser.add_argument("--backend", choices=("auto", "numpy", "numba", "cupy"), default="auto")
    parser.add_argument("--mini", action="store_true", help="train on the 5,000 shipped digits")
    parser.add_argument("--data", metavar="DIR", help="folder with the MNIST files")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--output", type=Path, default=Path("results"), metavar="DIR", help="default results")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # says which backend "auto" takes
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("\ninterrupted: the output folder holds the network after the last complete epoch") from None
    except (mr.backend.BackendError, DataNotFoundError) as error:
        raise SystemExit(str(error)) from None
