"""What a claim is, and what is found of it; the claims themselves are in the modules beside this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from minirobust.study.store import Study

Ruling = Literal["holds", "does not hold", "cannot tell here"]
Survival = Literal["survives", "rests on a weak attack", "cannot tell here"]


@dataclass(frozen=True)
class Verdict:
    """A claim of the paper, measured.

    Attributes
    ----------
    name : str
        Short, for people who refer to it and programs that look it up.
    claim : str
        What the paper says, in one sentence.
    section : str
        Of the paper.
    dataset : str
        `Study.title`, or "all" for a claim that compares data sets.
    verdict : {"holds", "does not hold", "cannot tell here"}
    measured : str
        The figures in words; of "cannot tell here", also what is missing.
    figures : mapping of str to float or None
        The same for programs; None where there is no number.
    survives : str or None
        What stronger attacks say; None if the claim is not about robustness.
    survives_verdict : {"survives", "rests on a weak attack", "cannot tell here"} or None
        Whether a claim that holds against the paper's attack holds against stronger ones; None if it does not hold to
        begin with, or is not about robustness.
    """

    name: str
    claim: str
    section: str
    dataset: str
    verdict: Ruling
    measured: str
    figures: Mapping[str, float | None]
    survives: str | None
    survives_verdict: Survival | None


@dataclass(frozen=True)
class Finding:
    """What a claim's function returns: the part of a `Verdict` that was measured."""

    verdict: Ruling
    measured: str
    figures: Mapping[str, float] = field(default_factory=dict)
    survives: str | None = None
    survives_verdict: Survival | None = None


class CannotTellError(Exception):
    """Raised where a claim cannot be judged; the message says what is missing."""


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, and the function that judges it.

    Attributes
    ----------
    name, sentence, section : str
    judge : callable
        Takes a Study, or all of them if `compares`; returns a Finding or raises CannotTellError.
    compares : bool
        Whether it is about several data sets at once.
    about_robustness : bool
        Whether stronger attacks have a say.
    applies : callable
        To which studies: the paper makes exceptions.
    of : str
        Those studies in words.
    """

    name: str
    sentence: str
    section: str
    judge: Callable[[Any], Finding]
    compares: bool
    about_robustness: bool
    applies: Callable[[Study], bool]
    of: str


def claim(
    name: str,
    section: str,
    sentence: str,
    *,
    compares: bool = False,
    about_robustness: bool = False,
    applies: Callable[[Study], bool] = lambda study: True,
    of: str = "any data set",
) -> Callable[[Callable[[Any], Finding]], Claim]:
    """Makes the function below it a `Claim`; its docstring gives the criterion."""

    def claimed(judge: Callable[[Any], Finding]) -> Claim:
        return Claim(name, sentence, section, judge, compares, about_robustness, applies, of)

    return claimed


def all_hold(rulings: Sequence[Ruling]) -> Ruling:
    """One ruling for several that a claim needs together."""
    for ruling in ("does not hold", "cannot tell here"):
        if ruling in rulings:
            return ruling
    return "holds"
