"""The roster, submissions in a folder, and the table of grades."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True)
class Student:
    """A line of the roster."""

    id: str
    name: str = ""


def read_roster(path: Path) -> list[Student]:
    """Return the students of a CSV file with the columns id and, optionally, name.

    Raises
    ------
    ValueError
        If a column is missing, or an id is used twice or is not valid as a file name.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if "id" not in (reader.fieldnames or []):
            raise ValueError(f"{path}: expected a column id, got {', '.join(reader.fieldnames or ['nothing'])}")
        students = [Student(row["id"].strip(), (row.get("name") or "").strip()) for row in reader if row["id"]]
    for student in students:
        if not STUDENT.fullmatch(student.id):
            raise ValueError(f"{path}: expected an id of letters, digits and . _ @ -, got {student.id!r}")
    if len({student.id for student in students}) < len(students):
        raise ValueError(f"{path}: expected every id once")
    return students


def find_submission(folder: Path, student: Student, file: str) -> Path | None:
    """Return a student's file, ID.py or ID/FILE, or None if there is none. Links are not followed."""
    for path in (folder / f"{student.id}.py", folder / student.id / file):
        if path.is_file() and not path.is_symlink() and not path.parent.is_symlink():
            return path
    return None


def grades(students: Iterable[dict[str, Any]]) -> str:
    """Return results as CSV, with one line per student and one column per test.

    If the grader failed, the grade is blank. Text that a spreadsheet would read as a formula is quoted.
    """
    results = list(students)
    tests = list(dict.fromkeys(test["name"] for result in results for test in result["tests"]))
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(["id", "name", "assignment", "version", "score", "max_score", "late", "status", *tests])
    for result in results:
        scores = {test["name"]: test["score"] for test in result["tests"]}
        student = result["student"]
        row = [student["id"], _plain(student["name"]), result["assignment"], result["version"]]
        row += [_number(result["score"]), _number(result["max_score"]), result["late"], result["status"]]
        writer.writerow([*row, *(_number(scores.get(test)) for test in tests)])
    return output.getvalue()


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Return all results in a folder, sorted by student."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def _number(score: float | None) -> str:
    return "" if score is None else f"{score:g}"


def _plain(text: str) -> str:
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text
