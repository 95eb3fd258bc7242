"""Draw the README's picture, how robust networks look and how robust they are: python docs/images/draw_robustness.py

Reads the study's results in docs/results/, and writes robustness.png beside itself.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from minirobust.measures.regimes import temperature_label
from minirobust.plots.palette import BLUE, ORANGE

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "study"))

from numbers_of_page import audited  # noqa: E402
from stored import values  # noqa: E402


def main():
    """Write the picture."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    draw(panels[0], "mnist", 0.1, "MNIST, each pixel may change by 0.1")
    draw(panels[1], "fashion-mnist", 0.03, "Fashion-MNIST, each pixel may change by 0.03")
    panels[0].set_ylabel("images that withstand the attack")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(HERE / "robustness.png", dpi=120)


def draw(axes, dataset, epsilon, title):
    """Draw what FGSM and the strongest attack leave at every temperature, and what is proven."""
    temperatures = sorted(set(values("audit", "temperature", dataset=dataset)))
    fgsm, left, proven = (
        [audited(dataset, T, attack, epsilon) for T in temperatures] for attack in ("FGSM", "worst case", "certificate")
    )
    places = range(len(temperatures))
    axes.plot(places, fgsm, "o--", color=ORANGE, label="FGSM: how robust they look")
    axes.plot(places, left, "v-", color=BLUE, label="all attacks together: at most this robust")
    axes.fill_between(places, proven, left, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(places, proven, "^-", color=BLUE, markerfacecolor="white", label="proven: at least this robust")
    axes.set(title=title, xlabel="temperature T of the sigmoids", ylim=(-0.03, 1))
    axes.set_xticks(places, map(temperature_label, temperatures))
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    main()
