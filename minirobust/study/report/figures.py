"""Figures 2 to 10 of the published study from what is stored, and one it lacks: robustness under every attack.

Each function takes studies, one for each data set, and returns a matplotlib Figure that shows nothing but stored
numbers: a panel, a row of maps or a block of images for each study.  Studies that have nothing for a figure yet are
left out of it; if none has, that is a `NothingStored`.  What a map or a row of images looks like is in
`minirobust.plots`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minirobust import backend, plots
from minirobust.measures import regimes
from minirobust.measures.regimes import temperature_label
from minirobust.plots import BLUE, COLOURS, DASHES, GREY, ORANGE
from minirobust.saving import atomic
from minirobust.study.report.panels import (
    BLACK,
    blank,
    cut_corners,
    draw_images,
    draw_map,
    image_parts,
    legend_below,
    map_grid,
    panel_grid,
    shades,
)
from minirobust.study.store import Record, Study, mean_of_present

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SELECTED = 5  # temperatures in Fig. 3
UGLY_ROW, UGLY_ROWS = 5, 2  # images of Fig. 7
PAIRS = 5  # images of Fig. 10
SIGNIFICANT = 0.001  # the study's threshold of p
GREEN, PINK, SKY = "#009E73", "#CC79A7", "#56B4E9"
REGIMES = {"linear": BLUE, "nonlinear": GREY, "saturated": ORANGE}
# By the audit's name for an attack: label, colour, dashes, marker.
ATTACKS = {
    "clean": ("no attack", "#777777", "-", "s"),
    "FGSM": ("FGSM", ORANGE, "--", "o"),
    "PGD": ("PGD", BLUE, "-.", "^"),
    "transfer": ("transfer", PINK, ":", "v"),
    "Square": ("Square", GREEN, "-.", "D"),
    "worst case": ("worst case", BLACK, "-", "o"),
    "brute-force pixel": ("any single pixel", SKY, ":", "x"),
}
DOTS = 100  # per inch, of PNGs and of the parts of SVGs that are pixels


class NothingStored(ValueError):  # noqa: N818 - a reason to wait, and no error of anybody's
    """No study has what a figure shows, yet; the message says what is missing."""


# Figures 2 and 3


def sigmoids(studies: Sequence[Study]) -> Figure:
    """Fig. 2: the temperature sigmoid at every temperature of the studies, and where its regimes part.

    Above f(net), with small dots at ± r1 and large ones at ± r2; below, for each temperature, which |net| is in which
    regime.  Studies with other thresholds get a column of their own.  Nothing needs to have run.
    """
    shown: dict[tuple[float, float], set[float]] = {}
    for study in _those("a study", lambda study: True, studies):
        thresholds = study.config.delta1, study.config.delta2
        shown[thresholds] = shown.get(thresholds, set()) | set(study.config.temperatures)
    figure = blank(5.4 * len(shown), 8.4, "Sigmoids at all temperatures, and their three regimes")
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

    figure, panels = panel_grid("Learning curves at selected temperatures", _with_epochs(studies))
    for axes, study in panels:
        accuracy = study.series("test_accuracy")
        epochs = np.arange(1, study.config.epochs + 1)
        begun = np.flatnonzero(~np.isnan(accuracy).all(axis=1))
        for index, row in enumerate(begun[_spread(len(begun), SELECTED)]):
            (line,) = axes.plot(epochs, accuracy[row], color=COLOURS[index], linestyle=DASHES[index % len(DASHES)])
            line.set_marker("." if len(epochs) == 1 else "")
            line.set_label(f"T = {temperature_label(study.config.temperatures[row])}")
        lowest = max(math.floor(np.nanmin(accuracy) * 10 - 0.2) / 10, 0)
        axes.set(xlabel="epoch", ylabel="test accuracy", ylim=(lowest, 1.005))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        legend_below(axes)
    return figure


# Figures 4 to 6: a column for each temperature, in which the epochs run from left to right


def operation_in_regimes(studies: Sequence[Study]) -> Figure:
    """Fig. 4: the shares of the last hidden layer's net values in each regime, after every epoch, at every temperature.

    The three shares stand on each other and add up to 1.
    """
    figure, panels = panel_grid("Operation in the three regimes during training", _with_epochs(studies))
    for axes, study in panels:
        edges = _columns(axes, study, "share of net values")
        floor = np.zeros_like(study.series("linear"))
        for regime, colour in REGIMES.items():
            top = floor + study.series(regime)
            for column, (low, high) in enumerate(zip(floor, top, strict=True)):
                area = axes.stairs(high, column + edges, baseline=low, fill=True, color=colour, rasterized=True)
                area.set_label(regime if column == 0 else "_")
            floor = top
    # The top of the stack comes first, as it does in the panels.
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=3, frameon=False)
    return figure


def robustness_during_training(studies: Sequence[Study]) -> Figure:
    """Fig. 5: network robustness against FGSM at the main ε, after every epoch, at every temperature.

    Above it, as a line, stands what it would be at ε = 0: the mean over classes of the accuracy.
    """
    figure, panels = panel_grid("Robustness against FGSM during training", _with_epochs(studies))
    for axes, study in panels:
        edges = _columns(axes, study, "robustness")
        axes.set_title(f"{study.title}, ε = {study.config.epsilon:g}", fontsize=10)
        robustness = mean_of_present(study.series("robustness")[:, :, study.config.main], axis=-1)
        clean = mean_of_present(study.series("class_accuracy"), axis=-1)
        for column in range(len(study.config.temperatures)):
            area = axes.stairs(robustness[column], column + edges, fill=True, color=ORANGE, rasterized=True)
            line = axes.stairs(clean[column], column + edges, baseline=None, color=BLACK, linewidth=1)
    figure.legend(
        [line, area], ["without an attack", "against FGSM"], loc="outside lower center", ncols=2, frameon=False
    )
    return figure


def robustness_at_every_epsilon(studies: Sequence[Study]) -> Figure:
    """Fig. 6: network robustness against FGSM at every ε, after every epoch, at every temperature.

    As in the publication, Fashion-MNIST alone is shown where it is among the studies.
    """
    begun = _with_epochs(studies)
    fashion = [study for study in begun if study.config.dataset == "fashion-mnist"]
    figure, panels = panel_grid("Robustness against FGSM at several ε during training", fashion or begun, height=3.8)
    for axes, study in panels:
        edges = _columns(axes, study, "robustness")
        robustness = mean_of_present(study.series("robustness"), axis=-1)
        for index, (epsilon, colour) in enumerate(
            zip(study.config.epsilons, shades(len(study.config.epsilons)), strict=True)
        ):
            for column, values in enumerate(robustness[:, :, index]):
                line = axes.stairs(values, column + edges, baseline=None, color=colour, linewidth=1.3)
                line.set_label(f"ε = {epsilon:g}" if column == 0 else "_")
        legend_below(axes)
    return figure


def _columns(axes: Axes, study: Study, quantity: str) -> np.ndarray:
    """Makes x the temperatures and y a share; returns where each epoch begins and ends about a column's middle."""
    temperatures, epochs = study.config.temperatures, study.config.epochs
    axes.set_xticks(range(len(temperatures)), [temperature_label(T) for T in temperatures])
    axes.tick_params(axis="x", length=0)
    axes.set(xlim=(-0.5, len(temperatures) - 0.5), ylim=(0, 1), ylabel=quantity)
    axes.set_xlabel(f"temperature T; in each column, epochs 1 to {epochs}" if epochs > 1 else "temperature T")
    axes.set_facecolor("#F4F4F4")
    return np.linspace(-0.46, 0.46, epochs + 1)


