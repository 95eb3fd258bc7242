"""`Evidence`: what the attacks of an audit found, and `gather`, which runs each of them once.

This module draws no conclusions. `checks` does, from the evidence alone.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from minirobust.attacks import Attack, brute_force_pixel
from minirobust.attacks.pixel.change import pixels_and_channels
from minirobust.attacks.pixel.ranking import headroom
from minirobust.attacks.voting import is_random, voting
from minirobust.backend import Array
from minirobust.losses import Loss, SoftmaxCrossEntropy
from minirobust.masking.battery import LEAST_QUERIES, LOSSES, Attacker, Battery, Budget, Rehearsal, Trials
from minirobust.masking.sandwich import Sandwich, prover
from minirobust.measures import intervals
from minirobust.measures.intervals import Estimate
from minirobust.measures.robustness import network_robustness
from minirobust.model import Model
from minirobust.progress import Bar, progress_bar
from minirobust.stack import Evaluation

WIDTHS = (0, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1)  # ε of the FGSM curve, in widths of the input range
PIXEL_ATTACKS = ("brute-force pixel", "headroom pixel")
SMOOTHED = ("white box + restart", "white box + smoothed")
STRONGEST = ("white box + smoothed", "APGD", "PGD", "transfer", "Square")  # in this order within the smaller ε
CANDIDATE = 0.12  # cost of one candidate of the brute-force pixel attack, in gradients, on the study's network
NOT_ON_RANDOM = (
    "gradient health",
    "APGD",
    *SMOOTHED,
    "Square",
    *PIXEL_ATTACKS,
)  # they would describe only a single draw


@dataclass(frozen=True)
class GradientHealth:
    """Defects of the input gradient of cross entropy.

    Attributes
    ----------
    zero_samples : int
        Samples whose gradient is zero at every pixel.
    not_finite : int
        Samples with NaN or infinity in the gradient or in the logits.
    without_logits : int
        Samples with NaN or infinity in the logits.
    zero_pixels : float
        Share of zeros among the gradients of all pixels.
    sign_flips : float
        Share of the gradients of all pixels whose sign differs from that of the same network in float64; NaN for a
        model that is not a network, which has no float64 twin.
    smallest : float
        The smallest number above 0 on the model's backend; anything smaller becomes zero.
    """

    zero_samples: int = 0
    not_finite: int = 0
    without_logits: int = 0
    zero_pixels: float = 0.0
    sign_flips: float = math.nan
    smallest: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the checks of an audit use. Arrays are on the host.

    Attributes
    ----------
    labels : ndarray of int, shape (N,)
    classes : int
    epsilon : float
        The largest ε of the audit, which all attacks in `fooled` use except those on single pixels.
    health : GradientHealth
    random : bool
        Whether the model is random. `fooled` is then decided by majority votes, see `minirobust.attacks.voting`.
    fooled : mapping of str to ndarray of bool, shape (N,)
        See `AuditReport.fooled`.
    sandwiches : tuple of Sandwich
        One for each ε of the audit, in ascending order.
    not_run : mapping of str to str
        Why an attack is missing from `fooled`.
    fgsm_by_epsilon : mapping of float to ndarray of bool, shape (N,)
        Which samples FGSM fools at each ε, from 0 to the width of the input range.
    pgd_by_steps : mapping of int to ndarray of bool, shape (N,)
        Which samples PGD has fooled after a run of S steps, and after a further run of 2 S steps.
    pixel_samples : ndarray of int, shape (M,)
        The samples on which the attacks on single pixels were tried.
    """

    labels: np.ndarray
    classes: int
    epsilon: float
    health: GradientHealth
    fooled: Mapping[str, np.ndarray]
    sandwiches: tuple[Sandwich, ...] = ()
    random: bool = False
    not_run: Mapping[str, str] = field(default_factory=dict)
    fgsm_by_epsilon: Mapping[float, np.ndarray] = field(default_factory=dict)
    pgd_by_steps: Mapping[int, np.ndarray] = field(default_factory=dict)
    pixel_samples: np.ndarray = field(default_factory=partial(np.arange, 0))

    def labels_of(self, attack: str) -> np.ndarray:
        """Return the labels of the samples on which an attack was tried."""
        return self.labels[self.pixel_samples] if attack in PIXEL_ATTACKS else self.labels

    @property
    def chance(self) -> float:
        """The robustness of a network that guesses."""
        return 1 / self.classes

    def robustness(self, fooled: np.ndarray) -> float:
        """Return network robustness, given which of all samples an attack fooled."""
        return network_robustness(fooled, self.labels, self.classes)

    def rate(self, fooled: np.ndarray) -> Estimate:
        """Return network robustness with its interval."""
        return intervals.network(fooled, self.labels, self.classes)

    def compare(self, weaker: np.ndarray, stronger: np.ndarray) -> tuple[float, float, Estimate]:
        """Return the robustness against each of two attacks, and `gap`."""
        return self.robustness(weaker), self.robustness(stronger), self.gap(weaker, stronger)

    def gap(self, weaker: np.ndarray, stronger: np.ndarray) -> Estimate:
        """Return the robustness against one attack minus that against another, with the paired interval."""
        return intervals.difference(weaker, stronger, self.labels, self.classes)


