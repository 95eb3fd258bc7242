"""Drawings of what the laboratory measures: functions that take arrays and matplotlib axes, and return nothing.

None of them opens a window or writes a file.  Colours are those of Okabe & Ito (2008), which colour-blind readers can
tell apart; lines differ in their dashes too, so that they survive a black-and-white print.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#BBBBBB"


def learning_curve(axes: Axes, loss: Sequence[float], accuracy: Sequence[float], robustness: Sequence[float]) -> None:
    """Loss, accuracy and robustness after every epoch.

    Parameters
    ----------
    axes : matplotlib Axes
    loss : sequence of float, one for each epoch
        Drawn against an axis of its own on the right.
    accuracy, robustness : sequences of float in [0, 1], one for each epoch
    """
    epochs = numpy.arange(1, len(loss) + 1)
    lines = axes.plot(epochs, accuracy, color=BLUE, marker=".", label="test accuracy")
    lines += axes.plot(epochs, robustness, color=ORANGE, marker=".", linestyle="--", label="FGSM robustness")
    axes.set(xlabel="epoch", ylabel="share of test images", ylim=(0, 1.02), title="Learning curve")
    right = axes.twinx()
    lines += right.plot(epochs, loss, color=GREY, linestyle=":", label="training loss (right)")
    right.set(ylabel="cross entropy [nat]", ylim=(0, None))
    _legend_below(axes, handles=lines)
    _whole_epochs(axes)


def regimes_over_epochs(
    axes: Axes, linear: Sequence[float], nonlinear: Sequence[float], saturated: Sequence[float]
) -> None:
    """The shares of the last hidden layer's net values in each regime, stacked to 1, after every epoch.

    Parameters
    ----------
    axes : matplotlib Axes
    linear, nonlinear, saturated : sequences of float in [0, 1], one for each epoch
    """
    # A single epoch is a stack without width: let it reach halfway to its neighbours.
    epochs = numpy.arange(1, len(linear) + 1) if len(linear) > 1 else numpy.array([0.5, 1.5])
    shares = [numpy.broadcast_to(values, epochs.shape) for values in (linear, nonlinear, saturated)]
    axes.stackplot(
        epochs, *shares, labels=("linear", "nonlinear", "saturated"), colors=(BLUE, GREY, ORANGE), alpha=0.85
    )
    axes.set(
        xlabel="epoch",
        ylabel="share of net values",
        xlim=(epochs[0], epochs[-1]),
        ylim=(0, 1),
        title="Regimes of the last hidden layer",
    )
    _legend_below(axes)
    _whole_epochs(axes)


def adversarial_row(
    axes: numpy.ndarray,
    images: numpy.ndarray,
    adversarials: numpy.ndarray,
    before: Sequence[str],
    after: Sequence[str],
) -> None:
    """Images above their adversarials, each with a caption.

    Parameters
    ----------
    axes : ndarray of matplotlib Axes, shape (2, N)
    images, adversarials : ndarray of shape (N, H, W, C)
        Pixels in [0, 1]; C = 1 is drawn in grey, C = 3 in colour.
    before, after : sequences of str, N each
        Captions, such as ``"7 (99 %)"``.
    """
    for row, pictures, captions, colour in ((0, images, before, BLUE), (1, adversarials, after, ORANGE)):
        for axis, picture, caption in zip(axes[row], pictures, captions, strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_title(caption, fontsize=9, color=colour, pad=3)
            axis.set_axis_off()


def training_story(
    figure: Figure,
    history: Sequence[dict[str, float]],
    images: numpy.ndarray,
    adversarials: numpy.ndarray,
    before: Sequence[str],
    after: Sequence[str],
    title: str = "",
) -> None:
    """One picture of a training run: learning curve, regimes, and images above their adversarials.

    Parameters
    ----------
    figure : matplotlib Figure
        Empty; 11 by 8 inches suit.
    history : sequence of dict
        One for each epoch, with "loss", "accuracy", "robustness", "linear", "nonlinear" and "saturated".
    images, adversarials, before, after
        As for `adversarial_row`.
    title : str, optional
    """
    figure.set_layout_engine("constrained")
    figure.suptitle(title)
    upper, lower = figure.subfigures(2, 1, height_ratios=(3, 2), squeeze=False).ravel()
    left, right = upper.subplots(1, 2)
    series = {name: [epoch[name] for epoch in history] for name in history[0]}
    learning_curve(left, series["loss"], series["accuracy"], series["robustness"])
    regimes_over_epochs(right, series["linear"], series["nonlinear"], series["saturated"])
    adversarial_row(lower.subplots(2, len(images), squeeze=False), images, adversarials, before, after)


def _legend_below(axes: Axes, **handles: Any) -> None:
    """A legend under the axes, where it can cover nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False, **handles)


def _whole_epochs(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
