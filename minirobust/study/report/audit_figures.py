"""Figures 11 to 13, which are not in the paper: audits, sandwiches over ε, and another temperature at test time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust.measures.regimes import temperature_label
from minirobust.measures.robustness import network_robustness
from minirobust.plots.palette import BLUE, COLOURS, DARK, ORANGE
from minirobust.study.claims.evidence import Level
from minirobust.study.claims.sources import fgsm, sandwich_epsilons
from minirobust.study.report.panels import BLACK, blank, draw_seeds, legend_below, mark_dull, panel_grid, titled
from minirobust.study.report.selection import learned, low_median_high, spread, temperature_labels, those, with_seeds
from minirobust.study.store import Record, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREEN, PINK, SKY = "#009E73", "#CC79A7", "#56B4E9"
SELECTED = 4  # temperatures in Fig. 12
TRAINED = 3  # temperatures in Fig. 13
# By the audit's name for an attack: label, colour, dashes, marker.
ATTACKS = {
    "clean": ("no attack", DARK, "-", "s"),
    "FGSM": ("FGSM", ORANGE, "--", "o"),
    "PGD": ("PGD", BLUE, "-.", "^"),
    "transfer": ("transfer", PINK, ":", "v"),
    "Square": ("Square", GREEN, "-.", "D"),
    "worst case": ("worst case", BLACK, "-", "o"),
    "brute-force pixel": ("any single pixel", SKY, ":", "x"),
}


def robustness_under_audit(studies: Sequence[Study]) -> Figure:
    """Fig. 11: robustness under each attack of the audit and in the worst case, at every temperature.

    Every attack stays within the main ε, except that on a single pixel, which may change it by any amount. Bars are
    95 % intervals over test images. With several seeds, the values are medians and the bars reach from the lowest to
    the highest seed.
    """
    audited = those("an audit", lambda study: any(record.audit for record in study.records), studies)
    figure, panels = panel_grid("robustness under every attack of the audit", audited, height=4.0)
    for axes, study in panels:
        _draw_attacks(axes, study)
    handles, labels = panels[0][0].get_legend_handles_labels()
    columns = 3 if len(panels) == 1 else 4
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


def _draw_attacks(axes: Axes, study: Study) -> None:
    temperatures = study.config.temperatures
    x = np.arange(len(temperatures))
    rates = {name: audited_robustness(learned(study), name) for name in ATTACKS}
    axes.fill_between(
        x,
        rates["worst case"][:, 0],
        rates["FGSM"][:, 0],
        color=ORANGE,
        alpha=0.15,
        linewidth=0,
        label="removed by other attacks",
    )
    for index, (name, (label, colour, dashes, marker)) in enumerate(ATTACKS.items()):
        value, low, high = rates[name].T
        heavy = name in ("FGSM", "worst case")
        axes.errorbar(
            x + (index - (len(ATTACKS) - 1) / 2) * len(x) / 150,  # side by side, so that bars do not overlap
            value,
            np.array([value - low, high - value]).clip(0),
            color=colour,
            linestyle=dashes,
            linewidth=2 if heavy else 1,
            elinewidth=1,
            marker=marker,
            markersize=5 if heavy else 4,
            zorder=3 if heavy else 2,
            label=label,
        )
    axes.set_title(f"{with_seeds(study)}, ε = {study.config.epsilon:g}", fontsize=10)
    axes.set_xticks(x, temperature_labels(study))
    mark_dull(axes, study)
    axes.set(xlabel="temperature T", ylabel="robustness", ylim=(-0.02, 1.02), xlim=(-0.5, len(x) - 0.5))
    axes.grid(axis="y", alpha=0.3)


def audited_robustness(study: Study, attack: str) -> np.ndarray:
    """Return network robustness under one attack of the audit, and the ends of its bar.

    Parameters
    ----------
    study : Study
    attack : str
        A key of `AuditReport.robustness`.

    Returns
    -------
    ndarray of shape (temperatures, 3)
        Value and 95 % interval of a single seed; median, lowest and highest of several. NaN for a temperature at which
        no audit has the attack.
    """
    rates = np.full((len(study.config.temperatures), 3), np.nan)
    for row, T in enumerate(study.config.temperatures):
        found = [record.audit["robustness"].get(attack) for record in study.of(T) if record.audit]
        ends = [[rate["value"], rate["low"], rate["high"]] for rate in found if rate]
        if len(ends) == 1:
            rates[row] = ends[0]
        elif ends:
            low, median, high = low_median_high(np.array(ends)[:, 0])
            rates[row] = median, low, high
    return rates


def sandwich_over_epsilon(studies: Sequence[Study]) -> Figure:
    """Fig. 12: the bounds of robustness at every ε of the audit, at up to four temperatures from lowest to highest.

    An area reaches from what is proven to what the strongest attack leaves; without a certificate it begins at 0. Dots
    are what FGSM leaves. With several seeds, the values are medians, with bars from the lowest to the highest seed.
    """

    def has(study: Study) -> bool:
        return any("sandwich/fooled" in record.audited for record in learned(study).records)

    figure, panels = panel_grid("bounds of robustness over ε", those("an audit with bounds", has, studies), 4.0)
    for axes, study in panels:
        of = {T: [r for r in learned(study).of(T) if "sandwich/fooled" in r.audited] for T in study.config.temperatures}
        audited = [T for T, records in of.items() if records]
        for index, T in enumerate(audited[place] for place in spread(len(audited), SELECTED)):
            _draw_sandwich(axes, of[T], f"T = {temperature_label(T)}", COLOURS[index])
        axes.plot([], [], color=DARK, marker="^", markersize=5, linestyle="--", linewidth=1, label="proven")
        axes.plot([], [], color=DARK, marker="o", markersize=4, linestyle=":", linewidth=1, label="left by FGSM")
        axes.set(xlabel="ε, largest change of a pixel", ylabel="robustness", ylim=(-0.02, 1.02))
        axes.grid(alpha=0.3)
        legend_below(axes, columns=3)
    return figure


def _draw_sandwich(axes: Axes, records: Sequence[Record], label: str, colour: str) -> None:
    epsilons = sandwich_epsilons(records[0])

    def left(kind: Any) -> np.ndarray:
        """Return what is left at every ε, (seeds, ε), and 0 for what is not stored."""
        scores = [[fgsm(record, Level(kind, row)) for row in range(len(epsilons))] for record in records]
        return np.array([[score.estimate.value if score else 0.0 for score in row] for row in scores])

    upper, lower = left("strong"), left("proven")
    axes.fill_between(
        epsilons, np.median(lower, axis=0), np.median(upper, axis=0), color=colour, alpha=0.12, linewidth=0
    )
    draw_seeds(axes, epsilons, upper, color=colour, marker="v", markersize=5, label=label)
    draw_seeds(axes, epsilons, left("weak"), color=colour, marker="o", markersize=4, linestyle=":", linewidth=1)
    if "sandwich/certified" in records[0].audited:
        draw_seeds(axes, epsilons, lower, color=colour, marker="^", markersize=5, linestyle="--", linewidth=1)


def temperature_at_test_time(studies: Sequence[Study]) -> Figure:
    """Fig. 13: trained networks whose temperature is changed without further training.

    Each study has a column for each of up to three temperatures of training. In the upper row ε is the smallest of the
    audit, in the lower row the main one. With several seeds, the values are medians, with bars from the lowest to the
    highest seed.
    """

    def has(study: Study) -> bool:
        return any(record.sharpened for record in learned(study).records)

    shown = those("a network whose temperature was changed", has, studies)
    figure = blank(3.4 * TRAINED, 5.6 * len(shown) + 0.8, titled("temperature changed after training", shown))
    grid = figure.subplots(2 * len(shown), TRAINED, squeeze=False, sharey=True)
    for index, study in enumerate(shown):
        _draw_changed(grid[2 * index : 2 * index + 2], study)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw_changed(grid: np.ndarray, study: Study) -> None:
    """Draw a study's two rows of panels, and remove the columns that are left over."""
    of = {T: [record for record in learned(study).of(T) if record.sharpened] for T in study.config.temperatures}
    changed = [T for T, records in of.items() if records]
    places = spread(len(changed), TRAINED)
    epsilons = study.config.audit_epsilons
    for axes, T in zip(grid.T, (changed[place] for place in places), strict=False):
        for each, row in zip(axes, (0, len(epsilons) - 1), strict=True):
            _draw_sharpened(each, of[T], row)
            each.set_title(f"{study.title}, ε = {epsilons[row]:g}\ntrained at T = {temperature_label(T)}", fontsize=10)
    for each in grid[:, len(places) :].ravel():
        each.remove()


