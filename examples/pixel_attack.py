"""Fools a network with one, two or three pixels, and draws what two of them do (Fig. 10 of the study).

python examples/pixel_attack.py
python examples/pixel_attack.py --full --epochs 30 --temperature 0.25

The attack drives the pixels of largest gradient to black or white.  They lie less on the digit than about it, many in
the outermost rows and columns.  The 5,000 digits that are shipped suffice; --full takes all of MNIST.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minirobust as mr
from data_loaders import DataNotFoundError, load_mnist


def main():
    options = parse_options()
    data = load_mnist(mini=not options.full)
    x, y = data.test.pixels(), data.test.labels

    net = mr.models.mlp(options.temperature, backend=options.backend, seed=options.seed)
    for _ in mr.fit(net, mr.Adam(net, lr=1e-3), data, options.epochs, seed=options.seed, progress=True):
        pass
    attack = mr.attacks.pixel(net, x, y, pixels=3, progress=True)
    name = f"{data.name}, T = {mr.plots.temperature_label(options.temperature)}"
    print(f"{name}: {attack}\n")
    print_success(attack, y)

    options.output.mkdir(parents=True, exist_ok=True)
    draw(options.output / "pixel_attack.png", net, x, y, attack, f"{name}: two pixels written")


def print_success(attack, y):
    """The share of images fooled, with those that were wrong without an attack and without them, per class."""
    fooled_at = mr.backend.of(attack.fooled_at).to_numpy(attack.fooled_at)
    every = [1 - mr.robustness.by_class(fooled, y) for fooled in fooled_at]
    correct = [1 - mr.robustness.by_class_of_correct(fooled, attack.clean_correct, y) for fooled in fooled_at]
    shares = np.array([*every, *correct])
    print("fooled         of all images            of those classified correctly")
    print("by       1 pixel  2 pixels  3 pixels    1 pixel  2 pixels  3 pixels")
    names = [f"digit {digit}" for digit in range(10)] + ["network"]
    for name, row in zip(names, [*shares.T, np.nanmean(shares, axis=1)], strict=True):
        print(f"{name:<7}{row[0]:9.1%}{row[1]:10.1%}{row[2]:10.1%}{row[3]:11.1%}{row[4]:10.1%}{row[5]:10.1%}")


def draw(path, net, x, y, attack, title):
    """Images that two changed pixels turned into something else, of each class the one changed nearest its border."""
    home = net.backend.to_numpy
    height, width, _ = net.input_shape
    changed = (home(attack.images) != x).reshape(len(x), -1)
    fallen = (changed.sum(axis=1) == 2).nonzero()[0]
    pixels = changed[fallen].nonzero()[1].reshape(-1, 2)
    rows, columns = np.divmod(pixels, width)
    to_border = np.minimum.reduce([rows, columns, height - 1 - rows, width - 1 - columns]).min(axis=1)
    print(f"\n{len(fallen)} images fell to a change of two pixels,")
    print(f"{(to_border < 2).sum()} of them with one in the outermost two rows or columns")
    if not len(fallen):
        return

    nearest = np.argsort(to_border, kind="stable")
    nearest = nearest[np.unique(y[fallen][nearest], return_index=True)[1]]
    shown = fallen[nearest]
    images, adversarials = x[shown], home(attack.images)[shown]
    said = (home(net.predict_proba(row)) for row in (images, adversarials))
    before, after = ([f"{p.argmax()} ({p.max():.0%})" for p in row] for row in said)
    figure = Figure(figsize=(1 + 1.5 * len(shown), 5), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(3, len(shown), squeeze=False)
    mr.plots.adversarial_rows(axes, images, adversarials, before, after)
    for axis, written in zip(axes[2], pixels[nearest], strict=True):
        mr.plots.circle_pixels(axis, written, width)
    figure.savefig(path, dpi=100)
    print(f"picture in {path}")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="of the sigmoid (default 1)")
    parser.add_argument("--epochs", type=int, default=20, metavar="N", help="default 20")
    parser.add_argument("--backend", choices=("auto", "numpy", "cupy"), default="auto")
    parser.add_argument("--full", action="store_true", help="all of MNIST in place of the digits that are shipped")
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
