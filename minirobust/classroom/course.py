"""course.toml: a teacher's own folders, points, due dates and disabled tests.

folders = ["assignments"]            # beside course.toml; they take precedence over the built-in assignments
private = "private"

[assignments.temperature_sigmoid]
due = 2026-10-05T23:59:00+02:00
points = { "two objects and two batches" = 4 }
disabled = ["arguments are left alone"]
"""

from __future__ import annotations

import dataclasses
import datetime
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minirobust.classroom.assignment import Assignment, Private
from minirobust.classroom.exercise import Test


@dataclass(frozen=True)
class Changes:
    """What a course changes in an assignment."""

    due: datetime.datetime | None = None
    points: dict[str, float] = field(default_factory=dict)
    disabled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Course:
    """A course, as described by its course.toml; by default nothing is changed."""

    folders: tuple[Path, ...] = ()
    private: Path | None = None
    changes: dict[str, Changes] = field(default_factory=dict)

    def of(self, assignment: Assignment) -> Changes:
        """Return the changes to an assignment."""
        return self.changes.get(assignment.name, Changes())

    def applied(self, assignment: Assignment, private: Private) -> tuple[list[Test], list[Test]]:
        """Return the visible and the hidden tests with the course's points, without the disabled ones.

        Raises
        ------
        ValueError
            If the course names a test that does not exist.
        """
        changes = self.of(assignment)
        known = {test.name for test in [*assignment.tests, *private.tests]}
        unknown = sorted({*changes.points, *changes.disabled} - known)
        if unknown:
            raise ValueError(f"course.toml: {assignment.name}: expected names of tests, got {', '.join(unknown)}")

        def changed(tests: Sequence[Test]) -> list[Test]:
            enabled = [test for test in tests if test.name not in changes.disabled]
            return [dataclasses.replace(test, points=changes.points.get(test.name, test.points)) for test in enabled]

        return changed(assignment.tests), changed(private.tests)


def read_course(path: Path | None) -> Course:
    """Return the course that a file describes, or without a file, one that changes nothing.

    Raises
    ------
    ValueError
        If the file does not describe a course.
    """
    if path is None:
        return Course()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        folders = tuple(path.parent / folder for folder in content.pop("folders", []))
        private = content.pop("private", None)
        described = content.pop("assignments", {})
        changes = {name: Changes(**options) for name, options in described.items()}
        if content:
            raise ValueError(f"unknown {', '.join(content)}")
    except (AttributeError, TypeError, ValueError) as error:  # a TOMLDecodeError is a ValueError
        raise ValueError(f"{path}: expected folders, private and [assignments.NAME] tables: {error}") from None
    for name, change in changes.items():
        if change.due is not None and (not isinstance(change.due, datetime.datetime) or change.due.tzinfo is None):
            raise ValueError(f"{path}: {name}: expected due with date, time and offset, got {change.due}")
    return Course(folders, None if private is None else path.parent / private, changes)
