"""Maps of a value for each class and temperature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minirobust.measures.regimes import temperature_label
from minirobust.plots.palette import UNKNOWN, fitting, legible_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def class_temperature_map(
    axes: Axes,
    values: np.ndarray,
    temperatures: Sequence[float],
    class_names: Sequence[str],
    *,
    title: str = "",
    unit: str = "",
    limits: tuple[float, float] | None = None,
    form: str = "z.2f",
    log: bool = False,
    signed: bool = False,
    bar: bool = True,
) -> None:
    """Draw a value for each class and temperature, both as a number and as the colour of its cell.

    The lightness of the colours (viridis) changes evenly, also in print and for colour-blind readers.  A grey cell with
    a dash marks an unknown value.

    Parameters
    ----------
    axes : matplotlib Axes
        7 by 4 inches is a good size for 11 temperatures and 10 classes.
    values : ndarray of float, shape (classes, temperatures)
        NaN where the value is unknown.
    temperatures : sequence of float
        Temperatures of the columns, labelled by `minirobust.measures.regimes.temperature_label`.
    class_names : sequence of str
        Names of the rows.
    title : str, optional
    unit : str, optional
        Label of the colour bar.
    limits : pair of float, optional
        The values at the ends of the colour bar, by default the smallest and the largest.  Values beyond an end take
        its colour.
    form : str, default "z.2f"
        Format specification of the numbers, for example ".0%".  The z avoids -0.00.
    log : bool, default False
        Whether the colour scale is logarithmic.  Values that are not above 0 then take the colour of the lower end.
    signed : bool, default False
        Whether colours show the sign: blue below 0, red above, and white between, with symmetric limits.
    bar : bool, default True
        Whether to draw a colour bar; `class_temperature_maps` draws one for several maps.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is infinite, or the limits are not a valid range for the scale.
    """
    import matplotlib
    from matplotlib.colors import LogNorm, Normalize

    values = fitting("values", values, (len(class_names), len(temperatures)))
    if signed and limits is None:
        limits = (-np.nanmax(abs(values)), np.nanmax(abs(values)))
    low, high = _limits(values, limits, log)
    if signed and low != -high:
        raise ValueError(f"limits: expected (-high, high), got {limits}")
    norm = LogNorm(low, high, clip=True) if log else Normalize(low, high, clip=True)
    colours = matplotlib.colormaps["RdBu_r" if signed else "viridis"].with_extremes(bad=UNKNOWN)
    cells = axes.imshow(np.ma.masked_invalid(values), colours, norm, aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:{form}}".replace("-", "−")
        ink = legible_on(UNKNOWN if np.isnan(value) else colours(norm(value)))
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=ink)
    axes.set_xticks(range(len(temperatures)), [temperature_label(T) for T in temperatures], fontsize=8)
    axes.set_yticks(range(len(class_names)), class_names, fontsize=8)
    axes.tick_params(length=0)
    axes.set(xlabel="temperature T", ylabel="class", title=title)
    if bar:
        axes.figure.colorbar(cells, ax=axes, label=unit, pad=0.02)


def class_temperature_maps(
    figure: Figure,
    maps: Mapping[str, np.ndarray],
    temperatures: Sequence[float],
    class_names: Sequence[str],
    *,
    unit: str = "",
    limits: tuple[float, float] | None = None,
    form: str = "z.2f",
    log: bool = False,
) -> None:
    """Draw several maps side by side, on one scale and with one colour bar.

    Parameters
    ----------
    figure : matplotlib Figure
        An empty figure; 5 by 4 inches is a good size for each map of 11 temperatures and 10 classes.
    maps : mapping of str to ndarray of float, shape (classes, temperatures)
        By title.
    temperatures, class_names, unit, limits, form, log
        See `class_temperature_map`; by default, the limits are those of all maps together.

    Raises
    ------
    ValueError
        See `class_temperature_map`; also if there is no map.
    """
    if not maps:
        raise ValueError("maps: expected at least one, got none")
    figure.set_layout_engine("constrained")
    shape = (len(class_names), len(temperatures))
    limits = _limits(np.stack([fitting(title, values, shape) for title, values in maps.items()]), limits, log)
    grid = figure.subplots(1, len(maps), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, values) in zip(grid, maps.items(), strict=True):
        class_temperature_map(
            axes, values, temperatures, class_names, title=title, limits=limits, form=form, log=log, bar=False
        )
        axes.label_outer()
    figure.colorbar(grid[0].images[0], ax=grid, label=unit, pad=0.01)


def _limits(values: np.ndarray, limits: tuple[float, float] | None, log: bool) -> tuple[float, float]:
    """Return the ends of a scale: the given limits, else the smallest and the largest value that it can show."""
    if np.isinf(values).any():
        raise ValueError("values: expected finite numbers or NaN, got infinity")
    if limits is None:
        shown = values[values > 0] if log else values[~np.isnan(values)]
        limits = (float(shown.min()), float(shown.max())) if shown.size else (0.1, 1.0)
    low, high = limits
    if not (low <= high and math.isfinite(high - low) and (low > 0 or not log)):
        raise ValueError(f"limits: expected (low, high) with {'0 < ' if log else ''}low <= high, got {limits}")
    return low, high
