"""`Replay`: steps of full batches, which a backend can record and then replay without running their Python."""

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
    """The steps of full batches, recorded by the network's backend once, and anew when a hyperparameter has changed.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer
    step : callable
        ``step(rows)`` learns from a batch and returns its summed loss, which stays on the device.
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
        """Get ready for the batches of an epoch, of `order` (N,), from batch number `place` on."""
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
        """Learn from the next batch: what is recorded.  Where it stands in the epoch is known to the device alone."""
        assert self.order is not None
        rows = self.order[self.place]
        self.place += 1
        self.total += self.step(rows)

    def _settings(self) -> list[Any]:
        """Return the numbers that a recorded step holds fixed."""
        optimizer = self.optimizer
        arguments = [list(layer.arguments().values()) for layer in self.network.layers]
        return [*arguments, [getattr(optimizer, name) for name in optimizer.arguments]]


def can_replay(network: Network, optimizer: Optimizer, loss: Loss) -> bool:
    """Return whether a step that was taken once can be recorded; log why not, if the backend records at all."""
    if network.backend.record is None:
        return False
    reason = obstacle(network, optimizer, loss)
    if reason is not None:
        _log.info("training: each step runs its Python code, because %s", reason)
    return reason is None


def obstacle(network: Network, optimizer: Optimizer, loss: Loss) -> str | None:
    """Return what keeps a step that was taken once from being recorded, or None."""
    for part in (*network.layers, optimizer, loss):
        if not type(part).__module__.startswith(OWN):
            return f"{type(part).__name__} is not one of the library's own classes, and may do more than launch kernels"
    for layer in network.layers:
        if layer.draws:
            return f"{layer} draws other random numbers in each step"
    return None
