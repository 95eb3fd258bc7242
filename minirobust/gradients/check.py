"""`gradcheck`: compare hand-written gradients with central differences, and name the probable cause of an error.

The scalar whose gradient is checked is φ = Σ r · y, for the output y and a random cotangent r.  Its analytic gradient
is that of ``backward(r)``; the numeric one changes one number at a time.  Everything is computed in float64 on a copy.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from minirobust import backend as backends
from minirobust.backend import Array, Backend
from minirobust.gradients.causes import Circumstances, numbers, probable_cause
from minirobust.layers import Layer
from minirobust.layers.layer import Shape, State
from minirobust.losses import Loss, evaluate
from minirobust.network import Network
from minirobust.tables import html_table
from minirobust.validation import check_labels, check_loss, check_seed, number, positive_int

EXAMINED = 20  # how many wrong elements of a tensor are examined for kinks
FEW = 10  # how many elements of a tensor are checked at the second batch
ROUGHLY = 1e-4  # tolerance at the second batch, where differences may be less accurate; real errors are much larger
KINK = (
    "a kink is nearby: the slopes to the left and to the right differ, so no gradient exists there "
    "(a ReLU's input near 0, or nearly equal values in a max-pooling window); "
    "check at another x, or with a smaller step"
)


class GradientError(AssertionError):
    """Raised if a gradient is wrong, or does not exist at the given point.

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
        "input" ("logits" for a loss), or the parameter's name with its layer.
    shape : tuple of int
    checked : int
        Number of its elements that were checked; 0 if a layer raised an error at the second batch.
    error : float
        max |analytic - numeric| / max(max |analytic|, max |numeric|).
    worst : tuple of int
        Index of the largest difference.
    analytic, numeric : float
        The two gradients at this index.
    cause : str
        The probable cause, from the pattern of errors; empty if the gradient is right.
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
    """The result of `gradcheck`.

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
    tensors: list[TensorCheck]

    @property
    def ok(self) -> bool:
        """Whether every gradient is right."""
        return not any(tensor.cause for tensor in self.tensors)

    @property
    def verdict(self) -> str:
        """The result in one line."""
        verdict = "every gradient is right" if self.ok else "a gradient is wrong"
        return f"gradcheck of {self.target}: {verdict} (tolerance {self.tolerance:g})"

    def _repr_html_(self) -> str:
        rows = [("tensor", "", "shape", "probable cause", "checked", "relative error")]
        for t in self.tensors:
            rows.append(
                (t.name, "WRONG" if t.cause else "ok", str(t.shape), t.cause, f"{t.checked:,}", f"{t.error:.2g}")
            )
        return html_table(rows, left=4, rules=(1,), caption=self.verdict)

    def __str__(self) -> str:
        lines = [self.verdict]
        width = max(len(tensor.name) for tensor in self.tensors)
        for t in self.tensors:
            mark = "WRONG" if t.cause else "ok"
            of = f"{t.checked} of {math.prod(t.shape)}"
            lines.append(f"  {t.name:<{width}}  {mark:<5}  shape {t.shape}, {of} checked, relative error {t.error:.2g}")
            if t.cause and t.checked:
                at = ", ".join(map(str, t.worst))
                lines.append(f"    worst at [{at}]: analytic {t.analytic:.9g}, numeric {t.numeric:.9g}")
            if t.cause:
                lines.append(f"    probable cause: {t.cause}")
        return "\n".join(lines)


@np.errstate(all="ignore")
def gradcheck(
    target: Layer | Network | Loss,
    x: Any,
    y: Any = None,
    *,
    tolerance: float = 1e-8,
    step: float | None = None,
    limit: int = 1000,
    seed: int = 0,
    training: bool = False,
    backend: str | Backend | None = None,
) -> GradientReport:
    """Compare the gradients of a layer, a network or a loss with central differences.

    Parameters
    ----------
    target : Layer, Network or loss
        A layer that belongs to no network is built from its arguments for the shape of `x`.  A layer of a network is
        checked with its parameters, its buffers and its random numbers.
    x : ndarray of float, shape (N, *input_shape)
        The input at which to check; for a loss, the logits (N, classes).  Keep away from kinks (a ReLU's input near 0,
        two nearly equal values in a max-pooling window): no gradient exists there, and a kink nearby is reported.
    y : ndarray of int, shape (N,), optional
        The labels, for a loss only.
    tolerance : float, default 1e-8
        Largest relative error, in the maximum norm over each tensor.
    step : float, optional
        Step of the differences; by default, 1e-4 times the smallest temperature, at most 1e-4.
    limit : int, default 1000
        Maximum number of elements to check in each tensor; in a larger tensor, a random choice.
    seed : int, default 0
        Seed of the cotangent, of that choice, and of the parameters of a layer that belongs to no network.
    training : bool, default False
        Whether to check the layers in training mode.
    backend : str or Backend, optional
        By default, that of the network, or "numpy" for a loss and for a layer that belongs to no network.

    Returns
    -------
    GradientReport

    Raises
    ------
    GradientError
        If a gradient is wrong, or `x` is at a kink; the message gives the worst index, both values and the probable
        cause.
    TypeError, ValueError
        If an argument is wrong, or `target` violates its contract: for example, a layer that writes into its input.

    Notes
    -----
    Every evaluation draws the same random numbers.

    If all gradients are right, a few elements are checked again on the same layers, at a second batch of N + 1 samples
    with different values.  This detects a layer that keeps something from its first batch, and a mean in place of a sum
    if the first batch has a single sample.

    The error is measured over a tensor, not for each element: central differences cannot resolve an element many orders
    of magnitude smaller than its neighbours.  To find a false zero in the tail of an activation, compare with the
    closed form.

    Examples
    --------
    >>> import minirobust as mr
    >>> report = mr.gradcheck(mr.Dense(2), np.random.default_rng(0).random((4, 3)))
    >>> [tensor.name for tensor in report.tensors]
    ['input', 'weight', 'bias']
    """
    number("gradcheck", "tolerance", tolerance, low=0)
    positive_int("gradcheck", "limit", limit)
    network, new = (_float64_copy(target, x, y, check_seed(seed), backend) for _ in range(2))
    network.training = new.training = training
    temperatures = [value for name, value in numbers(network) if name == "temperature" and value > 0]
    step = 1e-4 * min([1.0, *temperatures]) if step is None else number("gradcheck", "step", step, low=0)
    x = network.check_input(x)
    tensors = _check(network, x, step, tolerance, limit, seed)
    if not any(tensor.cause for tensor in tensors):
        tensors = _check_second_batch(network, new, tensors, x, step, min(limit, FEW), seed)
    report = GradientReport(f"{target!r} on {tensors[0].name} {tuple(x.shape)}", tolerance, tensors)
    if not report.ok:
        raise GradientError(report)
    if isinstance(network.layers[0], _LossLayer):
        network.layers[0].expect_independent_samples(x)
    return report


# What is checked, as a network in float64


class _LossLayer(Layer):
    """A loss as a layer: logits are its input, and the loss of each sample, (N, 1), is its output."""

    def __init__(self, checked_loss: Loss, labels_by_size: dict[int, Array]) -> None:
        self.checked_loss, self.labels_by_size = checked_loss, labels_by_size

    def build(self, input_shape: Shape) -> Shape:
        return (1,)

    def forward(self, x: Array) -> Array:
        value, self.gradient = evaluate(self.checked_loss, self.backend, x, self.labels_by_size[len(x)])
        double = "float32" not in (value.dtype, self.gradient.dtype)
        self.expect(double, "losses and gradients in float64 for logits in float64", "float32")
        return value[:, None].astype(self.dtype)

    def input_gradient(self, grad_y: Array) -> Array:
        return grad_y * self.gradient

    def expect_independent_samples(self, x: Array) -> None:
        """Raise ValueError if the loss of the first sample changes when the others are left out."""
        a, b = (float(self.backend.to_numpy(self.forward(batch))[0, 0]) for batch in (x, x[:1]))
        got = f"{a:g} for the first sample in a batch of {len(x)} and {b:g} for it alone"
        self.expect(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12), "the loss of each sample by itself", got)

    def arguments(self) -> dict[str, Any]:
        """Return the attributes of the loss, one of which may be missing from its gradient."""
        return getattr(self.checked_loss, "__dict__", {})

    def __repr__(self) -> str:
        return repr(self.checked_loss)

    __str__ = __repr__


def _float64_copy(target: Any, x: Any, y: Any, seed: int, backend: str | Backend | None) -> Network:
    """Return a network in float64 that computes what `target` does, without changing `target`."""
    if not isinstance(target, Layer | Network):
        return _loss_as_network(target, x, y, backends.get(backend or "numpy"))
    if y is not None:
        raise TypeError(f"gradcheck: expected y for a loss only, got y for {target!r}")
    if isinstance(target, Network):
        return target.to(backend or target.backend, "float64")
    if not hasattr(target, "index"):
        return Network([target.fresh()], np.shape(x)[1:], backend or "numpy", "float64", seed)
    alone = Network([target.fresh()], target.input_shape, target.backend, target.dtype, target.seed)
    target.expect_declared(alone.layers[0])
    for ours, theirs in zip(alone.layers[0].states(State), target.states(State), strict=True):
        ours.value[...] = theirs.value
    alone.layers[0].draws = target.draws
    network = alone.to(backend or target.backend, "float64")
    network.layers[0].index = target.index  # its random numbers depend on its index
    return network


def _loss_as_network(loss: Any, x: Any, y: Any, backend: Backend) -> Network:
    """Return a network of one `_LossLayer`, which has the labels of one sample, of `x`, and of the second batch."""
    if not hasattr(loss, "value_and_gradient"):
        raise TypeError(f"gradcheck: expected a Layer, a Network or a loss, got {type(loss).__name__}")
    if y is None:
        raise TypeError(f"gradcheck: expected labels y for the loss {loss!r}, got none")
    labels = backend.to_numpy(check_labels(y, np.shape(x), backend))
    check_loss(loss, np.shape(x)[1])
    by_size = {len(y): backend.asarray(y) for y in (labels[:1], labels, _another(labels))}
    return Network([_LossLayer(copy.copy(loss), by_size)], np.shape(x)[1:], backend, "float64")


# The comparison


class _Probe:
    """A network at a batch: the value φ = Σ r · y, its slopes, and the gradients that `backward` returns."""

    def __init__(self, network: Network, x: Array, step: float, generator: np.random.Generator) -> None:
        self.network, self.given, self.x = network, x, x.copy()
        self.step, self.generator = step, generator
        self.to_numpy = network.backend.to_numpy
        self.draws, self.buffers = [layer.draws for layer in network.layers], network.buffers.copy()
        before = [dict(vars(layer)) for layer in network.layers]
        self.output = self.forward()
        for layer, then in zip(network.layers, before, strict=True):
            for name in Layer.__annotations__:
                kept = name == "draws" or vars(layer).get(name) is then.get(name)
                self.expect(kept, f"{layer!r}: forward overwrites self.{name}, which belongs to the library")
        self.cotangent = network.backend.asarray(generator.standard_normal(self.output.shape))

    def expect(self, condition: bool, otherwise: str) -> None:
        """Raise ValueError if the layers violate their contract."""
        if not condition:
            raise ValueError(f"gradcheck: {self.network!r}: {otherwise}")

    def equal(self, a: Array, b: Array) -> bool:
        """Return whether two arrays hold the same numbers, on the host or not."""
        return np.array_equal(self.to_numpy(a), self.to_numpy(b), equal_nan=True)

    def forward(self) -> Array:
        """Return the output; random numbers and buffers are the same each time."""
        for layer, draws in zip(self.network.layers, self.draws, strict=True):
            layer.draws = draws
        self.network.buffers = self.buffers
        return self.network.run(self.x)

    def value(self) -> float:
        """Return φ at the current values."""
        return float(self.to_numpy((self.cotangent * self.forward()).sum()))

    def noise(self) -> float:
        """Return how much rounding alone can change a slope."""
        return 4 * 2**-52 * float(self.to_numpy(abs(self.cotangent * self.output).sum())) / self.step

    def at(self, array: Array, index: int, offset: float) -> float:
        """Return φ with `offset` added to one element."""
        flat = array.reshape(-1)
        before = self.to_numpy(flat[index]).item()
        flat[index] = before + offset
        value = self.value()
        flat[index] = before
        return value

    def slope(self, array: Array, index: int) -> float:
        """Return ∂φ/∂element by the fourth-order difference (8 [φ(h) - φ(-h)] - [φ(2h) - φ(-2h)]) / 12h."""
        h = self.step
        near = self.at(array, index, h) - self.at(array, index, -h)
        far = self.at(array, index, 2 * h) - self.at(array, index, -2 * h)
        return (8 * near - far) / (12 * h)

    def kink(self, array: Array, index: int, mismatch: float) -> bool:
        """Return whether φ has a corner within reach of the differences.

        At a smooth point, the slopes to the right and to the left differ in proportion to the step; at a corner they do
        not.
        """
        here, steps = self.value(), (2 * self.step, 2 * self.step / 16, 2 * self.step / 256)
        gaps = [abs(self.at(array, index, h) - 2 * here + self.at(array, index, -h)) / h for h in steps]
        smooth = all(4 * small < large < 64 * small for large, small in pairwise(gaps))
        return gaps[0] > 0.25 * mismatch and not smooth

    def gradients(self) -> list[tuple[str, Array, np.ndarray]]:
        """Return the name, the array and the analytic gradient of the input and of every parameter."""
        first, second = self._backward(), self._backward()
        repeated = all(map(self.equal, first, second))
        self.expect(repeated, "a second backward gave different gradients: are they accumulated, not overwritten?")
        layers = self.network.layers
        tensors = [("logits" if isinstance(layers[0], _LossLayer) else "input", self.x)]
        for layer in layers:
            place = f"layer {layer.index} " if len(layers) > 1 else ""
            tensors += [(f"{place}{parameter.name}", parameter.value) for parameter in layer.parameters]
        return [(*tensor, gradient) for tensor, gradient in zip(tensors, first, strict=True)]

    def _backward(self) -> list[np.ndarray]:
        """Return the gradients of the input and of every parameter."""
        cotangent = self.cotangent.copy()
        output, grad_x = self.forward(), self.network.backward(cotangent)
        self.expect(self.equal(self.x, self.given), "a layer writes into x, which it must not change")
        self.expect(self.equal(cotangent, self.cotangent), "a layer writes into grad_y, which it must not change")
        self.expect(self.equal(output, self.output), "forward gave a different output for the same x (use self.random)")
        shapes = [getattr(array, "shape", None) for array in (self.x, grad_x)]
        self.expect(shapes[0] == shapes[1], f"expected an input gradient of shape {shapes[0]}, got {shapes[1]}")
        assert grad_x is not None, "it has a shape"
        parameters = [parameter for layer in self.network.layers for parameter in layer.parameters]
        return [self.to_numpy(grad).copy() for grad in (grad_x, *(parameter.grad for parameter in parameters))]


def _check(network: Network, x: Array, step: float, tolerance: float, limit: int, seed: int) -> list[TensorCheck]:
    """Compare all gradients at the batch `x`."""
    probe = _Probe(network, x, step, np.random.default_rng(seed))
    return [_compare(probe, *tensor, tolerance, limit) for tensor in probe.gradients()]


def _compare(probe: _Probe, name: str, array: Array, analytic: np.ndarray, tolerance: float, limit: int) -> TensorCheck:
    """Compare one gradient, and find the probable cause if it is wrong."""
    size = analytic.size
    chosen = np.arange(size) if size <= limit else np.sort(probe.generator.choice(size, limit, replace=False))
    numeric = np.array([probe.slope(array, int(index)) for index in chosen])
    a = analytic.reshape(-1)[chosen]
    difference = np.where(np.isfinite(a), abs(a - numeric), np.inf)
    # Where all gradients vanish, rounding must not count as an error.
    rounding = max(probe.noise() / tolerance, float(np.finfo("float64").tiny))
    scale = max(abs(a[np.isfinite(a)]).max(initial=0), abs(numeric).max(), rounding)
    worst, cause = int(difference.argmax()), ""
    error = float(difference[worst] / scale)
    if not error <= tolerance:
        wrong = [i for i in np.argsort(-difference)[:EXAMINED] if difference[i] > tolerance * scale]
        if wrong and all(probe.kink(array, int(chosen[i]), difference[i]) for i in wrong):
            cause = KINK
        else:
            shape = analytic.shape if len(chosen) == size else a.shape
            arrays = map(probe.to_numpy, (probe.cotangent, probe.output))
            circumstances = Circumstances(probe.network, array is probe.x, *arrays)
            cause = probable_cause(a.reshape(shape), numeric.reshape(shape), circumstances)
    at = tuple(map(int, np.unravel_index(chosen[worst], analytic.shape)))
    return TensorCheck(name, analytic.shape, len(chosen), error, at, float(a[worst]), float(numeric[worst]), cause)


# The second batch


def _another(array: np.ndarray) -> np.ndarray:
    """Return the samples in reverse order, followed by the first one again."""
    return np.concatenate([array[::-1], array[:1]])


def _check_second_batch(
    used: Network, new: Network, first: list[TensorCheck], x: Array, step: float, limit: int, seed: int
) -> list[TensorCheck]:
    """Return `first`, after replacing the results of tensors whose gradient is wrong at a second batch.

    The `used` network has seen the first batch.  If the new network is right at the second batch and the used one is
    not, its layers keep something from the first.  If the new network is wrong too, so is the gradient, unless the
    batch happens to lie at a kink.
    """
    x = used.backend.asarray(0.75 * _another(used.backend.to_numpy(x)))
    stored = {(layer, name): vars(layer).get(name) for layer in used.layers for name in layer.saved}

    def check(network: Network) -> list[TensorCheck]:
        try:
            return _check(network, x, step, ROUGHLY, limit, seed)
        except (ValueError, IndexError) as error:  # arrays of two batches differ in shape
            return [TensorCheck(first[0].name, x.shape, 0, math.inf, (), math.nan, math.nan, repr(error))]

    checks, tensors = check(used), list(first)
    if not any(tensor.cause for tensor in checks):
        return first
    kept = [f"self.{name} of {layer}" for (layer, name), value in stored.items() if vars(layer).get(name) is value]
    for i, (tensor, alone) in enumerate(zip(checks, check(new), strict=False)):
        if tensor.cause and not alone.cause:
            cause = f"something kept from the first batch is wrong for a second: {' and '.join(kept) or tensor.cause}"
            tensors[i] = replace(tensor, cause=cause)
        elif alone.cause and alone.cause != KINK and math.isfinite(alone.numeric):
            tensors[i] = replace(alone, cause=f"{alone.cause} (at a second batch, of {len(x)} samples)")
    return tensors
