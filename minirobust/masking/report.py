"""`AuditReport`: the result of an audit, as a table and a verdict."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from minirobust.masking.sandwich import Sandwich
from minirobust.measures.intervals import ClassEstimates, Estimate
from minirobust.tables import WIDTH, html_table, table

Finding = Literal["masked", "FGSM too weak here", "PGD not converged"]
Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes
    ----------
    number : int
        In the order of the report, from 1.
    name : str
    condition : str
        When it is flagged.
    finding : {"masked", "FGSM too weak here", "PGD not converged"}
        The finding if it is flagged.
    meaning, remedy : str
        What a flag means, and what to do about it.
    flagged : bool or None
        None if the check was not run.
    text : str
        The figures in words; if the check was not run, the reason.
    figures : mapping of str to float
    estimate : Estimate or None
        The figure in the condition, (value, low, high), if it is a rate or a difference of two rates.
    samples : int
        Number of samples behind the figures; 0 if the check was not run.
    """

    number: int
    name: str
    condition: str
    finding: Finding
    meaning: str
    remedy: str
    flagged: bool | None
    text: str
    figures: Mapping[str, float]
    estimate: Estimate | None
    samples: int


@dataclass(frozen=True, repr=False)
class AuditReport:
    """The result of an audit, which prints as a table.

    Attributes
    ----------
    checks : tuple of Check
        In order.
    robustness : mapping of str to Estimate
        Network robustness against each key of `fooled` and its 95 % interval, (value, low, high).
    by_class : mapping of str to ClassEstimates
        The same for each class.
    fooled : mapping of str to ndarray of bool, shape (N,)
        Which samples are misclassified under each attack, on the host; (M,) for the pixel attacks, see `pixel_samples`.

        - "clean": without an attack
        - "FGSM": on cross entropy
        - "PGD": on cross entropy or the margin
        - "APGD": on cross entropy, the margin, scale-free cross entropy, or the margin towards any other class
        - "white box": any of the above, all of which follow the true gradient
        - "white box + restart": "white box", or APGD again from another start
        - "white box + smoothed": "white box", or APGD along a smoothed gradient; for a model that is not a network, PGD
          along a gradient that is averaged over noise
        - "noise": random signs, one draw
        - "transfer": FGSM, or PGD with all its steps, on any of the sources; absent if there are none
        - "Square": gradient-free; absent if the model does not take images
        - "worst case": any of the above, all of which are within ε
        - "brute-force pixel", "headroom pixel": one pixel, which may take any value; not part of the worst case
    sandwiches : tuple of Sandwich
        Lower and upper bounds of the robustness within each ε, in ascending order of ε.
    pixel_samples : ndarray of int, shape (M,)
        The samples on which the pixel attacks were tried: as many as the budget allows, evenly over the classes.
    labels : ndarray of int, shape (N,)
    epsilon : float
        The largest ε, which the checks use.
    budget : str
    seed : int
    random : bool
        Whether the model is random. `fooled` is then decided by majority votes.
    """

    checks: tuple[Check, ...]
    robustness: Mapping[str, Estimate]
    by_class: Mapping[str, ClassEstimates]
    fooled: Mapping[str, np.ndarray]
    sandwiches: tuple[Sandwich, ...]
    pixel_samples: np.ndarray
    labels: np.ndarray
    epsilon: float
    budget: str
    seed: int
    random: bool = False

    @property
    def flagged(self) -> tuple[Check, ...]:
        """The checks whose condition is met."""
        return tuple(check for check in self.checks if check.flagged)

    @property
    def masked(self) -> bool:
        """Whether any flagged check says that the gradient is masked."""
        return any(check.finding == "masked" for check in self.flagged)

    @property
    def verdict(self) -> str:
        """One line: the findings, the checks that are flagged, and the bounds of the robustness."""
        found: dict[str, list[int]] = {}
        for check in self.flagged:
            found.setdefault(check.finding, []).append(check.number)
        parts = [f"{SAYS[finding]} ({_numbers(found[finding])})" for finding in SAYS if finding in found]
        if self.random:
            parts.insert(0, "the model is random, evaluated by majority votes")
        if not found:
            parts.append("no sign of masking")
        return f"{'; '.join(parts)}: {_bounds(self.sandwiches[-1])}"

    def to_dict(self) -> dict[str, Any]:
        """Return all figures except `fooled` as numbers, strings and lists for JSON; NaN becomes None."""
        return _plain(
            {
                "epsilon": self.epsilon,
                "budget": self.budget,
                "seed": self.seed,
                "samples": len(self.labels),
                "pixel_samples": len(self.pixel_samples),
                "random": self.random,
                "masked": self.masked,
                "verdict": self.verdict,
                "checks": [asdict(check) for check in self.checks],
                "robustness": self.robustness,
                "sandwiches": [
                    {"epsilon": each.epsilon, "lower": each.lower, "upper": each.upper, "FGSM": each.against_fgsm}
                    for each in self.sandwiches
                ],
                "by_class": self.by_class,
            }
        )

    def __str__(self) -> str:
        within, rates, judged = self._tables()
        blocks = [
            self._head(),
            table(within, 4, (1,)),
            table(rates, 4, (1,)),
            table(judged, 5, (1,)),
            *map(_advice, self.flagged),
            textwrap.fill(f"verdict: {self.verdict}", WIDTH, subsequent_indent="  "),
        ]
        return "\n\n".join(blocks)

    def _repr_html_(self) -> str:
        within, rates, judged = self._tables()
        return (
            html_table(within, 4, (1,), f"{self._head()}; {self.verdict}")
            + html_table(rates, 4, (1,))
            + html_table(judged, 5, (1,))
        )

    def _head(self) -> str:
        return (
            f"audit of {len(self.labels):,} samples at ε = {self.epsilon:g}, budget {self.budget!r}, seed {self.seed}"
        )

    def _tables(self) -> tuple[Rows, Rows, Rows]:
        """Return the rows of three tables: bounds of the robustness, robustness against each attack, and checks."""
        within: Rows = [("ε", "robustness is at least", "and at most", "against FGSM alone")]
        within += [
            (
                f"{each.epsilon:g}",
                _interval(each.lower) or UNPROVEN,
                _interval(each.upper),
                _interval(each.against_fgsm),
            )
            for each in self.sandwiches
        ]
        rates: Rows = [("attack", "robustness against it", "95 % interval", "samples")]
        rates += [
            (name, f"{value:.3f}", f"{low:.3f} to {high:.3f}", f"{len(self.fooled[name]):,}")
            for name, (value, low, high) in self.robustness.items()
        ]
        judged: Rows = [("", "", "check", "figures", "estimate, 95 %")]
        judged += [
            (f"{check.number}", _outcome(check), check.name, check.text, _interval(check.estimate))
            for check in self.checks
        ]
        return within, rates, judged

    __repr__ = __str__


