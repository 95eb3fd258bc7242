"""`trace`: what went through every layer, forward and back, as a table; and where the first NaN was born."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy

from minirobust.backend import Array
from minirobust.layers import Layer
from minirobust.network import Network


@dataclass(frozen=True)
class Row:
    """The statistics of one array at one layer.

    Attributes
    ----------
    layer : int
    label : str
        The layer's place and constructor call.
    what : str
        "output", "∂L/∂output", "∂L/∂" and a parameter's name, or, at the first layer, "∂L/∂input".
    shape : tuple of int
    minimum, maximum, mean, std : float
        Over the finite values; NaN if there are none.
    zeros, nonfinite : float
        Shares in [0, 1].
    """

    layer: int
    label: str
    what: str
    shape: tuple[int, ...]
    minimum: float
    maximum: float
    mean: float
    std: float
    zeros: float
    nonfinite: float


def trace(network: Network) -> Trace:
    """A context that records every pass through `network` inside it.

    Between entering and leaving, each layer's three methods are wrapped; outside, nothing stands between a caller and
    the arithmetic.  Every array is looked at on the host: this is for finding out, not for speed.

    Examples
    --------
    >>> import numpy, minirobust as mr
    >>> net = mr.Network([mr.Dense(3), mr.Tanh(), mr.Dense(2)], input_shape=(4,))
    >>> with mr.trace(net) as record:
    ...     logits = net.forward(numpy.ones((5, 4)))
    >>> [row.shape for row in record.rows]
    [(5, 3), (5, 3), (5, 2)]
    """
    return Trace(network)


class Trace:
    """What `trace` recorded.

    Attributes
    ----------
    rows : list of Row
        In the order in which the arrays came to be.
    """

    def __init__(self, network: Network) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"trace: expected a Network, got {type(network).__name__}")
        self.network = network
        self.rows: list[Row] = []
        self._origin: str | None = None
        self._last_gradient: tuple[Layer, Array] | None = None

    def __enter__(self) -> Trace:
        if any("forward" in vars(layer) for layer in self.network.layers):
            raise RuntimeError("trace: this network is being traced already")
        for layer in self.network.layers:
            for name, watch in self._watches(layer).items():
                setattr(layer, name, watch)
            layer.keep(self._watches(layer))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for layer in self.network.layers:
            for name in self._watches(layer):
                delattr(layer, name)

    def _watches(self, layer: Layer) -> dict[str, Callable[[Array], Any]]:
        """The layer's methods, each with a look at what it takes and makes."""
        plain = type(layer)

        def forward(x: Array) -> Array:
            y = plain.forward(layer, x)
            self._record(layer, "output", y)
            return y

        def parameter_gradients(grad_y: Array) -> None:
            self._record_gradient(layer, grad_y)
            plain.parameter_gradients(layer, grad_y)
            for parameter in layer.parameters:
                self._record(layer, f"∂L/∂{parameter.name}", parameter.grad)

        def input_gradient(grad_y: Array) -> Array:
            self._record_gradient(layer, grad_y)
            grad_x = plain.input_gradient(layer, grad_y)
            if layer.index == 0:
                self._record(layer, "∂L/∂input", grad_x)
            else:  # the layer below will record it as its own ∂L/∂output, but it was made here
                self._suspect(layer, "∂L/∂input", _statistics(self._home(grad_x)))
            return grad_x

        return {
            "forward": forward,
            "parameter_gradients": parameter_gradients,
            "input_gradient": input_gradient,
        }

    def _home(self, array: Array) -> numpy.ndarray:
        return self.network.backend.to_numpy(array)

    def _record(self, layer: Layer, what: str, array: Array) -> None:
        statistics = _statistics(self._home(array))
        self.rows.append(Row(layer.index, str(layer), what, tuple(array.shape), **statistics))
        self._suspect(layer, what, statistics)

    def _record_gradient(self, layer: Layer, grad_y: Array) -> None:
        """Records ∂L/∂output once, though two methods are handed it."""
        last_layer, last_gradient = self._last_gradient or (None, None)
        if last_layer is not layer or last_gradient is not grad_y:
            self._last_gradient = layer, grad_y
            self._record(layer, "∂L/∂output", grad_y)

    def _suspect(self, layer: Layer, what: str, statistics: dict[str, float]) -> None:
        """Remembers the first array that is not finite throughout, and what might have made it so."""
        if self._origin is not None or not statistics["nonfinite"]:
            return
        broken = [p.name for p in layer.parameters if not numpy.isfinite(self._home(p.value)).all()]
        reason = f"; its parameter {broken[0]} is not finite either" if broken else ""
        if what == "∂L/∂output":
            reason = "; it came so from the loss or the caller"
        self._origin = (
            f"{layer}: {what} is the first with NaN or infinity, in {statistics['nonfinite']:.2%} of its values{reason}"
        )

    def origin(self) -> str | None:
        """Where the first NaN or infinity was born, in one sentence; None if everything was finite."""
        return self._origin

    def table(self) -> str:
        """The rows of the last pass of each kind, as a table."""
        last = {(row.layer, row.what): row for row in self.rows}
        header: tuple[str, ...] = ("layer", "what", "shape", "min", "max", "mean", "std", "zeros", "non-finite")
        cells = [header]
        for row in sorted(last.values(), key=lambda row: row.layer):
            numbers = [f"{n:.3g}" for n in (row.minimum, row.maximum, row.mean, row.std)]
            shares = [f"{share:.1%}" for share in (row.zeros, row.nonfinite)]
            cells.append((row.label, row.what, str(row.shape), *numbers, *shares))
        widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
        lines = [
            "  ".join(
                f"{cell:<{w}}" if c < 3 else f"{cell:>{w}}"
                for c, (cell, w) in enumerate(zip(line, widths, strict=True))
            )
            for line in cells
        ]
        lines.insert(1, "-" * len(lines[0]))
        return "\n".join(lines)

    def __str__(self) -> str:
        origin = self.origin()
        return self.table() + (f"\n{origin}" if origin else "")


def _statistics(array: numpy.ndarray) -> dict[str, float]:
    """The numbers of a `Row`, in float64 so that a sum cannot overflow."""
    finite = numpy.isfinite(array)
    values = array[finite].astype("float64")
    nothing = not values.size
    return {
        "minimum": math.nan if nothing else float(values.min()),
        "maximum": math.nan if nothing else float(values.max()),
        "mean": math.nan if nothing else float(values.mean()),
        "std": math.nan if nothing else float(values.std()),
        "zeros": float((array == 0).mean()),
        "nonfinite": float(1 - finite.mean()),
    }
