"""Grading a class: unchanged submissions are not graded again; interruptions and workers change no result."""

import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from minirobust.classroom import batch as batches
from minirobust.classroom.batch import Batch
from minirobust.classroom.course import Course
from minirobust.classroom.key import Computed
from minirobust.classroom.process import _descendants
from minirobust.classroom.roster import Student
from minirobust.cores import blas_threads

SECRET = b"a secret of the teacher"
IGNORE = "times"


def without_times(folder):
    """Return every result in a folder by name, without what depends on the clock."""
    results = {path.name: json.loads(path.read_text()) for path in sorted(Path(folder).glob("*"))}
    return {name: {key: value for key, value in data.items() if key != IGNORE} for name, data in results.items()}


@pytest.fixture
def make(tmp_path, sigmoid, private_root, any_sandbox):
    """A class of four: two right programs, a wrong one, and one student who handed in nothing."""
    _, private = sigmoid
    folder = tmp_path / "submissions"
    (folder / "erin").mkdir(parents=True)
    (folder / "ann.py").write_text(private.right[0].read_text())
    (folder / "bob.py").write_text((private.folder / "wrong" / "1_t_missing.py").read_text())
    (folder / "erin" / "temperature_sigmoid.py").write_text(private.right[1].read_text())
    students = [Student(name, name.title()) for name in ("ann", "bob", "carl", "erin")]

    def build(output="results", **changes):
        (tmp_path / output).mkdir(exist_ok=True)
        made = Batch(folder, "temperature_sigmoid", Course(), private_root, SECRET, any_sandbox, tmp_path / output)
        return dataclasses.replace(made, **changes), students, folder

    return build


def graded(batch, students, workers=1):
    statuses = {}
    batch.grade_all(students, workers, lambda student, status: statuses.update({student.id: status}))
    return statuses


def test_each_student_gets_a_result(make):
    batch, students, _ = make()
    statuses = graded(batch, students)
    assert statuses == {"ann": "graded", "bob": "graded", "carl": "missing", "erin": "graded"}
    results = without_times(batch.output)
    scores = {name.removesuffix(".json"): data["score"] for name, data in results.items()}
    assert scores["ann"] == scores["erin"] == 14
    assert scores["carl"] == 0
    assert 0 < scores["bob"] < 14
    assert {test["mistake"] for test in results["bob.json"]["tests"]} == {"", "1/T missing"}


@pytest.mark.slow
def test_endless_loop_costs_a_few_seconds_and_does_not_affect_other_students(make):
    batch, students, folder = make()
    loop = "    def __init__(self, t): pass\n    def forward(self, x):\n        while 1: pass\n"
    (folder / "bob.py").write_text(f"class TemperatureSigmoid:\n{loop}")
    start = time.monotonic()
    graded(batch, students[1:2])
    assert time.monotonic() - start < 5 + os.getloadavg()[0] / 4
    graded(batch, students)
    scores = {name: data["score"] for name, data in without_times(batch.output).items()}
    assert scores == {"ann.json": 14, "bob.json": 0, "carl.json": 0, "erin.json": 14}


def test_results_do_not_depend_on_the_number_of_workers(make):
    one, students, _ = make("one")
    three, _, _ = make("three")
    graded(one, students, 1)
    graded(three, students, 3)
    assert without_times(one.output) == without_times(three.output)


def test_grader_uses_one_thread_of_blas(make):
    batch, students, _ = make()
    threads = set()
    with threadpool_limits(2, "blas"):
        batch.grade_all(students[2:3], 1, lambda *_: threads.add(blas_threads()[0]))
    assert threads == {1}


def test_unchanged_rerun_grades_nothing(make, monkeypatch):
    batch, students, folder = make()
    graded(batch, students)
    before = {path.name: path.read_bytes() for path in batch.output.glob("*")}
    calls = []
    real = batches.grade
    monkeypatch.setattr(batches, "grade", lambda *args: calls.append(1) or real(*args))
    graded(batch, students)
    assert calls == []
    assert {path.name: path.read_bytes() for path in batch.output.glob("*")} == before
    (folder / "carl.py").write_text("# assignment: temperature_sigmoid v1\n")
    assert graded(batch, students)["carl"] == "graded"
    assert calls == [1]


def test_key_depends_on_everything_that_affects_a_result(make):
    batch, students, folder = make()
    assignment = batch._version(b"")

    def key(of=batch, source=b"x"):
        return of._key(source, False, assignment, students[0])

    course = Course(changes={"temperature_sigmoid": dataclasses.replace(Course().of(assignment), disabled=("x",))})
    others = [
        key(source=b"y"),
        key(dataclasses.replace(batch, secret=b"another")),
        key(dataclasses.replace(batch, course=course)),
        key(dataclasses.replace(batch, private=folder)),
    ]
    assert len({key(), *others}) == 5


def test_fault_of_the_grader_gives_a_blank_grade_and_is_retried(make, monkeypatch):
    batch, students, _ = make()

    def fail(*args, **options):
        raise RuntimeError("cannot be")

    monkeypatch.setattr("minirobust.classroom.grading.judge", fail)
    assert graded(batch, students[:1]) == {"ann": "fault"}
    assert json.loads((batch.output / "ann.json").read_text())["score"] is None
    monkeypatch.undo()
    assert graded(batch, students[:1]) == {"ann": "graded"}


def test_damaged_result_is_graded_again(make):
    batch, students, _ = make()
    for content in ("", "{", "[]", "{}"):
        (batch.output / "ann.json").write_text(content)
        assert graded(batch, students[:1]) == {"ann": "graded"}


