"""Drawings of what the laboratory measures: functions that take arrays and matplotlib axes, and return nothing.

None of them opens a window or writes a file.  Colours of lines are those of Okabe & Ito (2008), which colour-blind
readers can tell apart; lines differ in their dashes or markers too, so that they survive a black-and-white print.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust.measures.regimes import temperature_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from minirobust.attacks.attack import Attack

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#BBBBBB"
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")
UNKNOWN = "#DDDDDD"  # a cell without a number

__all__ = [
    "adversarial_rows",
    "attack_history",
    "circle_pixels",
    "class_temperature_map",
    "class_temperature_maps",
    "image_row",
    "learning_curve",
    "regimes_over_epochs",
    "robustness_over_epsilon",
    "training_story",
]


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__


def learning_curve(axes: Axes, loss: Sequence[float], accuracy: Sequence[float], robustness: Sequence[float]) -> None:
    """Loss, accuracy and robustness after every epoch.

    Parameters
    ----------
    axes : matplotlib Axes
    loss : sequence of float, one for each epoch
        Drawn against an axis of its own on the right.
    accuracy, robustness : sequences of float in [0, 1], one for each epoch
    """
    epochs = np.arange(1, len(loss) + 1)
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
    epochs = np.arange(1, len(linear) + 1) if len(linear) > 1 else np.array([0.5, 1.5])
    shares = [np.broadcast_to(values, epochs.shape) for values in (linear, nonlinear, saturated)]
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


def robustness_over_epsilon(
    axes: Axes,
    epsilons: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> None:
    """Robustness against the largest change that an attack may make, one curve for each network.

    Parameters
    ----------
    axes : matplotlib Axes
        7 by 4 inches suit; the legend stands on the right, where it can cover nothing.
    epsilons : sequence of float
        In any order.
    curves : mapping of str to sequence of float in [0, 1]
        By label, a number for each ε: what `robustness.epsilon_curve` gives.
    bands : mapping of str to a pair of such sequences, optional
        By label, lower and upper bounds of confidence, for any of the curves.

    Raises
    ------
    ValueError
        If a curve or a band has not one number for each ε, or a band has no curve.
    """
    bands = bands or {}
    if strangers := sorted(set(bands) - set(curves)):
        raise ValueError(f"bands: expected labels of curves, {list(curves)}, got {strangers}")
    order = np.argsort(epsilons)
    x = np.asarray(epsilons)[order]
    for index, (label, values) in enumerate(curves.items()):
        colour, dashes = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        robustness = _fitting(f"curve {label!r}", values, (len(x),))
        axes.plot(x, robustness[order], color=colour, linestyle=dashes, marker=".", label=label)
        if label in bands:
            low, high = _fitting(f"band {label!r}", bands[label], (2, len(x)))
            axes.fill_between(x, low[order], high[order], color=colour, alpha=0.2, linewidth=0)
    axes.set(xlabel="ε, largest change of a pixel", ylabel="robustness", ylim=(0, 1.02), title="Robustness over ε")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def attack_history(axes: Axes, *attacks: Attack, labels: Sequence[str]) -> None:
    """Draw the share of the samples that an attack has fooled by each iterate, and their mean loss there.

    The marker on a curve is at the last iterate that fooled another sample.  Far from the curve's end it means that the
    attack has stalled, or has no sample left to fool; at the end, that more steps may fool more.

    Parameters
    ----------
    axes : matplotlib Axes
        The loss is drawn against an axis of its own on the right.
    *attacks : Attack
        Made with ``history=True``, and with one loss, or the losses cannot be compared.
    labels : sequence of str
        One for each attack.

    Raises
    ------
    ValueError
        If an attack has no history, or labels are not as many as attacks.
    """
    if len(labels) != len(attacks):
        raise ValueError(f"labels: expected one for each of {len(attacks)} attacks, got {len(labels)}")
    right = axes.twinx()
    for index, (attack, label) in enumerate(zip(attacks, labels, strict=True)):
        if attack.history is None:
            raise ValueError(f"attack {label!r}: expected one made with history=True, got {attack!r} without a history")
        colour, fooled = COLOURS[index % len(COLOURS)], attack.history.fooled
        last = int(fooled.argmax())  # the first iterate with the final share: it never falls
        axes.plot(fooled, color=colour, marker=MARKERS[index % len(MARKERS)], markevery=[last], label=label)
        right.plot(attack.history.loss, color=colour, linestyle=":", linewidth=1)
    axes.plot([], [], color="black", linestyle=":", linewidth=1, label="mean loss (right)")
    axes.set(xlabel="iterate", ylabel="share of samples fooled", ylim=(0, 1.02), title="Progress of attacks")
    right.set(ylabel="mean loss")
    _legend_below(axes)


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
    bar: bool = True,
) -> None:
    """A number for each class and temperature, in a cell whose colour says the same.

    The colours (viridis) are even in lightness, in print and for colour-blind readers too, and hold no grey: grey, with
    a dash, is what is not known.

    Parameters
    ----------
    axes : matplotlib Axes
        7 by 4 inches suit 11 temperatures and 10 classes.
    values : ndarray of float, shape (classes, temperatures)
        NaN where there is nothing to say.
    temperatures : sequence of float
        Of the columns, labelled by `minirobust.measures.regimes.temperature_label`.
    class_names : sequence of str
        Of the rows.
    title : str, optional
    unit : str, optional
        What the numbers are; stands at the colour bar.
    limits : pair of float, optional
        The values at the ends of the colour bar, by default the least and the greatest.  What lies beyond takes the
        colour of the end.
    form : str, default "z.2f"
        How a number is written, a format specification such as ".0%".  The z lets no -0.00 appear.
    log : bool, default False
        Whether colours follow the logarithm.  What is not above 0 then takes the colour of the lower end.
    bar : bool, default True
        Whether it gets a colour bar; `class_temperature_maps` draws one for several maps.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is infinite, or the limits are no range of such a scale.
    """
    import matplotlib
    from matplotlib.colors import LogNorm, Normalize

    values = _fitting("values", values, (len(class_names), len(temperatures)))
    low, high = _limits(values, limits, log)
    norm = LogNorm(low, high, clip=True) if log else Normalize(low, high, clip=True)
    colours = matplotlib.colormaps["viridis"].with_extremes(bad=UNKNOWN)
    cells = axes.imshow(np.ma.masked_invalid(values), colours, norm, aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:{form}}".replace("-", "−")
        ink = _legible_on(UNKNOWN if np.isnan(value) else colours(norm(value)))
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
    """Several maps side by side, on one scale and with one colour bar.

    Parameters
    ----------
    figure : matplotlib Figure
        Empty; 5 by 4 inches suit each map of 11 temperatures and 10 classes.
    maps : mapping of str to ndarray of float, shape (classes, temperatures)
        By title.
    temperatures, class_names, unit, limits, form, log
        As for `class_temperature_map`; the limits are by default those of all maps together.

    Raises
    ------
    ValueError
        As there, or if there is no map.
    """
    if not maps:
        raise ValueError("maps: expected at least one, got none")
    figure.set_layout_engine("constrained")
    shape = (len(class_names), len(temperatures))
    limits = _limits(np.stack([_fitting(title, values, shape) for title, values in maps.items()]), limits, log)
    grid = figure.subplots(1, len(maps), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, values) in zip(grid, maps.items(), strict=True):
        class_temperature_map(
            axes, values, temperatures, class_names, title=title, limits=limits, form=form, log=log, bar=False
        )
        axes.label_outer()
    figure.colorbar(grid[0].images[0], ax=grid, label=unit, pad=0.01)


def image_row(axes: Sequence[Axes], images: np.ndarray, captions: Sequence[str], colour: str = BLUE) -> None:
    """Images side by side, each with a caption above it.

    Parameters
    ----------
    axes : sequence of matplotlib Axes, N
    images : ndarray of shape (N, H, W, C)
        Pixels in [0, 1]; C = 1 is drawn in grey, C = 3 in colour.
    captions : sequence of str, N
        Such as ``"7 (99 %)"``.
    colour : str, optional
        Of the captions.
    """
    for axis, image, caption in zip(axes, images, captions, strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(caption, fontsize=9, color=colour, pad=3)
        _bare(axis)


def adversarial_rows(
    axes: np.ndarray,
    images: np.ndarray,
    adversarials: np.ndarray,
    before: Sequence[str],
    after: Sequence[str],
) -> None:
    """Images, below them what an attack added, and the adversarials that it made of them.

    All differences stand on one scale, from minus to plus the largest of them, which a colour bar states.  In grey
    images blue is darker and red is brighter.  In colour images each channel lies so much above or below middle grey.

    Parameters
    ----------
    axes : ndarray of matplotlib Axes, shape (3, N)
    images, adversarials : ndarray of shape (N, H, W, C)
        Pixels in [0, 1]; C = 1 is drawn in grey, C = 3 in colour.
    before, after : sequences of str, N each
        Captions, such as ``"7 (99 %)"``.

    Raises
    ------
    ValueError
        If images and adversarials differ in shape, or axes or captions do not fit them.
    """
    adversarials = _fitting("adversarials", adversarials, np.shape(images))
    if np.shape(axes) != (3, len(images)):
        raise ValueError(f"axes: expected shape {(3, len(images))}, got {np.shape(axes)}")
    image_row(axes[0], images, before, BLUE)
    _difference_row(axes[1], adversarials - images)
    image_row(axes[2], adversarials, after, ORANGE)
    for axis, name in zip(axes[:, 0], ("image", "difference", "adversarial"), strict=True):
        axis.set_ylabel(name, fontsize=9)


def circle_pixels(axes: Axes, pixels: Sequence[int], width: int, colour: str = ORANGE) -> None:
    """Circles around pixels of an image that was drawn on these axes; whole ones, also at its border.

    Parameters
    ----------
    axes : matplotlib Axes
    pixels : sequence of int
        Counted row by row, as in `attacks.PixelAttack.pixels`; -1 is none.
    width : int
        Of the image.
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
    """One picture of a training run: learning curve, regimes, and images above what an attack added to them.

    Parameters
    ----------
    figure : matplotlib Figure
        Empty; 11 by 9 inches suit.
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


def _legend_below(axes: Axes, **handles: Any) -> None:
    """A legend under the axes, where it can cover nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False, **handles)


