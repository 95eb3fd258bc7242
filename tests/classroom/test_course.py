"""course.toml, the roster, and the table of grades."""

import csv
import io

import pytest

from minirobust.classroom.course import Course, read_course
from minirobust.classroom.roster import Student, find_submission, grades, read_roster


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_nothing_changes(sigmoid):
    assignment, private = sigmoid
    assert read_course(None) == Course()
    assert Course().applied(assignment, private) == (assignment.tests, private.tests)


def test_course_changes_points_and_disables_tests(tmp_path, sigmoid):
    assignment, private = sigmoid
    path = write(
        tmp_path / "course.toml",
        'folders = ["own"]\nprivate = "hidden"\n[assignments.temperature_sigmoid]\ndue = 2026-10-05T23:59:00+02:00\n'
        'points = { "two objects and two batches" = 4 }\ndisabled = ["arguments are left alone"]\n',
    )
    course = read_course(path)
    assert (course.folders, course.private) == ((tmp_path / "own",), tmp_path / "hidden")
    visible, hidden = course.applied(assignment, private)
    assert visible == assignment.tests
    points = {test.name: test.points for test in hidden}
    assert points["two objects and two batches"] == 4
    assert "arguments are left alone" not in points
    assert len(points) == len(private.tests) - 1


@pytest.mark.parametrize(
    "text", ["nonsense = 1", "[assignments.a]\nduee = 1", "[assignments.a]\ndue = 2026-10-05", "= 1", "assignments = 1"]
)
def test_wrong_course_raises(tmp_path, text):
    with pytest.raises(ValueError, match="expected"):
        read_course(write(tmp_path / "course.toml", text))


def test_course_that_names_an_unknown_test_raises(tmp_path, sigmoid):
    course = read_course(write(tmp_path / "c.toml", '[assignments.temperature_sigmoid]\ndisabled = ["nope"]\n'))
    with pytest.raises(ValueError, match="expected names of tests, got nope"):
        course.applied(*sigmoid)


def test_roster_has_ids_and_optional_names(tmp_path):
    path = write(tmp_path / "r.csv", "\ufeffname,id,group\nAnn Lee,ann,1\n,bob@school.org,2\n")
    assert read_roster(path) == [Student("ann", "Ann Lee"), Student("bob@school.org")]


@pytest.mark.parametrize("text", ["name\nAnn\n", "", "id\nann\nann\n", "id\n../ann\n", "id\n.hidden\n", "id\na/b\n"])
def test_wrong_roster_raises(tmp_path, text):
    with pytest.raises(ValueError, match="expected"):
        read_roster(write(tmp_path / "r.csv", text))


def test_submission_is_found_as_a_file_or_in_a_folder(tmp_path):
    write(tmp_path / "ann.py", "")
    (tmp_path / "bob").mkdir()
    write(tmp_path / "bob" / "dense.py", "")
    places = [find_submission(tmp_path, Student(name), "dense.py") for name in ("ann", "bob", "carl")]
    assert places == [tmp_path / "ann.py", tmp_path / "bob" / "dense.py", None]


def test_grades_leave_unknown_scores_blank_and_defuse_formulas():
    def result(id, name, score):
        tests = [{"name": "forward", "score": score}]
        student = {"id": id, "name": name}
        common = {"assignment": "dense", "version": 1, "max_score": 2.0, "late": False, "status": "graded"}
        return {"student": student, "score": score, "tests": tests, **common}

    table = grades([result("ann", "=HYPERLINK(1)", 1.5), result("bob", "Bob", None)])
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["score"] for row in rows] == ["1.5", ""]
    assert [row["forward"] for row in rows] == ["1.5", ""]
    assert rows[0]["name"] == "'=HYPERLINK(1)"