def gather(
    model: Model,
    x: Array,
    y: Array,
    epsilons: Sequence[float],
    sources: Sequence[Any],
    budget: Budget,
    seed: int,
    progress: bool,
) -> Evidence:
    """Run every attack of an audit once. The arguments must have been checked.

    Parameters
    ----------
    model, x, y, epsilons, sources, budget, seed, progress
        See `audit`.

    Returns
    -------
    Evidence
    """
    random = is_random(model, x[next(iter(model.chunks(len(x))))])
    model = voting(model) if random else model
    plan = Plan(model, x, y, epsilons, sources, budget, seed, random)
    cost = Count()
    plan.carry_out(Rehearsal(model, x, y, cost))
    if progress and sys.stderr is not None:
        print(announcement(model, x, y, cost.total), file=sys.stderr)
    with progress_bar(cost.total, "audit", "gradients", progress) as bar:
        return plan.carry_out(Trials(model, x, y, bar))


def bound(
    model: Model, x: Array, y: Array, epsilons: Sequence[float], budget: Budget, seed: int
) -> tuple[Sandwich, ...]:
    """Run only what the sandwiches need. See `gather`."""
    random = is_random(model, x[next(iter(model.chunks(len(x))))])
    model = voting(model) if random else model
    plan, trials = Plan(model, x, y, epsilons, (), budget, seed, random), Trials(model, x, y, Bar("audit"))
    fgsm = {each.epsilon: trials.union("FGSM", [each.fgsm(each.epsilon)]) for each in plan.batteries}
    return plan.sandwiches(trials, fgsm)


class Count(Bar):
    """A progress bar that only counts and is not drawn."""

    def __init__(self) -> None:
        super().__init__("audit")
        self.total = 0

    def advance(self, n: int = 1) -> None:
        """Add `n` to the count."""
        self.total += n


def announcement(model: Model, x: Array, y: Array, gradients: int) -> str:
    """Return a message with the maximum cost of an audit; the seconds are estimated from the gradient of one chunk."""
    chunk, loss = next(iter(model.chunks(len(x)))), SoftmaxCrossEntropy()
    seconds = []
    for _ in range(3):
        began = perf_counter()
        model.backend.to_numpy(model.gradient(x[chunk], y[chunk], loss)[1])
        seconds.append(perf_counter() - began)
    most = min(seconds) / len(x[chunk]) * gradients
    return (
        f"audit of {len(x):,} samples: at most {gradients:,} gradients, about {most:,.0f} s; "
        "less where attacks succeed early"
    )


