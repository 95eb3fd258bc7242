"""Audits of networks with one input and a known course of the logit: every flag follows from the picture."""

import json

import numpy as np
import pytest

import minirobust as mr
from minirobust.masking import evidence


class Landscape(mr.Layer):
    """From one pixel to two logits: the first follows straight lines between knots, the second is 0.

    `slope` is the derivative that the layer returns for each piece; by default, the true one.
    """

    def __init__(self, at, height, slope=None):
        self.at, self.height, self.slope = at, height, slope

    def build(self, input_shape):
        return (2,)

    def forward(self, x):
        x = self.backend.to_numpy(x).ravel()
        self.piece = np.clip(np.searchsorted(self.at, x, side="right") - 1, 0, len(self.at) - 2)
        height = np.interp(x, self.at, self.height)
        return self.backend.asarray(np.stack([height, 0 * height], axis=1).astype(self.dtype))

    def input_gradient(self, grad_y):
        slope = np.diff(self.height) / np.diff(self.at) if self.slope is None else np.asarray(self.slope)
        slope = self.backend.asarray(slope[self.piece].astype(self.dtype))
        return (grad_y[:, 0] * slope)[:, None, None, None]


@pytest.fixture(autouse=True)
def few_queries(monkeypatch):
    """Square has one pixel to search."""
    monkeypatch.setattr(evidence, "LEAST_QUERIES", 0)


def audit(landscape, places, backend="numpy"):
    """Return the report on samples at these places, all of class 0, and its checks by number."""
    network = mr.Network([Landscape(*landscape)], (1, 1, 1), backend=backend, dtype="float64")
    x = np.array(places, float).reshape(-1, 1, 1, 1)
    report = mr.audit(network, x, np.zeros(len(x), int), epsilon=0.1, budget="quick")
    return report, {check.number: check for check in report.checks}


def flags(report):
    return [check.number for check in report.flagged]


# Knots and heights. Samples are classified as 0 where the height is above 0, and most start at 0.5, where attacks move
# downhill.
SLOPE = ([0, 0.5, 0.55, 1], [2, 1, 0, -1])
VALLEY = ([0, 0.5, 0.53, 0.54, 0.56, 0.57, 1], [2, 1, 0.5, -1, -1, 1, 1.1])  # too narrow for one step, not for many
TWO_VALLEYS = ([0, 0.1, 0.12, 0.25, 0.27, 0.5, 0.52, 0.74, 0.76, 1], [2, 1, -1, -1, 1, 1, -1, -1, 1, 1])
PIT = ([0, 0.5, 0.505, 0.506, 0.507, 0.508, 1], [0.5, 1, 0.99, -1, -1, 1, 0.9])  # only steps of 1/160 find it
TRAP = ([0, 0.5, 0.54, 0.58, 0.59, 1], [2, 1, 0.5, 1, -1, -1])  # small steps end in a hollow, a large one crosses it
CLIFF = ([0, 0.5, 0.595, 0.597, 1], [0.5, 1, 1.1, -1, -1])  # behind a ridge on the right; downhill is on the left


def test_honest_slope_has_no_flag(backend):
    report, checks = audit(SLOPE, [0.5] * 40, backend)
    assert flags(report) == []
    assert not report.masked
    assert report.robustness["clean"].value == 1
    for name in ("FGSM", "PGD", "white box", "worst case"):
        assert report.robustness[name].value == 0
    assert checks[9].figures == {"brute force": 1, "headroom": 1, "gap": 0, "missed": 0}
    assert report.verdict.startswith("no sign of masking: robustness at ε = 0.1 is at most 0.000 [0.000, ")


def test_valley_that_one_step_crosses(backend):
    """FGSM is too weak. It also does worse with a larger step, and finds nothing at the end of the range."""
    report, checks = audit(VALLEY, [0.5] * 40, backend)
    assert flags(report) == [2, 3, 4]
    assert checks[2].text == "rise from ε = 0.05 to 0.1"
    assert checks[2].estimate.value == 1
    assert checks[3].estimate.value == 1
    assert checks[4].figures == {"FGSM": 1, "PGD": 0, "gap": 1}
    assert "masked (checks 2, 3); FGSM is too weak here (check 4)" in report.verdict


def test_slow_rise_over_epsilon():
    """Half of the samples stand again at ε = 0.2, the other half at 0.3."""
    _, checks = audit(TWO_VALLEYS, [0.1, 0.5] * 20)
    assert [checks[2].figures[f"robustness at {epsilon:g}"] for epsilon in (0.1, 0.2, 0.3)] == [0, 0.5, 1]
    assert checks[2].text == "rise from ε = 0.025 to 0.3"
    assert checks[2].estimate.value == checks[2].figures["rise"] == 1


def test_pit_that_only_twice_the_steps_find(backend):
    report, checks = audit(PIT, [0.5] * 40, backend)
    assert checks[5].flagged
    assert checks[5].finding == "PGD not converged"
    assert checks[5].figures["2 S steps"] < checks[5].figures["S steps"]
    assert report.robustness["PGD"].value == checks[5].figures["2 S steps"] == 0
    assert "PGD has not converged (check" in report.verdict


def test_trap_for_small_steps_leaves_fgsm_in_the_white_box(backend):
    report, checks = audit(TRAP, [0.5] * 40, backend)
    assert report.robustness["FGSM"].value == report.robustness["white box"].value == 0
    assert report.robustness["PGD"].value > 0.5
    assert checks[4].estimate.value < -0.5
    assert not checks[4].flagged
    assert not checks[7].flagged


def test_cliff_behind_a_ridge_is_found_without_the_gradient(backend):
    """Square, random signs and the search over pixels cross the ridge, the gradient leads away from it."""
    report, checks = audit(CLIFF, [0.5] * 40, backend)
    assert {7, 8, 9} <= set(flags(report))
    assert checks[7].figures["with Square"] == 0
    assert checks[7].figures["white box"] > 0.7
    assert checks[8].figures["noise"] < checks[8].figures["white box"]
    assert checks[9].figures["brute force"] == 1
    assert checks[9].figures["headroom"] == 0
    assert report.masked
    assert report.robustness["worst case"].value == 0


def test_gradient_that_points_uphill(backend):
    """FGSM fails at every ε, Square does not. That random starts of PGD fool some samples does not hide it."""
    _, checks = audit((*SLOPE, [2, 20, 2]), [0.5] * 40, backend)
    assert checks[3].estimate.value == 1
    assert 0.1 < checks[7].figures["white box"] < 0.9
    assert [checks[number].flagged for number in (1, 3, 7, 9)] == [False, True, True, True]


@pytest.mark.parametrize(("slopes", "without"), [([-2, 0, -2], 10), ([-2, -2, 0], 0)])
def test_samples_without_a_gradient(slopes, without, backend):
    report, checks = audit((*SLOPE, slopes), [0.3] * 30 + [0.52] * 10, backend)
    assert checks[1].figures["zero samples"] == without
    assert checks[1].figures["zero pixels"] == without / 40
    assert checks[1].flagged == (without > 0) == report.masked


def test_gradient_that_is_not_finite_is_flagged_and_does_not_end_the_audit(backend):
    """Attacks that need none find what those along the gradient miss."""
    report, checks = audit((*SLOPE, [-2, float("nan"), -2]), [0.3] * 10 + [0.52] * 30, backend)
    assert checks[1].figures["samples not finite"] == 30
    assert {1, 7} <= set(flags(report))
    assert {check.number for check in report.checks if check.flagged is None} == {6}
    assert report.robustness["white box"].value > report.robustness["worst case"].value
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["masked"]
