"""Random models: how to recognize one, and how to evaluate an attack on it by a vote over unseen draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from minirobust.attacks.attack import as_model
from minirobust.backend import Array
from minirobust.losses import Loss
from minirobust.model import Effort, Model, Wrapper
from minirobust.validation import positive_int

FRESH = 10**6  # the first draw that votes; no attack uses that many draws


def is_random(model: Any, x: Array) -> bool:
    """Return whether a model gives different logits for draws 0 and 1.

    Parameters
    ----------
    model : Network or Model
    x : ndarray of shape (N, *input_shape)
        One chunk, on the model's backend.
    """
    model = as_model(model)
    first, second = (model.backend.to_numpy(model.logits(x, draw)) for draw in (0, 1))
    return not np.array_equal(first, second, equal_nan=True)


def voting(model: Any, draws: int = 25) -> Model:
    """Return a random model whose prediction is the most frequent class over several draws.

    Logits and gradients are those of a single draw.  An attack on this model should average its gradient over draws and
    take all its steps: ``pgd(voting(model), x, y, starts=1, gradients=expectation(), stop=False)``.  The images are
    then evaluated once, by a vote over draws that the attack has not seen (Athalye et al., 2018).

    Parameters
    ----------
    model : Network or Model
    draws : int, default 25
        Number of draws that vote.  If several classes are equally frequent, the first one wins.

    Returns
    -------
    Model
    """
    return Voting(as_model(model), positive_int("voting", "draws", draws))


class Voting(Wrapper):
    """See `voting`."""

    def __init__(self, model: Model, draws: int) -> None:
        super().__init__(model, Effort())
        self.draws = range(FRESH, FRESH + draws)

    def logits(self, x: Array, draw: int = 0) -> Array:
        """Return the logits of one draw."""
        self.effort.queries += len(x)
        return self.model.logits(x, draw)

    def gradient(
        self, x: Array, y: Array, loss: Loss, target: Array | None = None, draw: int = 0
    ) -> tuple[Array, Array, Array]:
        """Return logits, losses and ∂L/∂x of one draw."""
        self.effort.queries += len(x)
        self.effort.gradients += len(x)
        return self.model.gradient(x, y, loss, target, draw)

    def predict(self, x: Array, draw: int = 0) -> Array:
        """Return the class predicted by most draws, whatever `draw` is; -1 if most draws have non-finite logits."""
        classes = self.xp.arange(-1, self.classes)
        votes: Any = sum(Model.predict(self, x, fresh)[:, None] == classes for fresh in self.draws)
        return classes[votes.argmax(axis=1)]
