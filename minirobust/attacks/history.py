"""`History`: an attack's mean loss at each of its iterates, and the share of samples fooled by then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from minirobust.backend import Array
from minirobust.model import Model

# Takes the positions of samples in an attack's batch, their losses, and which of them are not done.
Note = Callable[[Array, Array, Array], None]


@dataclass(frozen=True)
class History:
    """The progress of an attack at each of its iterates: those of the first start, then those of the second, and so on.

    Attributes
    ----------
    loss : ndarray of float, shape (iterates,)
        Mean over all samples.  A sample that is done keeps its last loss.
    fooled : ndarray of float, shape (iterates,)
        Share of the samples that are done: fooled or, if the attack aims at one class, classified as that class.
        Always 0 for an attack that does not stop early.
    """

    loss: np.ndarray
    fooled: np.ndarray


class Recorder:
    """Record losses and successes while an attack works through its chunks.

    Parameters
    ----------
    model : Model
    samples : int
        Number of samples in all chunks.
    """

    def __init__(self, model: Model, samples: int) -> None:
        self.model, self.samples = model, samples
        self.chunk, self.iterates = slice(0, 0), 0
        self.losses: list[np.ndarray] = []  # one array of all samples per iterate; NaN once a sample is done
        self.done: list[np.ndarray] = []

    def at(self, chunk: slice, which: Any) -> Note:
        """Return a function that records one iterate of some samples of a chunk."""
        positions = self.model.xp.arange(chunk.start, chunk.stop)[which]
        if chunk != self.chunk:
            self.chunk, self.iterates = chunk, 0

        def note(standing: Array, losses: Array, left: Array) -> None:
            if self.iterates == len(self.losses):
                self.losses.append(np.full(self.samples, np.nan))
                self.done.append(np.zeros(self.samples, dtype=bool))
            to_numpy, places = self.model.backend.to_numpy, positions[standing]
            self.losses[self.iterates][to_numpy(places)] = to_numpy(losses)
            self.done[self.iterates][to_numpy(places)] = True
            self.done[self.iterates][to_numpy(places[left])] = False
            self.iterates += 1

        return note

    def history(self) -> History:
        """Return the means over all samples, each of which keeps its last loss once it is done."""
        losses, done = np.array(self.losses), np.logical_or.accumulate(self.done)
        for before, now in pairwise(losses):
            now[...] = np.where(np.isnan(now), before, now)
        return History(losses.mean(axis=1), done.mean(axis=1))


def unrecorded(standing: Array, losses: Array, left: Array) -> None:
    """Record nothing, for an attack without a history."""
