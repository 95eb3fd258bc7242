"""`Evidence`: what the attacks of an audit found, and `gather`, which runs each of them once.

Nothing is judged here. `checks` does that, from the evidence alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from minirobust.attacks import brute_force_pixel, noise, transfer
from minirobust.attacks.pixel.change import pixels_and_channels
from minirobust.attacks.pixel.ranking import headroom
from minirobust.attacks.voting import is_random, voting
from minirobust.backend import Array
from minirobust.losses import SoftmaxCrossEntropy
from minirobust.masking.battery import LEAST_QUERIES, LOSSES, Attacker, Battery, Budget, fooled_by, union
from minirobust.measures import intervals
from minirobust.measures.intervals import Estimate
from minirobust.measures.robustness import network_robustness
from minirobust.model import Model
from minirobust.stack import Evaluation

WIDTHS = (0, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1)  # ε of the FGSM curve, in widths of the input range
PIXEL_ATTACKS = ("brute-force pixel", "headroom pixel")
SMOOTHED = ("white box + restart", "white box + smoothed")
NOT_ON_RANDOM = ("gradient health", "APGD", *SMOOTHED, "Square", *PIXEL_ATTACKS)  # they would tell of a single draw


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
        Share of the gradients of all pixels that have another sign than those of the same network in float64; NaN for a
        model that is no network, which has no twin in float64.
    """

    zero_samples: int = 0
    not_finite: int = 0
    without_logits: int = 0
    zero_pixels: float = 0.0
    sign_flips: float = math.nan


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
    random : bool
        Whether the model is random. `fooled` is then judged by majority votes, see `minirobust.attacks.voting`.
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
    epsilon: float,
    sources: Sequence[Any],
    budget: Budget,
    seed: int,
    progress: bool,
) -> Evidence:
    """Run every attack of an audit once. See `audit` for the arguments, which must have been checked."""
    random = is_random(model, x[next(iter(model.chunks(len(x))))])
    model = voting(model) if random else model
    battery = Battery(epsilon, budget, seed, random, progress)
    labels, health = model.backend.to_numpy(y), GradientHealth() if random else gradient_health(model, x, y)
    by_fgsm, by_pgd = fgsm_by_epsilon(battery, model, x, y), pgd_by_steps(battery, model, x, y)
    smoothed, restart = battery.smoothed(model)
    queries = max(budget.queries, LEAST_QUERIES if health.zero_samples else 0)
    samples = evenly(labels, 0 if random else affordable(model, budget.pixel_work))
    few = model.backend.asarray(samples)
    fooled: dict[str, np.ndarray] = {}
    attacks: dict[str, Callable[[], np.ndarray]] = {
        "clean": lambda: model.backend.to_numpy(model.predict(x)) != labels,
        "FGSM": lambda: by_fgsm[epsilon],
        "PGD": lambda: by_pgd[2 * budget.steps],
        "APGD": lambda: union(battery.apgd(model), model, x, y),
        "white box": lambda: any_of(fooled),
        "white box + restart": lambda: union(restart, model, x, y, fooled["white box"]),
        "white box + smoothed": lambda: union(smoothed, model, x, y, fooled["white box"]),
        "noise": lambda: fooled_by(noise(model, x, y, epsilon, seed=seed)),
        "transfer": lambda: transferred(battery.transferred(), sources, model, x, y),
        "Square": lambda: union([battery.square(queries)], model, x, y),
        "worst case": lambda: any_of(fooled),
        "brute-force pixel": lambda: fooled_by(brute_force_pixel(model, x[few], y[few], progress=progress)),
        "headroom pixel": lambda: fooled["clean"][samples] | headroom_pixel(model, x[few], y[few]),
    }
    not_run = reasons(model, sources, random, blind=health.zero_samples == len(x))
    for name, attack in attacks.items():
        if name not in not_run:
            fooled[name] = attack()
    return Evidence(
        labels=labels,
        classes=model.classes,
        epsilon=epsilon,
        health=health,
        random=random,
        fooled=fooled,
        not_run=not_run,
        fgsm_by_epsilon={step: by_fgsm[step] for step in curve(model)},
        pgd_by_steps=by_pgd,
        pixel_samples=samples,
    )


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


def fgsm_by_epsilon(battery: Battery, model: Model, x: Array, y: Array) -> dict[float, np.ndarray]:
    """Return which samples FGSM fools within the audit's ε and each of `curve`."""
    return {step: union([battery.fgsm(step)], model, x, y) for step in {*curve(model), battery.epsilon}}


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
    return GradientHealth(zero_samples, not_finite, without_logits, zero_pixels / x.size, sign_flips)


def pgd_by_steps(battery: Battery, model: Model, x: Array, y: Array) -> dict[int, np.ndarray]:
    """Return which samples PGD fools in S steps, and which once it has also run with 2 S steps."""
    steps = battery.budget.steps
    first = union(battery.pgd(steps), model, x, y)
    return {steps: first, 2 * steps: union(battery.pgd(2 * steps), model, x, y, first)}


def transferred(attackers: Iterable[Attacker], sources: Sequence[Any], target: Model, x: Array, y: Array) -> np.ndarray:
    """Return which samples are wrong on the target under any of the attacks on any of the sources."""
    x, y = (target.backend.to_numpy(array) for array in (x, y))  # the sources may be on other backends
    made = (transfer(source, target, x, y, attack) for source in sources for attack in attackers)
    return np.logical_or.reduce([fooled_by(attack) for attack in made])


def affordable(model: Model, pixel_work: int) -> int:
    """Return on how many samples the brute-force pixel stays within the budget, at least one per class."""
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


def headroom_pixel(model: Model, x: Array, y: Array) -> np.ndarray:
    """Return which samples are wrong once the pixel of largest headroom, for either loss, is at an end of its range.

    See `headroom`. `attacks.pixel` ranks by |g| alone, as the study does, and may choose a pixel with no room to move.
    """
    fooled = np.zeros(len(x), dtype=bool)
    for loss, chunk in product(LOSSES, model.chunks(len(x))):
        images, (_, _, g) = x[chunk], model.gradient(x[chunk], y[chunk], loss)
        written = with_one_pixel(model, images, g)
        fooled[chunk] |= model.backend.to_numpy(model.predict(written) != y[chunk])
    return fooled


def with_one_pixel(model: Model, images: Array, g: Array) -> Array:
    """Return images whose pixel of largest headroom is at the better end of the input range, channel by channel."""
    xp, (low, high) = model.xp, model.input_range
    shape = (-1, *pixels_and_channels(model.input_shape))
    gain = headroom(g, images, model.input_range)
    best = gain.argmax(axis=1)[:, None] == xp.arange(gain.shape[1])
    ends = xp.where(g >= 0, high, low).astype(images.dtype)
    return xp.where(best[:, :, None], ends.reshape(shape), images.reshape(shape)).reshape(images.shape)
