"""The checks of an audit: pure functions of the evidence, each below its threshold, its meaning and its remedy.

`docs/audit.md` has the measurements behind the thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, wraps

import numpy as np

from minirobust.masking.evidence import Evidence
from minirobust.masking.report import Check, Finding
from minirobust.measures import intervals
from minirobust.measures.intervals import Estimate
from minirobust.measures.robustness import network_robustness

TOLERANCE = 0.01  # the largest difference of robustness that checks 2, 5, 6, 7 and 9 ignore
BEYOND_TOLERANCE = f"> {TOLERANCE:g} and interval > 0"


@dataclass(frozen=True)
class Answer:
    """The part of a `Check` that depends on the evidence."""

    flagged: bool
    text: str
    figures: Mapping[str, float]
    estimate: Estimate | None = None


def check(
    number: int, name: str, *, needs: str = "clean", condition: str, finding: Finding, meaning: str, remedy: str
) -> Callable[[Callable[[Evidence], Answer]], Callable[[Evidence], Check]]:
    """Turn the function below into a check, which is not run if the attack that it needs was not run."""
    fixed = partial(Check, number, name, condition, finding, meaning, remedy)

    def decorate(judge: Callable[[Evidence], Answer]) -> Callable[[Evidence], Check]:
        @wraps(judge)
        def run(evidence: Evidence) -> Check:
            if needs in evidence.not_run:
                return fixed(flagged=None, text=evidence.not_run[needs], figures={}, estimate=None, samples=0)
            return fixed(**vars(judge(evidence)), samples=len(evidence.fooled[needs]))

        return run

    return decorate


def exceeds_tolerance(gap: Estimate) -> bool:
    """Return whether a difference is above the tolerance and its interval above 0: 1 of 60 samples is no evidence."""
    return gap.value > TOLERANCE and gap.low > 0


SIGN_FLIPS = 0.01  # 0.000 at every temperature, 0.03 and more with logits times 1,000


@check(
    1,
    "gradient health",
    condition=f"> 0, > 0, > {SIGN_FLIPS:.0%}",
    finding="masked",
    meaning="Where the gradient is zero, not finite, or of the wrong sign by rounding, an attack stands still or goes "
    "astray.",
    remedy="Attack a copy in float64 (`network.to`), also on the Margin loss; mend layers whose gradient is zero.",
)
def gradient_health(evidence: Evidence) -> Answer:
    """Look for samples without a usable gradient, and for signs that rounding changed."""
    health = evidence.health
    text = f"{health.zero_samples} zero, {health.not_finite} not finite, {health.sign_flips:.2%} flips"
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
    meaning="A larger ε allows every image that a smaller one allows, so an attack that then finds less was led "
    "astray.",
    remedy="Do not believe FGSM at any ε; go by the worst case of PGD, transfer and Square.",
)
def fgsm_over_epsilon(evidence: Evidence) -> Answer:
    """Look for robustness that rises with ε, from its lowest value at any smaller ε: a slow rise counts as well.

    A rise counts only if it ends above chance. So large a step may leave nothing in the image to recognize, and chance
    is then right more often than the network was: below chance, convolutional networks on CIFAR-10 rise by 0.004 to
    0.023, although PGD leaves nothing of them.
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
    meaning="When every pixel may become anything, an attack that works leaves nothing; here something is left.",
    remedy="The gradient does not lead to the other classes: look for layers that hide it; use attacks without a "
    "gradient.",
)
def unbounded_fgsm(evidence: Evidence) -> Answer:
    """Look at what FGSM leaves at the largest ε, where it may choose any image."""
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
    meaning="PGD finds with the same gradient what one step of FGSM misses: the loss bends within ε.  That is no "
    "masking yet.",
    remedy="Report PGD's figure, not FGSM's.",
)
def fgsm_against_pgd(evidence: Evidence) -> Answer:
    """Compare one step with many."""
    fgsm, pgd = evidence.fooled["FGSM"], evidence.fooled["PGD"]
    one, many, gap = evidence.robustness(fgsm), evidence.robustness(pgd), evidence.gap(fgsm, pgd)
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
    meaning="More steps still find more, so PGD's figure is an upper bound and no measurement.",
    remedy="Raise steps and starts until the figure stays; budget='full' does.",
)
def pgd_convergence(evidence: Evidence) -> Answer:
    """Compare PGD with S steps with PGD that then runs again with 2 S steps."""
    (steps, first), (twice, then) = evidence.pgd_by_steps.items()
    before, after, fall = evidence.robustness(first), evidence.robustness(then), evidence.gap(first, then)
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
    meaning="Images made on another network do more harm than those made on this one, whose own gradient must then "
    "mislead.",
    remedy="Count transferred images in the worst case; attack this network through the sources' gradients.",
)
def transfer(evidence: Evidence) -> Answer:
    """Compare images made on other networks with those of the white box."""
    return beyond_white_box(evidence, "transfer")


@check(
    7,
    "Square",
    needs="Square",
    condition=BEYOND_TOLERANCE,
    finding="masked",
    meaning="A blind search finds more than attacks that see the gradient, so the gradient hides what is there.",
    remedy="Count Square in the worst case, with more queries; find out which layer hides the gradient.",
)
def square(evidence: Evidence) -> Answer:
    """Compare a search that uses no gradient with the white box."""
    return beyond_white_box(evidence, "Square")


def beyond_white_box(evidence: Evidence, attack: str) -> Answer:
    """Return whether an attack that does not use this network's gradient leaves less than those that do."""
    white_box, other = evidence.fooled["white box"], evidence.fooled[attack]
    with_it, without, excess = (
        evidence.robustness(white_box),
        evidence.robustness(other),
        evidence.gap(white_box, other),
    )
    return Answer(
        exceeds_tolerance(excess),
        f"white box {with_it:.3f}, {attack} {without:.3f}",
        {attack: without, "white box": with_it, "excess": excess.value},
        excess,
    )


@check(
    8,
    "random noise",
    needs="white box",
    condition="noise fools more",
    finding="masked",
    meaning="Random signs do more harm than steps along the gradient, which then points nowhere.",
    remedy="Do not believe any attack by gradient here.",
)
def random_noise(evidence: Evidence) -> Answer:
    """Compare one draw of random signs with the white box."""
    noise, white_box = (int(evidence.fooled[name].sum()) for name in ("noise", "white box"))
    return Answer(noise > white_box, f"noise {noise}, white box {white_box}", {"noise": noise, "white box": white_box})


# Of the images that some pixel fools. A pixel at an end of its range is beyond what a slope predicts, so honest
# networks miss some: up to 0.13 on Fashion-MNIST, and 0.17 or more at T = 1/64. The difference of robustness is at most
# 0.005 on MNIST at T ≥ 1/4, and 0.016 or more at T = 1/64.
MISSED = 0.15


@check(
    9,
    "single pixel",
    needs="brute-force pixel",
    condition=f"> {TOLERANCE:g}, > 0, misses > {MISSED:.0%}",
    finding="masked",
    meaning="Single pixels fool the network that its gradient does not point to, even with their room to move in mind.",
    remedy="Pixel attacks ranked by the gradient underrate the danger: search, or rank by the change of the logits.",
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
)