class Plan:
    """The plan of an audit: which attacks to run, within which ε, on which samples."""

    def __init__(
        self,
        model: Model,
        x: Array,
        y: Array,
        epsilons: Sequence[float],
        sources: Sequence[Any],
        budget: Budget,
        seed: int,
        random: bool,
    ) -> None:
        self.model, self.sources, self.budget, self.random = model, sources, budget, random
        self.labels = model.backend.to_numpy(y)
        self.clean = model.backend.to_numpy(model.predict(x)) != self.labels
        self.health = GradientHealth() if random else gradient_health(model, x, y)
        self.not_run = reasons(model, sources, random, blind=self.health.zero_samples == len(x))
        self.queries = max(budget.queries, LEAST_QUERIES if self.health.zero_samples else 0)
        self.batteries = [Battery(epsilon, budget, seed, random) for epsilon in epsilons]
        self.samples = evenly(self.labels, 0 if random else affordable(model, budget.pixel_work))
        self.prover = None if random else prover(model, budget.ascent)

    def carry_out(self, trials: Trials) -> Evidence:
        """Run every attack within the largest ε, and within the others the strongest attacks on undecided samples."""
        battery, steps = self.batteries[-1], self.budget.steps
        attackers = self.attackers(battery)
        by_fgsm = {
            step: trials.union("FGSM", [battery.fgsm(step)])
            for step in sorted({*curve(self.model), *(each.epsilon for each in self.batteries)})
        }
        first = trials.union("PGD", battery.pgd(steps))
        by_pgd = {steps: first, 2 * steps: trials.union("PGD", attackers["PGD"], first)}
        fooled = {"clean": self.clean, "FGSM": by_fgsm[battery.epsilon], "PGD": by_pgd[2 * steps]}

        def attack(name: str, begin: np.ndarray | None = None) -> None:
            if name in attackers:
                fooled[name] = trials.union(name, attackers[name], begin)

        attack("APGD")
        fooled["white box"] = any_of(fooled)
        for name in SMOOTHED:
            attack(name, fooled["white box"])
        for name in ("noise", "transfer", "Square"):
            attack(name)
        fooled["worst case"] = any_of(fooled)
        sandwiches = self.sandwiches(trials, by_fgsm, fooled["worst case"])
        if len(self.samples):
            fooled |= self.pixels(trials.some(self.samples))
        return Evidence(
            labels=self.labels,
            classes=self.model.classes,
            epsilon=battery.epsilon,
            health=self.health,
            fooled=fooled,
            sandwiches=sandwiches,
            random=self.random,
            not_run=self.not_run,
            fgsm_by_epsilon={step: by_fgsm[step] for step in curve(self.model)},
            pgd_by_steps=by_pgd,
            pixel_samples=self.samples,
        )

    def attackers(self, battery: Battery) -> dict[str, list[Attacker]]:
        """Return the attacks within one ε that can be run, by name."""
        smoothed, restart = battery.smoothed(self.model)
        every = {
            "PGD": battery.pgd(2 * self.budget.steps),
            "APGD": battery.apgd(self.model),
            "white box + restart": restart,
            "white box + smoothed": smoothed,
            "noise": [battery.noise()],
            "transfer": battery.transferred(self.sources),
            "Square": [battery.square(self.queries)],
        }
        return {name: attackers for name, attackers in every.items() if name not in self.not_run}

    def sandwiches(
        self, trials: Trials, by_fgsm: Mapping[float, np.ndarray], worst: np.ndarray | None = None
    ) -> tuple[Sandwich, ...]:
        """Prove and attack within each ε, in ascending order.

        A sample that is fooled within one ε is also fooled within a larger one. A sample that is not proven robust is
        not tried again, since bounds only become looser. `worst` marks the samples that attacks have fooled within the
        largest ε, if they have already been run there.
        """
        made, fooled, certified = [], self.clean, ~self.clean
        for battery in self.batteries:
            fgsm, done = by_fgsm[battery.epsilon], worst if battery is self.batteries[-1] else None
            fooled = fooled | fgsm if done is None else fooled | done
            certified = trials.proven(self.prover, battery.epsilon, certified & ~fooled)
            if done is None:
                attackers = self.attackers(battery)
                strongest = [each for name in STRONGEST for each in attackers.get(name, ())]
                fooled = trials.union(f"ε = {battery.epsilon:g}", strongest, fooled | certified) & ~certified
            proven = None if self.prover is None else certified
            made.append(Sandwich(battery.epsilon, proven, fooled, fgsm, self.labels, self.model.classes))
        return tuple(made)

    def pixels(self, trials: Trials) -> dict[str, np.ndarray]:
        """Attack single pixels."""
        pixels, channels = pixels_and_channels(self.model.input_shape)
        every = Attacker(brute_force_pixel, round(CANDIDATE * pixels * 2**channels))
        headroom = [Attacker(partial(headroom_pixel, loss=loss), 1) for loss in LOSSES]
        return {
            "brute-force pixel": trials.union("brute-force pixel", [every]),
            "headroom pixel": trials.union("headroom pixel", headroom, self.clean[self.samples]),
        }


