"""The verdict on a claim, and the two rules that every claim is judged by: one for thresholds, one for quantifiers.

Both rules have three outcomes. A case that its interval does not decide, or that is not measured yet, neither holds nor
fails.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from minirobust.measures.intervals import Estimate

Ruling = Literal["holds", "does not hold", "cannot tell here"]
Survival = Literal[
    "survives",
    "reverses at small ε",
    "rests on a weak attack",
    "cannot be told: nothing is left",
    "cannot tell here",
]
Direction = Literal["rises", "falls", "above", "below"]
Quantifier = Literal["all", "almost all", "most", "many", "some"]


@dataclass(frozen=True)
class Verdict:
    """A claim of the paper, measured.

    Attributes
    ----------
    name : str
        A short name, to refer to the claim and to look it up.
    claim, section : str
        The paper's words, and their section.
    criterion, dataset : str
        The criterion in words, and the data set; "all" for a claim that compares data sets.
    verdict : str
    measured : str
        The result in words.
    figures : mapping of str to float or None
    survives, survives_verdict : str or None
        The outcome under stronger attacks, in words with a line for each ε, and in short.
    """

    name: str
    claim: str
    section: str  # of the paper
    criterion: str
    dataset: str  # `Study.title`, or "all" for a claim that compares data sets
    verdict: Ruling
    measured: str  # for "cannot tell here", also what is missing
    figures: Mapping[str, float | None]  # the result in numbers; None for NaN and infinity
    survives: str | None  # None if stronger attacks do not matter to the claim
    survives_verdict: Survival | None  # None as well if the claim does not hold against the paper's attack


class CannotTellError(Exception):
    """Raised where a claim cannot be judged; the message says what is missing."""


@dataclass(frozen=True)
class Case:
    """One instance of a claim: a temperature, an end of their range, an ε, a pair of data sets."""

    name: str
    estimate: Estimate | None  # compared with the claim's threshold; None if it is not measured yet
    order: Estimate | None = None  # compared with its second condition, if it has one
    text: str = ""  # details that the estimate does not give
    figures: Mapping[str, float] = field(default_factory=dict)


def beyond(estimate: Estimate | None, threshold: float, direction: Direction) -> Ruling:
    """Return whether an estimate lies beyond a threshold with all of its interval, with none of it, or with part.

    A difference "rises" if it exceeds the threshold and "falls" if its negative does; a value is "above" or "below".
    """
    if estimate is None or math.isnan(estimate.value):
        return "cannot tell here"
    low, high = estimate.low - threshold, estimate.high - threshold
    if direction == "falls":
        low, high = -estimate.high - threshold, -estimate.low - threshold
    elif direction == "below":
        low, high = -high, -low
    return "holds" if low > 0 else "does not hold" if high <= 0 else "cannot tell here"


def needed(quantifier: Quantifier, n: int) -> int:
    """Return how many of n cases a quantifier requires."""
    almost, many = math.ceil(0.95 * n - 1e-9), math.ceil(0.1 * n - 1e-9)
    return {"all": n, "almost all": almost, "most": n // 2 + 1, "many": many, "some": 1}[quantifier]


def quantified(rulings: Sequence[Ruling], quantifier: Quantifier) -> Ruling:
    """Return whether enough cases hold, if that is certain however the undecided cases turn out."""
    held, undecided = rulings.count("holds"), rulings.count("cannot tell here")
    enough = needed(quantifier, len(rulings))
    return "holds" if held >= enough else "does not hold" if held + undecided < enough else "cannot tell here"
