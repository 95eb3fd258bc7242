"""`create`: the files of a new assignment. `public_files`: what students can read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from minirobust.classroom.assignment import Assignment, find, find_all, private_part
from minirobust.classroom.key import record

TEMPLATE = Path(__file__).parent / "template"
PACKAGE = Path(__file__).parents[1]
TEXT = (".py", ".md", ".toml", ".json")


def create(name: str, folder: Path) -> None:
    """Write a small complete assignment to assignments/ and private/, and course.toml if there is none.

    Raises
    ------
    ValueError, FileExistsError
        If the name is not valid, or in use.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"new: expected a name of lower-case letters, digits and _, got {name!r}")
    if (folder / "assignments" / name).exists() or (folder / "private" / name).exists():
        raise FileExistsError(f"new: expected the name of an assignment that does not exist yet, got {name}")
    if any(assignment.name == name for assignment in find_all()):
        raise FileExistsError(f"new: expected a name that no built-in assignment has, got {name}")
    for part, place in (("public", "assignments"), ("private", "private")):
        for path in sorted((TEMPLATE / part).rglob("*")):
            if path.is_file() and path.suffix in TEXT:
                target = folder / place / name / "v1" / path.relative_to(TEMPLATE / part)
                target = target.with_name(target.name.replace("NAME", name))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(path.read_text(encoding="utf-8").replace("NAME", name), encoding="utf-8")
    assignment = find(name, None, [folder / "assignments"])
    recorded = record(assignment, private_part(assignment, folder / "private"))
    (assignment.folder / "visible.json").write_text(recorded, encoding="utf-8")
    course = folder / "course.toml"
    if not course.exists():
        course.write_text('folders = ["assignments"]\nprivate = "private"\n', encoding="utf-8")


def public_files(assignment: Assignment) -> Iterator[Path]:
    """Yield every text file that students have: those of the package, and those of the assignment.

    The template for new assignments is left out: it is for teachers, and contains solutions.
    """
    yield from (p for p in PACKAGE.rglob("*") if p.suffix in TEXT and not p.is_relative_to(TEMPLATE))
    if not assignment.folder.is_relative_to(PACKAGE):
        yield from (path for path in assignment.folder.rglob("*") if path.suffix in TEXT)
