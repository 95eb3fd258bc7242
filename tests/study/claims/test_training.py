"""Claims about learning and regimes, on studies in which each holds, fails and cannot be told by construction."""

import numpy as np
import pytest
from scipy import stats

from minirobust.study.claims import training

UP = np.linspace(0.2, 0.8, 7)
DOWN = UP[::-1]
ZIGZAG = np.array([0.5, 0.3, 0.6, 0.2, 0.55, 0.35, 0.45])
FIVE = {"temperatures": (0.5, 1.0, 2.0, 4.0, 8.0)}
CUP = [0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0.5]
HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot tell here"


def over_epochs(first, last, epochs=12):
    """A straight line from the first epoch to the last for each temperature."""
    return np.linspace(np.asarray(first, float), np.asarray(last, float), epochs, axis=1)


CASES = [
    ("best-accuracy", {"images": 1000, "accuracy": [0.5, 0.6, 0.7, 0.98, 0.9, 0.8, 0.6]}, HOLDS),
    ("best-accuracy", {"images": 1000, "accuracy": 0.96}, FAILS),
    ("best-accuracy", {"images": 100, "accuracy": 0.96}, OPEN),  # a part of the data set
    ("best-accuracy", {"images": 1000, "accuracy": 0.96, "done": (8.0,)}, OPEN),
    ("best-accuracy", {"dataset": "digits", "accuracy": 0.99}, OPEN),
    ("best-accuracy", {"dataset": "cifar10-25k.h5", "images": 500, "accuracy": 0.65}, HOLDS),
    ("extreme-temperatures", {"accuracy": CUP}, HOLDS),
    ("extreme-temperatures", {"accuracy": UP}, FAILS),
    ("extreme-temperatures", {"accuracy": [0.89, *[0.9] * 5, 0.89], "images": 10}, OPEN),
    ("extreme-temperatures", {"accuracy": CUP, "done": (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)}, OPEN),
    ("beyond-the-range", {"model": "cnn", "temperatures": (1.0, 2.0, 16.0), "accuracy": [0.8, 0.9, 0.2]}, HOLDS),
    ("beyond-the-range", {"model": "cnn", "temperatures": (1.0, 2.0, 16.0), "accuracy": [0.8, 0.9, 0.85]}, FAILS),
    ("beyond-the-range", {"model": "mlp", "temperatures": (1.0, 2.0, 16.0)}, OPEN),
    ("high-temperature-slow", {"series": {"test_accuracy": over_epochs(DOWN, np.ones(7))}}, HOLDS),
    ("high-temperature-slow", {"series": {"test_accuracy": over_epochs(UP, np.ones(7))}}, FAILS),
    ("high-temperature-slow", {"series": {"test_accuracy": np.ones((7, 12))}}, FAILS),
    ("high-temperature-slow", {"series": {"test_accuracy": over_epochs(DOWN, np.ones(7))}, "done": (8.0,)}, OPEN),
    ("gradients-vanish", {"series": {"slope_mean": DOWN}}, HOLDS),
    ("gradients-vanish", {"series": {"slope_mean": UP}}, FAILS),
    ("gradients-vanish", FIVE | {"series": {"slope_mean": ZIGZAG[:5]}}, OPEN),
    ("gradients-concentrate", {"series": {"slope_share": DOWN}}, HOLDS),
    ("gradients-concentrate", {"series": {"slope_share": DOWN / 2}}, FAILS),  # never over half
    ("gradients-concentrate", {"series": {"slope_share": DOWN * 0.7}}, HOLDS),  # over half at the lowest alone
    ("gradients-concentrate", {"series": {"slope_share": UP}}, FAILS),
    ("gradients-concentrate", FIVE | {"series": {"slope_share": [0.9, 0.7, 0.8, 0.2, 0.3]}}, OPEN),
    ("linear-falls", {"series": {"linear": UP}}, HOLDS),
    ("linear-falls", {"series": {"linear": UP * 0.7}}, FAILS),  # not drastically: by 0.42
    ("linear-falls", {"series": {"linear": UP * 0.9}}, HOLDS),  # by 0.54, of which 0.45 is left within the ends
    ("linear-falls", {"series": {"linear": DOWN}}, FAILS),
    ("linear-falls", {"series": {"linear": UP}, "accuracy": [0.9] * 4 + [0.1] * 3}, OPEN),
    ("saturated-rises", {"series": {"saturated": DOWN}}, HOLDS),
    ("saturated-rises", {"series": {"saturated": UP}}, FAILS),
    ("saturated-rises", FIVE | {"series": {"saturated": [0.9, 0.8, 0.0, 0.2, 0.1]}}, OPEN),
    ("saturation-grows", {"series": {"saturated": over_epochs([0.2] * 7, [0.3] * 4 + [0.2] * 3)}}, HOLDS),
    ("saturation-grows", {"series": {"saturated": over_epochs([0.2] * 7, [0.3] * 3 + [0.2] * 4)}}, FAILS),
    ("saturation-grows", {"series": {"saturated": over_epochs([0.2] * 7, [0.209] * 7)}}, FAILS),
    ("saturation-grows", {"epochs": 1}, OPEN),
    ("others-shrink", {"series": dict.fromkeys(("linear", "nonlinear"), over_epochs(UP, UP - 0.1))}, HOLDS),
    ("others-shrink", {"series": {"linear": over_epochs(UP, UP - 0.1)}}, FAILS),
    ("others-shrink", {"done": (8.0,)}, OPEN),
    ("nonlinear-above-linear", {"series": {"nonlinear": 0.5}}, HOLDS),
    ("nonlinear-above-linear", {"series": {"nonlinear": 0.305}}, FAILS),
    ("nonlinear-above-linear", {"done": (1.0,)}, OPEN),
]