def reasons(model: Model, sources: Sequence[Any], random: bool, blind: bool) -> dict[str, str]:
    """Return why some attacks cannot be run, by name."""
    not_run = {}
    if not sources:
        not_run["transfer"] = "no sources given"
    if len(model.input_shape) != 3:
        not_run["Square"] = "Square takes images only"
    if blind and not isinstance(model, Evaluation):
        not_run |= dict.fromkeys(SMOOTHED, "no gradient to average: see checks 6 and 7")
    if random:
        not_run |= dict.fromkeys(NOT_ON_RANDOM, "the model is random")
    return not_run


def any_of(fooled: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return which samples any attack fools."""
    return np.logical_or.reduce([*fooled.values()])


def curve(model: Model) -> list[float]:
    """Return every ε at which FGSM is tried, in ascending order."""
    low, high = model.input_range
    return [width * (high - low) for width in WIDTHS]


def gradient_health(model: Model, x: Array, y: Array) -> GradientHealth:
    """Count zeros, NaN and infinity, and signs that differ in float64."""
    loss, pixels = SoftmaxCrossEntropy(), tuple(range(1, x.ndim))
    twin = Evaluation(model.network.to(model.backend, dtype="float64")) if isinstance(model, Evaluation) else None
    zero_samples = not_finite = without_logits = zero_pixels = flips = 0

    def count(mask: Any) -> int:
        return int(model.backend.to_numpy(mask.sum()))

    for chunk in model.chunks(len(x)):
        logits, _, g = model.gradient(x[chunk], y[chunk], loss)
        broken_logits = ~(abs(logits) < math.inf).all(axis=1)  # NaN is not less than anything
        broken_gradient = ~(abs(g) < math.inf).all(axis=pixels)
        zero_samples += count((g == 0).all(axis=pixels))
        not_finite += count(broken_logits | broken_gradient)
        without_logits += count(broken_logits)
        zero_pixels += count(g == 0)
        if twin is not None:
            _, _, exact = twin.gradient(x[chunk].astype("float64"), y[chunk], loss)
            flips += count(model.xp.sign(g) != model.xp.sign(exact))
    sign_flips = math.nan if twin is None else flips / x.size
    smallest = model.backend.smallest(model.dtype)
    return GradientHealth(zero_samples, not_finite, without_logits, zero_pixels / x.size, sign_flips, smallest)


def affordable(model: Model, pixel_work: int) -> int:
    """Return the number of samples for which the brute-force pixel fits the budget, at least one per class."""
    pixels, channels = pixels_and_channels(model.input_shape)
    numbers = model.sample_bytes // np.dtype(model.dtype).itemsize
    return max(model.classes, pixel_work // (pixels * 2**channels * numbers))


def evenly(labels: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the first `count` samples if one is taken from each class in turn: (M,), in order."""
    turn = np.empty(len(labels), dtype="int64")
    for c in np.unique(labels):
        members = labels == c
        turn[members] = np.arange(members.sum())
    return np.sort(np.argsort(turn, kind="stable")[:count])


def headroom_pixel(model: Model, x: Array, y: Array, loss: Loss) -> Attack:
    """Move the pixel of largest headroom to an end of its range.

    See `headroom`. `attacks.pixel` ranks by |g| alone, as the study does, and may choose a pixel with no room to move.
    """
    images = model.xp.empty(x.shape, dtype=x.dtype)
    for chunk in model.chunks(len(x)):
        images[chunk] = with_one_pixel(model, x[chunk], model.gradient(x[chunk], y[chunk], loss)[2])
    low, high = model.input_range
    return Attack.judge(model, x, y, images, high - low)


def with_one_pixel(model: Model, images: Array, g: Array) -> Array:
    """Return images whose pixel of largest headroom is at the better end of the input range, channel by channel."""
    xp, (low, high) = model.xp, model.input_range
    shape = (-1, *pixels_and_channels(model.input_shape))
    gain = headroom(g, images, model.input_range)
    best = gain.argmax(axis=1)[:, None] == xp.arange(gain.shape[1])
    ends = xp.where(g >= 0, high, low).astype(images.dtype)
    return xp.where(best[:, :, None], ends.reshape(shape), images.reshape(shape)).reshape(images.shape)
