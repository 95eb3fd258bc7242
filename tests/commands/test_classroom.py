"""`class`: what students, teachers and authors see, and the exit codes."""

import csv
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from minirobust.classroom import probing
from minirobust.classroom.assignment import find, private_part
from minirobust.classroom.batch import Batch
from minirobust.classroom.sandbox import LIMITS, USER, Sandbox

PRIVATE = Path(__file__).parents[2] / "classroom_private"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def solution():
    """A right solution of the first assignment."""
    private = private_part(find("temperature_sigmoid"), PRIVATE)
    return (private.folder / "right" / "symmetric.py").read_text()


@pytest.fixture
def started(run):
    """The first assignment, just started."""
    assert run("class", "start", "temperature_sigmoid").exit_code == 0
    return Path("temperature_sigmoid", "temperature_sigmoid.py")


def test_list_shows_the_course_in_order(run):
    lines = run("class", "list").stdout.splitlines()
    assert lines[1].split(maxsplit=3) == ["1", "temperature_sigmoid", "v1", "The sigmoid with a temperature"]
    numbers = [int(line.split()[0]) for line in lines[1:] if line[0] != " "]  # a long title goes on below
    assert numbers == sorted(numbers)


def test_start_writes_stub_lesson_and_notebook_and_overwrites_nothing(run, started):
    assert sorted(path.name for path in started.parent.iterdir()) == [
        "lesson.md",
        "lesson_notebook.py",
        "temperature_sigmoid.py",
    ]
    started.write_text("my work")
    result = run("class", "start", "temperature_sigmoid")
    assert result.exit_code == 2
    assert started.read_text() == "my work"
    assert run("class", "start", "temperature_sigmoid", "--to", "again").exit_code == 0
    assert run("class", "start", "nope").exit_code == 2


def test_check_reports_passed_tests_and_names_the_mistake(run, started, solution):
    mark = started.read_text().splitlines()[0]
    result = run("class", "check")
    assert result.exit_code == 1
    assert "✗ forward at T = 1/4  0/1: not written yet (lesson, section 1)" in result.stdout
    started.write_text(f"{mark}\n{solution}")
    result = run("class", "check", "temperature_sigmoid")
    assert result.exit_code == 0
    assert "✓ backward at T = 1/4  2/2\n" in result.stdout
    wrong = solution.replace("(self.temperature * (1 + self.decay) ** 2)", "(1 + self.decay) ** 2")
    started.write_text(f"{mark}\n{wrong}")
    result = run("class", "check", started, "--hint")
    assert result.exit_code == 1
    sentence = "the factor 1/T is missing, the derivative of net/T (lesson, section 2)"
    assert f"✗ backward at T = 1/4  0/2: {sentence}" in result.stdout
    assert "## 2 The gradient" in result.stdout


def test_documented_session_is_what_check_prints(run, started):
    page = (PRIVATE.parent / "docs" / "classroom" / "index.md").read_text()
    session = page.partition("## For students")[2].split("```")[1]
    shown = [line for line in session.splitlines() if line.startswith(("✓", "✗"))]
    wrong = PRIVATE / "temperature_sigmoid" / "v1" / "wrong" / "1_t_missing.py"
    started.write_text(f"{started.read_text().splitlines()[0]}\n{wrong.read_text()}")
    output = run("class", "check", "temperature_sigmoid").stdout
    assert output.splitlines()[1:] == shown


def test_check_without_a_marked_file_says_how_to_begin(run):
    result = run("class", "check")
    assert result.exit_code == 2
    assert "minirobust class start" in result.stderr


def test_check_asks_gradcheck_if_no_model_explains_the_answer(run, started, solution):
    mark = started.read_text().splitlines()[0]
    started.write_text(f"{mark}\n{solution.replace('** 2)', '** 2) + 0.1 * self.decay')}")
    result = run("class", "check")
    assert "gradcheck of input" in result.stdout


def test_check_shows_what_the_program_prints_with_control_characters_escaped(run, started):
    started.write_text(started.read_text() + "\nprint('hello \\x1b[2J')\n")
    output = run("class", "check").stdout
    assert "hello" in output
    assert "\x1b" not in output


def test_fault_of_the_grader_exits_with_3(run, started, monkeypatch):
    monkeypatch.setattr("minirobust.classroom.grading.judge", lambda *args, **options: 1 / 0)
    result = run("class", "check")
    assert result.exit_code == 3
    assert "the grader failed, not your program: ZeroDivisionError" in result.stdout


@pytest.mark.slow
def test_check_takes_under_two_seconds_of_processor_time(started):
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "minirobust", "class", "check"], stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


