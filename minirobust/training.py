"""Training: `fit` trains a network, and `epochs` is the loop that it runs.

The loop watches for NaN and infinity, and can save a checkpoint after every epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from minirobust.backend import Array
from minirobust.cores import warn_of_busy_cores
from minirobust.losses import Loss, SoftmaxCrossEntropy, evaluate
from minirobust.network import Network
from minirobust.optimizers import Optimizer
from minirobust.progress import progress_bar
from minirobust.replay import Replay, can_replay
from minirobust.samples import Samples
from minirobust.saving.checkpoint import check_saveable, save
from minirobust.tables import html_table
from minirobust.validation import check_run, check_seed
from minirobust.watch import Snapshot, is_finite, repeat

WATCH = 100  # steps between two checks of the loss, each of which stalls the device


@dataclass(frozen=True)
class Epoch:
    """The record of one pass over the training data.

    Attributes
    ----------
    epoch : int
        Number of the epoch, from 1.
    loss : float
        Mean over the training samples, each with the weights at its own step.
    seconds : float
    """

    epoch: int
    loss: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary."""
        return asdict(self)


class History(list[Epoch]):
    """The records of all epochs: a list, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        rows = [("epoch", "loss", "seconds")]
        rows += [(f"{record.epoch}", f"{record.loss:.4f}", f"{record.seconds:.1f}") for record in self]
        return html_table(rows, left=0, rules=(1,))


def epochs(
    network: Network,
    optimizer: Optimizer,
    data: Any,
    epochs: int,
    batch_size: int = 64,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    *,
    loss: Loss | None = None,
    start: int = 0,
    progress: bool = False,
) -> Iterator[Epoch]:
    """Train one epoch per iteration of a loop, which can measure or change the learning rate in between.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer
        An optimizer made for this network.
    data : Dataset, Split or (x, y)
        A data set's training split, or float samples (N, *input_shape) with integer labels (N,).
    epochs : int
        The number of the last epoch.
    batch_size : int, default 64
        The last batch of an epoch is smaller if the number of samples is not a multiple of it.
    seed : int, default 0
        Seed of the shuffling, which depends only on the seed and on the number of the epoch.
    checkpoint : path, optional
        Where to save network and optimizer after every epoch; after an interruption, it contains the last full epoch.
    loss : object with ``value_and_gradient(logits, y)``, default `SoftmaxCrossEntropy`
        Averaged over the batch.
    start : int, default 0
        Number of epochs trained already: ``load(path).epoch`` to continue from a checkpoint.
    progress : bool, default False
        Whether to show a progress bar in a terminal.

    Yields
    ------
    Epoch

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong, before the loop begins.
    NonFiniteError
        In the loop, if the loss becomes NaN or infinite.  The network is then as it was before the faulty step.
    """
    check_run(network, optimizer, epochs, batch_size, start)
    loss = SoftmaxCrossEntropy() if loss is None else loss
    network.expect_logits(loss)
    if checkpoint is not None:
        check_saveable(network, optimizer, checkpoint)
    warn_of_busy_cores(network.backend)
    run = _Run(network, optimizer, Samples(network, data), loss, check_seed(seed), batch_size, checkpoint)
    return run.epochs(start, epochs, progress)


_epochs = epochs  # under a name that the argument of `fit` does not hide


def fit(
    network: Network,
    optimizer: Optimizer,
    data: Any,
    epochs: int,
    batch_size: int = 64,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    *,
    loss: Loss | None = None,
    start: int = 0,
    progress: bool = True,
) -> History:
    """Train a network, and return the history.

    Parameters
    ----------
    network, optimizer, data, epochs, batch_size, seed, checkpoint, loss, start
        See `minirobust.epochs`.
    progress : bool, default True
        Whether to show a progress bar in a terminal.

    Returns
    -------
    History
        A list with one record for each epoch; ``pandas.DataFrame(history)`` makes a table of it.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong, before training.
    NonFiniteError
        If the loss becomes NaN or infinite.  The network is then as it was before the faulty step.

    Examples
    --------
    >>> import numpy as np, minirobust as mr
    >>> net = mr.Network([mr.Dense(2)], input_shape=(3,))
    >>> x, y = np.eye(3, dtype="float32"), np.array([0, 1, 1])
    >>> history = mr.fit(net, mr.Adam(net, lr=0.1), (x, y), epochs=20, progress=False)
    >>> history[-1].loss < history[0].loss
    True
    """
    arguments = network, optimizer, data, epochs, batch_size, seed, checkpoint
    return History(_epochs(*arguments, loss=loss, start=start, progress=progress))


@dataclass
class _Run:
    """A training run: everything that a step needs."""

    network: Network
    optimizer: Optimizer
    samples: Samples
    loss: Loss
    seed: int
    batch_size: int
    checkpoint: str | Path | None
    overflowed: bool = False  # whether the scale made a gradient overflow
    replay: Replay | None = None  # steps of full batches, if the first has shown that they can be recorded
    started: bool = False

    def __post_init__(self) -> None:
        self.total = self.network.xp.zeros((), dtype="float64")  # sum of the epoch's losses

    @property
    def scale(self) -> float:
        """The factor of the loss gradient in the backward pass."""
        return 1.0 if self.overflowed else self.network.loss_scale

    def epochs(self, start: int, stop: int, progress: bool) -> Iterator[Epoch]:
        for epoch in range(start + 1, stop + 1):
            begin = perf_counter()
            self.network.training = True
            try:
                # NumPy would only warn of the first NaN; the run looks for NaN itself, and stops.
                with np.errstate(all="ignore"):
                    mean_loss = self.epoch(epoch, progress)
            finally:
                self.network.training = False
            if self.checkpoint is not None:
                save(self.checkpoint, self.network, self.optimizer, epoch=epoch)
            yield Epoch(epoch, mean_loss, perf_counter() - begin)

    def epoch(self, epoch: int, progress: bool) -> float:
        """Run all steps of an epoch; return the mean loss over its samples."""
        order, batches = self.samples.shuffled(self.batch_size, self.seed, epoch)
        total = self.total
        total[...] = 0
        if self.replay is not None:
            self.replay.begin(order, self.batch_size)
        before = Snapshot.of(self.network, self.optimizer, 0, total)
        with progress_bar(len(self.samples.y), f"epoch {epoch}", shown=progress) as bar:
            for step, rows in enumerate(batches, start=1):
                if self.replay is not None and len(rows) == self.batch_size:
                    self.replay.take()
                else:
                    total += self.step(rows)
                bar.advance(len(rows))
                if not self.started:
                    self.after_the_first(order)
                if step % WATCH == 0 or step == len(batches):
                    if not is_finite(self.network, self.optimizer, total):
                        self.overflowed = True
                        total[...] = repeat(self.step, batches[:step], before, epoch)
                    before = Snapshot.of(self.network, self.optimizer, step, total)
        if self.scale != 1 and self.optimizer.divides_by_scale:
            self.network.gradients *= 1 / self.scale  # users may read them, so they must be the true ones
        return float(self.network.backend.to_numpy(total)) / len(self.samples.y)

    def after_the_first(self, order: Array) -> None:
        """Check what only the first step of the run can show."""
        self.started = True
        if self.checkpoint is not None:
            check_saveable(self.network, self.optimizer, self.checkpoint)  # an undeclared attribute may appear only now
        if can_replay(self.network, self.optimizer, self.loss):
            self.replay = Replay(self.network, self.optimizer, self.step, self.total)
            self.replay.begin(order, self.batch_size, place=1)

    def step(self, rows: Array) -> Array:
        """Train on one batch: forward, loss, backward, update.  Return the summed loss, which stays on the device."""
        x, y = self.samples.batch(rows)
        logits = self.network.run(x)
        value, gradient = evaluate(self.loss, self.network.backend, logits, y)
        self.network.backward(gradient / (len(x) / self.scale), input_gradient=False)
        self.optimizer.step(self.scale)
        return value.sum()