SHARPENED = {
    "correct": ("accuracy", BLACK, "-", "s"),
    "fgsm": ("left by FGSM", ORANGE, "--", "o"),
    "fooled": ("left by the strongest attack", BLUE, "-", "v"),
    "certified": ("proven", GREEN, "-.", "^"),
}


def _draw_sharpened(axes: Axes, records: Sequence[Record], row: int) -> None:
    ratios = records[0].sharpened["ratio"]
    for name, (label, colour, dashes, marker) in SHARPENED.items():
        seeds = np.array([_sharpened(record, name, row) for record in records if name in record.sharpened])
        if len(seeds):
            draw_seeds(axes, ratios, seeds, color=colour, linestyle=dashes, marker=marker, markersize=4, label=label)
    axes.axvline(1, color=DARK, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ratios, [temperature_label(ratio) for ratio in ratios])
    axes.set(ylim=(-0.02, 1.02), xlabel="T at test time / T in training", ylabel="share of images")
    axes.grid(alpha=0.3)


def _sharpened(record: Record, name: str, row: int) -> list[float]:
    """Return, at every ratio, the mean over classes of the share of images that are correct, not fooled, or proven."""
    masks = record.sharpened[name] if name == "correct" else record.sharpened[name][:, row]
    wrong = masks if name in ("fgsm", "fooled") else ~masks
    labels = record.final["label"][: masks.shape[1]]
    return [network_robustness(mask, labels, len(record.final["p_value"])) for mask in wrong]