# Figures 7 to 10: what is measured after the last epoch


def ugly_images(studies: Sequence[Study]) -> Figure:
    """Fig. 7: the ten test images of largest input gradient G, the largest first, at the temperature nearest to 1.

    Each with its true class and the one that the network takes it for.
    """
    title = "Test images of largest input gradient: true class → the network's"
    figure, parts = image_parts(title, _nearest_to_one(studies, "ugly/image"), 1.15 * UGLY_ROWS + 0.45)
    for part, study, record in parts:
        final = record.final
        part.suptitle(f"{study.title}, T = {temperature_label(record.temperature)}", fontsize=10)
        axes = part.subplots(UGLY_ROWS, UGLY_ROW).ravel()
        captions = [f"{final['label'][i]} → {final['prediction'][i]}" for i in final["ugly/index"]]
        draw_images(axes, final["ugly/image"][: len(axes)], captions[: len(axes)], BLACK)
    return figure


def gradients_by_class(studies: Sequence[Study]) -> Figure:
    """Fig. 8: medians of the input gradient's magnitude G, and G's correlation with the true class's confidence.

    Two maps for each study, class by temperature.  Correlations are coloured from -1 to 0, as in the publication, and
    any above 0 like 0.  A cut corner marks those that are not significant, p ≥ .001, for any of the seeds.
    """
    attacked = _attacked(studies)
    figure, grid = map_grid("Input gradients and confidence", attacked, 2)
    for (left, right), study in zip(grid, attacked, strict=True):
        draw_map(left, study, study.final("gradient_median").T, "median of G", form="z.0e", log=True)
        draw_map(right, study, study.final("correlation").T, "correlation of G and confidence", limits=(-1, 0))
        right.set_title(right.get_title() + "\n(cut corner: p ≥ .001, not significant)", fontsize=9)
        cut_corners(right, _not_significant(study))
    return figure


