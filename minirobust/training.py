"""`fit`: the loop over epochs and batches, which watches for numbers that are none and saves what it has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy

from data_loaders import Dataset, Split
from minirobust.backend import Array
from minirobust.checkpoint import check_saveable, save
from minirobust.losses import Loss, SoftmaxCrossEntropy
from minirobust.network import Network
from minirobust.optimizers import Optimizer
from minirobust.tracing import trace
from minirobust.validation import check_batch, check_labels, check_seed, positive_int

WATCH = 100  # steps between two looks at the loss: each look stops the device


class NonFiniteError(ArithmeticError):
    """Training met NaN or infinity; the message names epoch, batch and layer."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data gave.

    Attributes
    ----------
    epoch : int
        From 1.
    loss : float
        Mean over the training samples, each at the weights of its own step.
    seconds : float
    """

    epoch: int
    loss: float
    seconds: float


def fit(
    network: Network,
    optimizer: Optimizer,
    data: Dataset | Split | tuple[Any, Any],
    epochs: int,
    batch_size: int = 64,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    *,
    loss: Loss | None = None,
    start: int = 0,
    progress: bool = False,
) -> Iterator[Epoch]:
    """Trains epoch by epoch: a loop over it is the training loop, and nothing happens without one.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer
        Of this very network.
    data : Dataset, Split or (x, y)
        A data set's training split, or float samples (N, *input_shape) with integer labels (N,).
    epochs : int
        The number of the last epoch.
    batch_size : int, default 64
        The last batch of an epoch is smaller if it does not divide.
    seed : int, default 0
        Of the shuffling, which depends on it and the epoch's number alone.
    checkpoint : path, optional
        Where to save network and optimizer after every epoch; an interrupted run leaves the last whole epoch there.
    loss : object with ``value`` and ``gradient``, default `SoftmaxCrossEntropy`
        Averaged over the batch.
    start : int, default 0
        Epochs done already: ``load(path).epoch`` to go on where a checkpoint ended.
    progress : bool, default False
        Shows a bar on a terminal.

    Yields
    ------
    Epoch

    Raises
    ------
    ValueError, TypeError
        At once, if an argument is wrong.
    NonFiniteError
        In the loop, if the loss became NaN or infinite.  The network is left as it was before the step at fault.
    """
    if optimizer.network is not network:
        raise ValueError(
            "fit: expected an optimizer made for this network, got another network's (a moved or copied one is another)"
        )
    network.expect_logits()
    positive_int("fit", "epochs", epochs)
    positive_int("fit", "batch_size", batch_size)
    if not 0 <= start <= epochs:
        raise ValueError(f"fit: expected start from 0 to epochs = {epochs}, got {start}")
    if checkpoint is not None:
        check_saveable(network, optimizer, checkpoint)
    samples = _Samples(network, data)
    loss = SoftmaxCrossEntropy() if loss is None else loss
    run = _Run(network, optimizer, samples, loss, check_seed(seed), batch_size)
    return _epochs(run, start, epochs, checkpoint, progress)


def _epochs(run: _Run, start: int, epochs: int, checkpoint: str | Path | None, progress: bool) -> Iterator[Epoch]:
    for epoch in range(start + 1, epochs + 1):
        begin = perf_counter()
        run.network.training = True
        try:
            # NumPy would warn of the first NaN and go on; the run looks for them itself, and stops.
            with numpy.errstate(all="ignore"):
                mean_loss = run.epoch(epoch, _bar(progress, epoch))
        finally:
            run.network.training = False
            run.network.forget()
        if checkpoint is not None:
            save(checkpoint, run.network, run.optimizer, epoch=epoch)
        yield Epoch(epoch, mean_loss, perf_counter() - begin)


def _bar(shown: bool, epoch: int) -> Callable[[range], Any]:
    """Wraps an epoch's steps in a progress bar that only a terminal shows."""
    if not shown:
        return lambda steps: steps
    from tqdm import tqdm

    return lambda steps: tqdm(steps, desc=f"epoch {epoch}", unit="batch", leave=False, disable=None)


