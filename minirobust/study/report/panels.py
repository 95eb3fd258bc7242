"""The parts that figures are made of: panels, grids of maps, rows of images, curves over seeds, legends, colours."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust import plots
from minirobust.plots.palette import GREY
from minirobust.study.report.selection import class_names, dull_columns, low_median_high, temperature_labels, with_seeds
from minirobust.study.store import Record, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLACK = "#000000"
LETTERS = 11  # of a title, per inch


def blank(width: float, height: float, title: str) -> Figure:
    """Return a figure of this size in inches with nothing on it but its title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(textwrap.fill(title, int(LETTERS * width)), fontsize=11)
    return figure


def titled(title: str, studies: Sequence[Study]) -> str:
    """Return a figure's title, with the data sets before it."""
    return f"{', '.join(dict.fromkeys(study.title for study in studies))}: {title}"


def panel_grid(title: str, studies: Sequence[Study], height: float = 3.4) -> tuple[Figure, list[tuple[Axes, Study]]]:
    """Return a figure with a panel for each study, at most two of them side by side."""
    columns = min(len(studies), 2)
    rows = math.ceil(len(studies) / columns)
    figure = blank(5.2 * columns, height * rows + 0.6, titled(title, studies))
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(studies) :]:
        axes.remove()
    panels = list(zip(grid, studies, strict=False))
    for axes, study in panels:
        axes.set_title(with_seeds(study), fontsize=10)
    return figure, panels


def draw_seeds(axes: Axes, x: Any, values: np.ndarray, **style: Any) -> None:
    """Draw a curve for values of shape (seeds, x): the median over seeds, with bars from the lowest to the highest."""
    low, median, high = low_median_high(values)
    (line,) = axes.plot(x, median, **style)
    if len(values) > 1:
        axes.vlines(x, low, high, color=line.get_color(), linewidth=1)


def mark_dull(axes: Axes, study: Study) -> None:
    """Hatch the columns of the temperatures at which nothing was learned; the columns are 0, 1, 2, ... on x."""
    for column in dull_columns(study):
        axes.axvspan(column - 0.5, column + 0.5, facecolor="white", edgecolor=GREY, hatch="////", linewidth=0, zorder=3)
        text = axes.text(column, 0.5, "learned nothing", rotation=90, fontsize=8, ha="center", va="center", zorder=4)
        text.set(transform=axes.get_xaxis_transform(), bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})


def legend_below(axes: Axes, columns: int = 5) -> None:
    """Put a legend under the axes, where it covers nothing."""
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.15),
        ncols=columns,
        frameon=False,
        fontsize=8,
        columnspacing=1,
        handlelength=1.8,
    )


def map_grid(title: str, studies: Sequence[Study], count: int) -> tuple[Figure, np.ndarray]:
    """Return axes of shape (studies, count); the maps of a single study are one below the other, to fit on a phone."""
    classes = max(len(record.final["p_value"]) for study in studies for record in study.records if record.final)
    letters = max(len(name) for study in studies for name in class_names(study, classes))
    width = max(4.8, *(1.6 + 0.36 * len(study.config.temperatures) + 0.07 * letters for study in studies))
    height = 1.1 + 0.26 * classes
    rows, columns = (count, 1) if len(studies) == 1 else (len(studies), count)
    figure = blank(width * columns, height * rows + 0.4, titled(title, studies))
    return figure, figure.subplots(rows, columns, squeeze=False).reshape(len(studies), count)


def draw_map(axes: Axes, study: Study, values: np.ndarray, quantity: str, **options: Any) -> None:
    """Draw `plots.class_temperature_map` of a study's values, (classes, temperatures), with the classes' names."""
    plots.class_temperature_map(
        axes,
        values,
        study.config.temperatures,
        class_names(study, len(values)),
        title=f"{with_seeds(study, 'median')}: {quantity}",
        **options,
    )
    axes.set_xticklabels(temperature_labels(study))
    axes.title.set_fontsize(10)
    mark_dull(axes, study)


def cut_corners(axes: Axes, cells: np.ndarray) -> None:
    """Cut the upper right corner off each of a map's cells that is True."""
    from matplotlib.collections import PolyCollection

    corner = np.array([(0.5, -0.5), (0.12, -0.5), (0.5, -0.12)])
    corners = [np.add(corner, (column, row)) for row, column in np.argwhere(cells)]
    axes.add_collection(PolyCollection(corners, facecolors="white", edgecolors=BLACK, linewidths=0.6))


def image_parts(
    title: str, shown: Sequence[tuple[Study, Record]], height: float
) -> tuple[Figure, list[tuple[Any, Study, Record]]]:
    """Return a figure with a part for each study, at most two of them side by side."""
    columns = min(len(shown), 2)
    rows = math.ceil(len(shown) / columns)
    figure = blank(5.2 * columns, height * rows + 0.4, titled(title, [study for study, _ in shown]))
    parts = figure.subfigures(rows, columns, squeeze=False).ravel()
    return figure, [(part, *pair) for part, pair in zip(parts, shown, strict=False)]


def draw_images(axes: Sequence[Axes], images: np.ndarray, captions: Sequence[str], colour: str) -> None:
    """Draw `plots.image_row` of stored images, uint8, and remove the axes that are left over."""
    plots.image_row(axes[: len(images)], images / 255, captions, colour)
    for axis in axes[: len(images)]:
        axis.title.set_fontsize(8)
    for axis in axes[len(images) :]:
        axis.remove()


def shades(count: int) -> np.ndarray:
    """Return colours for an ordered quantity, (count, 4), from dark to bright in even steps of lightness."""
    import matplotlib

    return matplotlib.colormaps["viridis"](np.linspace(0, 0.88, count))
