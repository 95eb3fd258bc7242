"""Draw the pictures of docs/certificates.md: python docs/images/draw_certificates.py (a few minutes)."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

import minirobust as mr
from data_loaders import load_mnist
from minirobust import attacks, certify
from minirobust.certify.lines import best_slope, touch

HERE = Path(__file__).parent
EPSILONS = (0.005, 0.01, 0.02, 0.03, 0.05)


def draw_lines():
    """Draw the lines below and above a sigmoid on three intervals, and two lines of other slopes."""
    layer = mr.Network([mr.TemperatureSigmoid(1.0)], (1,), dtype="float64").layers[0]
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    x = np.linspace(-6, 6, 400)
    for axes, (low, high) in zip(figure.subplots(1, 3, sharey=True), ((-5, -1), (-2, 4), (-4, 4)), strict=True):
        axes.plot(x, layer.forward(x), "k", label="f")
        box = np.array([float(low)]), np.array([float(high)])
        between = np.linspace(low, high, 50)
        for side, colour, label in ((1.0, "C0", "below"), (-1.0, "C3", "above")):
            best = best_slope(layer, *box, side)
            for alpha, style in ((best, "-"), (0.4 * best, ":")):
                _, beta = touch(layer, alpha, *box, np.array([side]))
                axes.plot(between, alpha * between + beta, colour + style, label=label if style == "-" else None)
        for end in (low, high):
            axes.axvline(end, color="0.7", linewidth=0.8)
        axes.set_title(f"[l, u] = [{low}, {high}]")
        axes.set_xlabel("net / T")
        axes.set_ylim(-0.3, 1.3)
    axes.legend()
    figure.savefig(HERE / "certificates_lines.png", dpi=100)


def draw_box():
    """Draw a box, its image under a matrix, and the box around that."""
    W = np.array([[1.0, 0.6], [-0.5, 1.1]])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (0.6, 0.4) + (0.8, 0.5)
    image = corners @ W
    low, high = image.min(axis=0), image.max(axis=0)
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    before, after = figure.subplots(1, 2)
    before.add_patch(Polygon(corners, color="C0", alpha=0.3))
    after.add_patch(Polygon(image, color="C0", alpha=0.3, label="what the layer can compute"))
    after.add_patch(Rectangle(low, *(high - low), fill=False, edgecolor="C3", label="the box that IBP keeps"))
    for axes, title in ((before, "x in a box"), (after, "x W")):
        axes.set_xlim(-0.6, 2.2)
        axes.set_ylim(-0.4, 2.6)
        axes.set_aspect("equal")
        axes.set_title(title)
    after.legend(loc="upper left", fontsize=8)
    figure.savefig(HERE / "certificates_box.png", dpi=100)


def draw_sandwich():
    """Draw the strongest attack and the certificates over ε, on the shipped digits."""
    data = load_mnist(mini=True)
    x, y = data.test.pixels()[:100], data.test.labels[:100]
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, temperature in zip(panels, (1 / 64, 1.0, 4.0), strict=True):
        network = mr.models.mlp(temperature, backend="auto")
        mr.fit(network, mr.Adam(network), data, 20)
        curves = {name: [] for name in ("attacks", "decide", "α-CROWN", "CROWN", "IBP")}
        for epsilon in EPSILONS:
            decision = certify.decide(network, x, y, epsilon, seconds=2)
            found = {
                "attacks": decision.fooled | attacks.fgsm(network, x, y, epsilon).fooled,
                "decide": ~decision.certified,
                "α-CROWN": ~certify.alpha_crown(network, x, y, epsilon).certified,
                "CROWN": ~certify.crown(network, x, y, epsilon).certified,
                "IBP": ~certify.ibp(network, x, y, epsilon).certified,
            }
            for name, failed in found.items():
                curves[name].append(mr.robustness.network_robustness(failed, y))
        for (name, rates), style in zip(curves.items(), ("C3-", "C0-", "C0--", "C0-.", "C0:"), strict=True):
            axes.plot(EPSILONS, rates, style, marker="o", markersize=3, label=name)
        axes.fill_between(EPSILONS, curves["decide"], curves["attacks"], color="C0", alpha=0.2, linewidth=0)
        axes.set_title(f"{data.name}, T = {mr.regimes.temperature_label(temperature)}")
        axes.set_xlabel("ε")
    panels[0].set_ylabel("mean over classes")
    panels[-1].legend()
    figure.savefig(HERE / "certificates_sandwich.png", dpi=100)


if __name__ == "__main__":
    draw_lines()
    draw_box()
    draw_sandwich()
