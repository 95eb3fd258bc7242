"""The checks of an audit: pure functions of the evidence, each preceded by its threshold, meaning and remedy.

`docs/explanation/audit.md` gives the measurements behind the thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, wraps

import numpy as np

from minirobust.masking.evidence import Evidence
from minirobust.masking.report import Check, Finding
from minirobust.measures import intervals
from minirobust.measures.intervals import Estimate
from minirobust.measures.robustness import network_robustness

TOLERANCE = 0.01  # the largest difference of robustness that checks 2, 5, 6, 7, 9 and 10 ignore
BEYOND_TOLERANCE = f"> {TOLERANCE:g} and interval > 0"


@dataclass(frozen=True)
class Answer:
    """The part of a `Check` that depends on the evidence."""

    flagged: bool
    text: str
    figures: Mapping[str, float]
    estimate: Estimate | None = None


def check(
    number: int, name: str, *, needs: str, condition: str, finding: Finding, meaning: str, remedy: str
) -> Callable[[Callable[[Evidence], Answer]], Callable[[Evidence], Check]]:
    """Turn a function into a check, which is not run if the attack that it needs was not run."""
    fixed = partial(Check, number, name, condition, finding, meaning, remedy)

    def decorate(judge: Callable[[Evidence], Answer]) -> Callable[[Evidence], Check]:
        @wraps(judge)
        def run(evidence: Evidence) -> Check:
            if needs in evidence.not_run:
                return fixed(flagged=None, text=evidence.not_run[needs], figures={}, estimate=None, samples=0)
            return fixed(**vars(judge(evidence)), samples=len(evidence.labels_of(needs)))

        return run

    return decorate


def exceeds_tolerance(gap: Estimate) -> bool:
    """Return whether a difference exceeds the tolerance and its interval is above 0: 1 of 60 samples is too few."""
    return gap.value > TOLERANCE and gap.low > 0


SUBNORMAL = (
    1e-44  # float32 goes down to 1.4e-45; on a backend that stops earlier, such as CUDA, some zeros are artefacts
)
SIGN_FLIPS = 0.01  # 0.000 at every temperature, 0.03 and more with logits times 1,000


@check(
    1,
    "gradient health",
    needs="gradient health",
    condition=f"> 0, > 0, > {SIGN_FLIPS:.0%}",
    finding="masked",
    meaning="The gradient is zero, not finite, or has a wrong sign because of rounding. An attack that follows it "
    "does not move, or moves in a wrong direction.",
    remedy="Attack a copy in float64 (`network.to`), and use the loss Margin or ScaleFree. Replace the derivative of "
    "layers that have none.",
)
def gradient_health(evidence: Evidence) -> Answer:
    """Look for samples without a usable gradient, and for signs that rounding has changed."""
    health = evidence.health
    flips = "no float64 twin" if math.isnan(health.sign_flips) else f"{health.sign_flips:.2%} flips"
    text = f"{health.zero_samples} zero, {health.not_finite} not finite, {flips}"
    if health.smallest > SUBNORMAL and (health.zero_samples or health.zero_pixels):
        text += f"; numbers below {health.smallest:.0e} are zero on this backend"
    if health.without_logits:
        text += f"; {health.without_logits} samples have NaN or infinite logits"
    return Answer(
        health.zero_samples > 0 or health.not_finite > 0 or health.sign_flips > SIGN_FLIPS,
        text,
        {
            "zero samples": health.zero_samples,
            "samples not finite": health.not_finite,
            "samples without finite logits": health.without_logits,
            "zero pixels": health.zero_pixels,
            "sign flips": health.sign_flips,
        },
    )


@check(
    2,
    "FGSM over ε",
    needs="FGSM",
    condition=f"> {TOLERANCE:g}, > 0, > chance",
    finding="masked",
    meaning="FGSM fools fewer samples at a larger ε, although a larger ball contains all images of a smaller one.",
    remedy="Do not trust FGSM at any ε. Report the worst case.",
)
def fgsm_over_epsilon(evidence: Evidence) -> Answer:
    """Look for robustness that rises with ε above its lowest value at any smaller ε; a slow rise counts as well.

    A rise counts only if it ends above chance. A very large step may leave nothing in the image to recognize, and
    guessing is then right more often than the network was: below chance, the robustness of convolutional networks on
    CIFAR-10 rises by 0.004 to 0.023, although PGD reduces it to 0.
    """
    epsilons, fooled = list(evidence.fgsm_by_epsilon), list(evidence.fgsm_by_epsilon.values())
    rates = [evidence.rate(row) for row in fooled]
    robustness = [rate.value for rate in rates]
    rises = robustness - np.minimum.accumulate(robustness)
    above_chance = [rate.low > evidence.chance for rate in rates]
    end = int(np.argmax(np.where(above_chance, rises, 0)))
    begin = int(np.argmin(robustness[: end + 1]))
    rise = evidence.gap(fooled[end], fooled[begin])
    figures = {f"robustness at {epsilon:g}": value for epsilon, value in zip(epsilons, robustness, strict=True)}
    return Answer(
        exceeds_tolerance(rise),
        f"rise from ε = {epsilons[begin]:g} to {epsilons[end]:g}" if begin < end else "no rise above chance",
        figures | {"rise": rise.value},
        rise,
    )


@check(
    3,
    "unbounded FGSM",
    needs="FGSM",
    condition="interval above chance",
    finding="masked",
    meaning="Every pixel may take any value here. An attack that works leaves no more than chance.",
    remedy="Find the layer that hides the gradient. Use attacks that need none.",
)
def unbounded_fgsm(evidence: Evidence) -> Answer:
    """Look at the robustness that FGSM leaves at the largest ε, where it may choose any image."""
    *_, (epsilon, fooled) = evidence.fgsm_by_epsilon.items()
    robustness = evidence.rate(fooled)
    return Answer(
        robustness.low > evidence.chance,
        f"left at ε = {epsilon:g}, chance {evidence.chance:.3f}",
        {"robustness": robustness.value, "chance": evidence.chance},
        robustness,
    )


FGSM_GAP = 0.10  # at most 0.084 at T ≥ 1, up to 0.139 at T = 1/4, from 0.373 at T = 1/64


@check(
    4,
    "FGSM against PGD",
    needs="PGD",
    condition=f"interval above {FGSM_GAP:g}",
    finding="FGSM too weak here",
    meaning="PGD, with the same gradient, finds what a single step misses: the loss is curved within ε. This alone is "
    "not masking.",
    remedy="Report the worst case, not FGSM.",
)
def fgsm_against_pgd(evidence: Evidence) -> Answer:
    """Compare one step with many."""
    one, many, gap = evidence.compare(evidence.fooled["FGSM"], evidence.fooled["PGD"])
    return Answer(
        gap.low > FGSM_GAP,
        f"FGSM {one:.3f}, PGD {many:.3f}",
        {"FGSM": one, "PGD": many, "gap": gap.value},
        gap,
    )


# The fall is at most 0.003 at T ≥ 1/4, and 0.043 or more at T = 1/64.
@check(
    5,
    "PGD, 2 × steps",
    needs="PGD",
    condition=BEYOND_TOLERANCE,
    finding="PGD not converged",
    meaning="Twice as many steps find more, so PGD's figure is only an upper bound.",
    remedy="Take more steps and starts until the figure no longer falls, for example with budget='full'.",
)
def pgd_convergence(evidence: Evidence) -> Answer:
    """Compare PGD with S steps with PGD that then runs again with 2 S steps."""
    (steps, first), (twice, then) = evidence.pgd_by_steps.items()
    before, after, fall = evidence.compare(first, then)
    return Answer(
        exceeds_tolerance(fall),
        f"{before:.3f} in {steps} steps, {after:.3f} in {twice}",
        {"S steps": before, "2 S steps": after, "fall": fall.value},
        fall,
    )


@check(
    6,
    "transfer",
    needs="transfer",
    condition=BEYOND_TOLERANCE,
    finding="masked",
    meaning="Images made on another network fool this one where attacks along its own gradient do not.",
    remedy="Include transferred images in the worst case.",
)
def transfer(evidence: Evidence) -> Answer:
    """Compare the white box alone with the white box together with images made on other networks."""
    return beyond(evidence, "white box", "transfer")


@check(
    7,
    "Square",
    needs="Square",
    condition=BEYOND_TOLERANCE,
    finding="masked",
    meaning="A random search without a gradient finds what attacks along the gradient miss.",
    remedy="Include Square, with more queries, in the worst case. Find the layer that hides the gradient.",
)
def square(evidence: Evidence) -> Answer:
    """Compare the white box alone with the white box together with a search that uses no gradient."""
    return beyond(evidence, "white box", "Square")


def beyond(evidence: Evidence, known: str, other: str) -> Answer:
    """Check, sample by sample, whether fewer samples withstand the attacks once another attack is added."""
    fooled = evidence.fooled[known]
    before, after, excess = evidence.compare(fooled, fooled | evidence.fooled[other])
    return Answer(
        exceeds_tolerance(excess),
        f"{known} {before:.3f}, with {other} {after:.3f}",
        {known: before, f"with {other}": after, "excess": excess.value},
        excess,
    )


@check(
    8,
    "random noise",
    needs="white box",
    condition="interval > 0",
    finding="masked",
    meaning="Random signs fool more samples than all attacks along the gradient together.",
    remedy="Do not trust any attack along the gradient of this network.",
)
def random_noise(evidence: Evidence) -> Answer:
    """Compare one draw of random signs with the white box."""
    without, left, excess = evidence.compare(evidence.fooled["white box"], evidence.fooled["noise"])
    return Answer(
        excess.low > 0,
        f"white box {without:.3f}, noise {left:.3f}",
        {"white box": without, "noise": left, "excess": excess.value},
        excess,
    )


# The share missed of the images that some pixel fools. A slope cannot predict the effect of moving a pixel that far,
# so even an honest gradient misses some: up to 0.13 on Fashion-MNIST, and 0.18 on MNIST (T = 1/4, 100 epochs). The
# share is 0.26 or more on the zoo's masked networks, and 0.46 to 0.81 on MNIST at T = 1/8 to 1/64.
MISSED = 0.2


@check(
    9,
    "single pixel",
    needs="brute-force pixel",
    condition=f"> {TOLERANCE:g}, > 0, misses > {MISSED:.0%}",
    finding="masked",
    meaning="The network is fooled by single pixels to which its gradient does not point, even if the room that they "
    "have to move is taken into account.",
    remedy="Do not rank pixels by the gradient. Try them, as `greedy_pixel` does.",
)
def single_pixel(evidence: Evidence) -> Answer:
    """Compare the pixel of largest headroom with the best of all pixels."""
    headroom, best = evidence.fooled["headroom pixel"], evidence.fooled["brute-force pixel"]
    labels, wrong = evidence.labels[evidence.pixel_samples], evidence.fooled["clean"][evidence.pixel_samples]
    gap = intervals.difference(headroom, best, labels, evidence.classes)
    by_best, by_headroom = (1 - network_robustness(fooled, labels, evidence.classes) for fooled in (best, headroom))
    missed = float((best & ~headroom).sum() / max((best & ~wrong).sum(), 1))
    return Answer(
        exceeds_tolerance(gap) and missed > MISSED,
        f"{by_best:.3f}, headroom {by_headroom:.3f}: misses {missed:.0%}",
        {"brute force": by_best, "headroom": by_headroom, "gap": gap.value, "missed": missed},
        gap,
    )


@check(
    10,
    "smoothed gradient",
    needs="white box + smoothed",
    condition=BEYOND_TOLERANCE,
    finding="masked",
    meaning="The same attacks find more along a smoothed gradient than along the true one, even with a new start and "
    "as many steps.",
    remedy="Attack with `gradients=annealed()`, or `averaged(ε)` for a model that is not a network.",
)
def smoothed_gradient(evidence: Evidence) -> Answer:
    """Compare the white box plus a restart with the white box plus attacks along a smoothed gradient."""
    restart, smoothed = evidence.fooled["white box + restart"], evidence.fooled["white box + smoothed"]
    without, with_it, excess = evidence.compare(restart, smoothed)
    return Answer(
        exceeds_tolerance(excess),
        f"true {without:.3f}, smoothed {with_it:.3f}",
        {"true": without, "smoothed": with_it, "excess": excess.value},
        excess,
    )


CHECKS = (
    gradient_health,
    fgsm_over_epsilon,
    unbounded_fgsm,
    fgsm_against_pgd,
    pgd_convergence,
    transfer,
    square,
    random_noise,
    single_pixel,
    smoothed_gradient,
)
