"""Gradescope: an archive that grades by itself, and results in its format."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from minirobust.classroom import gradescope
from minirobust.classroom.gradescope import as_gradescope, export, run, write_zip
from minirobust.classroom.grading import Outcome, Result
from minirobust.classroom.judge import Finding


@pytest.fixture
def unpacked(tmp_path, sigmoid, private_root):
    """An autograder's container: the archive in source/, and the other folders that Gradescope makes."""
    archive = io.BytesIO()
    write_zip(archive, export(sigmoid[0], private_root, None))
    with zipfile.ZipFile(archive) as files:
        files.extractall(tmp_path / "source")
        modes = {info.filename: info.external_attr >> 16 for info in files.infolist()}
    assert modes["run_autograder"] == modes["setup.sh"] == 0o755
    for folder in ("submission", "results"):
        (tmp_path / folder).mkdir()
    return tmp_path


def test_archive_holds_scripts_assignment_and_secret(unpacked, sigmoid):
    source = unpacked / "source"
    assert (source / "setup.sh").read_text().startswith("#!/usr/bin/env bash\n")
    assert "bubblewrap" in (source / "setup.sh").read_text()
    assert len((source / "secret").read_bytes()) == 64
    public = source / "assignments" / "temperature_sigmoid" / "v1"
    assert (public / "visible.json").read_bytes() == (sigmoid[0].folder / "visible.json").read_bytes()


def test_submission_is_graded(unpacked, sigmoid):
    _, private = sigmoid
    (unpacked / "submission" / "temperature_sigmoid.py").write_text(private.right[0].read_text())
    run(unpacked)
    result = json.loads((unpacked / "results" / "results.json").read_text())
    assert result["score"] == 14
    assert {test["status"] for test in result["tests"]} == {"passed"}
    assert {test["visibility"] for test in result["tests"]} == {"visible", "after_published"}


def test_missing_file_scores_zero(unpacked):
    run(unpacked)
    assert json.loads((unpacked / "results" / "results.json").read_text())["score"] == 0


def test_fault_of_the_grader_has_no_score(sigmoid):
    tests = [Outcome("a", 1, True, Finding(True)), Outcome("b", 2, False, Finding(False), "KeyError: 'x'")]
    data = as_gradescope(Result(sigmoid[0], "", "bwrap", tests))
    assert "score" not in data
    assert "score" not in data["tests"][1]
    assert "KeyError" not in json.dumps(data)


def test_wheel_is_put_into_the_archive(tmp_path, sigmoid, private_root):
    wheel = Path(tmp_path, "minirobust-1.0-py3-none-any.whl")
    wheel.write_bytes(b"x")
    files = export(sigmoid[0], private_root, wheel)
    assert files[wheel.name] == b"x"
    assert wheel.name in files["setup.sh"].decode()
    assert gradescope.export(sigmoid[0], private_root, None)["secret"] != files["secret"]