def test_link_is_not_followed(make, tmp_path):
    batch, students, folder = make()
    (tmp_path / "elsewhere.py").write_text((folder / "ann.py").read_text())
    (folder / "carl.py").symlink_to(tmp_path / "elsewhere.py")
    assert graded(batch, students)["carl"] == "missing"


def test_submission_is_graded_by_the_version_that_it_records(make, tmp_path, sigmoid):
    assignment, private = sigmoid
    for source, target in ((assignment.folder, "own"), (private.folder, "own_private")):
        for version in (1, 2):
            shutil.copytree(source, tmp_path / target / "temperature_sigmoid" / f"v{version}")
    batch, students, folder = make(course=Course((tmp_path / "own",)), private=tmp_path / "own_private")
    right = (folder / "ann.py").read_text()
    for mark, version in (("v1", 1), ("v2", 2), ("v9", 2)):
        (folder / "ann.py").write_text(f"# assignment: temperature_sigmoid {mark}\n{right}")
        graded(batch, students[:1])
        assert json.loads((batch.output / "ann.json").read_text())["version"] == version


def test_changed_private_part_is_used_at_once(make, tmp_path, sigmoid):
    assignment, private = sigmoid
    folder = tmp_path / "own_private" / assignment.name / f"v{assignment.version}"
    shutil.copytree(private.folder, folder)
    batch, students, _ = make(private=tmp_path / "own_private")
    assert graded(batch, students[:1]) == {"ann": "graded"}
    (folder / "hidden.py").write_text("")
    assert graded(batch, students[:1]) == {"ann": "graded"}
    assert all(test["visible"] for test in without_times(batch.output)["ann.json"]["tests"])


def test_visible_answers_are_computed_once(make, monkeypatch):
    batch, students, _ = make()
    computed = []
    real = Computed._right
    monkeypatch.setattr(Computed, "_right", lambda key, test, draw: computed.append(test.name) or real(key, test, draw))
    batches._loaded.cache_clear()
    graded(batch, students)
    visible = [test.name for test in batch._version(b"").tests]
    assert sorted(name for name in computed if name in visible) == sorted(visible)


def test_no_answers_are_computed_for_a_program_that_does_not_run(make, monkeypatch):
    batch, students, folder = make()
    (folder / "ann.py").write_text("def f(:\n")
    computed = []
    real = Computed._right
    monkeypatch.setattr(Computed, "_right", lambda key, test, draw: computed.append(test.name) or real(key, test, draw))
    batches._loaded.cache_clear()
    graded(batch, students[:1])
    assert len(computed) == 1
    tests = without_times(batch.output)["ann.json"]["tests"]
    assert len({(test["mistake"], test["sentence"]) for test in tests}) == 1
    assert "SyntaxError" in tests[0]["sentence"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the test kills with a signal")
def test_killed_worker_is_one_sentence(make):
    batch, students, _ = make()

    def kill_one():
        while not multiprocessing.active_children():
            time.sleep(0.01)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    threading.Thread(target=kill_one, daemon=True).start()
    with pytest.raises(RuntimeError, match="a worker was killed"):
        graded(batch, students, workers=2)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the test looks for processes in /proc")
def test_killed_grader_leaves_no_worker(make, tmp_path, private_root):
    _, students, folder = make()
    for student in students:
        (folder / f"{student.id}.py").write_text("while True: pass")
    process = subprocess.Popen(command_line(students, folder, tmp_path, private_root, "2"), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(workers := _descendants(process.pid)) < 6 and time.monotonic() < deadline:  # each has a child of its own
        time.sleep(0.05)
    assert len(workers) >= 6
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(is_alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(worker) for worker in workers)


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_line(students, folder, tmp_path, private_root, workers):
    """Return the command that grades a class."""
    (tmp_path / "roster.csv").write_text("id,name\n" + "".join(f"{s.id},{s.name}\n" for s in students))
    (tmp_path / "secret").write_bytes(SECRET)
    words = ["grade", folder, "--assignment", "temperature_sigmoid", "--roster", tmp_path / "roster.csv"]
    words += ["--secret", tmp_path / "secret", "--output", tmp_path / "cut", "--private", private_root]
    return [sys.executable, "-m", "minirobust", "class", *map(str, words), "--workers", workers, "--trust"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_batch_resumes_to_the_same_files(make, tmp_path, private_root, workers):
    batch, students, folder = make("whole")
    graded(batch, students)
    command = command_line(students, folder, tmp_path, private_root, workers)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "cut").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(list((tmp_path / "cut").glob("*.json"))) < len(students)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
    assert without_times(tmp_path / "cut") == without_times(batch.output)


@pytest.mark.slow
def test_two_hundred_submissions_take_at_most_a_minute(make, sigmoid, tmp_path):
    _, private = sigmoid
    pool = [*private.right, *private.wrong]
    batch, _, _ = make("many")
    folder = tmp_path / "many_submissions"
    folder.mkdir()
    students = [Student(f"s{number:03}") for number in range(200)]
    for number, student in enumerate(students):
        (folder / f"{student.id}.py").write_text(f"# {number}\n{pool[number % len(pool)].read_text()}")
    start = time.monotonic()
    graded(dataclasses.replace(batch, submissions=folder), students, workers=2)
    assert time.monotonic() - start < 60 * max(1.0, os.getloadavg()[0] / 2)
