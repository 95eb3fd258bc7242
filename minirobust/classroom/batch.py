"""Grading a class: one result file per student, replaced as a whole, and graded again only if something changed."""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from minirobust.classroom import seeds
from minirobust.classroom.assignment import Assignment, Private, find, fingerprint, marked, private_part
from minirobust.classroom.course import Course
from minirobust.classroom.grading import grade
from minirobust.classroom.roster import Student, find_submission
from minirobust.classroom.sandbox import Sandbox
from minirobust.saving import atomic

GRADED, MISSING, FAULT, UNCHANGED = "graded", "missing", "fault", "unchanged"


@dataclass(frozen=True)
class Batch:
    """The settings that all students of a class have in common.

    Attributes
    ----------
    submissions : Path
    assignment : str
    course : Course
    private : Path
    secret : bytes
    sandbox : Sandbox
    output : Path
    """

    submissions: Path
    assignment: str
    course: Course
    private: Path
    secret: bytes
    sandbox: Sandbox
    output: Path

    def grade_all(self, students: list[Student], workers: int, done: Callable[[Student, str], None]) -> None:
        """Grade every student, with several worker processes, and call ``done(student, status)`` after each.

        Every submission runs in its own sandbox, and every result is a separate file, so neither another submission nor
        an interruption can change a result.

        Raises
        ------
        RuntimeError
            If a worker was killed.
        """
        workers = min(workers, len(students))
        if workers < 2:
            with threadpool_limits(1, "blas"):
                for student in students:
                    done(student, self.grade_one(student))
            return
        # Not threads, because the grader's computations for an attack would then run on only one core.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _begin_worker) as pool:
            try:
                for student, status in zip(students, pool.map(self.grade_one, students), strict=True):
                    done(student, status)
            except BrokenProcessPool:
                raise RuntimeError(
                    "grade: a worker was killed, perhaps for lack of memory: run the same command with fewer "
                    "--workers, which keeps the results that are finished"
                ) from None
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def grade_one(self, student: Student) -> str:
        """Write a student's result and return its status, or `UNCHANGED` if the file already holds it."""
        path = self.output / f"{student.id}.json"
        submission = find_submission(self.submissions, student, find(self.assignment, None, self.course.folders).file)
        source = b"" if submission is None else submission.read_bytes()
        assignment = self._version(source)
        key = self._key(source, submission is None, assignment, student)
        known = _read(path)
        if known and known["key"] == key and known["status"] != FAULT:
            return UNCHANGED
        data = self._result(assignment, source) if submission else _missing(assignment)
        status = MISSING if submission is None else FAULT if data["score"] is None else GRADED
        late = submission is not None and self._is_late(assignment, submission)
        person = {"id": student.id, "name": student.name}
        data = {"key": key, "student": person, "status": status, "late": late, **data}
        with _WRITING, atomic.replacing(path) as temporary:
            temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return status

    def _version(self, source: bytes) -> Assignment:
        """Return the version that the submission records, or the newest if it records none."""
        mark = marked(source.decode("utf-8", "replace"))
        recorded = mark[1] if mark and mark[0] == self.assignment else None
        try:
            return find(self.assignment, recorded, self.course.folders)
        except ValueError:  # The student wrote a version that does not exist.
            return find(self.assignment, None, self.course.folders)

    def _result(self, assignment: Assignment, source: bytes) -> dict[str, Any]:
        private = _loaded(assignment, self.private, self._fingerprint(assignment))
        tests = self.course.applied(assignment, private)
        return grade(assignment, private, source, self.sandbox, self.secret, tests).as_data()

    def _is_late(self, assignment: Assignment, submission: Path) -> bool:
        due = self.course.of(assignment).due
        handed_in = datetime.datetime.fromtimestamp(submission.stat().st_mtime, datetime.UTC)
        return due is not None and handed_in > due

    def _key(self, source: bytes, missing: bool, assignment: Assignment, student: Student) -> str:
        """Return a hash of everything that a result depends on."""
        parts = (
            seeds.digest(source),
            missing,
            student,
            str(assignment),
            self._fingerprint(assignment),
            hashlib.sha256(self.secret).hexdigest(),
            self.course.of(assignment),
            self.sandbox.level,
            version("minirobust"),
            np.__version__,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def _fingerprint(self, assignment: Assignment) -> str:
        return fingerprint(assignment.folder, self.private / assignment.name / f"v{assignment.version}")


@functools.lru_cache(maxsize=4)
def _loaded(assignment: Assignment, root: Path, files: str) -> Private:
    """Return the private part; while no file changes, the same one, which knows the answers of visible tests."""
    return private_part(assignment, root)


_WRITING = threading.Lock()  # A worker that ends with its parent first completes the file that it is writing.


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, which ends the workers, and end with the parent even if it is killed.

    BLAS gets one thread: the matrices are small, and its threads would take the cores from the other workers.
    """
    threadpool_limits(1, "blas")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # Only workers call this.
    parent.join()
    with _WRITING:
        os._exit(1)


def _missing(assignment: Assignment) -> dict[str, Any]:
    empty = {"sha256": "", "isolation": "", "tests": [], "printed": "", "times": {}}
    return {"assignment": assignment.name, "version": assignment.version, "score": 0.0, "max_score": None, **empty}


def _read(path: Path) -> dict[str, Any] | None:
    """Return an earlier result, or None if there is none that can be used."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return known if {"key", "status"} <= known.keys() else None
    except (OSError, ValueError, AttributeError):
        return None
