"""`Replay`: training steps of full batches, which a backend can record and replay without running their Python code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from minirobust.arguments import same
from minirobust.backend import Array
from minirobust.losses import Loss
from minirobust.network import Network
from minirobust.optimizers import Optimizer

OWN = ("minirobust.layers", "minirobust.losses", "minirobust.optimizers")  # whose Python code only launches kernels

_log = logging.getLogger("minirobust")


class Replay:
    """Training steps of full batches, which the backend records once, and again after a hyperparameter has changed.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer
    step : callable
        ``step(rows)`` trains on a batch and returns its summed loss, which stays on the device.
    total : ndarray of shape ()
        On the device; each step adds its loss.
    """

    def __init__(self, network: Network, optimizer: Optimizer, step: Callable[[Array], Array], total: Array) -> None:
        self.network, self.optimizer, self.step, self.total = network, optimizer, step, total
        self.place = network.xp.zeros((), dtype="int64")
        self.order: Array | None = None
        self.recording: Any = None
        self.settings: list[Any] = []

    def begin(self, order: Array, batch_size: int, place: int = 0) -> None:
        """Prepare for the batches of an epoch, in the given order, (N,), starting with batch number `place`."""
        full = len(order) // batch_size
        order = order[: full * batch_size].reshape(full, batch_size)
        if self.order is None:
            self.order = order.copy()
        self.order[...] = order
        self.place[...] = place
        settings = self._settings()
        if self.recording is None or not same(settings, self.settings):
            self.recording = self.network.backend.record(self.network, self._next)
            self.settings = settings

    def take(self) -> None:
        """Take the next step."""
        self.recording.take()

    def _next(self) -> None:
        """Train on the next batch.  This is what is recorded, so only the device knows the position in the epoch."""
        assert self.order is not None
        rows = self.order[self.place]
        self.place += 1
        self.total += self.step(rows)

    def _settings(self) -> list[Any]:
        """Return the numbers that are fixed in a recorded step."""
        optimizer = self.optimizer
        arguments = [list(layer.arguments().values()) for layer in self.network.layers]
        return [*arguments, [getattr(optimizer, name) for name in optimizer.arguments]]


def can_replay(network: Network, optimizer: Optimizer, loss: Loss) -> bool:
    """Return whether a step can be recorded after it was taken once; if the backend can record, log why not."""
    if network.backend.record is None:
        return False
    reason = obstacle(network, optimizer, loss)
    if reason is not None:
        _log.info("training: each step runs its Python code, because %s", reason)
    return reason is None


def obstacle(network: Network, optimizer: Optimizer, loss: Loss) -> str | None:
    """Return the reason why a step cannot be recorded after it was taken once, or None."""
    for part in (*network.layers, optimizer, loss):
        if not type(part).__module__.startswith(OWN):
            return f"{type(part).__name__} is not one of the library's own classes, and may do more than launch kernels"
    for layer in network.layers:
        if layer.draws:
            return f"{layer} draws different random numbers in each step"
    return None
