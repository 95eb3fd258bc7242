"""Fool a network by changing one, two or three pixels, and draw images with two changed pixels (Fig. 10 of the study).

python examples/pixel_attack.py
python examples/pixel_attack.py --full --epochs 30 --temperature 1/4

The attack sets the pixels with the largest gradients to black or white.  Most of them lie around the digit rather than
on it, many in the outermost rows and columns.  The network learns the 5,000 shipped digits, or all of MNIST with
--full.
"""

import command_line  # first, so that Ctrl-C prints one sentence
import numpy as np
from matplotlib.figure import Figure

import minirobust as mr
from data_loaders import load_mnist

options = command_line.options(
    __doc__,
    temperature=1.0,
    epochs=20,
    samples=1000,  # the first test images, which are attacked
    full=False,
    backend="auto",
    seed=0,
    output="results",
)


def main():
    data = load_mnist(mini=not options.full)
    test = data.test[: options.samples]
    x, y = test.pixels(), test.labels

    net = mr.models.mlp(options.temperature, backend=options.backend, seed=options.seed)
    mr.fit(net, mr.Adam(net, lr=1e-3), data, options.epochs, seed=options.seed)
    attack = mr.attacks.pixel(net, x, y, pixels=3, progress=True)
    name = f"{data.name}, T = {mr.regimes.temperature_label(options.temperature)}"
    print(f"{name}: {attack}\n")
    print_success(attack, y)

    options.output.mkdir(parents=True, exist_ok=True)
    draw(options.output / "pixel_attack.png", net, x, y, attack, f"{name}: two pixels changed")


def print_success(attack, y):
    """Print the share of fooled images per class, among all images and among those classified correctly."""
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
    """Draw one fooled image per class with two changed pixels: the one whose changed pixels are nearest the border."""
    to_numpy = net.backend.to_numpy
    height, width, _ = net.input_shape
    changed = (to_numpy(attack.images) != x).reshape(len(x), -1)
    fooled = (changed.sum(axis=1) == 2).nonzero()[0]
    pixels = changed[fooled].nonzero()[1].reshape(-1, 2)
    rows, columns = np.divmod(pixels, width)
    to_border = np.minimum.reduce([rows, columns, height - 1 - rows, width - 1 - columns]).min(axis=1)
    print(f"\n{len(fooled)} images were fooled by exactly two pixels,")
    print(f"{(to_border < 2).sum()} of them with a pixel in the two outermost rows or columns")
    if not len(fooled):
        return

    nearest = np.argsort(to_border, kind="stable")
    nearest = nearest[np.unique(y[fooled][nearest], return_index=True)[1]]
    shown = fooled[nearest]
    images, adversarials = x[shown], to_numpy(attack.images)[shown]
    probabilities = (to_numpy(net.predict_proba(row)) for row in (images, adversarials))
    before, after = ([f"{p.argmax()} ({p.max():.0%})" for p in row] for row in probabilities)
    figure = Figure(figsize=(1 + 1.5 * len(shown), 5), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(3, len(shown), squeeze=False)
    mr.plots.adversarial_rows(axes, images, adversarials, before, after)
    for axis, changed_pixels in zip(axes[2], pixels[nearest], strict=True):
        mr.plots.circle_pixels(axis, changed_pixels, width)
    figure.savefig(path, dpi=100)
    print(f"picture in {path}")


if __name__ == "__main__":
    main()
