"""`gradcheck`: hand-written gradients against central differences, with a guess at what went wrong.

The scalar whose gradient is checked is φ = Σ r · y for the layer's output y and a random cotangent r.  The analytic
gradient of φ is what ``backward(r)`` gives; the numeric one moves one number at a time.  All is done in float64 on a
copy: the layer or network handed in stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy

from minirobust.backend import Array, Backend
from minirobust.gradient_causes import Circumstances, probable_cause
from minirobust.layers import Layer
from minirobust.network import Network
from minirobust.validation import check_seed, number, positive_int

EXAMINED = 20  # how many of the wrong elements are examined for kinks


class GradientError(AssertionError):
    """A gradient that is wrong, or a point at which none exists.

    Attributes
    ----------
    report : GradientReport
    """

    def __init__(self, report: GradientReport) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True)
class TensorCheck:
    """The comparison for one tensor: the input or a parameter.

    Attributes
    ----------
    name : str
        "input", or the parameter's name with its layer.
    shape : tuple of int
    checked : int
        How many of its elements were moved.
    error : float
        max |analytic - numeric| / max(max |analytic|, max |numeric|).
    worst : tuple of int
        Index of the largest difference.
    analytic, numeric : float
        Both values there.
    cause : str
        Empty if the gradient is right; else what the pattern of errors suggests.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    error: float
    worst: tuple[int, ...]
    analytic: float
    numeric: float
    cause: str = ""


