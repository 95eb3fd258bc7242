"""The two things that the author of an assignment writes: tests, which are scripts of calls, and named mistakes.

A script calls a program and yields its answers. The same script runs on the student's program, on the correct model,
and on a model with each mistake, and their answers are compared. See docs/classroom/authors.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirobust.classroom.program import Answer, Oracle, Program, Wrong

__all__ = ["Mistake", "Oracle", "Program", "Test", "Wrong", "test"]

Script = Callable[[Program, np.random.Generator], Iterator[Answer]]


@dataclass(frozen=True)
class Test:
    """One test: a script, its points, and the tolerance for equal numbers.

    Attributes
    ----------
    name : str
        The name that the student reads.
    points : float
    script : callable
        ``script(program, draw)`` yields answers; it draws its inputs from the generator `draw`.
    section : int
        The section of the lesson that explains it.
    tolerance : float
        The largest error, relative to the largest expected number of an array.
    each : bool
        Whether the error of every number is relative to that number instead.
    """

    name: str
    points: float
    script: Script
    section: int
    tolerance: float
    each: bool

    def outcome(self, program: Program, draw: np.random.Generator) -> list[Answer]:
        """Return all that the script yields for a program."""
        return list(self.script(program, draw))


def test(
    name: str,
    points: float,
    section: int,
    *,
    tolerance: float = 1e-9,  # noqa: PT028  # This is not a pytest test.
    each: bool = False,  # noqa: PT028
) -> Callable[[Script], Test]:
    """Return a decorator that turns a script into a test.

    Parameters
    ----------
    name, points, section, tolerance, each
        See `Test`.

    Returns
    -------
    callable
        Takes the script and returns a `Test`.
    """
    return lambda script: Test(name, points, script, section, tolerance, each)


@dataclass(frozen=True)
class Mistake:
    """A plausible mistake.

    Attributes
    ----------
    name : str
        A short, unique name, by which the assignment's model turns the mistake on.
    sentence : str
        The sentence that the student reads. It says what is wrong without giving away the code.
    section : int
        The section of the lesson that explains it.
    group : str
        Mistakes of one group exclude each other: a missing factor cannot also be inverted.
    """

    name: str
    sentence: str
    section: int
    group: str = ""


Models = Callable[[frozenset[str]], dict[str, Any]]
"""``program(faults)`` returns the functions and classes of the right program, with the mistakes of these names."""
