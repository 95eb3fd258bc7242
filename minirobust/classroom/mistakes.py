"""Naming a mistake: a model that gives the same numbers as the student's program has the same mistake."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from minirobust.classroom.exercise import Mistake, Test
from minirobust.classroom.program import Answer

NEARLY = 1e-3  # relative error up to which an answer may come from an approximation
Explained = tuple[tuple[Mistake, ...], Iterable[Answer]]


@np.errstate(all="ignore")
def error(got: Answer, expected: Answer, each: bool) -> float:
    """Return the relative error of one answer; infinity if shapes, types or the places of NaN differ."""
    if isinstance(got, tuple) and isinstance(expected, tuple):
        if len(got) != len(expected):
            return np.inf
        return max((error(a, b, each) for a, b in zip(got, expected, strict=True)), default=0.0)
    if not isinstance(got, np.ndarray) or not isinstance(expected, np.ndarray):
        return 0.0 if type(got) is type(expected) and got == expected else np.inf
    if got.shape != expected.shape:
        return np.inf
    a, b = np.asarray(got, "float64"), np.asarray(expected, "float64")
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(a[finite]).all():
        return np.inf
    tiny = float(np.finfo("float64").tiny)
    size = abs(b[finite]) if each else abs(b[finite]).max(initial=0)
    return float((abs(a[finite] - b[finite]) / np.maximum(size, tiny)).max(initial=0))


def errors(got: Sequence[Answer], expected: Sequence[Answer], test: Test) -> float:
    """Return the largest relative error of several answers."""
    if len(got) != len(expected):
        return np.inf
    return max((error(a, b, test.each) for a, b in zip(got, expected, strict=True)), default=np.inf)


def explain(got: list[Answer], right: list[Answer], models: Iterable[Explained], test: Test) -> tuple[Mistake, ...]:
    """Return the mistakes whose model gives these answers, or an empty tuple.

    Single mistakes come first, then pairs. An answer close to the right one is not explained by a pair, because some
    pair of small mistakes may come close to it by chance.
    """
    nearly = is_nearly_right(got, right, test)
    for mistakes, answers in models:
        if nearly and len(mistakes) > 1:
            break
        if _agree(got, answers, test):
            return mistakes
    return ()


def _agree(got: list[Answer], answers: Iterable[Answer], test: Test) -> bool:
    """Return whether the answers are the same; the model runs only up to the first difference."""
    count = 0
    for answer in answers:
        if count == len(got) or error(got[count], answer, test.each) > test.tolerance:
            return False
        count += 1
    return count == len(got)


def is_nearly_right(got: list[Answer], right: list[Answer], test: Test) -> bool:
    """Return whether answers are close to the right ones, like those of a difference quotient."""
    return errors(got, right, test) <= NEARLY


def combinations(mistakes: Sequence[Mistake], size: int) -> Iterator[tuple[Mistake, ...]]:
    """Yield the sets of mistakes that one program can make at the same time."""
    for chosen in itertools.combinations(mistakes, size):
        groups = [mistake.group for mistake in chosen if mistake.group]
        if len(set(groups)) == len(groups):
            yield chosen