@pytest.mark.parametrize(("name", "numbers", "expected"), CASES)
def test_verdict(make, judged, name, numbers, expected):
    assert judged(name, make(**numbers)).verdict == expected


def test_what_chance_alone_can_explain_takes_more_test_images(make, judged):
    verdict = judged("extreme-temperatures", make(accuracy=[0.89, *[0.9] * 5, 0.89], images=10))
    assert (verdict.verdict, verdict.measured.endswith("this takes more test images.")) == (OPEN, True)


def test_every_claim_of_the_module_is_put_through_all_three_verdicts():
    alone = [claim.name for claim in training.CLAIMS if not claim.compares]
    for verdict in (HOLDS, FAILS, OPEN):
        assert {name for name, _, expected in CASES if expected == verdict} == set(alone)


def test_a_trend_reports_spearmans_correlation_and_every_temperatures_value(make, judged):
    shares = [0.1, 0.3, 0.2, 0.5, 0.6, 0.9, 0.8]
    verdict = judged("linear-falls", make(series={"linear": shares}))
    assert verdict.figures["rho"] == pytest.approx(stats.spearmanr(range(7), shares).statistic)
    assert [verdict.figures[f"T = {T}"] for T in ("1/8", "1/4", "1/2", "1", "2", "4", "8")] == pytest.approx(shares)
    assert verdict.measured == (
        "The linear share after the last epoch goes from 0.100 at T = 1/8 to 0.800 at T = 8; Spearman's ρ = 0.93 "
        "(p = 0.0067) over 7 temperatures."
    )


def test_how_slowly_a_network_learns_is_the_epoch_in_which_it_reaches_the_common_bar(make, judged):
    """Of the best 1.0 the bar is 0.95: reached in epochs 1, 2, 3, 4, and by the last three temperatures never."""
    curves = np.full((7, 4), 0.5)
    for row, epoch in enumerate((1, 2, 3, 4)):
        curves[row, epoch - 1 :] = 1.0
    verdict = judged("high-temperature-slow", make(epochs=4, series={"test_accuracy": curves}))
    assert [verdict.figures[f"T = {T}"] for T in ("1/8", "1/4", "1/2", "1", "2", "4", "8")] == [1, 2, 3, 4, 5, 5, 5]
    assert verdict.measured.endswith("Never reached at 3 temperatures, counted as epoch 5.")


@pytest.mark.parametrize(
    "name",
    [
        "extreme-temperatures",
        "high-temperature-slow",
        "saturation-grows",
        "others-shrink",
        "falls-with-epsilon",
        "mean-gradient-by-few",
        "gradient-predicts-errors",
        "one-pixel",
        "more-pixels",
    ],
)
def test_what_is_said_of_most_temperatures_takes_most_that_learned(name, make, judged):
    few = judged(name, make(accuracy=[0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.1]))
    assert few.verdict == "cannot tell here"
    assert few.measured.startswith("Too few learned: 3 of 7 temperatures. T = 1/8, 1/4, 1/2, 8 left out: ")
    half = judged(name, make(accuracy=[0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9]))
    assert "Too few learned" not in half.measured


def test_networks_at_chance_count_where_the_claim_is_about_learning(make, judged):
    """That the ends did not learn at all is what makes them hard to train."""
    assert judged("extreme-temperatures", make(accuracy=[0.1, *[0.9] * 5, 0.1])).verdict == HOLDS


def four(make, jumps):
    """The paper's data sets, the saturated share of each jumping up and down by so much."""
    return [
        make(dataset=name, series={"saturated": np.tile(0.5 + jump * (-1.0) ** np.arange(12), (7, 1))})
        for name, jump in jumps.items()
    ]


def test_mnist_is_smoothest_if_its_saturated_share_bends_least(make, judged):
    jumps = {"mnist": 0.01, "fashion-mnist": 0.02, "svhn": 0.03, "cifar10": 0.04}
    verdict = judged("smoothest-on-mnist", *four(make, jumps))
    assert verdict.verdict == HOLDS
    assert verdict.figures == pytest.approx({name: 4 * jump for name, jump in jumps.items()})
    assert judged("smoothest-on-mnist", *four(make, jumps | {"mnist": 0.025})).verdict == FAILS


def test_which_data_set_is_smoothest_takes_all_four(make, judged):
    verdict = judged("smoothest-on-mnist", *four(make, {"mnist": 0.01, "svhn": 0.2}))
    assert verdict.verdict == OPEN
    assert "without a study here: fashion-mnist, cifar10" in verdict.measured
