"""Find the images with the largest input gradients, the "ugly" ones, and draw them (Fig. 7 of the study).

python examples/ugly_images.py
python examples/ugly_images.py --full --epochs 30 --temperature 1/4

G is the mean of |∂L/∂x| over an image's pixels.  It is largest for images that the network misclassifies.  A few of
them raise the mean of G far above its median, which is why the study uses medians.  The network learns the 5,000
shipped digits, or all of MNIST with --full.
"""

import command_line  # first, so that Ctrl-C prints one sentence
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import mannwhitneyu

import minirobust as mr
from data_loaders import load_mnist
from minirobust.plots.palette import BLUE, ORANGE

options = command_line.options(
    __doc__,
    temperature=1.0,
    epochs=20,
    samples=1000,  # the first test images
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
    g = net.backend.to_numpy(mr.saliency.magnitude(net, x, y))
    p = net.backend.to_numpy(net.predict_proba(x))

    name = f"{data.name}, T = {mr.regimes.temperature_label(options.temperature)}"
    print(f"{name}: input gradients of {len(y)} test images\n")
    print_classes(mr.saliency.by_class(g, p[np.arange(len(y)), y], y))
    print_samples(g, p.argmax(axis=1) != y)

    options.output.mkdir(parents=True, exist_ok=True)
    picture = options.output / "ugly_images.png"
    draw(picture, x, y, g, p, name)
    print(f"\npicture in {picture}")


def print_classes(found):
    """Print the median of G for each class, and the correlation of G with the network's confidence."""
    print("         median of G   correlation of G and confidence   p-value")
    for digit, (median, correlation, p_value) in enumerate(zip(*found, strict=True)):
        print(f"digit {digit} {median:12.2e}{correlation:34.3f}{p_value:10.1e}")


def print_samples(g, wrong):
    """Print how much a few images contribute to the mean of G, and how well G identifies misclassified images."""
    largest = mr.saliency.largest(g, max(1, len(g) // 20))
    print(f"\nmedian of G {np.median(g):.2e}, mean {g.mean():.2e}, {g.mean() / np.median(g):.0f} times the median:")
    print(f"5 % of the images hold {g[largest].sum() / g.sum():.0%} of the sum")
    # The probability that G is larger for a misclassified image than for another: U counts these pairs, ties as 1/2.
    area = mannwhitneyu(g[wrong], g[~wrong]).statistic / (wrong.sum() * (~wrong).sum())
    print(f"{wrong.sum()} images are classified wrongly; G finds them with an area under the ROC curve of {area:.3f}")


def draw(path, x, y, g, p, title):
    """Draw the eight images with the largest G above the eight whose G is nearest the median."""
    ugly = mr.saliency.largest(g, 8)
    common = np.argsort(abs(g - np.median(g)), kind="stable")[:8]
    figure = Figure(figsize=(11, 4), layout="constrained")
    figure.suptitle(f"{title}: label → prediction (confidence)")
    axes = figure.subplots(2, 8)
    for row, shown, colour, name in zip(axes, (ugly, common), (ORANGE, BLUE), ("largest G", "median G"), strict=True):
        captions = [f"{y[i]} → {p[i].argmax()} ({p[i].max():.0%})" for i in shown]
        mr.plots.image_row(row, x[shown], captions, colour)
        row[0].set_ylabel(name)
        for axis, i in zip(row, shown, strict=True):
            axis.set_xlabel(f"G = {g[i]:.2g}", fontsize=8)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
