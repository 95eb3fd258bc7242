"""The sentences about answers that no model explains; those of hidden tests quote no numbers."""

import numpy as np
import pytest

from minirobust.classroom import exercise
from minirobust.classroom.judge import describe, judge
from minirobust.classroom.program import Model

strict = exercise.test("t", 1, 1)(lambda program, draw: iter(()))
RIGHT = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


@pytest.mark.parametrize(
    ("got", "name"),
    [
        (None, "returned None"),
        (RIGHT[0], "shape"),
        (RIGHT * np.nan, "NaN"),
        (RIGHT * 0, "zeros"),
        (2 * RIGHT, "constant factor"),
        (-RIGHT, "sign"),
        (RIGHT + 3, "constant term"),
        (RIGHT * 0 + 3, "constant"),
        (RIGHT[::-1], "displaced"),
        (abs(RIGHT), "some signs"),
        (RIGHT + np.eye(2, 3), "some numbers"),
        (RIGHT**3 + 1, ""),
        ((RIGHT, RIGHT), ""),
    ],
    ids=str,
)
def test_patterns_have_names(got, name):
    assert describe(got, RIGHT, strict, show_numbers=True)[1] == name


def test_only_visible_tests_show_numbers():
    got = RIGHT**3 + 1
    assert describe(got, RIGHT, strict, True)[0] == "the number at [1, 1] is 65, expected 4"
    hidden = describe(got, RIGHT, strict, False)[0]
    assert not any(letter.isdigit() for letter in hidden)


def test_numbers_of_the_script_are_described_like_those_of_the_program():
    assert describe(3.0, 5.0, strict, True)[0] == "the number is 3, expected 5"
    assert describe(3.0, np.array(5.0), strict, True)[0] == "the number is 3, expected 5"


class Key:
    """A test that expects a fixed answer."""

    def right(self, test, draw):
        return [np.array(2.0)], [8]

    def models(self, test, draw):
        return iter(())


def test_judge_compares_what_the_script_yields():
    @exercise.test("double", points=1, section=2)
    def script(program, draw):
        yield program.call("f", np.array(1.0))

    def verdict(function):
        return judge(script, Model({"f": function}), Key(), lambda: None, True)

    assert verdict(lambda x: 2 * x).passed
    assert not verdict(lambda x: 3 * x).passed
    assert verdict(lambda x: 3 * x).section == 2
    assert verdict(lambda x: 2 * x * (1 + 1e-5)).mistake == "nearly right"


@pytest.mark.parametrize("answer", [None, 1.0, (1.0,), (1.0, 2.0, 3.0), "text"], ids=str)
def test_answer_of_the_wrong_form_is_a_mistake_of_the_student(answer):
    @exercise.test("pair", points=1, section=2)
    def script(program, draw):
        value, gradient = program.call("f", np.array(1.0))
        yield value + gradient.sum()

    found = judge(script, Model({"f": lambda x: answer}), Key(), lambda: None, True)
    assert not found.passed
    assert found.mistake == "type"