@pytest.mark.slow
def test_watch_stays_until_the_file_is_right(started, solution):
    mark = started.read_text().splitlines()[0]
    command = [sys.executable, "-u", "-m", "minirobust", "class", "check", "--watch"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    timer = threading.Timer(60, process.kill)
    timer.start()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("waiting for changes"):
            time.sleep(0.05)
            started.write_text(f"{mark}\n{solution}")
    timer.cancel()
    process.stdout.close()
    assert process.wait() == 0
    assert any("not written yet" in line for line in lines)
    assert lines[-1].startswith("✓")


def test_lesson_is_printed_or_saved_as_a_notebook(run):
    assert "## 1 The function" in run("class", "lesson", "temperature_sigmoid").stdout
    assert run("class", "lesson", "temperature_sigmoid", "--notebook", "n.py").exit_code == 0
    assert Path("n.py").read_text().startswith("# %% [markdown]\n# # The sigmoid")


@pytest.fixture
def course(solution):
    """Two submissions, a roster and a secret."""
    Path("in").mkdir()
    Path("in/ann.py").write_text(solution)
    Path("in/bob.py").write_text("raise NotImplementedError\n")
    Path("r.csv").write_text("id,name\nann,Ann\nbob,Bob\ncarl,Carl\n")
    Path("secret").write_text("0123456789abcdef")
    options = ["--assignment", "temperature_sigmoid", "--roster", "r.csv", "--secret", "secret", "--output", "out"]
    return ["class", "grade", "in", *options, "--private", PRIVATE]


def test_grades_of_a_class_become_a_table(run, course):
    result = run(*course, "--trust")
    assert result.exit_code == 0, result.stderr
    assert "2 graded, 1 missing: out" in result.stdout
    assert run("class", "results", "out", "--csv", "grades.csv").exit_code == 0
    with open("grades.csv", newline="") as file:
        rows = {row["id"]: (row["score"], row["status"]) for row in csv.DictReader(file)}
    assert rows == {"ann": ("14", "graded"), "bob": ("0", "graded"), "carl": ("0", "missing")}
    assert "ann  14  graded" in run("class", "results", "out").stdout


def test_without_isolation_the_trust_option_is_required(run, course, monkeypatch):
    monkeypatch.setattr(probing, "find_sandbox", lambda: Sandbox(LIMITS, False))
    result = run(*course)
    assert result.exit_code == 2
    assert "apt install bubblewrap" in result.stderr
    assert not list(Path().glob("out/*.json"))


def test_weaker_isolation_is_reported_with_the_remedy(run, course, monkeypatch):
    monkeypatch.setattr(probing, "find_sandbox", lambda: Sandbox(USER, False))
    monkeypatch.setattr(Batch, "grade_one", lambda self, student: "graded")
    result = run(*course, "--workers", "1")
    assert result.exit_code == 0
    assert "isolation: user\n" in result.stdout
    assert "apt install bubblewrap" in result.stdout


def test_isolation_is_written_into_each_result(run, course):
    run(*course, "--trust")
    assert json.loads(Path("out/ann.json").read_text())["isolation"] == probing.find_sandbox().level


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("secret", "short", "--secret: expected at least 16 characters"),
        ("secret", None, "--secret: expected a file with random text"),
        ("r.csv", "name\nAnn\n", "expected a column id"),
        ("course.toml", "[assignments.temperature_sigmoid]\ndisabled = ['x']\n", "expected names of tests, got x"),
    ],
)
def test_errors_are_reported_before_any_grading(run, course, file, content, sentence):
    Path(file).unlink(missing_ok=True)
    if content is not None:
        Path(file).write_text(content)
    result = run(*course, "--trust")
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_private_folder_is_explained(run, course):
    result = run(*course[:-2], "--trust")
    assert result.exit_code == 2
    assert "--private: expected the folder classroom_private of the source distribution" in result.stderr
    assert run(*course[:-1], "in", "--trust").exit_code == 2


def test_late_submission_is_marked(run, course):
    Path("course.toml").write_text("[assignments.temperature_sigmoid]\ndue = 2020-01-01T00:00:00Z\n")
    run(*course, "--trust")
    assert json.loads(Path("out/ann.json").read_text())["late"] is True


def test_similar_counts_files_that_are_too_short(run, course):
    result = run("class", "similar", "in", "--assignment", "temperature_sigmoid")
    assert result.exit_code == 0
    assert result.stdout == "0 similar pairs of 2 submissions, 2 too short to compare\n"


def test_export_writes_an_archive(run):
    assert run("class", "export", "gradescope", "dense", "-o", "a.zip", "--private", PRIVATE).exit_code == 0
    assert Path("a.zip").stat().st_size > 1000


@pytest.mark.slow
def test_own_assignment_from_new_to_validate(run):
    assert run("class", "new", "mine").exit_code == 0
    assert "mine" in run("class", "list").stdout
    result = run("class", "validate", "mine", "--seeds", "10")
    assert result.exit_code == 0, result.stdout
    assert "mine v1 is sound" in result.stdout
    visible = Path("assignments/mine/v1/visible.py")
    visible.write_text(visible.read_text().replace("-2.0", "-3.0"))
    result = run("class", "validate", "mine", "--seeds", "1")
    assert result.exit_code == 1
    assert "visible.json is out of date" in result.stdout
    assert run("class", "validate", "mine", "--seeds", "1", "--update").exit_code == 0