def pixel_attack_success(studies: Sequence[Study]) -> Figure:
    """Fig. 9: which share of each class's images the pixel attack fools with up to n pixels, in percent.

    A map for each study and n, class by temperature.  Images that were wrong beforehand count as fooled.
    """
    attacked = _attacked(studies)
    count = max(study.config.pixels for study in attacked)
    figure, grid = map_grid("Success of the pixel attack", attacked, count)
    for row, study in zip(grid, attacked, strict=True):
        success = 100 * study.final("pixel_success")
        limits = (0.0, float(np.nanmax(success)))
        shown, surplus = row[: study.config.pixels], row[study.config.pixels :]
        for pixels, axes in enumerate(shown, start=1):
            title = "1 pixel" if pixels == 1 else f"up to {pixels} pixels"
            draw_map(axes, study, success[:, pixels - 1].T, title, limits=limits, form="z.0f", bar=False)
        for axes in surplus:
            axes.remove()
        figure.colorbar(
            shown[0].images[0],
            ax=list(shown),
            label="% of images",
            pad=0.01,
            aspect=20 * (count if len(attacked) == 1 else 1),
        )
    return figure


def two_pixel_adversarials(studies: Sequence[Study]) -> Figure:
    """Fig. 10: images that two pixels fool, before and after, at the temperature nearest to 1.

    Of each study the five whose adversarials the network is most confident about, with its class and confidence.  The
    two pixels are circled.
    """
    title = "Two pixels, one wrong class"
    figure, parts = image_parts(title, _nearest_to_one(studies, "two/image"), 2.7)
    for part, study, record in parts:
        two = {name.removeprefix("two/"): values for name, values in record.final.items() if name.startswith("two/")}
        part.suptitle(f"{study.title}, T = {temperature_label(record.temperature)}", fontsize=10)
        axes = part.subplots(2, PAIRS, squeeze=False)
        shown = two["shown"][:PAIRS]
        labels = record.final["label"][two["index"][shown]]
        before = [f"{c} ({p:.1%})" for c, p in zip(labels, two["before"][shown], strict=True)]
        after = [f"{c} ({p:.1%})" for c, p in zip(two["prediction"][shown], two["after"][shown], strict=True)]
        draw_images(axes[0], two["image"][:PAIRS], before, BLUE)
        draw_images(axes[1], two["adversarial"][:PAIRS], after, ORANGE)
        for axis, pixels in zip(axes[1], two["pixels"][shown], strict=False):
            plots.circle_pixels(axis, pixels, two["image"].shape[2])
    return figure


# Beyond the publication


def robustness_under_audit(studies: Sequence[Study]) -> Figure:
    """What is left of the robustness that FGSM shows when other attacks try: against temperature, with 95 % intervals.

    Robustness at the main ε under each attack of the audit and in the worst case of them; beside them, as it may change
    a pixel by any amount, that against any single pixel.  With several seeds the values are means over them, and so are
    the ends of the intervals: all seeds share their test images, so the mean is no surer for them.
    """
    audited = _those("an audit", lambda study: any(record.audit for record in study.records), studies)
    figure, panels = panel_grid("What is left of robustness when other attacks try", audited, height=4.0)
    for axes, study in panels:
        _draw_attacks(axes, study)
    handles, labels = panels[0][0].get_legend_handles_labels()
    columns = 3 if len(panels) == 1 else 4
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


def _draw_attacks(axes: Axes, study: Study) -> None:
    temperatures = study.config.temperatures
    x = np.arange(len(temperatures))
    rates = {name: audited_robustness(study, name) for name in ATTACKS}
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
    axes.set_xticks(x, [temperature_label(T) for T in temperatures])
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


