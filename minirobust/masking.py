"""`audit`: does a robustness figure tell of the network, or of an attack that could not see?

A gradient that is zero, wrong or points nowhere (a masked gradient) stops every attack that follows it, and the network
looks robust.  Nine checks look for that.  The attacks are in `attacks`, thresholds and what a flag means in
`audit_questions`, what a report looks like in `audit_report`.

Sources: Athalye et al. (2018), *Obfuscated Gradients Give a False Sense of Security*; Carlini et al. (2019), *On
Evaluating Adversarial Robustness*; Croce & Hein (2020), *Reliable Evaluation of Adversarial Robustness with an Ensemble
of Diverse Parameter-free Attacks*; Pintor et al. (2022), *Indicators of Attack Failure*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from minirobust import intervals
from minirobust.attacks import Attack, brute_force_pixel, fgsm, noise, pgd, square, transfer
from minirobust.attacks.attack import check_epsilon, under_attack
from minirobust.attacks.pixel_change import pixels_and_channels
from minirobust.attacks.transfer import check_source
from minirobust.audit_questions import (
    CONVERGENCE,
    CURVE,
    FGSM_GAP,
    HEALTH,
    MISSED,
    NOISE,
    ONE_STEP,
    PIXEL,
    QUESTIONS,
    SEARCH,
    SIGN_FLIPS,
    TOLERANCE,
    TRANSFER,
    UNBOUNDED,
    Question,
)
from minirobust.audit_report import AuditReport, Check
from minirobust.backend import Array
from minirobust.intervals import Estimate
from minirobust.losses import Loss, Margin, SoftmaxCrossEntropy
from minirobust.network import Network
from minirobust.robustness import network_robustness
from minirobust.stack import Evaluation, most_likely
from minirobust.validation import check_seed

EPSILONS = (0, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1)  # of check 2, in widths of the input range


@dataclass(frozen=True)
class Budget:
    """How hard an audit tries.

    Attributes
    ----------
    steps, starts : int
        Of PGD; check 5 takes twice the steps.
    queries : int
        Of Square.
    pixel_work : int
        What the brute-force pixel may cost: samples × candidates for each × numbers that the network's layers put out.
    """

    steps: int
    starts: int
    queries: int
    pixel_work: int


BUDGETS = {
    "quick": Budget(steps=20, starts=2, queries=300, pixel_work=10**10),
    "full": Budget(steps=100, starts=5, queries=5000, pixel_work=10**11),
}


def audit(
    network: Network,
    x: Array,
    y: Array,
    epsilon: float = 0.1,
    sources: Iterable[Network] = (),
    budget: Literal["quick", "full"] = "quick",
    *,
    seed: int = 0,
    progress: bool = False,
) -> AuditReport:
    """Attacks a network in every way there is, and says whether its gradient can be trusted.

    Nine checks, each with its condition, and three different findings: the gradient is masked; FGSM is too weak here;
    PGD has not converged.  See `docs/audit.md` for what each means and for measured margins.

    Parameters
    ----------
    network : Network
        Ends in logits.
    x : ndarray of float, shape (N, *input_shape)
        Within the network's `input_range`.
    y : ndarray of int, shape (N,)
        True labels.
    epsilon : float, default 0.1
        Above 0, at most the width of the input range.
    sources : iterable of Network
        Others for the same task, trained at other temperatures for example, whose adversarials are shown to this one.
    budget : {"quick", "full"}
        How hard to try: see `BUDGETS`.
    seed : int, default 0
        Of all random draws.
    progress : bool, default False
        Whether to show bars, in a terminal.

    Returns
    -------
    AuditReport

    Raises
    ------
    ValueError, TypeError
        Before anything runs, if an argument is wrong; the message says what was expected.
    """
    model, x, y, _ = under_attack(network, x, y)
    if check_epsilon(network, epsilon) == 0:
        raise ValueError("audit: expected epsilon above 0, got 0, at which no attack does anything")
    if budget not in tuple(BUDGETS):
        raise ValueError(f"audit: expected budget to be one of {', '.join(map(repr, BUDGETS))}, got {budget!r}")
    if not isinstance(sources, Iterable):
        raise TypeError(f"audit: expected sources to be networks in a list, got {sources!r}")
    sources = tuple(sources)
    for index, source in enumerate(sources):
        check_source(f"audit: sources[{index}]", source, network)
    case = _Case(model, x, y, float(epsilon), BUDGETS[budget], check_seed(seed), progress)
    with np.errstate(all="ignore"):  # products of small gradients may underflow
        checks = case.run(sources)
    judged = {name: (fooled, case.labels_of(name), case.classes) for name, fooled in case.fooled.items()}
    return AuditReport(
        checks=checks,
        robustness={name: intervals.network(*what) for name, what in judged.items()},
        by_class={name: intervals.by_class(*what) for name, what in judged.items()},
        fooled=case.fooled,
        pixel_samples=case.pixel_samples,
        labels=case.labels,
        epsilon=case.epsilon,
        budget=budget,
        seed=case.seed,
    )


class _Case:
    """One audit under way: whom to attack, and which samples fell so far."""

    def __init__(
        self, model: Evaluation, x: Array, y: Array, epsilon: float, budget: Budget, seed: int, progress: bool
    ) -> None:
        self.model, self.network, self.x, self.y = model, model.network, x, y
        self.epsilon, self.budget, self.seed, self.progress = epsilon, budget, seed, progress
        self.labels = model.backend.to_numpy(y)
        (self.classes,) = model.output_shape
        self.fooled: dict[str, np.ndarray] = {}
        self.pixel_samples = np.arange(0)

    def labels_of(self, name: str) -> np.ndarray:
        """The labels of the samples that an attack was tried on."""
        return self.labels[self.pixel_samples] if name in PIXEL_ATTACKS else self.labels

    def run(self, sources: Sequence[Network]) -> tuple[Check, ...]:
        """All attacks and all checks, each attack once."""
        self.fooled["clean"] = self.to_numpy(self.model.predict(self.x)) != self.labels
        self.fooled["noise"] = self.to_numpy(noise(self.network, self.x, self.y, self.epsilon, seed=self.seed).fooled)
        health = self.gradient_health()
        if health.figures["samples not finite"]:
            rest = [question.not_run("the gradient is not finite") for question in QUESTIONS[1:]]
            self.fooled["worst case"] = self.worst("clean", "noise")
            return health, *rest
        convergence = self.white_box()
        curve, unbounded = self.over_epsilon()
        checks = (
            health,
            curve,
            unbounded,
            self.one_step(),
            convergence,
            self.transferred(sources),
            self.searched(),
            self.random_signs(),
        )
        self.fooled["worst case"] = self.worst(*self.fooled)
        return *checks, self.single_pixel()

    # What the checks are made of

    def to_numpy(self, array: Array) -> np.ndarray:
        return self.network.backend.to_numpy(array)

    def worst(self, *names: str) -> np.ndarray:
        """Which samples fall to any of these attacks."""
        return np.logical_or.reduce([self.fooled[name] for name in names])

    def gap(self, stronger: np.ndarray, weaker: np.ndarray) -> Estimate:
        """How much less robustness the one leaves than the other, with the interval of paired differences."""
        return intervals.difference(weaker, stronger, self.labels, self.classes)

    def white_box(self) -> Check:
        """FGSM, and PGD twice: whom it fools in S steps, and whom in 2 S of those that it had left (check 5)."""
        steps = self.budget.steps
        everyone = np.arange(len(self.labels))
        standing = self.left_by_pgd(everyone, steps)
        first = ~np.isin(everyone, standing)
        self.fooled["FGSM"] = self.to_numpy(fgsm(self.network, self.x, self.y, self.epsilon).fooled)
        self.fooled["PGD"] = ~np.isin(everyone, self.left_by_pgd(standing, 2 * steps))
        self.fooled["white box"] = self.worst("clean", "FGSM", "PGD")
        gap = self.gap(self.fooled["PGD"], first)
        before, after = self.robustness(first), self.robustness(self.fooled["PGD"])
        return CONVERGENCE.answer(
            exceeds(gap, TOLERANCE),
            f"{before:.3f} in {steps} steps, {after:.3f} in {2 * steps}",
            len(everyone),
            {"S steps": before, "2 S steps": after, "fall": gap.value},
            gap,
        )

    def left_by_pgd(self, left: np.ndarray, steps: int) -> np.ndarray:
        """Those of some samples that stand against PGD on cross entropy and then on the margin."""
        for loss in (SoftmaxCrossEntropy(), Margin()):
            if len(left):
                rows = self.network.backend.asarray(left)
                made = self.pgd(self.network, self.x[rows], self.y[rows], steps=steps, loss=loss)
                left = left[~self.to_numpy(made.fooled)]
        return left

    @property
    def pgd(self) -> Callable[..., Attack]:
        """`attacks.pgd` with all that the budget fixes; `partial` lets a call change it."""
        return partial(
            pgd,
            epsilon=self.epsilon,
            steps=self.budget.steps,
            starts=self.budget.starts,
            seed=self.seed,
            progress=self.progress,
        )

    def robustness(self, fooled: np.ndarray) -> float:
        """Of the network, over all samples."""
        return network_robustness(fooled, self.labels, self.classes)

    # The checks

    def gradient_health(self) -> Check:
        """Check 1: zeros, NaN and infinity, and signs that the network's dtype gets wrong."""
        to_numpy, xp, pixels = self.to_numpy, self.model.xp, tuple(range(1, self.x.ndim))
        exact, loss = Evaluation(self.network.to(self.network.backend, dtype="float64")), SoftmaxCrossEntropy()
        zero_samples = not_finite = without_logits = zero_pixels = flips = 0
        for chunk in self.model.chunks(len(self.x)):
            logits, _, g = self.model.gradient(self.x[chunk], self.y[chunk], loss)
            _, _, truth = exact.gradient(self.x[chunk].astype("float64"), self.y[chunk], loss)
            zero_samples += int(to_numpy((g == 0).all(axis=pixels).sum()))
            broken = ~(abs(g) < math.inf).all(axis=pixels)  # NaN is not less than anything
            no_class = most_likely(self.model.backend, logits) < 0
            not_finite += int(to_numpy((broken | no_class).sum()))
            without_logits += int(to_numpy(no_class.sum()))
            zero_pixels += int(to_numpy((g == 0).sum()))
            flips += int(to_numpy((xp.sign(g) != xp.sign(truth)).sum()))
        zero_share, flip_share = zero_pixels / self.x.size, flips / self.x.size
        text = f"{zero_samples} zero, {not_finite} not finite, {flip_share:.2%} flips"
        if without_logits:
            text += f"; {without_logits} samples have NaN or infinite logits"
        return HEALTH.answer(
            zero_samples > 0 or not_finite > 0 or flip_share > SIGN_FLIPS,
            text,
            len(self.x),
            {
                "zero samples": zero_samples,
                "samples not finite": not_finite,
                "samples without finite logits": without_logits,
                "zero pixels": zero_share,
                "sign flips": flip_share,
            },
        )

    def over_epsilon(self) -> tuple[Check, Check]:
        """Checks 2 and 3, on the same curve."""
        low, high = self.network.input_range
        widths = [epsilon * (high - low) for epsilon in EPSILONS]
        rows = [self.to_numpy(fgsm(self.network, self.x, self.y, epsilon).fooled) for epsilon in widths]
        rates = [intervals.network(row, self.labels, self.classes) for row in rows]
        curve, left, chance = [rate.value for rate in rates], rates[-1], 1 / self.classes
        # Up from the lowest point before it, wherever that is: a slow rise counts like a sudden one.  Not below chance:
        # what so large a step makes of an image may show the network nothing, and nothing is right that often.
        rises = curve - np.minimum.accumulate(curve)
        end = int(np.argmax(np.where([rate.low > chance for rate in rates], rises, 0)))
        begin = int(np.argmin(curve[: end + 1]))
        rise = self.gap(rows[begin], rows[end])
        figures = {f"robustness at {epsilon:g}": value for epsilon, value in zip(widths, curve, strict=True)}
        text = f"rise from ε = {widths[begin]:g} to {widths[end]:g}" if begin < end else "no rise above chance"
        figures["rise"] = rise.value
        rising = CURVE.answer(exceeds(rise, TOLERANCE), text, len(self.x), figures, rise)
        unbounded = UNBOUNDED.answer(
            left.low > chance,
            f"left at ε = {widths[-1]:g}, chance {chance:.3f}",
            len(self.x),
            {"robustness": left.value, "chance": chance},
            left,
        )
        return rising, unbounded

    def one_step(self) -> Check:
        """Check 4."""
        gap = self.gap(self.fooled["PGD"], self.fooled["FGSM"])
        one, many = self.robustness(self.fooled["FGSM"]), self.robustness(self.fooled["PGD"])
        return ONE_STEP.answer(
            gap.low > FGSM_GAP,
            f"FGSM {one:.3f}, PGD {many:.3f}",
            len(self.x),
            {"FGSM": one, "PGD": many, "gap": gap.value},
            gap,
        )

    def transferred(self, sources: Sequence[Network]) -> Check:
        """Check 6."""
        if not sources:
            return TRANSFER.not_run("no sources given")
        attacks = partial(fgsm, epsilon=self.epsilon), self.pgd
        x = self.to_numpy(self.x)  # sources may live on other backends
        made = [transfer(source, self.network, x, self.labels, attack) for source in sources for attack in attacks]
        self.fooled["transfer"] = np.logical_or.reduce([self.to_numpy(attack.fooled) for attack in made])
        return self.beyond_white_box(TRANSFER, "transfer")

    def searched(self) -> Check:
        """Check 7."""
        if len(self.network.input_shape) != 3:
            return SEARCH.not_run("Square takes images only")
        queries = self.budget.queries
        made = square(
            self.network, self.x, self.y, self.epsilon, queries=queries, seed=self.seed, progress=self.progress
        )
        self.fooled["Square"] = self.to_numpy(made.fooled)
        return self.beyond_white_box(SEARCH, "Square")

    def beyond_white_box(self, question: Question, name: str) -> Check:
        """Whether an attack without this network's gradient leaves less than those with it."""
        excess = self.gap(self.fooled[name], self.fooled["white box"])
        without, with_it = self.robustness(self.fooled[name]), self.robustness(self.fooled["white box"])
        return question.answer(
            exceeds(excess, TOLERANCE),
            f"white box {with_it:.3f}, {name} {without:.3f}",
            len(self.x),
            {name: without, "white box": with_it, "excess": excess.value},
            excess,
        )

    def random_signs(self) -> Check:
        """Check 8."""
        noisy, white = int(self.fooled["noise"].sum()), int(self.fooled["white box"].sum())
        return NOISE.answer(
            noisy > white,
            f"noise {noisy}, white box {white}",
            len(self.x),
            {"noise": noisy, "white box": white},
        )

    def single_pixel(self) -> Check:
        """Check 9."""
        self.pixel_samples = evenly(self.labels, self.affordable())
        rows = self.network.backend.asarray(self.pixel_samples)
        x, y, labels = self.x[rows], self.y[rows], self.labels[self.pixel_samples]
        brute = self.to_numpy(brute_force_pixel(self.network, x, y, progress=self.progress).fooled)
        losses = SoftmaxCrossEntropy(), Margin()
        by_gradient = [self.to_numpy(headroom_pixel(self.model, x, y, loss)) for loss in losses]
        # An image that was wrong beforehand is wrong for both.
        wrong = self.fooled["clean"][self.pixel_samples]
        headroom = np.logical_or.reduce([wrong, *by_gradient])
        self.fooled["brute-force pixel"], self.fooled["headroom pixel"] = brute, headroom
        gap = intervals.difference(headroom, brute, labels, self.classes)
        any_pixel, that_pixel = (1 - network_robustness(fooled, labels, self.classes) for fooled in (brute, headroom))
        missed = float((brute & ~headroom).sum() / max((brute & ~wrong).sum(), 1))
        return PIXEL.answer(
            exceeds(gap, TOLERANCE) and missed > MISSED,
            f"{any_pixel:.3f}, headroom {that_pixel:.3f}: misses {missed:.0%}",
            len(labels),
            {"brute force": any_pixel, "headroom": that_pixel, "gap": gap.value, "missed": missed},
            gap,
        )

    def affordable(self) -> int:
        """On how many samples the brute-force pixel stays within the budget; at least one of each class."""
        pixels, channels = pixels_and_channels(self.network.input_shape)
        outputs = sum(math.prod(layer.output_shape) for layer in self.network.layers)
        return max(self.classes, self.budget.pixel_work // (pixels * 2**channels * outputs))


PIXEL_ATTACKS = ("brute-force pixel", "headroom pixel")


def exceeds(gap: Estimate, tolerance: float) -> bool:
    """Whether a difference is above the tolerance, and above 0 beyond the chance of few samples."""
    return gap.value > tolerance and gap.low > 0


def evenly(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of the first `count` samples, in turn from each class: (M,), in order."""
    turn = np.empty(len(labels), dtype="int64")
    for c in np.unique(labels):
        members = labels == c
        turn[members] = np.arange(members.sum())
    return np.sort(np.argsort(turn, kind="stable")[:count])


def headroom_pixel(model: Evaluation, x: Array, y: Array, loss: Loss) -> Array:
    """Return which samples fall when the pixel with the largest gain to first order goes to an end of the input range.

    A channel's gain is the larger of g (high - x) and g (low - x), the linear change of the loss at either end; a
    pixel's is the sum over its channels.  `attacks.pixel` ranks by |g| alone, as the study does, which may choose a
    pixel with no room to move.
    """
    xp, (low, high) = model.xp, model.input_range
    shape = (-1, *pixels_and_channels(model.input_shape))
    fooled = xp.empty(len(x), dtype=bool)
    for chunk in model.chunks(len(x)):
        images, (_, _, g) = x[chunk], model.gradient(x[chunk], y[chunk], loss)
        up, down = g * (high - images), g * (low - images)
        gain, best_end = xp.maximum(up, down), xp.where(up >= down, high, low).astype(images.dtype)
        gain, best_end, pixels = (values.reshape(shape) for values in (gain, best_end, images))
        best = gain.sum(axis=2).argmax(axis=1)[:, None] == xp.arange(shape[1])
        written = xp.where(best[:, :, None], best_end, pixels)
        fooled[chunk] = model.predict(written.reshape(images.shape)) != y[chunk]
    return fooled