def _whole_epochs(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _difference_row(axes: Sequence[Axes], differences: np.ndarray) -> None:
    """Signed differences on one scale, with a colour bar beside the last."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    most = float(np.abs(differences).max()) or 1.0
    scale = Normalize(-most, most)
    grey = differences.shape[-1] == 1
    for axis, difference in zip(axes, differences, strict=True):
        picture = difference if grey else scale(difference)
        axis.imshow(picture, cmap="RdBu_r", norm=scale, interpolation="nearest")
        _bare(axis)
    beside = axes[-1].inset_axes((1.08, 0, 0.08, 1))
    colours = ScalarMappable(scale, "RdBu_r" if grey else "gray")
    bar = axes[-1].figure.colorbar(colours, cax=beside, ticks=(-most, 0, most))
    bar.ax.set_yticklabels([f"−{most:.2g}", "0", f"+{most:.2g}"], fontsize=8)


def _bare(axes: Axes) -> None:
    """Neither ticks nor a frame, but room for a label."""
    axes.set(xticks=(), yticks=())
    axes.spines[:].set_visible(False)


def _fitting(name: str, numbers: Any, shape: tuple[int, ...]) -> np.ndarray:
    """`numbers` as an array of float, if it has that shape."""
    if np.shape(numbers) != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {np.shape(numbers)}")
    return np.asarray(numbers, dtype="float64")


def _limits(values: np.ndarray, limits: tuple[float, float] | None, log: bool) -> tuple[float, float]:
    """The ends of a scale: those asked for, else the least and the greatest value that it can show."""
    if np.isinf(values).any():
        raise ValueError("values: expected finite numbers or NaN, got infinity")
    if limits is None:
        shown = values[values > 0] if log else values[~np.isnan(values)]
        limits = (float(shown.min()), float(shown.max())) if shown.size else (0.1, 1.0)
    low, high = limits
    if not (low <= high and math.isfinite(high - low) and (low > 0 or not log)):
        raise ValueError(f"limits: expected (low, high) with {'0 < ' if log else ''}low <= high, got {limits}")
    return low, high


def _legible_on(colour: Any) -> str:
    """Black or white, whichever has the higher contrast (WCAG 2.1) to one of matplotlib's colours."""
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)  # sRGB's gamma undone
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"