FIGURES: Mapping[str, Callable[[Sequence[Study]], Figure]] = {
    "figure-02-sigmoids": sigmoids,
    "figure-03-learning-curves": learning_curves,
    "figure-04-regimes": operation_in_regimes,
    "figure-05-robustness": robustness_during_training,
    "figure-06-epsilons": robustness_at_every_epsilon,
    "figure-07-ugly-images": ugly_images,
    "figure-08-gradients": gradients_by_class,
    "figure-09-pixel-attack": pixel_attack_success,
    "figure-10-two-pixels": two_pixel_adversarials,
    "figure-11-audit": robustness_under_audit,
}


def draw(studies: Sequence[Study], folder: Path, tell: Callable[[str], object] = print) -> list[Path]:
    """Writes every figure that can be drawn as PNG and as SVG, each file whole or not at all.

    Parameters
    ----------
    studies : sequence of Study
        One for each data set.
    folder : Path
        Made if it is not there.
    tell : callable, default print
        Takes a sentence about each figure that cannot be drawn yet; an older file of that name stays.

    Returns
    -------
    list of Path
        Of the files written, in the order of `FIGURES`.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in FIGURES:
        try:
            figure = drawn(name, studies)
        except NothingStored as reason:
            tell(f"{name} is left out: {reason}")
            continue
        for form in ("png", "svg"):
            path = folder / f"{name}.{form}"
            with atomic.replacing(path) as temporary:
                temporary.write_bytes(render(figure, form))
            paths.append(path)
    return paths


def drawn(name: str, studies: Sequence[Study]) -> Figure:
    """Draw one of `FIGURES`; a dollar sign in the name of a data set is a dollar sign, and begins no formula.

    Raises
    ------
    NothingStored
        If the studies hold nothing to draw.
    """
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}):
        return FIGURES[name](studies)


def render(figure: Figure, form: str) -> bytes:
    """A figure as a "png" or "svg" file: the same bytes whenever the same thing is drawn, with no date in them.

    Text in an SVG stays text, which can be searched and read aloud and takes less room than outlines.
    """
    import matplotlib

    metadata = {"svg": {"Date": None, "Creator": "minirobust"}, "png": {"Software": None}}[form]
    # Every text of an SVG names its fonts: matplotlib's own and one as wide, where it names ten.
    fonts = ["DejaVu Sans", "Verdana"]
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "minirobust", "font.sans-serif": fonts}):
        figure.savefig(file, format=form, dpi=DOTS, metadata=metadata)
    return file.getvalue()


# Which studies, temperatures and networks are shown


def _those(needed: str, has: Callable[[Study], bool], studies: Sequence[Study]) -> list[Study]:
    """The studies that have what is needed; NothingStored if there is none."""
    found = [study for study in studies if has(study)]
    if not found:
        titles = ", ".join(study.title for study in studies) or "nothing"
        raise NothingStored(f"it needs {needed}, and there is none in {titles}")
    return found


def _with_epochs(studies: Sequence[Study]) -> list[Study]:
    return _those("a finished epoch", lambda study: any(record.epoch for record in study.records), studies)


def _attacked(studies: Sequence[Study]) -> list[Study]:
    needed = "a network that was attacked after its last epoch"
    return _those(needed, lambda study: any(record.final for record in study.records), studies)


def _nearest_to_one(studies: Sequence[Study], name: str) -> list[tuple[Study, Record]]:
    """Each study that has `name` in a record's ``final``, and that record, of a temperature nearest to 1."""
    needed = "a network that was attacked" if name == "ugly/image" else "an image that two pixels fool"
    found = _those(needed, lambda study: any(name in record.final for record in study.records), studies)
    return [
        (study, min((r for r in study.records if name in r.final), key=lambda r: abs(math.log(r.temperature))))
        for study in found
    ]


def _spread(length: int, count: int) -> list[int]:
    """Up to `count` of the indices 0 to length - 1, first and last among them, as evenly spaced as can be."""
    return sorted({round(place) for place in np.linspace(0, length - 1, min(count, length))})


def _not_significant(study: Study) -> np.ndarray:
    """Whether p ≥ .001 for any seed: (classes, temperatures)."""
    found = np.zeros_like(study.final("p_value"), dtype=bool)
    for record in study.records:
        if record.final:
            found[study.config.temperatures.index(record.temperature)] |= record.final["p_value"] >= SIGNIFICANT
    return found.T
