"""Naming: single mistakes before pairs, nearly right before pairs, and answers compared as the test asks."""

import numpy as np
import pytest

from minirobust.classroom import exercise
from minirobust.classroom.exercise import Mistake
from minirobust.classroom.key import OfOneProgram, visible_draw
from minirobust.classroom.mistakes import combinations, error, errors, explain

A, B, C = Mistake("a", "A.", 1, "group"), Mistake("b", "B.", 1, "group"), Mistake("c", "C.", 1)
strict = exercise.test("t", 1, 1)(lambda program, draw: iter(()))
RIGHT = [np.array([1.0, 2.0])]


def test_error_is_relative_to_the_largest_number_or_to_each():
    got, right = np.array([1e-3, 1.0]), np.array([2e-3, 1.0])
    assert error(got, right, False) == pytest.approx(1e-3)
    assert error(got, right, True) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("got", "right"),
    [
        (np.ones(3), np.ones((1, 3))),
        (np.array([np.nan]), np.array([1.0])),
        (np.array([1.0]), np.array([np.nan])),
        (np.array([np.inf]), np.array([-np.inf])),
        (None, np.ones(1)),
        ("a", "b"),
        ((np.ones(1),), (np.ones(1), np.ones(1))),
        ((np.ones(2), np.ones(2), 1.0), (np.ones(2), np.ones(2))),
        (np.ones(1), (np.ones(1),)),
    ],
    ids=str,
)
def test_answers_of_another_type_have_infinite_error(got, right):
    assert error(got, right, False) == np.inf


def test_equal_answers_have_no_error():
    for answer in (np.array([np.nan, np.inf, 1.0]), "a", None, (np.ones(2), "a"), np.zeros(3), np.empty(0)):
        assert error(answer, answer, False) == 0
        assert error(answer, answer, True) == 0


def test_visible_tests_draw_the_same_numbers_for_everyone():
    assert visible_draw().random() == visible_draw().random()


def test_missing_answers_are_wrong():
    assert errors([], RIGHT, strict) == np.inf


def test_mistakes_of_a_group_exclude_each_other():
    assert list(combinations([A, B, C], 2)) == [(A, C), (B, C)]


def test_first_model_with_the_same_numbers_names_the_mistake():
    models = [((A,), [np.array([5.0, 5.0])]), ((C,), [np.array([3.0, 4.0])]), ((A, C), [np.array([3.0, 4.0])])]
    assert explain([np.array([3.0, 4.0])], RIGHT, models, strict) == (C,)
    assert explain([np.array([3.0, 4.1])], RIGHT, models, strict) == ()


def test_nearly_right_answer_is_not_explained_by_a_pair():
    near = [np.array([1.0, 2.0001])]
    assert explain(near, RIGHT, [((A, C), near)], strict) == ()
    assert explain(near, RIGHT, [((A,), near)], strict) == (A,)


@pytest.fixture
def models(sigmoid):
    """Return the sets of mistakes that are tried in a test until one explains it, in the key for one program."""
    assignment, private = sigmoid
    key, (test, *_) = OfOneProgram(private), assignment.tests

    def tried(right):
        sets = []
        for mistakes, _ in key.models(test, visible_draw):
            sets.append(mistakes)
            if mistakes == right:
                break
        return sets

    return tried, *(list(combinations(private.mistakes, size)) for size in (1, 2))


def test_pair_that_one_test_excludes_is_not_tried_in_the_next(models):
    tried, singles, pairs = models
    assert tried(None) == singles + pairs
    assert tried(None) == singles


def test_mistakes_that_explain_one_test_are_tried_first_in_the_next(models):
    tried, singles, pairs = models
    assert tried(singles[3]) == singles[:4]
    assert tried(pairs[2])[: len(singles)] == [singles[3], *singles[:3], *singles[4:]]
    assert tried(None) == [*singles, *pairs[2:]]
