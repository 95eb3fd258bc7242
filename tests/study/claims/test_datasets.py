"""Claims that compare data sets, or fully connected and convolutional networks."""

import numpy as np
import pytest

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot tell here"
NAMES = ("mnist", "fashion-mnist", "svhn", "cifar10")
WIDE, NARROW = np.linspace(0.1, 0.8, 10), np.linspace(0.41, 0.48, 10)
DOWN = np.linspace(0.8, 0.2, 7)
CLASSES = np.linspace(0.5, 1.5, 10)


def four(make, **of_names):
    """The paper's data sets, each with its own numbers."""
    return [make(dataset=name, **numbers) for name, numbers in zip(NAMES, of_names["numbers"], strict=True)]


# The same pattern


def jumping(jump, epochs=12):
    """A saturated share that goes up and down by so much."""
    return {"epochs": epochs, "series": {"saturated": np.tile(0.5 + jump * (-1.0) ** np.arange(epochs), (7, 1))}}


def test_mnist_is_smoothest_if_its_saturated_share_bends_least(make, judged):
    verdict = judged("smoothest-on-mnist", *four(make, numbers=[jumping(jump) for jump in (0.01, 0.02, 0.03, 0.04)]))
    assert verdict.verdict == HOLDS
    assert verdict.figures["svhn"] == pytest.approx(4 * (0.03 - 0.01))
    others = four(make, numbers=[jumping(jump) for jump in (0.025, 0.02, 0.03, 0.04)])
    assert judged("smoothest-on-mnist", *others).verdict == FAILS


def test_smoothness_is_compared_over_as_many_epochs(make, judged):
    """MNIST is the rougher in the epochs that both have, and does not change at all in its many later ones."""
    long = 0.5 + 0.02 * (-1.0) ** np.minimum(np.arange(100), 12)
    mnist = make(epochs=100, series={"saturated": np.tile(long, (7, 1))})
    others = [make(dataset=name, **jumping(0.01)) for name in NAMES[1:]]
    assert judged("smoothest-on-mnist", mnist, *others).verdict == FAILS


def test_which_data_set_is_smoothest_takes_all_four(make, judged):
    two = [make(**jumping(0.01)), make(dataset="svhn", **jumping(0.2))]
    assert judged("smoothest-on-mnist", *two).verdict == OPEN
    assert judged("smoothest-on-mnist", make(**jumping(0.3)), two[1]).verdict == FAILS  # one exception is enough


def regimes(first, last, epochs=12):
    """Shares that move alike: the linear one from the first number to the last, the others away from it."""
    linear = np.linspace(first, last, epochs)[None, :] * np.linspace(0.5, 1, 7)[:, None]
    return {"epochs": epochs, "series": {"linear": linear, "saturated": 0.9 - linear, "nonlinear": 0.1}}


def test_regimes_are_alike_if_they_take_the_same_course_however_long(make, judged):
    same = four(make, numbers=[regimes(0.8, 0.1), regimes(0.7, 0.2, 30), regimes(0.9, 0.1), regimes(0.6, 0.1)])
    assert judged("regimes-alike", *same).verdict == HOLDS
    one_turned = four(make, numbers=[regimes(0.8, 0.1), regimes(0.7, 0.2), regimes(0.9, 0.1), regimes(0.1, 0.9)])
    assert judged("regimes-alike", *one_turned).verdict == FAILS
    assert judged("regimes-alike", *same[:2]).verdict == OPEN


def test_robustness_is_alike_if_it_takes_the_same_course(make, judged):
    same = four(make, numbers=[{"robustness": DOWN * factor} for factor in (1, 0.8, 0.3, 0.1)])
    verdict = judged("robustness-alike", *same)
    assert (verdict.verdict, verdict.survives_verdict) == (HOLDS, OPEN)
    turned = four(make, numbers=[{"robustness": rates} for rates in (DOWN, DOWN, DOWN, DOWN[::-1])])
    assert judged("robustness-alike", *turned).verdict == FAILS


def test_the_course_of_training_counts_too(make, judged):
    """At all temperatures alike, robustness rises during training; on one data set it falls."""
    rising = np.broadcast_to(np.linspace(0.2, 0.8, 12)[None, :, None, None], (7, 12, 3, 10))
    for last, expected in ((rising / 2, HOLDS), (1 - rising, FAILS)):
        numbers = [{"series": {"robustness": series}} for series in (rising, rising, rising, last)]
        assert judged("robustness-alike", *four(make, numbers=numbers)).verdict == expected


def test_correlations_are_alike_if_all_are_strong_and_negative(make, judged):
    for last, expected in ((-0.51, HOLDS), (-0.49, FAILS), (0.8, FAILS)):
        numbers = [{"final": {"correlation": np.full((7, 10), r)}} for r in (-0.8, -0.7, -0.9, last)]
        assert judged("correlation-alike", *four(make, numbers=numbers)).verdict == expected
    assert judged("correlation-alike", make()).verdict == OPEN


