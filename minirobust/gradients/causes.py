"""The probable causes that `gradcheck` names, recognized by the pattern of a wrong gradient's errors.

Each pattern is a function that compares the analytic gradient with the numeric one and returns a sentence, or an empty
string if it does not apply.  This module does not decide whether a gradient is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from minirobust.network import Network


@dataclass(frozen=True)
class Circumstances:
    """The quantities that a wrong gradient may contain or lack.

    Attributes
    ----------
    network : Network
    is_input : bool
        Whether it is the gradient of the network's input.
    cotangent, output : ndarray of shape (N, *output_shape)
    """

    network: Network
    is_input: bool
    cotangent: np.ndarray
    output: np.ndarray


def numbers(network: Network) -> list[tuple[str, float]]:
    """Return the name and value of every argument that is a number and of every parameter with a single element."""
    named = [item for layer in network.layers for item in layer.arguments().items()]
    scalars = [p for layer in network.layers for p in layer.parameters if p.value.size == 1]
    named += [(p.name, network.backend.to_numpy(p.value).item()) for p in scalars]
    return [(name, float(value)) for name, value in named if isinstance(value, int | float)]


def probable_cause(analytic: np.ndarray, numeric: np.ndarray, circumstances: Circumstances) -> str:
    """Return the first pattern that explains how a wrong gradient differs from the right one."""
    if not np.isfinite(analytic).all():
        return "the analytic gradient contains NaN or infinity"
    if not analytic.any():
        return "the analytic gradient is zero everywhere: a missing term, or it is never computed"
    patterns = (_constant_ratio, _transposed, _displaced, _missing_term)
    causes = (pattern(analytic, numeric, circumstances) for pattern in patterns)
    return next(filter(None, causes), "no simple pattern: compare the formula term by term")


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(abs(a - b).max() <= 1e-6 * abs(b).max())


def _constant_ratio(analytic: np.ndarray, numeric: np.ndarray, circumstances: Circumstances) -> str:
    """Name a factor that is missing or superfluous, the same for all elements."""
    ratio = float((analytic * numeric).sum() / (numeric**2).sum()) if numeric.any() else 0.0
    if not ratio or not _alike(analytic, ratio * numeric):
        return ""
    if math.isclose(ratio, -1, rel_tol=1e-6):
        return "the sign is wrong: every value is -1 times what it should be"
    samples, outputs = len(circumstances.output), circumstances.output.size
    sizes = [("the batch size N", samples), ("the number of outputs", outputs if outputs > samples else 1)]
    fits = []
    for name, constant in [*sizes, *numbers(circumstances.network)]:
        if math.isclose(ratio, constant, rel_tol=1e-6) and constant != 1:
            fits.append(f"{name} = {constant:g}: a factor of 1 over it is missing")
        if math.isclose(ratio * constant, 1, rel_tol=1e-6) and constant != 1:
            fits.append(f"1 over {name} = {constant:g}: a mean for a sum, or a factor too many")
    times = f"every value is {ratio:.6g} times what it should be"
    if fits:
        return f"{times}, which is {', or '.join(dict.fromkeys(fits))}"
    return f"{times} (off by {abs(ratio - 1):.2%}): a constant factor"


def _transposed(analytic: np.ndarray, numeric: np.ndarray, circumstances: Circumstances) -> str:
    """Name a matrix that is used in place of its transpose."""
    if analytic.ndim == 2 and _alike(analytic, numeric.T):
        return "it is transposed: rows and columns are exchanged"
    cotangent, network = circumstances.cotangent, circumstances.network
    square = [p for layer in network.layers for p in layer.parameters if p.shape == 2 * cotangent.shape[1:]]
    for name, weight in ((p.name, network.backend.to_numpy(p.value)) for p in square):
        if circumstances.is_input and _alike(analytic, cotangent @ weight):
            return f"{name} is transposed: the gradient is grad_y @ {name}, expected grad_y @ {name}.T"
    return ""


def _displaced(analytic: np.ndarray, numeric: np.ndarray, circumstances: Circumstances) -> str:
    """Recognize the right values in the wrong places."""
    if _alike(np.sort(analytic, axis=None), np.sort(numeric, axis=None)):
        return "the right values in the wrong places: an index or an order is off (an argmax, a reshape, a stride)"
    return ""


def _missing_term(analytic: np.ndarray, numeric: np.ndarray, circumstances: Circumstances) -> str:
    """Name what is missing: some elements, a value common to each sample, or a multiple of the output."""
    missing, output = numeric - analytic, circumstances.output
    wrong = abs(missing) > 1e-6 * abs(numeric).max()
    if not analytic[wrong].any():
        return f"a missing term: {wrong.sum()} of {wrong.size} values are zero where they should not be"
    if wrong.ndim == 2 and wrong.shape[1] > 1 and (wrong.sum(axis=1) == 1).all():
        return "a missing term: one value of each sample is wrong (for a loss, the label's: the -1 of p_y - 1)"
    if analytic.ndim == 2 and _alike(missing, np.broadcast_to(missing[:, :1], missing.shape)):
        return "a missing term: the same amount is missing from all features of a sample, a sum over them"
    if circumstances.is_input and output.shape == missing.shape and output.all():
        share = missing / output
        if _alike(share, np.broadcast_to(share[:, :1], share.shape)):
            return "a missing term: what is missing is in proportion to the output, as Σ grad_y · y is in a softmax"
    if wrong.mean() < 0.5:
        return f"a missing term: {wrong.sum()} of {wrong.size} values are wrong, the others right"
    return ""
