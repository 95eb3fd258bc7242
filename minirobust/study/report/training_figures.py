"""Figures 2 to 6: the sigmoids, and what is measured after every epoch.

With several seeds a curve is their median, in a band from the lowest to the highest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust import backend
from minirobust.measures import regimes
from minirobust.measures.regimes import temperature_label
from minirobust.plots.palette import BLUE, COLOURS, DARK, DASHES, GREY, ORANGE
from minirobust.study.report.panels import BLACK, blank, legend_below, mark_dull, panel_grid, shades, titled
from minirobust.study.report.selection import (
    NothingStored,
    by_seed,
    dull_columns,
    is_dull,
    learned,
    low_median_high,
    spread,
    temperature_labels,
    with_epochs,
    with_seeds,
)
from minirobust.study.store import Study, mean_of_present

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SELECTED = 5  # temperatures in Fig. 3
REGIMES = {"linear": BLUE, "nonlinear": GREY, "saturated": ORANGE}


def sigmoids(studies: Sequence[Study]) -> Figure:
    """Fig. 2: the temperature sigmoid at every temperature of the studies, and the bounds of its regimes.

    Above is f(net), with small dots at ± r1 and large ones at ± r2. Below are the regimes of |net| at each temperature.
    Studies with other thresholds get a column of their own. Nothing needs to have run.
    """
    if not studies:
        raise NothingStored("it needs a study, and there is none in nothing")
    shown: dict[tuple[float, float], set[float]] = {}
    for study in studies:
        thresholds = study.config.delta1, study.config.delta2
        shown[thresholds] = shown.get(thresholds, set()) | set(study.config.temperatures)
    figure = blank(5.4 * len(shown), 8.4, titled("sigmoids at all temperatures, and their three regimes", studies))
    grid = figure.subplots(2, len(shown), squeeze=False).T
    for (above, below), (thresholds, temperatures) in zip(grid, shown.items(), strict=True):
        _draw_sigmoids(above, sorted(temperatures), *thresholds)
        _draw_bounds(below, sorted(temperatures), *thresholds)
    return figure


def _draw_sigmoids(axes: Axes, temperatures: Sequence[float], delta1: float, delta2: float) -> None:
    widest = 8.0
    net = np.linspace(-widest, widest, 1601)
    f = backend.get("numpy").sigmoid
    for T, colour in zip(temperatures, shades(len(temperatures)), strict=True):
        axes.plot(net, f(net, T), color=colour, linewidth=1, label=temperature_label(T))
        for bound, size in zip(regimes.bounds(T, delta1, delta2), (9, 36), strict=True):
            dots = np.array([-bound, bound])
            axes.scatter(dots, f(dots, T), s=size, color=colour, edgecolors="white", linewidths=0.4, zorder=3)
    axes.set(xlim=(-widest, widest), ylim=(-0.03, 1.03), xlabel="net", ylabel="f(net) = 1 / (1 + exp(−net/T))")
    axes.set_title("small dots: ± r1, large dots: ± r2", fontsize=9)
    axes.legend(title="T", loc="lower right", ncols=2, fontsize=8)


def _draw_bounds(axes: Axes, temperatures: Sequence[float], delta1: float, delta2: float) -> None:
    bounds = np.array([regimes.bounds(T, delta1, delta2) for T in temperatures])
    rows = np.arange(len(temperatures))
    near, far = bounds.min() / 4, bounds.max() * 4
    ends = [np.full(len(rows), near), *bounds.T, np.full(len(rows), far)]
    for (regime, colour), start, end in zip(REGIMES.items(), ends, ends[1:], strict=False):
        axes.barh(rows, end - start, left=start, height=0.8, color=colour, alpha=0.85, label=regime)
    colours = shades(len(rows))
    for bound, size in zip(bounds.T, (9, 36), strict=True):
        axes.scatter(bound, rows, s=size, color=colours, edgecolors="white", linewidths=0.4, zorder=3)
    axes.set_xscale("log")
    axes.set(xlim=(near, far), ylim=(-0.6, len(rows) - 0.4), xlabel="|net|", ylabel="temperature T")
    axes.set_yticks(rows, [temperature_label(T) for T in temperatures])
    axes.set_title(f"regimes at δ1 = {delta1:g}, δ2 = {delta2:g}", fontsize=9)
    legend_below(axes)


def learning_curves(studies: Sequence[Study]) -> Figure:
    """Fig. 3: accuracy on the test set after every epoch, at up to five temperatures from lowest to highest."""
    from matplotlib.ticker import MaxNLocator

    figure, panels = panel_grid("learning curves at selected temperatures", with_epochs(studies))
    for axes, study in panels:
        lows, medians, highs = low_median_high(by_seed(study, lambda one: one.series("test_accuracy")))
        epochs = np.arange(1, study.config.epochs + 1)
        begun = np.flatnonzero(~np.isnan(medians).all(axis=1))
        for index, row in enumerate(begun[spread(len(begun), SELECTED)]):
            T = study.config.temperatures[row]
            dull = all(map(is_dull, study.of(T)))
            (line,) = axes.plot(epochs, medians[row], linestyle=DASHES[index % len(DASHES)])
            line.set(color=DARK if dull else COLOURS[index], marker="." if len(epochs) == 1 else "")
            line.set_label(f"T = {temperature_label(T)}{', learned nothing' if dull else ''}")
            axes.fill_between(epochs, lows[row], highs[row], color=line.get_color(), alpha=0.2, linewidth=0)
        lowest = max(math.floor(np.nanmin(lows) * 10 - 0.2) / 10, 0)
        axes.set(xlabel="epoch", ylabel="test accuracy", ylim=(lowest, 1.005))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        legend_below(axes, columns=3 if dull_columns(study) else SELECTED)
    return figure


def operation_in_regimes(studies: Sequence[Study]) -> Figure:
    """Fig. 4: the shares of the last hidden layer's net values in each regime, after every epoch, at every temperature.

    The three shares are stacked. With several seeds they are means, which add up to 1 as medians do not.
    """
    figure, panels = panel_grid("operation in the three regimes during training", with_epochs(studies))
    for axes, study in panels:
        axes.set_title(with_seeds(study, "mean"), fontsize=10)
        edges = _columns(axes, study, "share of net values")
        shown = learned(study)
        floor = np.zeros_like(shown.series("linear"))
        for regime, colour in REGIMES.items():
            top = floor + shown.series(regime)
            for column, (low, high) in enumerate(zip(floor, top, strict=True)):
                area = axes.stairs(high, column + edges, baseline=low, fill=True, color=colour, rasterized=True)
                area.set_label(regime if column == 0 else "_")
            floor = top
    # In the legend, too, the top of the stack comes first.
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=3, frameon=False)
    return figure


def robustness_during_training(studies: Sequence[Study]) -> Figure:
    """Fig. 5: network robustness against FGSM at the main ε, after every epoch, at every temperature.

    The line above it is the robustness at ε = 0: the mean over classes of the accuracy.
    """
    figure, panels = panel_grid("robustness against FGSM during training", with_epochs(studies))
    for axes, study in panels:
        edges = _columns(axes, study, "robustness")
        axes.set_title(f"{with_seeds(study)}, ε = {study.config.epsilon:g}", fontsize=10)
        low, robustness, high = _network_robustness(study)[..., study.config.main]
        _, clean, _ = low_median_high(by_seed(learned(study), _clean))
        for column in range(len(study.config.temperatures)):
            area = axes.stairs(robustness[column], column + edges, fill=True, color=ORANGE, rasterized=True)
            _range_of_seeds(axes, low[column], high[column], column + edges, BLACK)
            line = axes.stairs(clean[column], column + edges, baseline=None, color=BLACK, linewidth=1)
    figure.legend(
        [line, area], ["without an attack", "against FGSM"], loc="outside lower center", ncols=2, frameon=False
    )
    return figure


def robustness_at_every_epsilon(studies: Sequence[Study]) -> Figure:
    """Fig. 6: network robustness against FGSM at every ε, after every epoch, at every temperature.

    If Fashion-MNIST is among the studies, it alone is shown, as in the paper.
    """
    begun = with_epochs(studies)
    fashion = [study for study in begun if study.config.dataset == "fashion-mnist"]
    figure, panels = panel_grid("robustness against FGSM at several ε during training", fashion or begun, height=3.8)
    for axes, study in panels:
        edges = _columns(axes, study, "robustness")
        low, robustness, high = _network_robustness(study)
        for index, (epsilon, colour) in enumerate(
            zip(study.config.epsilons, shades(len(study.config.epsilons)), strict=True)
        ):
            for column, values in enumerate(robustness[:, :, index]):
                _range_of_seeds(axes, low[column, :, index], high[column, :, index], column + edges, colour)
                line = axes.stairs(values, column + edges, baseline=None, color=colour, linewidth=1.3)
                line.set_label(f"ε = {epsilon:g}" if column == 0 else "_")
        legend_below(axes)
    return figure


def _network_robustness(study: Study) -> np.ndarray:
    """Return the lowest, median and highest seed's network robustness: (3, temperatures, epochs, ε)."""
    return low_median_high(by_seed(learned(study), lambda one: mean_of_present(one.series("robustness"), axis=-1)))


