"""How training handles NaN and infinity: check for them at intervals, and repeat the steps since the last check.

The repeated steps run one by one under `trace`, which names the layer, and without the scale of the loss gradient,
which may have made a large gradient overflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minirobust.backend import Array
from minirobust.gradients.trace import trace
from minirobust.network import Network
from minirobust.nonfinite import NonFiniteError
from minirobust.optimizers import Optimizer


@dataclass(frozen=True)
class Snapshot:
    """A copy of everything that a step changes, made before step number `step` of an epoch."""

    network: Network
    optimizer: Optimizer
    step: int
    total: Array
    parameters: Array
    buffers: Array
    state: dict[str, Any]
    draws: list[int]

    @classmethod
    def of(cls, network: Network, optimizer: Optimizer, step: int, total: Array) -> Snapshot:
        """Take a snapshot; `total` is the sum of the losses so far."""
        state = {"t": optimizer.t.copy()} | {name: array.copy() for name, array in optimizer.averages.items()}
        total, parameters, buffers = (array.copy() for array in (total, network.parameters, network.buffers))
        draws = [layer.draws for layer in network.layers]
        return cls(network, optimizer, step, total, parameters, buffers, state, draws)

    def restore(self) -> None:
        """Undo the steps since the snapshot."""
        self.network.parameters, self.network.buffers = self.parameters, self.buffers
        self.optimizer.load_state(self.state)
        for layer, draws in zip(self.network.layers, self.draws, strict=True):
            layer.draws = draws


def is_finite(network: Network, optimizer: Optimizer, total: Array) -> bool:
    """Return whether everything that a step changes is finite, in a single read: 0 · NaN and 0 · inf are NaN."""
    arrays = network.parameters, *optimizer.averages.values()
    look = total + 0 * sum(array.sum(dtype="float64") for array in arrays)
    return math.isfinite(network.backend.to_numpy(look))


def repeat(step: Callable[[Array], Array], batches: Sequence[Array], before: Snapshot, epoch: int) -> Array:
    """Repeat the steps since a snapshot; return the sum of the losses.

    Raises
    ------
    NonFiniteError
        At the first step that gives a value that is not finite; the network is then as it was before that step.
    """
    network, optimizer, total = before.network, before.optimizer, before.total.copy()
    before.restore()
    for number, rows in enumerate(batches[before.step :], start=before.step):
        begin = Snapshot.of(network, optimizer, number, total)
        with trace(network) as record:
            loss = step(rows)
        total += loss
        if not is_finite(network, optimizer, total):
            begin.restore()
            value = float(network.backend.to_numpy(loss))
            broken = "the optimizer's step overflowed" if math.isfinite(value) else f"the loss is {value}"
            raise NonFiniteError(f"epoch {epoch}, batch {number + 1}: {record.origin() or broken}")
    return total
