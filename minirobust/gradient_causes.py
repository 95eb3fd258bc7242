"""What the pattern of a wrong gradient's errors suggests: the probable causes that `gradcheck` names.

Each pattern is a function that compares the analytic gradient with the numeric one and returns a sentence, or nothing.
Whether a gradient is wrong is not decided here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy

from minirobust.backend import Array
from minirobust.network import Network


@dataclass(frozen=True)
class Circumstances:
    """What may have slipped into a gradient, or been left out of it.

    Attributes
    ----------
    constants : dict
        From a hyperparameter in words to its value.
    is_input : bool
        Whether the gradient is the input's.
    cotangent, output : ndarray of shape (N, *output_shape)
    square_weights : sequence of (name, ndarray)
        Those that one can transpose without noticing.
    """

    constants: dict[str, float]
    is_input: bool
    cotangent: numpy.ndarray
    output: numpy.ndarray
    square_weights: Sequence[tuple[str, numpy.ndarray]]

    @classmethod
    def of(cls, network: Network, tensor: str, cotangent: Array, output: Array) -> Circumstances:
        """Those of checking `tensor` ("input" or a parameter) of a network."""
        home = network.backend.to_numpy
        constants = {}
        for layer in network.layers:
            for argument, value in layer.arguments().items():
                if isinstance(value, int | float) and value not in (0, 1):
                    constants[f"{argument} = {value:g}"] = float(value)
        constants[f"the batch size N = {len(output)}"] = float(len(output))
        weights = [p for layer in network.layers for p in layer.parameters if len(p.value.shape) == 2]
        square = [(p.name, home(p.value)) for p in weights if p.value.shape[0] == p.value.shape[1]]
        return cls(constants, tensor == "input", home(cotangent), home(output), square)


def probable_cause(analytic: numpy.ndarray, numeric: numpy.ndarray, circumstances: Circumstances) -> str:
    """The first pattern that explains how a wrong gradient differs from the right one."""
    if not numpy.isfinite(analytic).all():
        return "the analytic gradient holds NaN or infinity"
    if not analytic.any():
        return "the analytic gradient is zero throughout: a missing term, or none is computed at all"
    patterns: tuple[Callable[..., str], ...] = (
        _constant_ratio,
        _transposed,
        _displaced,
        _missing_term,
    )
    for pattern in patterns:
        cause = pattern(analytic, numeric, circumstances)
        if cause:
            return cause
    return "no simple pattern: compare the formula term by term"


def _alike(a: numpy.ndarray, b: numpy.ndarray) -> bool:
    return a.shape == b.shape and bool(abs(a - b).max() <= 1e-6 * abs(b).max())


def _constant_ratio(analytic: numpy.ndarray, numeric: numpy.ndarray, circumstances: Circumstances) -> str:
    """A factor too much or too few, the same for all elements."""
    ratio = float((analytic * numeric).sum() / (numeric**2).sum()) if numeric.any() else 0.0
    if not ratio or not _alike(analytic, ratio * numeric):
        return ""
    if math.isclose(ratio, -1, rel_tol=1e-6):
        return "the sign is wrong: every value is -1 times what it should be"
    for name, constant in circumstances.constants.items():
        if constant == 1:
            continue
        if math.isclose(ratio, constant, rel_tol=1e-6):
            return (
                f"every value is {ratio:g} times what it should be, which is {name}: a factor of 1 over it is missing"
            )
        if math.isclose(ratio, 1 / constant, rel_tol=1e-6):
            slip = "a mean for a sum, or a factor too many"
            return f"every value is {ratio:g} times what it should be, which is 1 over {name}: {slip}"
    return f"every value is {ratio:.6g} times what it should be (off by {abs(ratio - 1):.2%}): a constant factor"


def _transposed(analytic: numpy.ndarray, numeric: numpy.ndarray, circumstances: Circumstances) -> str:
    """A matrix taken for its transpose."""
    if analytic.ndim == 2 and _alike(analytic, numeric.T):
        return "it is transposed: rows and columns are exchanged"
    if circumstances.is_input and circumstances.cotangent.ndim == 2:
        for name, weight in circumstances.square_weights:
            if _alike(analytic, circumstances.cotangent @ weight):
                return f"{name} is transposed: the gradient is grad_y @ {name}, expected grad_y @ {name}.T"
    return ""


def _displaced(analytic: numpy.ndarray, numeric: numpy.ndarray, circumstances: Circumstances) -> str:
    """The right values in the wrong places."""
    if _alike(numpy.sort(analytic, axis=None), numpy.sort(numeric, axis=None)):
        return "the right values in the wrong places: an index or an order is off (an argmax, a reshape, a stride)"
    return ""


def _missing_term(analytic: numpy.ndarray, numeric: numpy.ndarray, circumstances: Circumstances) -> str:
    """Something left out: for some elements, for each sample alike, or in proportion to the output."""
    missing = numeric - analytic
    wrong = abs(missing) > 1e-6 * abs(numeric).max()
    if not analytic[wrong].any():
        return f"a missing term: {wrong.sum()} of {wrong.size} values are zero where they should not be"
    if analytic.ndim == 2 and _alike(missing, numpy.broadcast_to(missing[:, :1], missing.shape)):
        return "a missing term: the same amount is missing from all features of a sample, a sum over them"
    output = circumstances.output
    if circumstances.is_input and output.shape == missing.shape and output.all():
        share = missing / output
        if _alike(share, numpy.broadcast_to(share[:, :1], share.shape)):
            return "a missing term: what is missing is in proportion to the output, as Σ grad_y · y is in a softmax"
    if wrong.mean() < 0.5:
        return f"a missing term: {wrong.sum()} of {wrong.size} values are wrong, the others right"
    return ""
