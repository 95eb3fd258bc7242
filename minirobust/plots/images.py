"""Plots of images, of what an attack added to them, and of a whole training run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minirobust.plots.curves import learning_curve, regimes_over_epochs
from minirobust.plots.palette import BLUE, ORANGE, bare, fitting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def image_row(axes: Sequence[Axes], images: np.ndarray, captions: Sequence[str], colour: str = BLUE) -> None:
    """Draw images side by side, each with a caption above it.

    Parameters
    ----------
    axes : sequence of matplotlib Axes, N
    images : ndarray of shape (N, H, W, C)
        Pixels in [0, 1]; C = 1 is drawn in grey, C = 3 in colour.
    captions : sequence of str, N
        For example ``"7 (99 %)"``.
    colour : str, optional
        Colour of the captions.
    """
    for axis, image, caption in zip(axes, images, captions, strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(caption, fontsize=9, color=colour, pad=3)
        bare(axis)


def adversarial_rows(
    axes: np.ndarray,
    images: np.ndarray,
    adversarials: np.ndarray,
    before: Sequence[str],
    after: Sequence[str],
) -> None:
    """Draw images in the first row, what an attack added in the second, and the adversarial images in the third.

    All differences share a symmetric scale up to the largest of them, which a colour bar shows.  In greyscale images,
    blue is darker and red is brighter.  In colour images, each channel is drawn relative to middle grey.

    Parameters
    ----------
    axes : ndarray of matplotlib Axes, shape (3, N)
    images, adversarials : ndarray of shape (N, H, W, C)
        Pixels in [0, 1]; C = 1 is drawn in grey, C = 3 in colour.
    before, after : sequences of str, N each
        Captions, for example ``"7 (99 %)"``.

    Raises
    ------
    ValueError
        If images and adversarials differ in shape, or axes or captions do not fit them.
    """
    adversarials = fitting("adversarials", adversarials, np.shape(images))
    if np.shape(axes) != (3, len(images)):
        raise ValueError(f"axes: expected shape {(3, len(images))}, got {np.shape(axes)}")
    image_row(axes[0], images, before, BLUE)
    _difference_row(axes[1], adversarials - images)
    image_row(axes[2], adversarials, after, ORANGE)
    for axis, name in zip(axes[:, 0], ("image", "difference", "adversarial"), strict=True):
        axis.set_ylabel(name, fontsize=9)


def circle_pixels(axes: Axes, pixels: Sequence[int], width: int, colour: str = ORANGE) -> None:
    """Draw circles around pixels of an image on these axes; circles at its border are not cut off.

    Parameters
    ----------
    axes : matplotlib Axes
    pixels : sequence of int
        Counted row by row, as in `attacks.PixelAttack.pixels`; -1 stands for no pixel.
    width : int
        Width of the image.
    colour : str, optional
    """
    places = np.asarray(pixels)
    rows, columns = np.divmod(places[places >= 0], width)
    axes.scatter(columns, rows, s=40, facecolors="none", edgecolors=colour, linewidths=1.2, clip_on=False)


def training_story(
    figure: Figure,
    history: Sequence[dict[str, float]],
    images: np.ndarray,
    adversarials: np.ndarray,
    before: Sequence[str],
    after: Sequence[str],
    title: str = "",
) -> None:
    """Draw a training run: the learning curve, the regimes, and images with what an attack added to them.

    Parameters
    ----------
    figure : matplotlib Figure
        An empty figure; 11 by 9 inches is a good size.
    history : sequence of dict
        One for each epoch, with "loss", "accuracy", "robustness", "linear", "nonlinear" and "saturated".
    images, adversarials, before, after
        As for `adversarial_rows`.
    title : str, optional
    """
    figure.set_layout_engine("constrained")
    figure.suptitle(title)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1), squeeze=False).ravel()
    left, right = upper.subplots(1, 2)
    series = {name: [epoch[name] for epoch in history] for name in history[0]}
    learning_curve(left, series["loss"], series["accuracy"], series["robustness"])
    regimes_over_epochs(right, series["linear"], series["nonlinear"], series["saturated"])
    adversarial_rows(lower.subplots(3, len(images), squeeze=False), images, adversarials, before, after)


def _difference_row(axes: Sequence[Axes], differences: np.ndarray) -> None:
    """Draw signed differences on one scale, with a colour bar beside the last."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    most = float(np.abs(differences).max()) or 1.0
    scale = Normalize(-most, most)
    grey = differences.shape[-1] == 1
    for axis, difference in zip(axes, differences, strict=True):
        picture = difference if grey else scale(difference)
        axis.imshow(picture, cmap="RdBu_r", norm=scale, interpolation="nearest")
        bare(axis)
    beside = axes[-1].inset_axes((1.08, 0, 0.08, 1))
    colours = ScalarMappable(scale, "RdBu_r" if grey else "gray")
    bar = axes[-1].figure.colorbar(colours, cax=beside, ticks=(-most, 0, most))
    bar.ax.set_yticklabels([f"−{most:.2g}", "0", f"+{most:.2g}"], fontsize=8)
