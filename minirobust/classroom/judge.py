"""One test of one program: run the script, compare the answers, and say what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minirobust.classroom.exercise import Test, Wrong
from minirobust.classroom.key import Draw, Key
from minirobust.classroom.mistakes import error, errors, explain, is_nearly_right
from minirobust.classroom.program import Answer, Program

FORM = "the answer has another form than expected: is a return missing, or one of several values?"


@dataclass(frozen=True)
class Finding:
    """The result of one test.

    Attributes
    ----------
    passed : bool
    sentence : str
        What is wrong; empty if nothing is.
    mistake : str
        The names of the mistakes, joined by " + "; empty if none explains the answers.
    section : int
        The section of the lesson to read.
    """

    passed: bool
    sentence: str = ""
    mistake: str = ""
    section: int = 0


def judge(test: Test, student: Program, key: Key, draw: Draw, show_numbers: bool) -> Finding:
    """Return the finding of a test.

    Parameters
    ----------
    test : Test
    student : Program
    key : Key
    draw : callable
        Returns the test's random generator, in the same state each time.
    show_numbers : bool
        Whether the sentence may quote inputs and expected numbers; False for hidden tests.
    """
    right, sizes = key.right(test, draw)
    student.begin(sizes)
    try:
        got = test.outcome(student, draw())
    except Wrong as wrong:
        return Finding(False, str(wrong), wrong.mistake, test.section)
    except (TypeError, ValueError, IndexError, AttributeError):
        # The script has just run on the right program, so the form of an answer must be wrong.
        return Finding(False, FORM, "type", test.section)
    if errors(got, right, test) <= test.tolerance:
        return Finding(True)
    mistakes = explain(got, right, key.models(test, draw), test)
    if mistakes:
        sentence = "; and ".join(mistake.sentence for mistake in mistakes)
        return Finding(False, sentence, " + ".join(mistake.name for mistake in mistakes), mistakes[0].section)
    sentence, name = _pattern(got, right, test, show_numbers)
    return Finding(False, sentence, name, test.section)


def _pattern(got: list[Answer], right: list[Answer], test: Test, show_numbers: bool) -> tuple[str, str]:
    """Return a sentence and a name for answers that no model explains."""
    if is_nearly_right(got, right, test):
        return "nearly right, but not exact: a difference quotient, or float32 on the way?", "nearly right"
    for a, b in zip(got, right, strict=False):
        if error(a, b, test.each) > test.tolerance:
            return describe(a, b, test, show_numbers)
    return "fewer answers than expected", "incomplete"


@np.errstate(all="ignore")
def describe(got: Answer, right: Answer, test: Test, show_numbers: bool) -> tuple[str, str]:
    """Return a sentence and a name for how one answer differs from the right one."""
    got, right = (np.array(answer) if isinstance(answer, float) else answer for answer in (got, right))
    if isinstance(got, tuple) and isinstance(right, tuple):
        if len(got) != len(right):
            return f"{len(got)} values are returned, expected {len(right)}", "type"
        wrong = next((a, b) for a, b in zip(got, right, strict=True) if error(a, b, test.each) > test.tolerance)
        return describe(*wrong, test, show_numbers)
    if got is None and right is not None:
        return "None is returned: is a return missing?", "returned None"
    if not isinstance(got, np.ndarray) or not isinstance(right, np.ndarray):
        return f"expected {_kind(right)}, got {_kind(got)}" if show_numbers else "the answer is wrong", ""
    if got.shape != right.shape:
        return f"the shape is {got.shape}, expected {right.shape}", "shape"
    if not np.isfinite(got).all() and np.isfinite(right).all():
        return "there is NaN or infinity in the answer", "NaN"
    if not np.any(got):
        return "the answer is zero throughout", "zeros"
    pattern = next(filter(None, (p(got.astype(float), right.astype(float)) for p in PATTERNS)), None)
    if pattern:
        return pattern
    if not show_numbers:
        return "the numbers are wrong, and no known mistake explains them", ""
    distance = abs(got.astype(float) - right.astype(float))
    worst = np.unravel_index(np.nanargmax(distance), distance.shape)
    place = f" at [{', '.join(map(str, map(int, worst)))}]" if worst else ""
    return f"the number{place} is {float(got[worst]):.6g}, expected {float(right[worst]):.6g}", ""


def _kind(answer: Answer) -> str:
    if isinstance(answer, np.ndarray):
        return f"an array of shape {answer.shape}"
    return repr(answer[:40]) if isinstance(answer, str) else type(answer).__name__


# Patterns of wrong numbers, each for two arrays of one shape

EXACT = 1e-6


def _constant_factor(got: np.ndarray, right: np.ndarray) -> tuple[str, str] | None:
    ratio = float((got * right).sum() / (right**2).sum()) if right.any() else 0.0
    if right.size < 2 or not ratio or error(got, ratio * right, False) > EXACT:
        return None
    if abs(ratio + 1) < EXACT:
        return "every number has the wrong sign", "sign"
    return f"every number is {ratio:.6g} times the right one: a factor is missing or one too many", "constant factor"


def _constant_term(got: np.ndarray, right: np.ndarray) -> tuple[str, str] | None:
    difference = got - right
    if right.size < 2 or np.ptp(difference) > EXACT * abs(right).max():
        return None
    return f"every number is {difference.flat[0]:.6g} more than the right one: a term too many", "constant term"


def _same_everywhere(got: np.ndarray, right: np.ndarray) -> tuple[str, str] | None:
    if got.size < 2 or np.ptp(got) > 0:
        return None
    return "every number is the same: the answer does not depend on the input", "constant"


def _displaced(got: np.ndarray, right: np.ndarray) -> tuple[str, str] | None:
    if error(np.sort(got, axis=None), np.sort(right, axis=None), False) > EXACT:
        return None
    return "the right numbers are in the wrong places: an axis, an order or an index", "displaced"


def _signs(got: np.ndarray, right: np.ndarray) -> tuple[str, str] | None:
    if error(abs(got), abs(right), False) > EXACT:
        return None
    return f"{(np.sign(got) != np.sign(right)).mean():.0%} of the numbers have the wrong sign", "some signs"


def _some_wrong(got: np.ndarray, right: np.ndarray) -> tuple[str, str] | None:
    wrong = abs(got - right) > EXACT * abs(right).max()
    if wrong.mean() > 0.75:
        return None
    return f"{wrong.sum()} of {wrong.size} numbers are wrong, the others are right: a case is missed", "some numbers"


PATTERNS = (_constant_factor, _constant_term, _same_everywhere, _displaced, _signs, _some_wrong)