@pytest.mark.parametrize(
    ("svhn", "images", "expected"),
    [(CLASSES, 60, HOLDS), (CLASSES[::-1], 60, FAILS), (np.roll(CLASSES, 5), 60, FAILS), (CLASSES, 49, OPEN)],
)
def test_digits_are_alike_if_their_classes_are_in_the_same_order(make, judged, svhn, images, expected):
    one, other = ({"final": {"gradient_median": np.tile(classes, (7, 1))}} for classes in (CLASSES, svhn))
    studies = make(**one), make(dataset="svhn", model="cnn", images=images, **other), make(dataset="cifar10")
    assert judged("gradients-of-digits", *studies).verdict == expected


# Kinds of networks


def families(make, mlp, cnn, images=1000, mlp_has=(), cnn_has=()):
    return (
        make(dataset="mnist", robustness=mlp, images=images, **dict(mlp_has)),
        make(dataset="cifar10", model="cnn", robustness=cnn, images=images, **dict(cnn_has)),
    )


@pytest.mark.parametrize(
    ("mlp", "cnn", "expected"),
    [
        (0.7, 0.1, HOLDS),
        (0.1, 0.7, FAILS),
        ([0.7] * 6 + [0.2], 0.2, FAILS),  # the paper says regardless of the temperature
        (0.57, 0.5, HOLDS),
        (0.53, 0.5, FAILS),  # not by 0.05
        (0.56, 0.5, OPEN),
        ([0.7] * 6 + [0.04], [0.1] * 6 + [0.04], HOLDS),  # where nothing is left there is nothing to compare
    ],
)
def test_convolutional_networks_are_less_robust_at_every_temperature(make, judged, mlp, cnn, expected):
    assert judged("convolutional-less-robust", *families(make, mlp, cnn)).verdict == expected


def test_convolutional_networks_must_be_less_robust_for_their_accuracy_too(make, judged):
    """0.3 of 0.3 accuracy stands, of 0.9 only 0.5."""
    studies = families(make, 0.5, 0.3, mlp_has={"accuracy": 0.9}, cnn_has={"accuracy": 0.3})
    assert judged("convolutional-less-robust", *studies).verdict == FAILS


@pytest.mark.parametrize(
    ("mlp", "cnn", "expected"),
    [
        (0.4, 0.05, "survives"),
        (0.06, 0.06, "rests on a weak attack"),
        (0.04, 0.0, "cannot be told: nothing is left"),
        ([0.2] * 6 + [0.0], 0.0, "survives"),
    ],
)
def test_the_gap_between_the_families_must_be_left_by_the_strongest_attack(make, judged, mlp, cnn, expected):
    of_mlp, of_cnn = ({"audits": {"FGSM": weak, "worst case": left}} for weak, left in ((0.7, mlp), (0.1, cnn)))
    verdict = judged("convolutional-less-robust", *families(make, 0.7, 0.1, 100, mlp_has=of_mlp, cnn_has=of_cnn))
    assert (verdict.verdict, verdict.survives_verdict) == (HOLDS, expected)


def test_a_study_in_which_too_few_learned_does_not_stand_in_the_way(make, judged):
    """Its networks are constant, and robust for that reason."""
    svhn = make(dataset="svhn", model="cnn", accuracy=[0.7, *[0.1] * 6], robustness=1)
    verdict = judged("convolutional-less-robust", *families(make, 0.7, 0.1), svhn)
    assert verdict.verdict == HOLDS
    assert "SVHN is left out. Too few learned." in verdict.measured
    assert judged("convolutional-less-robust", make(), svhn).verdict == OPEN


def test_one_family_alone_cannot_be_compared(make, judged):
    verdict = judged("convolutional-less-robust", make(), make(dataset="fashion-mnist"))
    assert (verdict.verdict, verdict.measured.startswith("This takes fully connected and")) == (OPEN, True)


def at_first(rates, count):
    """These rates of the classes with the most pixels at so many temperatures, and at the others 0.5 of each class."""
    final = np.full((7, 3, 10), 0.5)
    final[:count, -1] = rates
    return final


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
def test_classes_are_more_equal_where_the_success_spreads_less(make, judged, mlp, cnn, images, expected):
    of_mlp, of_cnn = ({"final": {"pixel_success": np.broadcast_to(rates, (7, 3, 10))}} for rates in (mlp, cnn))
    studies = families(make, 0.5, 0.5, images, mlp_has=of_mlp, cnn_has=of_cnn)
    assert judged("convolutional-classes-alike", *studies).verdict == expected
