"""The shipped assignments: sound tests, named mistakes, right solutions, and no leaked solutions."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from minirobust.classroom import validate
from minirobust.classroom.assignment import find_all, private_part
from minirobust.classroom.author import TEMPLATE, public_files
from minirobust.classroom.grading import check
from minirobust.classroom.leaks import leaks
from minirobust.classroom.validate import Report

ROOT = Path(__file__).parents[2]


# Those that limit their seeds train networks.
@pytest.fixture(params=[pytest.param(a, marks=pytest.mark.slow) if a.seeds else a for a in find_all()], ids=str)
def parts(request, private_root):
    """An assignment and its private part."""
    return request.param, private_part(request.param, private_root)


def expect_none(check, *args):
    report = Report()
    check(report, *args)
    assert report.problems == []


def test_files_are_complete(parts):
    expect_none(validate.check_files, *parts)
    _, private = parts
    assert len(private.mistakes) >= 8
    assert len(private.wrong) >= 8
    assert len(private.right) >= 3


def test_right_solutions_pass_and_mistakes_are_named(parts):
    expect_none(validate.check_right, *parts, 1)
    expect_none(validate.check_mistakes, *parts, 1)


def test_public_files_do_not_leak_solutions(parts):
    expect_none(validate.check_leaks, *parts, list(public_files(parts[0])))


def test_right_solution_passes_check_in_the_sandbox(parts, any_sandbox):
    assignment, private = parts
    for path in private.right[:1]:
        result = check(assignment, path.read_bytes(), any_sandbox)
        assert result.passed, [outcome.finding for outcome in result.tests]


@pytest.mark.slow
def test_right_solutions_pass_on_1000_seeds(parts):
    expect_none(validate.check_right, *parts, 1000)


@pytest.mark.slow
def test_mistakes_are_caught_and_named_on_100_seeds(parts):
    expect_none(validate.check_mistakes, *parts, 100)


@pytest.mark.slow
def test_no_two_sets_of_mistakes_are_equal(parts):
    expect_none(validate.check_pairs, *parts)


@pytest.mark.slow
def test_mutants_are_caught_and_many_named(parts):
    expect_none(validate.check_mutants, *parts)


@pytest.mark.slow
def test_programs_behave_the_same_as_submissions(parts, any_sandbox):
    expect_none(validate.check_submissions, *parts, any_sandbox)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The unpacked wheel, built from a copy of the sources."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("minirobust", "data_loaders", "classroom_private", "docs/images"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (path for path in ROOT.iterdir() if path.is_file()):
        shutil.copy(path, folder / "source")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder,
        folder / "source",
    ]
    built = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-500:]
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "wheel")
    return folder / "wheel"


@pytest.mark.slow
def test_wheel_contains_only_the_public_parts(wheel, parts):
    assignment, private = parts
    files = [path for path in wheel.rglob("*") if path.is_file()]
    names = {path.relative_to(wheel).as_posix() for path in files}
    public = f"minirobust/classroom/assignments/{assignment.name}/v{assignment.version}"
    expected = ("assignment.toml", "lesson.md", "visible.py", "visible.json", f"start/{assignment.file}")
    assert {f"{public}/{file}" for file in expected} <= names
    assert {
        f"minirobust/classroom/template/{p.relative_to(TEMPLATE).as_posix()}" for p in TEMPLATE.rglob("*.py")
    } <= names
    assert not [name for name in names if "classroom_private" in name or name.endswith(".pyc")]
    hidden = {path.read_bytes() for path in private.folder.rglob("*.py")}
    assert not [path for path in files if path.read_bytes() in hidden]
    texts = [path for path in files if path.suffix in (".py", ".md", ".json") and "template" not in path.parts]
    assert leaks([path.read_text() for path in private.right], assignment.stub, texts) == []