def _clean(study: Study) -> np.ndarray:
    """Return the mean over classes of the accuracy: (temperatures, epochs)."""
    return mean_of_present(study.series("class_accuracy"), axis=-1)


def _range_of_seeds(axes: Axes, low: np.ndarray, high: np.ndarray, edges: np.ndarray, colour: Any) -> None:
    """Shade the range from the lowest to the highest seed in one column."""
    if (high > low).any():
        band = axes.stairs(high, edges, baseline=low, fill=True, color=colour, alpha=0.3, rasterized=True)
        band.set_label("_")


def _columns(axes: Axes, study: Study, quantity: str) -> np.ndarray:
    """Set up columns of temperatures, and return the edges of the epochs relative to the middle of a column."""
    temperatures, epochs = study.config.temperatures, study.config.epochs
    axes.set_xticks(range(len(temperatures)), temperature_labels(study))
    mark_dull(axes, study)
    axes.tick_params(axis="x", length=0)
    axes.set(xlim=(-0.5, len(temperatures) - 0.5), ylim=(0, 1), ylabel=quantity)
    axes.set_xlabel(f"temperature T; in each column, epochs 1 to {epochs}" if epochs > 1 else "temperature T")
    axes.set_facecolor("#F4F4F4")
    return np.linspace(-0.46, 0.46, epochs + 1)