SAYS = {
    "masked": "the gradient is masked",
    "FGSM too weak here": "FGSM is too weak here",
    "PGD not converged": "PGD has not converged",
}

UNPROVEN = "no certificate"


def _bounds(sandwich: Sandwich) -> str:
    """Return the bounds of the robustness in words."""
    upper, within = _interval(sandwich.upper), f"robustness at ε = {sandwich.epsilon:g} is"
    if sandwich.lower is None:
        return f"{within} at most {upper}"
    return f"{within} at least {_interval(sandwich.lower)} and at most {upper}"


def _numbers(checks: list[int]) -> str:
    return f"check{'s' if len(checks) > 1 else ''} {', '.join(map(str, checks))}"


def _interval(estimate: Estimate | None) -> str:
    return "" if estimate is None else "{:.3f} [{:.3f}, {:.3f}]".format(*estimate)


def _outcome(check: Check) -> str:
    return {None: "not run", False: "pass", True: "FLAG"}[check.flagged]


def _advice(check: Check) -> str:
    head = f"check {check.number}, {check.finding} (flagged if {check.condition})"
    text = f"{head}: {check.meaning} What to do: {check.remedy}"
    return textwrap.fill(text, WIDTH, subsequent_indent="  ")


def _plain(value: Any) -> Any:
    """Return `value` converted to the types of JSON."""
    if isinstance(value, Estimate | ClassEstimates):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value
