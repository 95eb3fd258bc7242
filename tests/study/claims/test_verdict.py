"""The two rules by which every claim is judged."""

import math

import pytest

from minirobust.measures.intervals import Estimate
from minirobust.study.claims.verdict import beyond, needed, quantified

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot tell here"


@pytest.mark.parametrize(
    ("low", "high", "direction", "expected"),
    [
        (0.51, 0.9, "above", HOLDS),
        (0.5, 0.9, "above", OPEN),  # at the threshold is not beyond it
        (0.1, 0.51, "above", OPEN),
        (0.1, 0.5, "above", FAILS),
        (0.1, 0.49, "below", HOLDS),
        (0.1, 0.51, "below", OPEN),
        (0.5, 0.9, "below", FAILS),
        (0.51, 0.9, "rises", HOLDS),
        (-0.9, -0.51, "rises", FAILS),
        (-0.9, -0.51, "falls", HOLDS),
        (-0.9, -0.49, "falls", OPEN),
        (-0.5, 0.9, "falls", FAILS),
        (0.51, 0.9, "falls", FAILS),
    ],
)
def test_an_estimate_is_beyond_a_threshold_with_its_whole_interval(low, high, direction, expected):
    assert beyond(Estimate((low + high) / 2, low, high), 0.5, direction) == expected


def test_unmeasured_case_is_open():
    assert beyond(None, 0, "above") == OPEN
    assert beyond(Estimate(math.nan, math.nan, math.nan), 0, "above") == OPEN


@pytest.mark.parametrize(
    ("quantifier", "of_11", "of_20", "of_1"),
    [("all", 11, 20, 1), ("almost all", 11, 19, 1), ("most", 6, 11, 1), ("many", 2, 2, 1), ("some", 1, 1, 1)],
)
def test_quantifier_determines_the_number_of_cases(quantifier, of_11, of_20, of_1):
    assert [needed(quantifier, n) for n in (11, 20, 1)] == [of_11, of_20, of_1]


@pytest.mark.parametrize(
    ("held", "undecided", "failed", "quantifier", "expected"),
    [
        (7, 0, 0, "all", HOLDS),
        (6, 1, 0, "all", OPEN),
        (6, 0, 1, "all", FAILS),
        (4, 0, 3, "most", HOLDS),
        (3, 1, 3, "most", OPEN),
        (3, 0, 4, "most", FAILS),
        (4, 3, 0, "most", HOLDS),  # whatever the open ones turn out to be
        (1, 0, 6, "some", HOLDS),
        (0, 1, 6, "some", OPEN),
        (0, 0, 7, "some", FAILS),
        (95, 0, 5, "almost all", HOLDS),
        (94, 0, 6, "almost all", FAILS),
        (10, 0, 90, "many", HOLDS),
        (9, 0, 91, "many", FAILS),
    ],
)
def test_enough_cases_must_hold_and_open_ones_count_neither_way(held, undecided, failed, quantifier, expected):
    assert quantified([HOLDS] * held + [OPEN] * undecided + [FAILS] * failed, quantifier) == expected
