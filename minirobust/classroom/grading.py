"""Grading one submission: run every test of an assignment, and return the result as plain data."""

from __future__ import annotations

import contextlib
import functools
import time
from dataclasses import dataclass, field, replace
from typing import Any

from minirobust.classroom import seeds
from minirobust.classroom.assignment import Assignment, Private
from minirobust.classroom.exercise import Test
from minirobust.classroom.judge import Finding, judge
from minirobust.classroom.key import Draw, Key, OfOneProgram, Recorded, visible_draw
from minirobust.classroom.program import Student, Wrong
from minirobust.classroom.sandbox import MIB, Sandbox

MAX_SOURCE = 256 * 1024


@dataclass
class Outcome:
    """One test of one submission. If the grader itself failed, `fault` holds its error, and the score is unknown."""

    name: str
    points: float
    visible: bool
    finding: Finding
    fault: str = ""

    @property
    def score(self) -> float | None:
        """The points, or None if the grader failed."""
        return None if self.fault else self.points * self.finding.passed


@dataclass
class Result:
    """The result of a submission."""

    assignment: Assignment
    digest: str
    isolation: str
    tests: list[Outcome] = field(default_factory=list)
    printed: str = ""
    seconds: float = 0.0

    @property
    def score(self) -> float | None:
        """The sum of the points, or None if the grader failed anywhere: a blank grade, never 0."""
        scores = [test.score for test in self.tests]
        return None if None in scores else sum(score for score in scores if score is not None)

    @property
    def max_score(self) -> float:
        """The points of all tests."""
        return sum(test.points for test in self.tests)

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return all(test.finding.passed and not test.fault for test in self.tests)

    def as_data(self) -> dict[str, Any]:
        """Return the result as JSON values; values that depend on the clock are under "times"."""
        tests = [
            {
                "name": test.name,
                "score": test.score,
                "max_score": test.points,
                "visible": test.visible,
                "mistake": test.finding.mistake,
                "sentence": test.finding.sentence,
                "section": test.finding.section,
                "fault": test.fault,
            }
            for test in self.tests
        ]
        return {
            "format": 1,
            "assignment": self.assignment.name,
            "version": self.assignment.version,
            "sha256": self.digest,
            "isolation": self.isolation,
            "score": self.score,
            "max_score": self.max_score,
            "tests": tests,
            "printed": self.printed,
            "times": {"seconds": round(self.seconds, 3)},
        }


def check(assignment: Assignment, source: bytes, sandbox: Sandbox) -> Result:
    """Return the result of the visible tests, which everyone can run."""
    key = Recorded(assignment)
    return _run(assignment, source, sandbox, [(test, True, key, visible_draw) for test in assignment.tests])


def grade(
    assignment: Assignment,
    private: Private,
    source: bytes,
    sandbox: Sandbox,
    secret: bytes,
    tests: tuple[list[Test], list[Test]] | None = None,
) -> Result:
    """Return the result of the visible and the hidden tests; a course may pass its own selection of both."""
    key, digest = OfOneProgram(private), seeds.digest(source)
    visible, hidden = tests or (assignment.tests, private.tests)
    asked: list[tuple[Test, bool, Key, Draw]] = [(test, True, key, visible_draw) for test in visible]
    for test in hidden:
        draw = functools.partial(seeds.generator, secret, str(assignment), digest, test.name)
        asked.append((test, False, key, draw))
    return _run(assignment, source, sandbox, asked)


def _run(assignment: Assignment, source: bytes, sandbox: Sandbox, tests: list[tuple[Test, bool, Key, Draw]]) -> Result:
    start = time.monotonic()
    result = Result(assignment, seeds.digest(source), sandbox.level)
    student = Student(source, sandbox, assignment.seconds)
    if len(source) > MAX_SOURCE:
        student.broken = Wrong(f"the file has {len(source):,} bytes, expected at most {MAX_SOURCE:,}", "too large")
    with contextlib.closing(student):
        for test, visible, key, draw in tests:
            finding, fault = Finding(False), ""
            try:
                # Right answers can take long to compute, so do not compute them for a program that does not run.
                if stopped := student.stopped:
                    finding = Finding(False, str(stopped), stopped.mistake, test.section)
                else:
                    finding = judge(test, student, key, draw, show_numbers=visible)
            except Exception as error:  # The student must not pay for a mistake of the grader.
                fault = f"{type(error).__name__}: {error}"
            result.tests.append(Outcome(test.name, test.points, visible, finding, fault))
        _ask_gradcheck(result, student)
    result.printed = student.printed.decode("utf-8", "replace")
    result.seconds = time.monotonic() - start
    return result


def _ask_gradcheck(result: Result, student: Student) -> None:
    """Add the cause that `gradcheck` suspects to the first finding that no known mistake explains."""
    unexplained = (test for test in result.tests if not (test.finding.passed or test.finding.mistake or test.fault))
    test, layer = next(unexplained, None), result.assignment.layer
    if test is None or layer is None:
        return
    student.begin([MIB] * 10_000)
    cause = layer.probable_cause(student)
    if cause:
        test.finding = replace(test.finding, sentence=f"{test.finding.sentence}; {cause}")
