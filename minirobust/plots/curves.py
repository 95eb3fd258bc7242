"""Plots over epochs, over ε, and over the steps of an attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust.plots.palette import BLUE, COLOURS, DARK, DASHES, GREY, MARKERS, ORANGE, fitting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from minirobust.attacks.attack import Attack


def learning_curve(axes: Axes, loss: Sequence[float], accuracy: Sequence[float], robustness: Sequence[float]) -> None:
    """Draw loss, accuracy and robustness after every epoch.

    Parameters
    ----------
    axes : matplotlib Axes
    loss : sequence of float, one for each epoch
        Drawn against a separate axis on the right.
    accuracy, robustness : sequences of float in [0, 1], one for each epoch
    """
    epochs = np.arange(1, len(loss) + 1)
    lines = axes.plot(epochs, accuracy, color=BLUE, marker=".", label="test accuracy")
    lines += axes.plot(epochs, robustness, color=ORANGE, marker=".", linestyle="--", label="FGSM robustness")
    axes.set(xlabel="epoch", ylabel="share of test images", ylim=(0, 1.02), title="Learning curve")
    right = axes.twinx()
    lines += right.plot(epochs, loss, color=DARK, linestyle=":", linewidth=1.8, label="training loss (right)")
    right.set(ylabel="cross entropy [nat]", ylim=(0, None))
    _legend_below(axes, handles=lines)
    _whole_epochs(axes)


def regimes_over_epochs(
    axes: Axes, linear: Sequence[float], nonlinear: Sequence[float], saturated: Sequence[float]
) -> None:
    """Draw the share of the last hidden layer's net values in each regime after every epoch, stacked to 1.

    Parameters
    ----------
    axes : matplotlib Axes
    linear, nonlinear, saturated : sequences of float in [0, 1], one for each epoch
    """
    # A single epoch would have no width, so it extends halfway to its neighbours.
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
    """Draw robustness over the largest change that an attack may make, with one curve for each network.

    Parameters
    ----------
    axes : matplotlib Axes
        7 by 4 inches is a good size; the legend is on the right, where it covers nothing.
    epsilons : sequence of float
        In any order.
    curves : mapping of str to sequence of float in [0, 1]
        By label, a value for each ε, as `robustness.epsilon_curve` returns them.
    bands : mapping of str to a pair of such sequences, optional
        By label, the lower and upper confidence limits of any of the curves.

    Raises
    ------
    ValueError
        If a curve or a band does not have one value for each ε, or a band has no curve.
    """
    bands = bands or {}
    if strangers := sorted(set(bands) - set(curves)):
        raise ValueError(f"bands: expected labels of curves, {list(curves)}, got {strangers}")
    order = np.argsort(epsilons)
    x = np.asarray(epsilons)[order]
    for index, (label, values) in enumerate(curves.items()):
        colour, dashes = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        robustness = fitting(f"curve {label!r}", values, (len(x),))
        axes.plot(x, robustness[order], color=colour, linestyle=dashes, marker=".", label=label)
        if label in bands:
            low, high = fitting(f"band {label!r}", bands[label], (2, len(x)))
            axes.fill_between(x, low[order], high[order], color=colour, alpha=0.2, linewidth=0)
    axes.set(xlabel="ε, largest change of a pixel", ylabel="robustness", ylim=(0, 1.02), title="Robustness over ε")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def attack_history(axes: Axes, *attacks: Attack, labels: Sequence[str]) -> None:
    """Draw the share of the samples that an attack has fooled by each iterate, and their mean loss.

    The marker on a curve shows the last iterate that fooled another sample.  If it is far from the end of the curve,
    the attack has stalled or has no samples left to fool.  If it is at the end, more steps may fool more samples.

    Parameters
    ----------
    axes : matplotlib Axes
        The loss is drawn against a separate axis on the right.
    *attacks : Attack
        Made with ``history=True``, and all with the same loss, so that their losses can be compared.
    labels : sequence of str
        One for each attack.

    Raises
    ------
    ValueError
        If an attack has no history, or there is not one label for each attack.
    """
    if len(labels) != len(attacks):
        raise ValueError(f"labels: expected one for each of {len(attacks)} attacks, got {len(labels)}")
    right = axes.twinx()
    for index, (attack, label) in enumerate(zip(attacks, labels, strict=True)):
        if attack.history is None:
            raise ValueError(f"attack {label!r}: expected one made with history=True, got {attack!r} without a history")
        colour, fooled = COLOURS[index % len(COLOURS)], attack.history.fooled
        last = int(fooled.argmax())  # the first iterate with the final share, because the share never falls
        axes.plot(fooled, color=colour, marker=MARKERS[index % len(MARKERS)], markevery=[last], label=label)
        right.plot(attack.history.loss, color=colour, linestyle=":", linewidth=1)
    axes.plot([], [], color="black", linestyle=":", linewidth=1, label="mean loss (right)")
    axes.set(xlabel="iterate", ylabel="share of samples fooled", ylim=(0, 1.02), title="Progress of attacks")
    right.set(ylabel="mean loss")
    _legend_below(axes)


def _legend_below(axes: Axes, **handles: Any) -> None:
    """Draw a legend below the axes, where it covers nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False, **handles)


def _whole_epochs(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
