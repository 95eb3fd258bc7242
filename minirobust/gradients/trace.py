"""`trace`: a table of what passed through every layer, forward and backward, and the origin of the first NaN."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from minirobust.backend import Array
from minirobust.layers import Layer
from minirobust.network import Network
from minirobust.tables import html_table, table


@dataclass(frozen=True)
class Row:
    """The statistics of one array at one layer.

    Attributes
    ----------
    layer : int
    label : str
        The layer's index and constructor call.
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
    """Return a context that records every pass through `network` inside it: training, predictions and attacks.

    Inside the context, each layer's three methods also record their arguments and results; outside, layers run as
    usual.  Every array is copied to the host, so use this to find errors, not when speed matters.

    Parameters
    ----------
    network : Network

    Returns
    -------
    Trace
        A context manager that holds the record, inside the block and after it.

    Examples
    --------
    >>> import numpy as np, minirobust as mr
    >>> net = mr.Network([mr.Dense(3), mr.Tanh(), mr.Dense(2)], input_shape=(4,))
    >>> with mr.trace(net) as record:
    ...     logits = net.forward(np.ones((5, 4)))
    >>> [row.shape for row in record.rows]
    [(5, 3), (5, 3), (5, 2)]
    """
    return Trace(network)


class Trace:
    """The record of `trace`.

    Attributes
    ----------
    rows : list of Row
        In the order in which the arrays were computed.
    """

    def __init__(self, network: Network) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"trace: expected a Network, got {type(network).__name__}")
        self.network = network
        self.rows: list[Row] = []
        self._origin: str | None = None
        self._last_gradient: tuple[Layer, Array] | None = None

    def __enter__(self) -> Trace:
        if any(hasattr(layer, "record") for layer in self.network.layers):
            raise RuntimeError("trace: this network is being traced already")
        for layer in self.network.layers:
            layer.__class__ = _recording(type(layer), self)
        self.network.loss_scale = 1.0  # so that the true gradients are recorded
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for layer in self.network.layers:
            layer.__class__ = type(layer).__bases__[0]
        self.network.loss_scale = self.network.backend.loss_scale

    def to_numpy(self, array: Array) -> np.ndarray:
        """Return an array of the network's backend on the host."""
        return self.network.backend.to_numpy(array)

    def add(self, layer: Layer, what: str, array: Array) -> None:
        """Record one array, and remember it if it is the first that is not finite."""
        statistics = _statistics(self.to_numpy(array))
        self.rows.append(Row(layer.index, str(layer), what, tuple(array.shape), **statistics))
        self.suspect(layer, what, statistics)

    def add_output_gradient(self, layer: Layer, grad_y: Array) -> None:
        """Record ∂L/∂output once, although two methods receive it."""
        last_layer, last_gradient = self._last_gradient or (None, None)
        if last_layer is not layer or last_gradient is not grad_y:
            self._last_gradient = layer, grad_y
            self.add(layer, "∂L/∂output", grad_y)

    def suspect(self, layer: Layer, what: str, statistics: dict[str, float]) -> None:
        """Remember the first array with a value that is not finite, and the likely cause."""
        if self._origin is not None or not statistics["nonfinite"]:
            return
        broken = [p.name for p in layer.parameters if not np.isfinite(self.to_numpy(p.value)).all()]
        reason = f"; its parameter {broken[0]} is not finite either" if broken else ""
        if what == "∂L/∂output":
            reason = "; it came from the loss or the caller"
        self._origin = (
            f"{layer}: {what} is the first with NaN or infinity, in {statistics['nonfinite']:.2%} of its values{reason}"
        )

    def origin(self) -> str | None:
        """Return in one sentence where the first NaN or infinity arose; None if everything was finite."""
        return self._origin

    def table(self) -> str:
        """Return the rows of the last pass of each kind as a table."""
        return table(self._cells(), left=3, rules=(1,))

    def _cells(self) -> list[tuple[str, ...]]:
        """Return the cells of `table`."""
        last = {(row.layer, row.what): row for row in self.rows}
        header: tuple[str, ...] = ("layer", "what", "shape", "min", "max", "mean", "std", "zeros", "non-finite")
        cells = [header]
        for row in sorted(last.values(), key=lambda row: row.layer):
            numbers = [f"{n:.3g}" for n in (row.minimum, row.maximum, row.mean, row.std)]
            shares = [f"{share:.1%}" for share in (row.zeros, row.nonfinite)]
            cells.append((row.label, row.what, str(row.shape), *numbers, *shares))
        return cells

    def _repr_html_(self) -> str:
        return html_table(self._cells(), left=3, rules=(1,), caption=self.origin() or "every number is finite")

    def __str__(self) -> str:
        origin = self.origin()
        return self.table() + (f"\n{origin}" if origin else "")


def _recording(kind: type[Layer], record: Trace) -> type[Layer]:
    """Return a subclass of a layer's class whose methods also record their arguments and results.

    During a trace, it is the class of the layer and of all its views; their attributes do not change.
    """

    class Recording(kind):  # type: ignore[valid-type, misc]
        def forward(self, x: Array) -> Array:
            y = super().forward(x)
            if hasattr(y, "shape"):
                self.record.add(self, "output", y)
            return y

        def parameter_gradients(self, grad_y: Array) -> None:
            self.record.add_output_gradient(self, grad_y)
            super().parameter_gradients(grad_y)
            for parameter in self.parameters:
                self.record.add(self, f"∂L/∂{parameter.name}", parameter.grad)

        def input_gradient(self, grad_y: Array) -> Array:
            self.record.add_output_gradient(self, grad_y)
            grad_x = super().input_gradient(grad_y)
            if self.index == 0:
                self.record.add(self, "∂L/∂input", grad_x)
            else:  # the layer below will record it as its own ∂L/∂output, but it was computed here
                self.record.suspect(self, "∂L/∂input", _statistics(self.record.to_numpy(grad_x)))
            return grad_x

        def fresh(self) -> Layer:
            return kind(**self.arguments())  # a copy is not traced

    Recording.__name__ = kind.__name__
    Recording.__module__, Recording.__qualname__ = kind.__module__, kind.__qualname__
    Recording.record, Recording.recorded_class = record, kind
    return Recording


def _statistics(array: np.ndarray) -> dict[str, float]:
    """Return the numbers of a `Row`, in float64 so that a sum cannot overflow."""
    finite = np.isfinite(array)
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
