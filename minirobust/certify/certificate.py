"""`Certificate`, and the three methods that prove one: `ibp`, `crown` and `alpha_crown`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirobust import backend
from minirobust.attacks.attack import Epsilon, check_epsilon, part, under_attack
from minirobust.backend import Array
from minirobust.certify.ascent import ascend
from minirobust.certify.backward import AFFINE, Relaxation, Rows
from minirobust.certify.boxes import U64, Twin, boxes, magnitude, slack_of
from minirobust.certify.lines import CURVES
from minirobust.layers import Dense
from minirobust.network import Network
from minirobust.validation import positive_int


@dataclass(frozen=True)
class Certificate:
    """Which samples are proven robust.

    Attributes
    ----------
    certified : ndarray of bool, shape (N,)
        Where every image within ε and the input range is classified as labelled.  On the network's backend;
        ``mr.robustness.network_robustness(~certified, y)`` is the lower end of the sandwich.
    margin : ndarray of float64, shape (N,)
        A lower bound of the margin z_y - max_{j≠y} z_j over these images, less the slack for rounding.
    epsilon : float or ndarray
    """

    certified: Array
    margin: Array
    epsilon: Epsilon

    def __repr__(self) -> str:
        epsilon = f"{self.epsilon:g}" if isinstance(self.epsilon, float) else "an array"
        certified = int(backend.of(self.certified).to_numpy(self.certified).sum())
        return f"<Certificate of {len(self.margin)} images, epsilon={epsilon}, {certified} certified>"


def ibp(network: Network, x: Array, y: Array, epsilon: Epsilon) -> Certificate:
    """Bound every layer's output by a box, one layer after the other (Gowal et al., 2018).

    This supports every layer of the library, and custom layers with a method ``interval_bounds(low, high)``, which
    takes the least and the greatest inputs and returns the least and the greatest outputs, in float64.

    Parameters
    ----------
    network : Network
        A network that ends in logits.  Dropout is inactive, as in evaluation.
    x : ndarray of float, shape (N, *input_shape)
        Within the network's `input_range`.
    y : ndarray of int, shape (N,)
        True labels.
    epsilon : float or ndarray
        The largest change of a pixel, as for `attacks.fgsm`.

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong or a layer has no bounds; the message says what was expected.
    """
    model, x, y, epsilon = checked_arguments(network, x, y, epsilon)
    margin = model.xp.empty(len(x))
    with np.errstate(all="ignore"):
        for chunk in chunks(model, len(x)):
            margin[chunk] = _interval_margin(model, x[chunk], y[chunk], part(epsilon, chunk))
    return Certificate(margin > 0, margin, epsilon)


def crown(network: Network, x: Array, y: Array, epsilon: Epsilon) -> Certificate:
    """Bound every margin by a linear function of the pixels (Zhang et al., 2018).

    The network may contain `Dense`, `Conv2D`, `AvgPool2D`, `Flatten`, `Dropout`, `TemperatureSigmoid`, `Tanh` and
    `ReLU`.

    Parameters
    ----------
    network, x, y, epsilon
        See `ibp`.

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong or a layer has no linear bounds; the message says what was expected.

    Examples
    --------
    >>> import minirobust as mr
    >>> net = mr.Network([mr.Dense(3)], input_shape=(2,), dtype="float64")
    >>> net.layers[0].weight.value[...] = [[1, 0, 0], [0, 1, 0]]
    >>> crown(net, np.array([[0.9, 0.2]]), np.array([0]), epsilon=0.1).margin.round(6)
    array([0.5])
    """
    return alpha_crown(network, x, y, epsilon, steps=1)


def alpha_crown(network: Network, x: Array, y: Array, epsilon: Epsilon, *, steps: int = 50) -> Certificate:
    """Bound every margin as `crown` does, but optimize the slopes of the lines (Xu et al., 2021).

    Parameters
    ----------
    network, x, y, epsilon
        See `crown`.
    steps : int, default 50
        Number of steps of the ascent.  A margin is done at the first step that proves it positive.

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.
    """
    model, x, y, epsilon = checked_arguments(network, x, y, epsilon)
    expect_lines(model)
    steps = positive_int("certify", "steps", steps)
    margin = model.xp.empty(len(x))
    with np.errstate(all="ignore"):
        for chunk in chunks(model, len(x)):
            rows, relaxation = margins(model, x[chunk], y[chunk], part(epsilon, chunk))
            value, _ = ascend(relaxation, rows, steps)
            margin[chunk] = value.reshape(-1, model.classes - 1).min(axis=1)
    return Certificate(margin > 0, margin, epsilon)


def checked_arguments(network: Network, x: Array, y: Array, epsilon: Epsilon) -> tuple[Twin, Array, Array, Epsilon]:
    """Validate the arguments of a certificate; return the network's twin, and the other arguments on its backend."""
    if not isinstance(network, Network):
        raise TypeError(f"certify: expected a Network, because a proof needs the weights, got {type(network).__name__}")
    model, x, y, _ = under_attack(network, x, y)
    return Twin(network), x, y, check_epsilon(model, epsilon, x)


def expect_lines(model: Twin) -> None:
    """Raise TypeError if a layer is neither affine nor an activation with lines."""
    for layer in model.layers:
        if type(layer) not in AFFINE + CURVES:
            names = ", ".join(kind.__name__ for kind in AFFINE + CURVES)
            raise TypeError(f"{layer}: expected one of {names}: use certify.ibp for other layers")


def chunks(model: Twin, samples: int) -> Iterator[slice]:
    """Yield slices of samples whose rows, one for every class, fit into the backend's `chunk_bytes`."""
    return model.backend.chunks(samples, model.sample_bytes * model.classes)


def margins(model: Twin, x: Array, y: Array, epsilon: Epsilon) -> tuple[Rows, Relaxation]:
    """Return the rows z_y - z_j for every class j ≠ y of every sample of a chunk, and their relaxation."""
    relaxation = Relaxation(model, x, epsilon)
    A = differences(model, y)
    image = model.xp.arange(len(x))[:, None] + model.xp.zeros((1, model.classes - 1), dtype="int64")
    return relaxation.rows(A.reshape(-1, model.classes), image.reshape(-1)), relaxation


def differences(model: Twin, y: Array) -> Array:
    """Return the rows of e_y - e_j for every j ≠ y, shape (N, classes - 1, classes)."""
    classes = model.xp.arange(model.classes)
    others = classes[:-1] + (classes[:-1] >= y[:, None])
    return (classes == y[:, None, None]).astype("float64") - (classes == others[:, :, None]).astype("float64")


def _interval_margin(model: Twin, x: Array, y: Array, epsilon: Epsilon) -> Array:
    """Return a lower bound of the margin of each sample of a chunk.

    A final `Dense` layer is bounded together with the difference of two logits, which varies less than the logits.
    """
    xp, found, A, last = model.xp, boxes(model, x, epsilon), differences(model, y), model.layers[-1]
    bound: Array | float = 0.0
    (low, high) = found[-1]
    slack: Any = 4 * U64 * magnitude(xp, low, high)
    if type(last) is Dense:
        (low, high), slack = found[-2], slack_of(last, found[-2], model.u)
        bound = (A * last.bias.value).sum(axis=2)
    bound = bound - (abs(A) * slack[:, None]).sum(axis=2)
    if type(last) is Dense:
        A = A @ last.weight.value.T
    positive, negative = xp.maximum(A, 0), xp.minimum(A, 0)
    return (bound + (positive * low[:, None] + negative * high[:, None]).sum(axis=2)).min(axis=1)
