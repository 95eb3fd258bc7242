"""Colours that colour-blind readers can tell apart (Okabe & Ito, 2008), and what all plots have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#BBBBBB"
DARK = "#595959"  # a grey for lines, with a contrast of 7 to 1 on white; GREY fills areas
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")
UNKNOWN = "#DDDDDD"  # a cell without a number


def bare(axes: Axes) -> None:
    """Remove ticks and frame, but leave room for a label."""
    axes.set(xticks=(), yticks=())
    axes.spines[:].set_visible(False)


def fitting(name: str, numbers: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return `numbers` as an array of float, after checking its shape."""
    if np.shape(numbers) != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {np.shape(numbers)}")
    return np.asarray(numbers, dtype="float64")


def legible_on(colour: Any) -> str:
    """Return black or white, whichever has the higher contrast (WCAG 2.1) to one of matplotlib's colours."""
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)  # undo the gamma of sRGB
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"
