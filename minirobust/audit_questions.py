"""The nine questions of an audit: when each is flagged, what a flag means, what to do then.

How they are answered is in `masking`.  Thresholds stand here, beside what was measured; `docs/audit.md` has all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from minirobust.audit_report import Check, Finding
from minirobust.intervals import Estimate

SIGN_FLIPS = 0.01  # check 1; 0.000 at every temperature, 0.03 and more with logits times 1,000
# Checks 2, 5, 6, 7, 9.  5: at most 0.003 at T ≥ 1/4, from 0.043 at T = 1/64.  9: at most 0.005, from 0.016.
TOLERANCE = 0.01
# Check 9 besides, of the images that some pixel fools: one pixel driven to an end of its range goes beyond what a slope
# foretells, so honest networks miss some, up to 0.13 on Fashion-MNIST; from 0.17 at T = 1/64.
MISSED = 0.15
FGSM_GAP = 0.10  # check 4; at most 0.084 at T ≥ 1, up to 0.139 at T = 1/4, from 0.373 at T = 1/64
BEYOND_TOLERANCE = f"> {TOLERANCE:g} and interval > 0"


@dataclass(frozen=True)
class Question:
    """What is fixed of a check; see `Check` for the attributes."""

    number: int
    name: str
    condition: str
    finding: Finding
    meaning: str
    remedy: str

    def answer(
        self, flagged: bool, text: str, samples: int, figures: dict[str, float], estimate: Estimate | None = None
    ) -> Check:
        return Check(**vars(self), flagged=flagged, text=text, figures=figures, estimate=estimate, samples=samples)

    def not_run(self, reason: str) -> Check:
        return Check(**vars(self), flagged=None, text=reason, figures={}, estimate=None, samples=0)


HEALTH = Question(
    1,
    "gradient health",
    f"> 0, > 0, > {SIGN_FLIPS:.0%}",
    "masked",
    "Where the gradient is zero, not finite, or of the wrong sign by rounding, an attack stands still or goes astray.",
    "Attack a copy in float64 (`network.to`), also on the Margin loss; mend layers whose gradient is zero.",
)
CURVE = Question(
    2,
    "FGSM over ε",
    # Below chance convolutional networks on CIFAR-10 rise by 0.004 to 0.023, though PGD leaves nothing of them.
    f"> {TOLERANCE:g}, > 0, > chance",
    "masked",
    "A larger ε allows every image that a smaller one allows, so an attack that then finds less was led astray.",
    "Do not believe FGSM at any ε; go by the worst case of PGD, transfer and Square.",
)
UNBOUNDED = Question(
    3,
    "unbounded FGSM",
    "interval above chance",
    "masked",
    "When every pixel may become anything, an attack that works leaves nothing; here something is left.",
    "The gradient does not lead to the other classes: look for layers that hide it; use attacks without a gradient.",
)
ONE_STEP = Question(
    4,
    "FGSM against PGD",
    f"interval above {FGSM_GAP:g}",
    "FGSM too weak here",
    "PGD finds with the same gradient what one step of FGSM misses: the loss bends within ε.  That is no masking yet.",
    "Report PGD's figure, not FGSM's.",
)
CONVERGENCE = Question(
    5,
    "PGD, 2 × steps",
    BEYOND_TOLERANCE,
    "PGD not converged",
    "More steps still find more, so PGD's figure is an upper bound and no measurement.",
    "Raise steps and starts until the figure stays; budget='full' does.",
)
TRANSFER = Question(
    6,
    "transfer",
    BEYOND_TOLERANCE,
    "masked",
    "Images made on another network do more harm than those made on this one, whose own gradient must then mislead.",
    "Count transferred images in the worst case; attack this network through the sources' gradients.",
)
SEARCH = Question(
    7,
    "Square",
    BEYOND_TOLERANCE,
    "masked",
    "A blind search finds more than attacks that see the gradient, so the gradient hides what is there.",
    "Count Square in the worst case, with more queries; find out which layer hides the gradient.",
)
NOISE = Question(
    8,
    "random noise",
    "noise fools more",
    "masked",
    "Random signs do more harm than steps along the gradient, which then points nowhere.",
    "Do not believe any attack by gradient here.",
)
PIXEL = Question(
    9,
    "single pixel",
    f"> {TOLERANCE:g}, > 0, misses > {MISSED:.0%}",
    "masked",
    "Single pixels fool the network that its gradient does not point to, even with their room to move in mind.",
    "Pixel attacks ranked by the gradient underrate the danger: search, or rank by the change of the logits.",
)
QUESTIONS = (HEALTH, CURVE, UNBOUNDED, ONE_STEP, CONVERGENCE, TRANSFER, SEARCH, NOISE, PIXEL)
