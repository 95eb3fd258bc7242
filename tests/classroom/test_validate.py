"""`validate` accepts a sound assignment, and names what is wrong with a weak one."""

import dataclasses
import json

import pytest

from minirobust.classroom import exercise, validate
from minirobust.classroom.assignment import find, private_part
from minirobust.classroom.author import create, public_files
from minirobust.classroom.exercise import Mistake
from minirobust.classroom.key import record
from minirobust.classroom.leaks import leaks
from minirobust.classroom.mutants import mutants
from minirobust.classroom.validate import Report


@pytest.fixture
def own(tmp_path):
    """A new assignment of a teacher, as `class new` makes it."""
    create("mine", tmp_path)
    assignment = find("mine", None, [tmp_path / "assignments"])
    return assignment, private_part(assignment, tmp_path / "private")


def problems(check, *args):
    report = Report()
    check(report, *args)
    return report.problems


@pytest.mark.slow
def test_new_assignment_is_sound(own, any_sandbox):
    report = validate.validate(*own, any_sandbox, 20, list(public_files(own[0])))
    assert report.problems == []
    assert report.figures[0] == "4 mistakes, each caught and named on 2 seeds"


def test_new_assignment_needs_a_new_and_valid_name(own, tmp_path):
    for name in ("mine", "Mine", "../x", "a b", "dense"):
        with pytest.raises((ValueError, FileExistsError), match="expected"):
            create(name, tmp_path)


def test_visible_answers_hold_only_mistakes_that_the_test_sees(own):
    assignment, private = own
    harmless = dataclasses.replace(private, mistakes=[*private.mistakes, Mistake("harmless", "Nothing.", 1)])
    tests = json.loads(record(assignment, harmless))["tests"]
    named = [name for test in tests.values() for name, _ in test["wrong"]]
    assert named
    assert "harmless" not in named


def test_mistake_that_no_test_catches_is_reported(own):
    assignment, private = own
    weak = dataclasses.replace(private, mistakes=[*private.mistakes, Mistake("harmless", "Nothing.", 1)])
    found = problems(validate.check_mistakes, assignment, weak, 1)
    assert found[0] == "harmless is not caught with seed 0"
    assert "harmless equals the right program: list it in SAME or test it" in problems(
        validate.check_pairs, assignment, weak
    )


def test_assignment_can_limit_its_seeds_and_then_needs_no_mutants(own):
    assignment, private = own
    limited, report = dataclasses.replace(assignment, seeds=2), Report()
    validate.check_mistakes(report, limited, private, 100)
    validate.check_mutants(report, limited, dataclasses.replace(private, equivalent=["caught"]))
    assert report.figures == ["4 mistakes, each caught and named on 2 seeds"]


def test_two_mistakes_with_the_same_numbers_are_reported_unless_listed(own):
    assignment, private = own
    twin = Mistake("twin of sum", "The squares are summed.", 1, "twins")

    def program(faults):
        return private.program(faults - {twin.name} | ({"sum"} if twin.name in faults else set()))

    double = dataclasses.replace(private, mistakes=[*private.mistakes, twin], program=program)
    found = problems(validate.check_pairs, assignment, double)
    assert "twin of sum equals sum: list it in SAME or test it" in found
    listed = [frozenset(sentence.partition(" equals ")[0].split(" + ")) for sentence in found]
    assert problems(validate.check_pairs, assignment, dataclasses.replace(double, same=listed)) == []


def test_wrong_test_is_reported_by_right_solutions(own):
    assignment, private = own

    @exercise.test("biased", points=1, section=1)
    def biased(program, draw):
        yield program.call("mean_square", draw.random(3))[0]
        yield float(len(program.names["mean_square"].__code__.co_code))

    found = problems(validate.check_right, assignment, dataclasses.replace(private, tests=[biased]), 1)
    assert found


def test_surviving_mutants_are_reported(own):
    assignment, private = own
    found = problems(validate.check_mutants, assignment, dataclasses.replace(private, tests=private.tests[:1]))
    assert found == []  # the visible tests catch them all
    blind = dataclasses.replace(private, tests=[])
    object.__setattr__(assignment, "tests", assignment.tests[:1])
    found = problems(validate.check_mutants, assignment, blind)
    assert any(sentence.endswith("a mutant that no test catches") for sentence in found)


@pytest.mark.slow
def test_wrong_program_with_another_name_is_reported(own, any_sandbox):
    assignment, private = own
    path = private.folder / "wrong" / "sum.py"
    path.write_text(path.read_text().replace("mistake: sum", "mistake: root"))
    (private.folder / "wrong" / "right.py").write_text("# mistake: sum\n" + private.right[0].read_text())
    found = problems(validate.check_submissions, assignment, private, any_sandbox)
    assert "sum.py: expected the mistake 'root', got ['sum']" in found
    assert "right.py gets full marks" in found


def test_outdated_numbers_and_missing_sections_are_reported(own):
    assignment, private = own
    (assignment.folder / "visible.json").write_text("{}")
    lesson = assignment.folder / "lesson.md"
    lesson.write_text(assignment.lesson.replace("## 2 ", "## 3 "))
    found = problems(validate.check_files, assignment, private)
    assert "visible.json is out of date: run validate with --update" in found
    assert "gradient: the lesson has no section 2" in found


def test_leak_is_found_in_code_and_in_lessons(own, tmp_path):
    assignment, private = own
    right = [path.read_text() for path in private.right]
    line = next(line.strip() for line in right[0].splitlines() if "total" in line or "mean" in line)
    page, code = tmp_path / "lesson.md", tmp_path / "code.py"
    page.write_text(f"# Lesson\n\n```python\n{right[0]}\n```\n")
    code.write_text(f"x = 1\n{right[0]}")
    found = leaks(right, assignment.stub, [page, code])
    assert [sentence.split()[0] for sentence in found] == ["lesson.md", "code.py"], line
    assert leaks([assignment.stub], assignment.stub, [code]) == []


def test_each_mutant_differs_in_one_place():
    source = "def f(x):\n    return -x * 2 + abs(x) if x > 0 else x.T\n"
    found = dict(mutants(source))
    assert "2:11 minus dropped in -x" in found
    assert found["2:26 abs dropped in abs(x)".replace("26", "20")].endswith("return -x * 2 + x if x > 0 else x.T")
    assert len(set(found.values())) == len(found)
    assert all(compile(mutant, "m", "exec") for mutant in found.values())