class _Samples:
    """The training data, moved once to the network's backend; bytes stay bytes and become floats batch by batch."""

    def __init__(self, network: Network, data: Dataset | Split | tuple[Any, Any]) -> None:
        split = data.train if isinstance(data, Dataset) else data
        if isinstance(split, Split):
            if split.images.shape[1:] != network.input_shape:
                raise ValueError(f"fit: expected images of shape {network.input_shape}, got {split.images.shape[1:]}")
            if not len(split):
                raise ValueError("fit: expected at least one sample, got an empty split")
            x, y = network.backend.asarray(split.images), split.labels
        else:
            if not isinstance(split, tuple | list) or len(split) != 2:
                raise TypeError(f"fit: expected a Dataset, a Split or (x, y), got {type(split).__name__}")
            x, y = split
            x = check_batch(x, network.input_shape, network.dtype, "fit: x", network.backend)
        self.x = x
        self.y = check_labels(y, (len(x), *network.output_shape), network.backend)
        self.dtype = network.dtype

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, rows: Array) -> tuple[Array, Array]:
        x = self.x[rows]
        return (x if x.dtype.kind == "f" else x.astype(self.dtype) / 255), self.y[rows]


@dataclass
class _Run:
    """One training run: what a step needs, and how to find the step at fault."""

    network: Network
    optimizer: Optimizer
    samples: _Samples
    loss: Loss
    seed: int
    batch_size: int

    def epoch(self, epoch: int, bar: Callable[[range], Any]) -> float:
        """Runs all steps of an epoch; returns the mean loss over its samples."""
        home = self.network.backend
        shuffled = numpy.random.default_rng((self.seed, epoch)).permutation(len(self.samples))
        order = home.asarray(shuffled)
        steps = math.ceil(len(order) / self.batch_size)
        total = self.network.xp.zeros((), dtype="float64")
        before = self._snapshot(0)
        for step in bar(range(steps)):
            total += self._step(order, step)
            if (step + 1) % WATCH == 0 or step + 1 == steps:
                if not self._finite(total):
                    self._name_the_step_at_fault(epoch, order, before)
                before = self._snapshot(step + 1)
        return float(home.to_numpy(total)) / len(order)

    def _step(self, order: Array, step: int) -> Array:
        """One batch: forward, loss, backward, update.  Returns the summed loss, which stays on the device."""
        x, y = self.samples.batch(order[step * self.batch_size : (step + 1) * self.batch_size])
        logits = self.network.forward(x)
        value, gradient = self._loss(logits, y)
        self.network.backward(gradient / len(x), input_gradient=False)
        self.optimizer.step()
        return value.sum()

    def _finite(self, total: Array) -> bool:
        """Whether the losses so far and every parameter are finite, in a single look: 0 · NaN and 0 · inf are NaN."""
        look = total + 0 * self.network.parameters.sum(dtype="float64")
        return bool(numpy.isfinite(self.network.backend.to_numpy(look)))

    def _loss(self, logits: Array, y: Array) -> tuple[Array, Array]:
        if isinstance(self.loss, SoftmaxCrossEntropy):
            return self.loss.value_and_gradient(logits, y)
        return self.loss.value(logits, y), self.loss.gradient(logits, y)

    # When a loss turned out not to be finite, the steps since the last look are run again, one by one, with open eyes.

    def _snapshot(self, step: int) -> _Snapshot:
        state = {
            name: value.copy() if hasattr(value, "copy") else value for name, value in self.optimizer.state().items()
        }
        draws = [layer.draws for layer in self.network.layers]
        return _Snapshot(step, self.network.parameters.copy(), state, draws)

    def _restore(self, snapshot: _Snapshot) -> None:
        self.network.parameters[...] = snapshot.parameters
        self.optimizer.load_state(snapshot.optimizer)
        for layer, draws in zip(self.network.layers, snapshot.draws, strict=True):
            layer.draws = draws

    def _name_the_step_at_fault(self, epoch: int, order: Array, before: _Snapshot) -> None:
        """Raises NonFiniteError, with the network as it was before the step at fault."""
        self._restore(before)
        for step in range(before.step, math.ceil(len(order) / self.batch_size)):
            begin = self._snapshot(step)
            with trace(self.network) as record:
                loss = self._step(order, step)
            loss = self.network.backend.to_numpy(loss)
            parameters = self.network.backend.to_numpy(self.network.parameters)
            if numpy.isfinite(loss) and numpy.isfinite(parameters).all():
                continue
            self._restore(begin)
            cause = record.origin() or (
                f"the loss is {loss}" if not numpy.isfinite(loss) else "the optimizer's step overflowed"
            )
            raise NonFiniteError(f"epoch {epoch}, batch {step + 1}: {cause}")
        raise NonFiniteError(f"epoch {epoch}: the loss is not finite, but was when the steps were run again")


@dataclass(frozen=True)
class _Snapshot:
    """All that a step changes, before step number `step` of an epoch."""

    step: int
    parameters: Array
    optimizer: dict[str, Any]
    draws: list[int]
