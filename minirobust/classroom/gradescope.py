"""Gradescope: an autograder as a zip file, and a result in its format."""

from __future__ import annotations

import json
import secrets
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from minirobust.classroom.assignment import Assignment, find, private_part
from minirobust.classroom.grading import Result, grade
from minirobust.classroom.probing import find_sandbox

SETUP = """\
#!/usr/bin/env bash
# Runs once, when Gradescope builds the image.
set -e
apt-get update
apt-get install -y bubblewrap python3 python3-venv
python3 -m venv /opt/minirobust
/opt/minirobust/bin/pip install {requirement}
# Submissions run as another user, who must read neither the tests nor the secret.
chmod -R go-rwx /autograder/source
"""
RUN = """\
#!/usr/bin/env bash
# Runs once for each submission.
chmod -R go-rwx /autograder/source /autograder/results
exec /opt/minirobust/bin/python -m minirobust.classroom.gradescope /autograder
"""


def export(assignment: Assignment, private_folder: Path, wheel: Path | None) -> dict[str, bytes]:
    """Return the files of an autograder by name.

    Parameters
    ----------
    assignment : Assignment
    private_folder : Path
        The folder with the private parts of assignments.
    wheel : Path, optional
        A wheel of this library to put into the archive. Without it, the container installs the released version.
    """
    private = private_part(assignment, private_folder)
    place = f"{assignment.name}/v{assignment.version}"
    requirement = f"minirobust=={version('minirobust')}" if wheel is None else f"/autograder/source/{wheel.name}"
    files = {
        "setup.sh": SETUP.format(requirement=requirement).encode(),
        "run_autograder": RUN.encode(),
        "grader.json": json.dumps({"assignment": assignment.name, "version": assignment.version}).encode(),
        "secret": secrets.token_hex(32).encode(),
    }
    if wheel is not None:
        files[wheel.name] = wheel.read_bytes()
    for prefix, folder in (("assignments", assignment.folder), ("private", private.folder)):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                files[f"{prefix}/{place}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return files


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    """Write files into a zip archive; the two scripts are executable."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o755 if name in ("setup.sh", "run_autograder") else 0o644) << 16
            archive.writestr(info, content)


def as_gradescope(result: Result) -> dict[str, Any]:
    """Return a result as the content of results.json.

    Students see visible tests at once, and hidden ones when grades are published. If the grader failed, there is no
    score.
    """
    tests = []
    for test in result.tests:
        sentence = test.fault or test.finding.sentence
        entry = {
            "name": test.name,
            "max_score": test.points,
            "status": "passed" if test.finding.passed else "failed",
            "output": "the grader failed, not the submission" if test.fault else sentence,
            "visibility": "visible" if test.visible else "after_published",
        }
        tests.append(entry if test.score is None else {**entry, "score": test.score})
    data: dict[str, Any] = {"tests": tests, "execution_time": round(result.seconds, 1), "stdout_visibility": "hidden"}
    if result.score is None:
        data["output"] = "The grader failed, not the submission. Please tell your teacher."
        return data
    return data | {"score": result.score}


def run(root: Path) -> None:
    """Grade the submission of an autograder's container, and write results/results.json."""
    source = root / "source"
    described = json.loads((source / "grader.json").read_text(encoding="utf-8"))
    folders = [source / "assignments"]
    assignment = find(described["assignment"], described["version"], folders)
    private = private_part(assignment, source / "private")
    submission = root / "submission" / assignment.file
    content = submission.read_bytes() if submission.is_file() else b"raise NotImplementedError"
    result = grade(assignment, private, content, find_sandbox(), (source / "secret").read_bytes())
    text = json.dumps(as_gradescope(result), indent=1)
    (root / "results" / "results.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    import sys

    run(Path(sys.argv[1]))
