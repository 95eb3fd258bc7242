"""`Evidence`: what the attacks of an audit found, and `gather`, which runs each of them once.

Nothing is judged here. `checks` does that, from the evidence alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from minirobust import backend
from minirobust.attacks import Attack, brute_force_pixel, fgsm, noise, pgd, square, transfer
from minirobust.attacks.pixel.change import pixels_and_channels
from minirobust.backend import Array
from minirobust.losses import Loss, Margin, SoftmaxCrossEntropy
from minirobust.measures import intervals
from minirobust.measures.intervals import Estimate
from minirobust.measures.robustness import network_robustness
from minirobust.network import Network
from minirobust.stack import Evaluation

LOSSES = (SoftmaxCrossEntropy(), Margin())
WIDTHS = (0, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1)  # ε of the FGSM curve, in widths of the input range
PIXEL_ATTACKS = ("brute-force pixel", "headroom pixel")
NEED_A_FINITE_GRADIENT = ("FGSM", "PGD", "white box", "transfer", "Square", *PIXEL_ATTACKS)


@dataclass(frozen=True)
class Budget:
    """How much an audit may compute.

    Attributes
    ----------
    steps, starts : int
        Of PGD, which then runs again with twice the steps.
    queries : int
        Of Square.
    pixel_work : int
        Of the brute-force pixel: samples × candidates per sample × outputs of all layers.
    """

    steps: int
    starts: int
    queries: int
    pixel_work: int


BUDGETS = {
    "quick": Budget(steps=20, starts=2, queries=300, pixel_work=10**10),
    "full": Budget(steps=100, starts=5, queries=5000, pixel_work=10**11),
}


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
        Share of the gradients of all pixels that have another sign than those of the same network in float64.
    """

    zero_samples: int
    not_finite: int
    without_logits: int
    zero_pixels: float
    sign_flips: float


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the checks of an audit look at. Arrays are on the host.

    Attributes
    ----------
    labels : ndarray of int, shape (N,)
    classes : int
    epsilon : float
        Of all attacks but those of `fgsm_by_epsilon` and those on single pixels.
    health : GradientHealth
    fooled : mapping of str to ndarray of bool, shape (N,)
        See `AuditReport.fooled`.
    not_run : mapping of str to str
        Why an attack is missing from `fooled`.
    fgsm_by_epsilon : mapping of float to ndarray of bool, shape (N,)
        Which samples FGSM fools at each ε, from 0 to the width of the input range.
    pgd_by_steps : mapping of int to ndarray of bool, shape (N,)
        Which samples PGD fools in S steps, and which once it has also run with 2 S steps.
    pixel_samples : ndarray of int, shape (M,)
        The samples on which the attacks on single pixels were tried.
    """

    labels: np.ndarray
    classes: int
    epsilon: float
    health: GradientHealth
    fooled: Mapping[str, np.ndarray]
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

    def gap(self, weaker: np.ndarray, stronger: np.ndarray) -> Estimate:
        """Return the robustness against one attack minus that against another, with the paired interval."""
        return intervals.difference(weaker, stronger, self.labels, self.classes)


def gather(
    model: Evaluation,
    x: Array,
    y: Array,
    epsilon: float,
    sources: Sequence[Network],
    budget: Budget,
    seed: int,
    progress: bool,
) -> Evidence:
    """Run every attack of an audit once. See `audit` for the arguments, which must have been checked."""
    labels, health = model.backend.to_numpy(y), gradient_health(model, x, y)
    found = partial(Evidence, labels=labels, classes=model.classes, epsilon=epsilon, health=health)
    fooled = {
        "clean": model.backend.to_numpy(model.predict(x)) != labels,
        "noise": fooled_by(noise(model, x, y, epsilon, seed=seed)),
    }
    if health.not_finite:
        fooled["worst case"] = union(*fooled.values())
        return found(fooled=fooled, not_run=dict.fromkeys(NEED_A_FINITE_GRADIENT, "the gradient is not finite"))
    not_run = {}

    low, high = model.input_range
    curve = [width * (high - low) for width in WIDTHS]
    by_fgsm = {step: fooled_by(fgsm(model, x, y, step)) for step in {*curve, epsilon}}
    climb = partial(pgd, epsilon=epsilon, starts=budget.starts, seed=seed, progress=progress)
    by_pgd = pgd_by_steps(climb, model, x, y, budget.steps)
    fooled |= {"FGSM": by_fgsm[epsilon], "PGD": by_pgd[2 * budget.steps]}
    fooled["white box"] = union(fooled["clean"], fooled["FGSM"], fooled["PGD"])

    if sources:
        attacks = partial(fgsm, epsilon=epsilon), partial(climb, steps=budget.steps)
        fooled["transfer"] = transferred(attacks, sources, model, x, y)
    else:
        not_run["transfer"] = "no sources given"
    if len(model.input_shape) == 3:
        search = square(model, x, y, epsilon, queries=budget.queries, seed=seed, progress=progress)
        fooled["Square"] = fooled_by(search)
    else:
        not_run["Square"] = "Square takes images only"
    fooled["worst case"] = union(*fooled.values())

    samples = evenly(labels, affordable(model, budget.pixel_work))
    fooled |= pixel_attacks(model, x, y, fooled["clean"], samples, progress)
    return found(
        fooled=fooled,
        not_run=not_run,
        fgsm_by_epsilon={step: by_fgsm[step] for step in curve},
        pgd_by_steps=by_pgd,
        pixel_samples=samples,
    )


def fooled_by(attack: Attack) -> np.ndarray:
    """Return which samples an attack fooled, on the host."""
    return backend.of(attack.fooled).to_numpy(attack.fooled)


def union(*fooled: np.ndarray) -> np.ndarray:
    """Return which samples at least one of several attacks fooled."""
    return np.logical_or.reduce(fooled)


def gradient_health(model: Evaluation, x: Array, y: Array) -> GradientHealth:
    """Count zeros, NaN and infinity, and signs that differ in float64."""
    loss, pixels = SoftmaxCrossEntropy(), tuple(range(1, x.ndim))
    twin = Evaluation(model.network.to(model.backend, dtype="float64"))
    zero_samples = not_finite = without_logits = zero_pixels = flips = 0

    def count(mask: Array) -> int:
        return int(model.backend.to_numpy(mask.sum()))

    for chunk in model.chunks(len(x)):
        logits, _, g = model.gradient(x[chunk], y[chunk], loss)
        _, _, exact = twin.gradient(x[chunk].astype("float64"), y[chunk], loss)
        broken_logits = ~(abs(logits) < math.inf).all(axis=1)  # NaN is not less than anything
        broken_gradient = ~(abs(g) < math.inf).all(axis=pixels)
        zero_samples += count((g == 0).all(axis=pixels))
        not_finite += count(broken_logits | broken_gradient)
        without_logits += count(broken_logits)
        zero_pixels += count(g == 0)
        flips += count(model.xp.sign(g) != model.xp.sign(exact))
    return GradientHealth(zero_samples, not_finite, without_logits, zero_pixels / x.size, flips / x.size)


def pgd_by_steps(
    climb: Callable[..., Attack], model: Evaluation, x: Array, y: Array, steps: int
) -> dict[int, np.ndarray]:
    """Return which samples PGD fools in S steps, and which once it has also run with 2 S steps.

    It runs on cross entropy and then on the margin, and each run attacks only the samples that no earlier run fooled.
    """
    standing, fooled = np.arange(len(x)), {}
    for length in (steps, 2 * steps):
        for loss in LOSSES:
            if len(standing):
                rows = model.backend.asarray(standing)
                standing = standing[~fooled_by(climb(model, x[rows], y[rows], steps=length, loss=loss))]
        fooled[length] = ~np.isin(np.arange(len(x)), standing)
    return fooled


def transferred(
    attacks: Iterable[Callable[..., Attack]], sources: Sequence[Network], target: Evaluation, x: Array, y: Array
) -> np.ndarray:
    """Return which samples are wrong on the target under any of the attacks on any of the sources."""
    x, y = (target.backend.to_numpy(array) for array in (x, y))  # the sources may be on other backends
    return union(*(fooled_by(transfer(source, target, x, y, attack)) for source in sources for attack in attacks))


def pixel_attacks(
    model: Evaluation, x: Array, y: Array, clean: np.ndarray, samples: np.ndarray, progress: bool
) -> dict[str, np.ndarray]:
    """Return which of some samples the best single pixel fools, and which the pixel of largest headroom."""
    rows = model.backend.asarray(samples)
    x, y = x[rows], y[rows]
    by_gradient = (model.backend.to_numpy(headroom_pixel(model, x, y, loss)) for loss in LOSSES)
    return {
        "brute-force pixel": fooled_by(brute_force_pixel(model, x, y, progress=progress)),
        "headroom pixel": union(clean[samples], *by_gradient),  # wrong without an attack is wrong under any
    }


def affordable(model: Evaluation, pixel_work: int) -> int:
    """Return on how many samples the brute-force pixel stays within the budget, at least one per class."""
    pixels, channels = pixels_and_channels(model.input_shape)
    outputs = sum(math.prod(layer.output_shape) for layer in model.layers)
    return max(model.classes, pixel_work // (pixels * 2**channels * outputs))


def evenly(labels: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the first `count` samples if one is taken from each class in turn: (M,), in order."""
    turn = np.empty(len(labels), dtype="int64")
    for c in np.unique(labels):
        members = labels == c
        turn[members] = np.arange(members.sum())
    return np.sort(np.argsort(turn, kind="stable")[:count])


def headroom_pixel(model: Evaluation, x: Array, y: Array, loss: Loss) -> Array:
    """Return which samples are wrong once the pixel of largest headroom is at an end of the input range.

    A channel's headroom is the larger of g (high - x) and g (low - x), the linear change of the loss at either end; a
    pixel's is the sum over its channels. `attacks.pixel` ranks by |g| alone, as the study does, and may choose a pixel
    with no room to move.
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
