"""Claims that compare fully connected and convolutional networks."""

import numpy as np
import pytest

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot tell here"
WIDE, NARROW = np.linspace(0.1, 0.8, 10), np.linspace(0.41, 0.48, 10)


def at_first(rates, count):
    """These rates of the classes with the most pixels at so many temperatures, and at the others 0.5 of each class."""
    final = np.full((7, 3, 10), 0.5)
    final[:count, -1] = rates
    return final


def families(make, mlp, cnn, images=100, mlp_has=(), cnn_has=()):
    return (
        make(dataset="mnist", robustness=mlp, images=images, **dict(mlp_has)),
        make(dataset="cifar10", model="cnn", robustness=cnn, images=images, **dict(cnn_has)),
    )


@pytest.mark.parametrize(
    ("mlp", "cnn", "images", "expected"),
    [
        (0.7, 0.1, 100, HOLDS),
        (0.1, 0.7, 100, FAILS),
        ([0.7] * 6 + [0.1], 0.2, 100, FAILS),  # not at every temperature
        (0.52, 0.5, 20, OPEN),  # by no more than chance
    ],
)
def test_convolutional_networks_are_less_robust_at_every_shared_temperature(make, judged, mlp, cnn, images, expected):
    verdict = judged("convolutional-less-robust", *families(make, mlp, cnn, images))
    assert verdict.verdict == expected
    assert ("no larger than chance allows: this takes more test images" in verdict.measured) == (expected == OPEN)


def test_it_is_counted_where_they_are_beyond_chance(make, judged):
    left = {"mlp_has": {"audits": {"FGSM": 0.7, "worst case": [0.5] * 3 + [0.2] * 4}}}
    left["cnn_has"] = {"audits": {"FGSM": 0.2, "worst case": 0.2}}
    verdict = judged("convolutional-less-robust", *families(make, [0.7] * 5 + [0.2, 0.1], 0.2, **left))
    assert (verdict.figures["less robust"], verdict.figures["temperatures"]) == (5, 7)
    assert "gap of +0.000 to +0.300, above 0 beyond chance at 3 of 7 shared temperatures" in verdict.survives


def test_convolutional_networks_must_be_less_robust_for_their_accuracy_too(make, judged):
    """0.3 of 0.3 accuracy stands, of 0.9 only 0.5."""
    studies = families(make, 0.5, 0.3, mlp_has={"accuracy": 0.9}, cnn_has={"accuracy": 0.3})
    verdict = judged("convolutional-less-robust", *studies)
    assert verdict.verdict == FAILS
    assert (verdict.figures["less robust"], verdict.figures["less robust for its accuracy"]) == (7, 0)


@pytest.mark.parametrize(
    ("mlp", "cnn", "expected"),
    [(0.4, 0.05, "survives"), (0.0, 0.0, "rests on a weak attack"), (0.1, 0.05, "cannot tell here")],
)
def test_the_gap_between_the_families_must_be_left_by_the_worst_case(make, judged, mlp, cnn, expected):
    of_mlp, of_cnn = ({"audits": {"FGSM": weak, "worst case": left}} for weak, left in ((0.7, mlp), (0.1, cnn)))
    verdict = judged("convolutional-less-robust", *families(make, 0.7, 0.1, 20, mlp_has=of_mlp, cnn_has=of_cnn))
    assert (verdict.verdict, verdict.survives_verdict) == (HOLDS, expected)


def test_a_study_in_which_too_few_learned_does_not_stand_in_the_way(make, judged):
    """Its networks are constant, and robust for that reason."""
    svhn = make(dataset="svhn", model="cnn", accuracy=[0.7, *[0.1] * 6], robustness=1)
    verdict = judged("convolutional-less-robust", *families(make, 0.7, 0.1), svhn)
    assert verdict.verdict == HOLDS
    assert "SVHN is left out. Too few learned: 1 of 7 temperatures. T = 1/4, 1/2, " in verdict.measured
    assert "SVHN is left out" in judged("convolutional-classes-alike", *families(make, 0.7, 0.1), svhn).measured
    verdict = judged("convolutional-less-robust", make(), svhn)
    assert verdict.verdict == OPEN
    assert "studies of one kind only. SVHN is left out." in verdict.measured


def test_a_study_that_is_not_finished_does(make, judged):
    svhn = make(dataset="svhn", model="cnn", done=(0.125,))
    verdict = judged("convolutional-less-robust", *families(make, 0.7, 0.1), svhn)
    assert verdict.verdict == OPEN
    assert verdict.measured.startswith("SVHN: Too few are finished: 1 of 7 temperatures is finished")


def test_one_family_alone_cannot_be_compared(make, judged):
    verdict = judged("convolutional-less-robust", make(), make(dataset="fashion-mnist"))
    assert verdict.verdict == OPEN
    assert "studies of one kind only" in verdict.measured


@pytest.mark.parametrize(
    ("mlp", "cnn", "images", "expected"),
    [
        (WIDE, NARROW, 100, HOLDS),
        (NARROW, WIDE, 100, FAILS),
        (at_first(WIDE, 4), at_first(NARROW, 4), 100, HOLDS),
        (at_first(WIDE, 3), at_first(NARROW, 3), 100, FAILS),
        (WIDE, NARROW, 49, OPEN),
    ],
)
def test_classes_are_more_alike_where_the_success_spreads_less(make, judged, mlp, cnn, images, expected):
    of_mlp, of_cnn = ({"final": {"pixel_success": np.broadcast_to(rates, (7, 3, 10))}} for rates in (mlp, cnn))
    studies = families(make, 0.5, 0.5, images, mlp_has=of_mlp, cnn_has=of_cnn)
    assert judged("convolutional-classes-alike", *studies).verdict == expected
