"""`Battery`: the attacks that an audit runs within one ε, and how much they may compute."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from minirobust import backend
from minirobust.attacks import Attack, annealed, apgd, averaged, expectation, fgsm, noise, pgd, square, transfer
from minirobust.attacks.surrogates import Gradients
from minirobust.backend import Array
from minirobust.losses import Margin, ScaleFree, SoftmaxCrossEntropy
from minirobust.masking.sandwich import Prover
from minirobust.model import Model
from minirobust.progress import Bar
from minirobust.stack import Evaluation

LOSSES = (SoftmaxCrossEntropy(), Margin())
LEAST_QUERIES = 2000  # for Square, if the gradient of a sample is zero and no other attack changes the sample
DRAWS = 10  # draws of a random model in each step


@dataclass(frozen=True)
class Attacker:
    """An attack with its options, which takes a model, images and labels, and its cost.

    Attributes
    ----------
    attack : callable
    cost : int
        Maximum cost per sample, in gradients; a forward pass alone counts as half a gradient.
    """

    attack: Callable[[Any, Array, Array], Attack]
    cost: int

    def __call__(self, model: Any, x: Array, y: Array) -> Attack:
        """Attack a model."""
        return self.attack(model, x, y)


@dataclass(frozen=True)
class Budget:
    """How much an audit may compute.

    Attributes
    ----------
    steps : int
        S, the steps of PGD, which then runs again with 2 S. APGD takes 2 S steps, and S towards each target.
    starts : int
        Starts of PGD.
    queries : int
        Queries of Square.
    draws : int
        Draws of noise in each step of an attack with an averaged gradient.
    pixel_work : int
        Limit of the brute-force pixel attack: samples × candidates per sample × activations per candidate.
    ascent : int
        Steps of α-CROWN; a single step is CROWN.
    """

    steps: int
    starts: int
    queries: int
    draws: int
    pixel_work: int
    ascent: int


BUDGETS = {
    "quick": Budget(steps=20, starts=2, queries=300, draws=50, pixel_work=10**10, ascent=1),
    "standard": Budget(steps=50, starts=2, queries=1000, draws=50, pixel_work=10**10, ascent=20),
    "full": Budget(steps=100, starts=5, queries=5000, draws=50, pixel_work=10**11, ascent=50),
}


@dataclass(frozen=True)
class Battery:
    """The attacks of an audit within one ε.

    Attributes
    ----------
    epsilon : float
    budget : Budget
    seed : int
    random : bool
        Whether the model is random. Its gradient is then averaged over draws, and attacks do not stop at a lucky draw.
    """

    epsilon: float
    budget: Budget
    seed: int = 0
    random: bool = False

    def fgsm(self, epsilon: float) -> Attacker:
        """Return FGSM with any ε."""
        draws = DRAWS if self.random else 1
        return Attacker(partial(fgsm, epsilon=epsilon, gradients=expectation(DRAWS) if self.random else None), draws)

    def pgd(self, steps: int) -> list[Attacker]:
        """Return PGD on cross entropy and on the margin."""
        starts, draws = (1, DRAWS) if self.random else (self.budget.starts, 1)
        climb = partial(pgd, epsilon=self.epsilon, steps=steps, starts=starts, seed=self.seed)
        if self.random:
            climb = partial(climb, gradients=expectation(DRAWS), stop=False)
        return [Attacker(partial(climb, loss=loss), steps * starts * draws) for loss in LOSSES]

    def apgd(self, model: Model, gradients: Gradients | None = None, starts: int = 1) -> list[Attacker]:
        """Return APGD on cross entropy, margin and scale-free cross entropy, and on the margin towards each class."""
        steps, others = self.budget.steps, model.classes - 1
        climb = partial(apgd, epsilon=self.epsilon, starts=starts, gradients=gradients, seed=self.seed)
        losses = [loss for loss in (*LOSSES, ScaleFree()) if loss.least_classes <= model.classes]
        free = [partial(climb, steps=2 * steps, loss=loss) for loss in losses]
        targeted = partial(climb, steps=steps, loss=Margin(), target="all")
        return [*(Attacker(each, 2 * steps * starts) for each in free), Attacker(targeted, steps * starts * others)]

    def smoothed(self, model: Model) -> tuple[list[Attacker], list[Attacker]]:
        """Return attacks along a smoothed gradient, and a restart of equal cost along the true gradient."""
        if isinstance(model, Evaluation):
            return self.apgd(model, annealed()), self.apgd(model, starts=2)  # the second start is new
        steps, draws, sigmas = self.budget.steps, self.budget.draws, (self.epsilon, 2 * self.epsilon)
        climb = partial(pgd, epsilon=self.epsilon, steps=steps, loss=Margin())
        noisy = [partial(climb, starts=1, gradients=averaged(sigma, draws, self.seed)) for sigma in sigmas]
        restart = partial(climb, starts=len(sigmas) * draws, seed=self.seed + 1)
        return [Attacker(each, steps * (draws + 1)) for each in noisy], [Attacker(restart, steps * len(sigmas) * draws)]

    def transferred(self, sources: Iterable[Any]) -> list[Attacker]:
        """Return the attacks on the sources: one step, and all steps without stopping at the source's boundary."""
        steps = 2 * self.budget.steps
        climb = partial(pgd, epsilon=self.epsilon, steps=steps, starts=1, stop=False)
        single = Attacker(partial(fgsm, epsilon=self.epsilon), 1)
        every = [single, *(Attacker(partial(climb, loss=loss), steps) for loss in LOSSES)]
        return [Attacker(partial(through, source, each), each.cost) for source in sources for each in every]

    def noise(self) -> Attacker:
        """Return one draw of random signs."""
        return Attacker(partial(noise, epsilon=self.epsilon, seed=self.seed), 1)

    def square(self, queries: int) -> Attacker:
        """Return Square with a number of queries."""
        return Attacker(partial(square, epsilon=self.epsilon, queries=queries, seed=self.seed), queries // 2)


def through(source: Any, attack: Attacker, model: Model, x: Array, y: Array) -> Attack:
    """Attack a source, which may be on another backend, and test the images on the model."""
    return transfer(source, model, model.backend.to_numpy(x), model.backend.to_numpy(y), attack)


def fooled_by(attack: Attack) -> np.ndarray:
    """Return which samples an attack fooled, on the host."""
    return backend.of(attack.fooled).to_numpy(attack.fooled)


class Trials:
    """Samples on which attackers run one after the other, with a progress bar.

    Parameters
    ----------
    model : Model
    x, y : ndarray
        On the model's backend.
    bar : Bar
        Counts gradients.
    """

    def __init__(self, model: Model, x: Array, y: Array, bar: Bar) -> None:
        self.model, self.x, self.y, self.bar = model, x, y, bar

    def union(self, text: str, attackers: Iterable[Attacker], fooled: np.ndarray | None = None) -> np.ndarray:
        """Return which samples at least one of several attackers fools, as (N,) of bool on the host.

        Each attacker gets only the samples that earlier ones have not fooled. `fooled` marks samples that count as
        fooled from the start: by other attacks, or within a smaller ε.
        """
        fooled = np.zeros(len(self.y), dtype=bool) if fooled is None else fooled.copy()
        self.bar.text = f"audit: {text}"
        for attacker in attackers:
            standing = np.flatnonzero(~fooled)
            if len(standing):
                fooled[standing] = self.attack(attacker, standing)
            self.bar.advance(attacker.cost * len(self.y))
        return fooled

    def attack(self, attacker: Attacker, standing: np.ndarray) -> np.ndarray:
        """Return which of the samples with these indices an attacker fools."""
        rows = self.model.backend.asarray(standing)
        return fooled_by(attacker(self.model, self.x[rows], self.y[rows]))

    def proven(self, prover: Prover | None, epsilon: float, candidates: np.ndarray) -> np.ndarray:
        """Return which of the candidates, (N,) of bool, are proven robust: none if there is no certificate."""
        certified = np.zeros(len(candidates), dtype=bool)
        if prover is not None:
            self.bar.text = f"audit: certificate, ε = {epsilon:g}"
            standing = np.flatnonzero(candidates)
            if len(standing):
                certified[standing] = self.prove(prover, epsilon, standing)
            self.bar.advance(prover.cost * len(candidates))
        return certified

    def prove(self, prover: Prover, epsilon: float, standing: np.ndarray) -> np.ndarray:
        """Return which of the samples with these indices are proven robust."""
        rows = self.model.backend.asarray(standing)
        return self.model.backend.to_numpy(prover(self.x[rows], self.y[rows], epsilon).certified)

    def some(self, samples: np.ndarray) -> Trials:
        """Return trials on only the samples with these indices."""
        rows = self.model.backend.asarray(samples)
        return type(self)(self.model, self.x[rows], self.y[rows], self.bar)


class Rehearsal(Trials):
    """Trials in which no attack succeeds, so that the bar counts the maximum cost."""

    def attack(self, attacker: Attacker, standing: np.ndarray) -> np.ndarray:
        """Return that nothing is fooled."""
        return np.zeros(len(standing), dtype=bool)

    def prove(self, prover: Prover, epsilon: float, standing: np.ndarray) -> np.ndarray:
        """Return that nothing is proven."""
        return np.zeros(len(standing), dtype=bool)
