"""`Battery`: which attacks an audit runs within one ε, and how much they may compute."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from minirobust import backend
from minirobust.attacks import Attack, annealed, apgd, averaged, expectation, fgsm, pgd, square
from minirobust.attacks.surrogates import Gradients
from minirobust.backend import Array
from minirobust.losses import Margin, ScaleFree, SoftmaxCrossEntropy
from minirobust.model import Model
from minirobust.stack import Evaluation

LOSSES = (SoftmaxCrossEntropy(), Margin())
LEAST_QUERIES = 2000  # of Square, where the gradient of a sample is zero and no other attack moves it
DRAWS = 10  # of a random model, in each step

Attacker = Callable[[Any, Array, Array], Attack]


@dataclass(frozen=True)
class Budget:
    """How much an audit may compute.

    Attributes
    ----------
    steps : int
        S, the steps of PGD, which then runs again with 2 S. APGD takes 2 S steps, and S towards each target.
    starts : int
        Of PGD.
    queries : int
        Of Square.
    draws : int
        Of noise, in each step of an attack whose gradient is averaged.
    pixel_work : int
        Of the brute-force pixel: samples × candidates for each × numbers that the activations of one take.
    """

    steps: int
    starts: int
    queries: int
    draws: int
    pixel_work: int


BUDGETS = {
    "quick": Budget(steps=20, starts=2, queries=300, draws=50, pixel_work=10**10),
    "full": Budget(steps=100, starts=5, queries=5000, draws=50, pixel_work=10**11),
}


@dataclass(frozen=True)
class Battery:
    """The attacks of an audit within one ε. Each takes a model, images and labels.

    Attributes
    ----------
    epsilon : float
    budget : Budget
    seed : int
    random : bool
        Whether the model is random. Its gradient is then averaged over draws, and attacks do not stop at a lucky one.
    progress : bool
    """

    epsilon: float
    budget: Budget
    seed: int = 0
    random: bool = False
    progress: bool = False

    def fgsm(self, epsilon: float) -> Attacker:
        """Return FGSM with any ε."""
        return partial(fgsm, epsilon=epsilon, gradients=expectation(DRAWS) if self.random else None)

    def pgd(self, steps: int) -> list[Attacker]:
        """Return PGD on cross entropy and on the margin."""
        climb = partial(pgd, epsilon=self.epsilon, steps=steps, seed=self.seed, progress=self.progress)
        if self.random:
            climb = partial(climb, starts=1, gradients=expectation(DRAWS), stop=False)
        else:
            climb = partial(climb, starts=self.budget.starts)
        return [partial(climb, loss=loss) for loss in LOSSES]

    def apgd(self, model: Model, gradients: Gradients | None = None, starts: int = 1) -> list[Attacker]:
        """Return APGD on cross entropy, margin and scale-free cross entropy, and on the margin towards each class."""
        climb = partial(apgd, epsilon=self.epsilon, starts=starts, gradients=gradients)
        climb = partial(climb, seed=self.seed, progress=self.progress)
        losses = [loss for loss in (*LOSSES, ScaleFree()) if loss.least_classes <= model.classes]
        free = [partial(climb, steps=2 * self.budget.steps, loss=loss) for loss in losses]
        return [*free, partial(climb, steps=self.budget.steps, loss=Margin(), target="all")]

    def smoothed(self, model: Model) -> tuple[list[Attacker], list[Attacker]]:
        """Return attacks along a smoothed gradient, and a restart along the true one that costs as much."""
        if isinstance(model, Evaluation):
            return self.apgd(model, annealed()), self.apgd(model, starts=2)  # the second start is new
        draws, sigmas = self.budget.draws, (self.epsilon, 2 * self.epsilon)
        climb = partial(pgd, epsilon=self.epsilon, steps=self.budget.steps, loss=Margin(), progress=self.progress)
        noisy: list[Attacker] = [
            partial(climb, starts=1, gradients=averaged(sigma, draws, self.seed)) for sigma in sigmas
        ]
        return noisy, [partial(climb, starts=len(sigmas) * draws, seed=self.seed + 1)]

    def transferred(self) -> list[Attacker]:
        """Return the attacks on the sources: one step, and all steps, beyond the source's boundary."""
        climb = partial(pgd, epsilon=self.epsilon, steps=2 * self.budget.steps, starts=1, stop=False)
        return [partial(fgsm, epsilon=self.epsilon), *(partial(climb, loss=loss) for loss in LOSSES)]

    def square(self, queries: int) -> Attacker:
        """Return Square with a number of queries."""
        return partial(square, epsilon=self.epsilon, queries=queries, seed=self.seed, progress=self.progress)


def fooled_by(attack: Attack) -> np.ndarray:
    """Return which samples an attack fooled, on the host."""
    return backend.of(attack.fooled).to_numpy(attack.fooled)


def union(
    attackers: Iterable[Attacker], model: Model, x: Array, y: Array, fooled: np.ndarray | None = None
) -> np.ndarray:
    """Return which samples any of several attacks fools, (N,) of bool, on the host.

    Each attack gets only the samples that no earlier one has fooled. `fooled` are those that count as fooled from the
    start: by other attacks, or within a smaller ε.
    """
    fooled = np.zeros(len(x), dtype=bool) if fooled is None else fooled.copy()
    for attack in attackers:
        standing = np.flatnonzero(~fooled)
        if len(standing):
            rows = model.backend.asarray(standing)
            fooled[standing] = fooled_by(attack(model, x[rows], y[rows]))
    return fooled
