"""Figures 7 to 10: input gradients and pixel attacks after the last epoch, by class and image by image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minirobust import plots
from minirobust.measures.regimes import temperature_label
from minirobust.plots.palette import BLUE, ORANGE
from minirobust.study.claims.criteria import CERTAIN, G_RANGE
from minirobust.study.claims.evidence import paper_dataset
from minirobust.study.report.panels import BLACK, cut_corners, draw_images, draw_map, image_parts, map_grid
from minirobust.study.report.selection import attacked, by_seed, class_names, learned, low_median_high, nearest_to_one
from minirobust.study.store import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UGLY_ROW, UGLY_ROWS = 5, 2  # images of Fig. 7
PAIRS = 5  # images of Fig. 10


def ugly_images(studies: Sequence[Study]) -> Figure:
    """Fig. 7: the ten test images of largest input gradient G, largest first, at the temperature nearest to 1.

    Each image has its true class and the class that the network predicts.
    """
    title = "test images of largest input gradient, true class → prediction"
    figure, parts = image_parts(title, nearest_to_one(studies, "ugly/image"), 1.25 * UGLY_ROWS + 0.45)
    for part, study, record in parts:
        final = record.final
        part.suptitle(f"{study.title}, T = {temperature_label(record.temperature)}", fontsize=10)
        axes = part.subplots(UGLY_ROWS, UGLY_ROW).ravel()
        names = class_names(study, len(final["p_value"]))
        pairs = [(names[final["label"][i]], names[final["prediction"][i]]) for i in final["ugly/index"]]
        captions = [f"{true} →{_gap(names)}{taken}" for true, taken in pairs]
        draw_images(axes, final["ugly/image"][: len(axes)], captions[: len(axes)], BLACK)
    return figure


def gradients_by_class(studies: Sequence[Study]) -> Figure:
    """Fig. 8: medians of the input gradient's magnitude G, and G's correlation with the true class's confidence.

    Each study has two maps, class by temperature. Medians are coloured over the range that the paper prints, and
    correlations from -1 to 1, so that the colour shows the sign. A cut corner marks correlations that are not
    significant, p ≥ .001, for any of the seeds. With several seeds, numbers are their medians.
    """
    shown = attacked(studies)
    figure, grid = map_grid("input gradients and confidence", shown, 2)
    for (left, right), study in zip(grid, shown, strict=True):
        results, end = learned(study), G_RANGE.get(str(paper_dataset(study)))
        limits = None if end is None else (0.0, end)
        draw_map(left, study, _final(results, "gradient_median").T, "median of G", form="z.0e", limits=limits)
        if end is not None:
            left.set_title(f"{left.get_title()}\n(colours over the paper's range, 0 to {end:g})", fontsize=9)
        correlation = _final(results, "correlation").T
        draw_map(right, study, correlation, "correlation of G and confidence", limits=(-1, 1), signed=True)
        right.set_title(f"{right.get_title()}\n(cut corner: p ≥ .001, not significant)", fontsize=9)
        cut_corners(right, _not_significant(results))
    return figure


def pixel_attack_success(studies: Sequence[Study]) -> Figure:
    """Fig. 9: the percentage of each class's images that the pixel attack fools with up to n pixels.

    There is a map for each study and n, class by temperature. Images that were wrong before the attack count as fooled.
    With several seeds, numbers are their medians.
    """
    shown = attacked(studies)
    count = max(study.config.pixels for study in shown)
    figure, grid = map_grid("success of the pixel attack", shown, count)
    for row, study in zip(grid, shown, strict=True):
        success = 100 * _final(learned(study), "pixel_success")
        limits = (0.0, float(np.nanmax(success, initial=0)) or 1.0)
        maps, surplus = row[: study.config.pixels], row[study.config.pixels :]
        for pixels, axes in enumerate(maps, start=1):
            title = "1 pixel" if pixels == 1 else f"up to {pixels} pixels"
            draw_map(axes, study, success[:, pixels - 1].T, title, limits=limits, form="z.0f", bar=False)
        for axes in surplus:
            axes.remove()
        figure.colorbar(
            maps[0].images[0],
            ax=list(maps),
            label="% of images",
            pad=0.01,
            aspect=20 * (count if len(shown) == 1 else 1),
        )
    return figure


def two_pixel_adversarials(studies: Sequence[Study]) -> Figure:
    """Fig. 10: images that two pixels fool, before and after, at the temperature nearest to 1.

    Each study shows the five adversarials of highest confidence, with prediction and confidence. The two pixels are
    circled.
    """
    title = "two pixels, one wrong class"
    figure, parts = image_parts(title, nearest_to_one(studies, "two/image"), 2.9)
    for part, study, record in parts:
        two = {name.removeprefix("two/"): values for name, values in record.final.items() if name.startswith("two/")}
        part.suptitle(f"{study.title}, T = {temperature_label(record.temperature)}", fontsize=10)
        axes = part.subplots(2, PAIRS, squeeze=False)
        shown = two["shown"][:PAIRS]
        labels, names = record.final["label"][two["index"][shown]], class_names(study, len(record.final["p_value"]))
        gap = _gap(names)
        before = [f"{names[c]}{gap}({p:.1%})" for c, p in zip(labels, two["before"][shown], strict=True)]
        after = [
            f"{names[c]}{gap}({p:.1%})" for c, p in zip(two["prediction"][shown], two["after"][shown], strict=True)
        ]
        draw_images(axes[0], two["image"][:PAIRS], before, BLUE)
        draw_images(axes[1], two["adversarial"][:PAIRS], after, ORANGE)
        for axis, pixels in zip(axes[1], two["pixels"][shown], strict=False):
            plots.circle_pixels(axis, pixels, two["image"].shape[2])
    return figure


def _final(study: Study, name: str) -> np.ndarray:
    """Return the median over seeds of ``final/name``, (temperatures, ...)."""
    return low_median_high(by_seed(study, lambda one: one.final(name)))[1]


def _gap(names: Sequence[str]) -> str:
    """Return the separator in a caption: a line break for long names, two of which do not fit on a line."""
    return "\n" if max(map(len, names)) > 2 else " "


def _not_significant(study: Study) -> np.ndarray:
    """Return whether p ≥ .001 for any seed, (classes, temperatures)."""
    found = np.zeros_like(study.final("p_value"), dtype=bool)
    for record in study.records:
        if record.final:
            found[study.config.temperatures.index(record.temperature)] |= record.final["p_value"] >= CERTAIN
    return found.T