@dataclass(frozen=True)
class GradientReport:
    """What `gradcheck` found.

    Attributes
    ----------
    target : str
        What was checked.
    tolerance : float
    tensors : list of TensorCheck
        The input first, then the parameters.
    """

    target: str
    tolerance: float
    tensors: list[TensorCheck] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every gradient is right."""
        return not any(tensor.cause for tensor in self.tensors)

    def __str__(self) -> str:
        verdict = "every gradient is right" if self.ok else "a gradient is wrong"
        lines = [f"gradcheck of {self.target}: {verdict} (tolerance {self.tolerance:g})"]
        width = max(len(tensor.name) for tensor in self.tensors)
        for t in self.tensors:
            mark = "WRONG" if t.cause else "ok"
            of = f"{t.checked} of {math.prod(t.shape)}"
            lines.append(f"  {t.name:<{width}}  {mark:<5}  shape {t.shape}, {of} checked, relative error {t.error:.2g}")
            if t.cause:
                at = ", ".join(map(str, t.worst))
                lines.append(f"    worst at [{at}]: analytic {t.analytic:.9g}, numeric {t.numeric:.9g}")
                lines.append(f"    probable cause: {t.cause}")
        return "\n".join(lines)


def gradcheck(
    target: Layer | Network,
    x: Any,
    *,
    tolerance: float = 1e-8,
    step: float | None = None,
    limit: int = 1000,
    seed: int = 0,
    training: bool = False,
    backend: str | Backend | None = None,
) -> GradientReport:
    """Compares the gradients of a layer or a network with central differences.

    Parameters
    ----------
    target : Layer or Network
        A fresh layer is built on the shape of `x`; one in a network is checked with that network's parameters.
    x : ndarray of float, shape (N, *input_shape)
        Where to check.  Choose it away from kinks (a ReLU's input near 0, two nearly equal values in a max-pooling
        window): there no gradient exists, and a point near one is refused by that name.
    tolerance : float, default 1e-8
        Largest relative error, in the maximum norm over each tensor.
    step : float, optional
        Of the differences; 1e-4 times the smallest temperature if not given.
    limit : int, default 1000
        How many elements of each tensor are moved; of larger tensors a random choice.
    seed : int, default 0
        Of the cotangent, that choice and a fresh layer's parameters.
    training : bool, default False
        Checks the layer as in training; every evaluation then draws the same random numbers.
    backend : str or Backend, optional
        The network's own, or "numpy" for a fresh layer.

    Returns
    -------
    GradientReport

    Raises
    ------
    GradientError
        If a gradient is wrong, or the point is at a kink; the message holds the worst index, both values and the
        probable cause.
    TypeError, ValueError
        If an argument is wrong.

    Notes
    -----
    The error is that of tensors, not of elements: central differences cannot resolve an element many orders smaller
    than its neighbours.  A false zero in the tail of an activation therefore needs a test against the closed form.
    """
    number("gradcheck", "tolerance", tolerance, low=0)
    positive_int("gradcheck", "limit", limit)
    x = numpy.asarray(x) if isinstance(x, list | tuple) else x
    network = _float64_network(target, x, check_seed(seed), backend)
    network.training = training
    smallest = min((getattr(layer, "temperature", 1.0) for layer in network.layers), default=1.0)
    step = 1e-4 * min(1.0, smallest) if step is None else number("gradcheck", "step", step, low=0)
    probe = _Probe(network, network.check_input(x), step, numpy.random.default_rng(seed))
    shown = target if isinstance(target, Network) else network.layers[0]
    report = GradientReport(f"{shown!r} on input {tuple(probe.x.shape)}", tolerance)
    for name, array, analytic in probe.analytic_gradients():
        report.tensors.append(_compare(probe, name, array, analytic, tolerance, limit))
    if not report.ok:
        raise GradientError(report)
    return report


def _float64_network(target: Layer | Network, x: Any, seed: int, backend: str | Backend | None) -> Network:
    """A float64 copy to experiment on."""
    if isinstance(target, Network):
        return target.to(backend or target.backend, dtype="float64")
    if not isinstance(target, Layer):
        raise TypeError(f"gradcheck: expected a Layer or a Network, got {type(target).__name__}")
    built = hasattr(target, "index")
    home = backend or (target.backend if built else "numpy")
    network = Network([type(target)(**target.arguments())], x.shape[1:], home, "float64", seed)
    if built:
        for mine, theirs in zip(network.layers[0].parameters, target.parameters, strict=True):
            values = target.backend.to_numpy(theirs.value).astype("float64")
            mine.value[...] = network.backend.asarray(values)
    return network


class _Probe:
    """A network at a point: its value φ = Σ r · y, its slopes, and what `backward` says of them."""

    def __init__(self, network: Network, x: Array, step: float, generator: numpy.random.Generator) -> None:
        self.network = network
        self.x = x.copy()
        self.step = step
        self.generator = generator
        self.draws = [layer.draws for layer in network.layers]
        places = [self._contract(layer) for layer in network.layers]
        self.output = self._forward()
        for layer, place in zip(network.layers, places, strict=True):
            for name, mine in self._contract(layer).items():
                if mine is not place[name]:
                    raise ValueError(
                        f"gradcheck: {layer!r}: forward overwrites self.{name}, which is the library's own"
                    )
        expected = (len(x), *network.output_shape)
        if tuple(self.output.shape) != expected:
            raise ValueError(
                f"gradcheck: {network.layers[-1]}: build promised an output of shape {expected}, "
                f"forward returned {tuple(self.output.shape)}"
            )
        self.cotangent = network.backend.asarray(generator.standard_normal(expected))

    @staticmethod
    def _contract(layer: Layer) -> dict[str, Any]:
        """The attributes by which a layer stands in its network."""
        return {name: getattr(layer, name) for name in Layer.__annotations__ if name not in ("is_activation", "draws")}

    def _forward(self) -> Array:
        for layer, draws in zip(self.network.layers, self.draws, strict=True):
            layer.draws = draws
        return self.network.forward(self.x)

    def home(self, array: Array) -> numpy.ndarray:
        return self.network.backend.to_numpy(array)

    def value(self) -> float:
        """φ at the present numbers."""
        return float(self.home((self.cotangent * self._forward()).sum()))

    def noise(self) -> float:
        """How far rounding alone can move a slope."""
        eps = float(numpy.finfo("float64").eps)
        return 4 * eps * float(self.home(abs(self.cotangent * self.output).sum())) / self.step

    def at(self, array: Array, index: int, offset: float) -> float:
        """φ with one element moved."""
        flat = array.reshape(-1)
        before = self.home(flat[index]).item()
        flat[index] = before + offset
        value = self.value()
        flat[index] = before
        return value

    def slope(self, array: Array, index: int) -> float:
        """∂φ/∂element by the fourth-order central difference (8 [φ(h) - φ(-h)] - [φ(2h) - φ(-2h)]) / 12h."""
        h = self.step
        near = self.at(array, index, h) - self.at(array, index, -h)
        far = self.at(array, index, 2 * h) - self.at(array, index, -2 * h)
        return (8 * near - far) / (12 * h)

    def kink(self, array: Array, index: int, mismatch: float) -> bool:
        """Whether φ has a corner within reach of the differences.

        The slopes to the right and to the left of a smooth point differ in proportion to the step, those at a corner
        do not.
        """
        here = self.value()
        gaps = []
        for h in (2 * self.step, 2 * self.step / 16, 2 * self.step / 256):
            right, left = (self.at(array, index, h) - here) / h, (here - self.at(array, index, -h)) / h
            gaps.append(abs(right - left))
        smooth = all(4 * small < large < 64 * small for large, small in pairwise(gaps))
        return gaps[0] > 0.25 * mismatch and not smooth

    def analytic_gradients(self) -> list[tuple[str, Array, numpy.ndarray]]:
        """Name, array and analytic gradient of the input and of every parameter; the contract is checked on the way."""
        x, r = self.x.copy(), self.cotangent.copy()
        first = self._backward()
        for name, now, then in (("x", self.x, x), ("grad_y", self.cotangent, r)):
            if not (self.home(now) == self.home(then)).all():
                raise ValueError(f"gradcheck: a layer of {self.network!r} writes into {name}, which is not its own")
        second = self._backward()
        if not all(numpy.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True)):
            raise ValueError(
                f"gradcheck: {self.network!r}: a second backward gave other gradients: "
                "are they accumulated, not overwritten?"
            )
        names, arrays = ["input"], [self.x]
        for layer in self.network.layers:
            place = f"layer {layer.index} " if len(self.network.layers) > 1 else ""
            names += [f"{place}{parameter.name}" for parameter in layer.parameters]
            arrays += [parameter.value for parameter in layer.parameters]
        return list(zip(names, arrays, first, strict=True))

    def _backward(self) -> list[numpy.ndarray]:
        self._forward()
        grad_x = self.network.backward(self.cotangent)
        if grad_x is None or tuple(grad_x.shape) != tuple(self.x.shape):
            got = None if grad_x is None else tuple(grad_x.shape)
            raise ValueError(
                f"gradcheck: {self.network.layers[0]}: expected an input gradient of shape {tuple(self.x.shape)}, "
                f"got {got}"
            )
        parameters = [parameter for layer in self.network.layers for parameter in layer.parameters]
        return [self.home(grad).copy() for grad in (grad_x, *(parameter.grad for parameter in parameters))]


def _compare(
    probe: _Probe, name: str, array: Array, analytic: numpy.ndarray, tolerance: float, limit: int
) -> TensorCheck:
    size = analytic.size
    chosen = numpy.arange(size) if size <= limit else numpy.sort(probe.generator.choice(size, limit, replace=False))
    numeric = numpy.array([probe.slope(array, int(index)) for index in chosen])
    a = analytic.reshape(-1)[chosen]
    difference = numpy.where(numpy.isfinite(a), abs(a - numeric), numpy.inf)
    # Where all gradients vanish, rounding must not count as an error.
    rounding = max(probe.noise() / tolerance, float(numpy.finfo("float64").tiny))
    scale = max(abs(a[numpy.isfinite(a)]).max(initial=0), abs(numeric).max(), rounding)
    worst = int(difference.argmax())
    error = float(difference[worst] / scale)
    cause = ""
    if not error <= tolerance:
        cause = _kinks(probe, array, chosen, difference, tolerance * scale) or probable_cause(
            a if len(chosen) < size else analytic,
            numeric if len(chosen) < size else numeric.reshape(analytic.shape),
            Circumstances.of(probe.network, name, probe.cotangent, probe.output),
        )
    return TensorCheck(
        name=name,
        shape=tuple(analytic.shape),
        checked=len(chosen),
        error=error,
        worst=tuple(int(i) for i in numpy.unravel_index(chosen[worst], analytic.shape)),
        analytic=float(a[worst]),
        numeric=float(numeric[worst]),
        cause=cause,
    )


def _kinks(probe: _Probe, array: Array, chosen: numpy.ndarray, difference: numpy.ndarray, allowed: float) -> str:
    """A sentence if every wrong element that was examined sits at a kink, else nothing."""
    wrong = [i for i in numpy.argsort(-difference)[:EXAMINED] if difference[i] > allowed]
    if not wrong or not all(probe.kink(array, int(chosen[i]), difference[i]) for i in wrong):
        return ""
    return (
        "a kink is nearby: the slopes to the left and to the right differ, no gradient exists there "
        "(a ReLU's input near 0, or nearly equal values in a max-pooling window); "
        "check at another x, or with a smaller step"
    )
