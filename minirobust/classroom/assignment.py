"""Assignments on disk: a public folder that students may see, and a private one that only the grader has.

assignments/NAME/v1/    assignment.toml  lesson.md  visible.py  visible.json  start/FILE.py
PRIVATE/NAME/v1/        hidden.py  model.py  right/*.py  wrong/*.py
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from minirobust.classroom.exercise import Mistake, Models, Test

BUILT_IN = Path(__file__).parent / "assignments"
MARK = re.compile(r"^# assignment: (?P<name>[a-z0-9_]+) v(?P<version>\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Assignment:
    """The public part of one version of an assignment.

    Attributes
    ----------
    name : str
    version : int
    folder : Path
    number : int
        The position in the course.
    title : str
    file : str
        The name of the file that the student writes.
    seconds : float
        How long one call may take, not counting the wait for a busy processor.
    seeds : int, optional
        The largest number of seeds that `validate` uses, then without mutants: for an assignment that trains networks.
    """

    name: str
    version: int
    folder: Path
    number: int
    title: str
    file: str
    seconds: float = 2.0
    seeds: int | None = None

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    @property
    def start(self) -> Path:
        """The folder that a student starts from."""
        return self.folder / "start"

    @property
    def stub(self) -> str:
        """The file that the student completes."""
        return (self.start / self.file).read_text(encoding="utf-8")

    @property
    def lesson(self) -> str:
        """The lesson, in Markdown."""
        return (self.folder / "lesson.md").read_text(encoding="utf-8")

    @cached_property
    def tests(self) -> list[Test]:
        """The visible tests, in order."""
        return _tests(_module(self.folder / "visible.py"))

    @cached_property
    def layer(self) -> Any:
        """The `StudentLayer` that `mr.gradcheck` examines when no model explains an answer, or None."""
        return getattr(_module(self.folder / "visible.py"), "LAYER", None)


@dataclass(frozen=True)
class Private:
    """The private part of one version of an assignment.

    Attributes
    ----------
    folder : Path
    tests : list of Test
        The hidden tests, in order.
    program : callable
        Makes the correct model, or one with mistakes.
    mistakes : list of Mistake
    same : list of set of str
        Sets of mistakes that are known to give the same numbers as another set or as the right program.
    equivalent : list of str
        Automatic mutants of the right solutions that are also right.
    visible : dict of str to tuple
        What `Computed.right` has returned for visible tests, by name: their inputs are the same for everyone.
    """

    folder: Path
    tests: list[Test]
    program: Models
    mistakes: list[Mistake]
    same: list[frozenset[str]] = field(default_factory=list)
    equivalent: list[str] = field(default_factory=list)
    visible: dict[str, Any] = field(default_factory=dict, init=False, compare=False)

    @property
    def right(self) -> list[Path]:
        """The right solutions."""
        return sorted(self.folder.glob("right/*.py"))

    @property
    def wrong(self) -> list[Path]:
        """The wrong programs; the first line of each names its mistake."""
        return sorted(self.folder.glob("wrong/*.py"))


def find_all(folders: Sequence[Path] = ()) -> list[Assignment]:
    """Return the newest version of each assignment, in the order of the course; later folders come first."""
    newest: dict[str, Assignment] = {}
    for folder in [BUILT_IN, *folders]:
        for path in sorted(folder.glob("*/v*/assignment.toml")):
            assignment = _read(path)
            known = newest.get(assignment.name)
            if known is None or known.folder.parent != path.parents[1] or known.version < assignment.version:
                newest[assignment.name] = assignment
    return sorted(newest.values(), key=lambda assignment: (assignment.number, assignment.name))


def find(name: str, version: int | None = None, folders: Sequence[Path] = ()) -> Assignment:
    """Return an assignment by name; without a version, the newest.

    Raises
    ------
    ValueError
        If there is none.
    """
    for folder in reversed([BUILT_IN, *folders]):
        versions = sorted(int(path.parent.name[1:]) for path in folder.glob(f"{name}/v*/assignment.toml"))
        if versions and version is None:
            version = versions[-1]
        if version in versions:
            return _read(folder / name / f"v{version}" / "assignment.toml")
    known = ", ".join(assignment.name for assignment in find_all(folders))
    wanted = name if version is None else f"{name} v{version}"
    raise ValueError(f"assignment: expected one of {known}, got {wanted!r}")


def private_part(assignment: Assignment, root: Path) -> Private:
    """Return the private part of an assignment.

    Raises
    ------
    FileNotFoundError
        If `root` does not hold it.
    """
    folder = root / assignment.name / f"v{assignment.version}"
    if not (folder / "model.py").is_file():
        raise FileNotFoundError(
            f"--private: expected the folder classroom_private of the source distribution with "
            f"{assignment.name}/v{assignment.version}/model.py, got {root}"
        )
    model = _module(folder / "model.py")
    same = [frozenset(names) for names in getattr(model, "SAME", [])]
    equivalent = list(getattr(model, "EQUIVALENT", []))
    return Private(folder, _tests(_module(folder / "hidden.py")), model.program, model.MISTAKES, same, equivalent)


def marked(source: str) -> tuple[str, int] | None:
    """Return the name and version that a submission records, or None if it records none."""
    found = MARK.search(source)
    return (found["name"], int(found["version"])) if found else None


def fingerprint(*folders: Path) -> str:
    """Return a hash of all files in the folders, which tells what a result was graded with."""
    total = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                total.update(f"{path.relative_to(folder).as_posix()}\0".encode())
                total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _read(path: Path) -> Assignment:
    described = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        return Assignment(path.parents[1].name, int(path.parent.name[1:]), path.parent, **described)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected number, title, file and perhaps seconds and seeds, got {error}") from None


def _module(path: Path) -> Any:
    """Import a file that the author of an assignment wrote."""
    name = "_".join(path.parts[-3:]).removesuffix(".py")
    spec = importlib.util.spec_from_file_location(f"assignment_{name}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file of the assignment, got none")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tests(module: Any) -> list[Test]:
    return [value for value in vars(module).values() if isinstance(value, Test)]
