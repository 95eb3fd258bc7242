"""Figures 11 to 13, which the publication lacks: what audits leave, the sandwich over ε, temperature at test time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust.measures.regimes import temperature_label
from minirobust.measures.robustness import network_robustness
from minirobust.plots.palette import BLUE, COLOURS, DARK, ORANGE
from minirobust.study.claims.evidence import Level
from minirobust.study.claims.sources import fgsm, sandwich_epsilons
from minirobust.study.report.panels import BLACK, blank, legend_below, mark_dull, panel_grid, titled
from minirobust.study.report.selection import learned, spread, temperature_labels, those
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
    """What is left of the robustness that FGSM shows when other attacks try: against temperature, with 95 % intervals.

    Robustness at the main ε under each attack of the audit and in the worst case of them; beside them, as it may change
    a pixel by any amount, that against any single pixel.  With several seeds the values are means over them, and so are
    the ends of the intervals: all seeds share their test images, so the mean is no surer for them.
    """
    audited = those("an audit", lambda study: any(record.audit for record in study.records), studies)
    figure, panels = panel_grid("what is left of robustness when other attacks try", audited, height=4.0)
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
        label="FGSM misses this",
    )
    for index, (name, (label, colour, dashes, marker)) in enumerate(ATTACKS.items()):
        value, low, high = rates[name].T
        heavy = name in ("FGSM", "worst case")
        axes.errorbar(
            x + (index - (len(ATTACKS) - 1) / 2) * len(x) / 150,  # bars side by side
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
    axes.set_title(f"{study.title}, ε = {study.config.epsilon:g}", fontsize=10)
    axes.set_xticks(x, temperature_labels(study))
    mark_dull(axes, study)
    axes.set(xlabel="temperature T", ylabel="robustness", ylim=(-0.02, 1.02), xlim=(-0.5, len(x) - 0.5))
    axes.grid(axis="y", alpha=0.3)


def audited_robustness(study: Study, attack: str) -> np.ndarray:
    """Network robustness under one attack of the audit and its 95 % interval, means over seeds.

    Parameters
    ----------
    study : Study
    attack : str
        A key of `AuditReport.robustness`.

    Returns
    -------
    ndarray of shape (temperatures, 3)
        Value, lower and upper end; NaN for a temperature without an audit, or whose audit lacks the attack.
    """
    rates = np.full((len(study.config.temperatures), 3), np.nan)
    for row, T in enumerate(study.config.temperatures):
        found = [record.audit["robustness"].get(attack) for record in study.of(T) if record.audit]
        ends = [[rate["value"], rate["low"], rate["high"]] for rate in found if rate]
        if ends:
            rates[row] = np.mean(ends, axis=0)
    return rates


def sandwich_over_epsilon(studies: Sequence[Study]) -> Figure:
    """Fig. 12: between what robustness lies at every ε of the audit, at up to four temperatures from lowest to highest.

    An area reaches from what is proven, below, to what the strongest attack leaves, above; dots are what FGSM leaves.
    Without a certificate it reaches down to 0. With several seeds all are means over them.
    """

    def has(study: Study) -> bool:
        return any("sandwich/fooled" in record.audited for record in learned(study).records)

    figure, panels = panel_grid("robustness between proof and strongest attack", those("a sandwich", has, studies), 4.0)
    for axes, study in panels:
        of = {T: [r for r in learned(study).of(T) if "sandwich/fooled" in r.audited] for T in study.config.temperatures}
        audited = [T for T, records in of.items() if records]
        for index, T in enumerate(audited[place] for place in spread(len(audited), SELECTED)):
            _draw_sandwich(axes, of[T], f"T = {temperature_label(T)}", COLOURS[index])
        axes.plot([], [], color=DARK, marker="^", markersize=5, linestyle="--", linewidth=1, label="proven")
        axes.plot([], [], color=DARK, marker="o", markersize=4, linestyle=":", linewidth=1, label="FGSM leaves")
        axes.set(xlabel="ε, largest change of a pixel", ylabel="robustness", ylim=(-0.02, 1.02))
        axes.grid(alpha=0.3)
        legend_below(axes, columns=3)
    return figure


def _draw_sandwich(axes: Axes, records: Sequence[Record], label: str, colour: str) -> None:
    epsilons = sandwich_epsilons(records[0])

    def left(kind: Any) -> np.ndarray:
        """What is left at every ε, the mean over seeds; 0 of what is not stored."""
        scores = [[fgsm(record, Level(kind, row)) for row in range(len(epsilons))] for record in records]
        return np.mean([[score.estimate.value if score else 0.0 for score in row] for row in scores], axis=0)

    upper, lower = left("strong"), left("proven")
    axes.fill_between(epsilons, lower, upper, color=colour, alpha=0.12, linewidth=0)
    axes.plot(epsilons, upper, color=colour, marker="v", markersize=5, label=label)
    axes.plot(epsilons, left("weak"), color=colour, marker="o", markersize=4, linestyle=":", linewidth=1)
    if "sandwich/certified" in records[0].audited:
        axes.plot(epsilons, lower, color=colour, marker="^", markersize=5, linestyle="--", linewidth=1)


def temperature_at_test_time(studies: Sequence[Study]) -> Figure:
    """Fig. 13: what becomes of a trained network whose temperature is changed without training.

    A column for each of up to three temperatures of training; in the upper row ε is the smallest at which attacks were
    tried, in the lower one the main one.
    """

    def has(study: Study) -> bool:
        return any(record.sharpened for record in learned(study).records)

    shown = []
    for study in those("a network whose temperature was changed", has, studies):
        changed = [T for T in study.config.temperatures if any(r.sharpened for r in learned(study).of(T))]
        shown += [(study, changed[place]) for place in spread(len(changed), TRAINED)]
    figure = blank(4.0 * len(shown), 7.0, titled("temperature changed after training", [study for study, _ in shown]))
    grid = figure.subplots(2, len(shown), squeeze=False, sharex=True, sharey=True)
    for column, (study, T) in zip(grid.T, shown, strict=True):
        records = [record for record in learned(study).of(T) if record.sharpened]
        epsilons = study.config.audit_epsilons
        for axes, row in zip(column, (0, len(epsilons) - 1), strict=True):
            _draw_sharpened(axes, records, row)
            axes.set_title(f"{study.title}, trained at T = {temperature_label(T)}, ε = {epsilons[row]:g}", fontsize=10)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


SHARPENED = {
    "correct": ("accuracy", BLACK, "-", "s"),
    "fgsm": ("FGSM leaves", ORANGE, "--", "o"),
    "fooled": ("the strongest attack leaves", BLUE, "-", "v"),
    "certified": ("proven", GREEN, "-.", "^"),
}


def _draw_sharpened(axes: Axes, records: Sequence[Record], row: int) -> None:
    ratios = records[0].sharpened["ratio"]
    for name, (label, colour, dashes, marker) in SHARPENED.items():
        of_seeds = [_sharpened(record, name, row) for record in records if name in record.sharpened]
        if of_seeds:
            axes.plot(ratios, np.mean(of_seeds, axis=0), dashes, color=colour, marker=marker, markersize=4, label=label)
    axes.axvline(1, color=DARK, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ratios, [temperature_label(ratio) for ratio in ratios])
    axes.set(ylim=(-0.02, 1.02), xlabel="T at test time over T of training", ylabel="share of images")
    axes.grid(alpha=0.3)


def _sharpened(record: Record, name: str, row: int) -> list[float]:
    """Return the mean over classes of the images that are right, or not fooled, or proven, at every ratio."""
    masks = record.sharpened[name] if name == "correct" else record.sharpened[name][:, row]
    wrong = masks if name in ("fgsm", "fooled") else ~masks
    labels = record.final["label"][: masks.shape[1]]
    return [network_robustness(mask, labels, len(record.final["p_value"])) for mask in wrong]
