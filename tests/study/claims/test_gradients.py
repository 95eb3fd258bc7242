"""Claims about G(x), on studies in which each holds, fails and cannot be told by construction."""

import numpy as np
import pytest
from scipy import stats

from minirobust.study.claims import gradients

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot tell here"
N = 1000
CUP = np.array([3, 1.2, 1.1, 1, 1.1, 1.2, 3.0])
CLASSES = np.linspace(0.5, 1.5, 10)
FIVE = {"temperatures": (0.5, 1.0, 2.0, 4.0, 8.0)}


def medians(of_temperatures, of_classes=CLASSES):
    return {"final": {"gradient_median": np.outer(of_temperatures, of_classes)}}


def half_the_classes(share):
    """At the lowest temperature larger in this share of the ten classes, at the highest in all."""
    table = np.outer(CUP, CLASSES)
    table[0, round(10 * share) :] = 0.1
    return {"final": {"gradient_median": table}}


def sizes(largest):
    """G of 1 for all images but the ten largest."""
    g = np.ones(N)
    g[:10] = largest
    return {"final": {"gradient": [g] * 7}}


def correlations(r, p):
    return {"final": {"correlation": np.broadcast_to(r, (7, 10)), "p_value": np.broadcast_to(p, (7, 10))}}


def error_ranks(separation, images=100):
    """G falls from the wrong tenth of the images to the right ones if separation is 1, has no order if 0."""
    labels = np.arange(10 * images) % 10
    wrong = np.zeros(10 * images, bool)
    wrong[-images:] = True
    noise = np.random.default_rng(0).permutation(10 * images) / (10 * images)
    g = separation * wrong + noise
    prediction = np.where(wrong, (labels + 1) % 10, labels)
    return {"images": images, "final": {"gradient": [g] * 7, "prediction": [prediction] * 7}}


def ten_largest(wrong):
    """So many of the ten images of largest G are wrong, and a twentieth of the others."""
    labels = np.arange(N) % 10
    missed = np.zeros(N, bool)
    missed[:wrong] = True
    missed[10::20] = True
    return {"final": {"prediction": [np.where(missed, (labels + 1) % 10, labels)] * 7}}


CASES = [
    ("gradient-at-extremes", medians(CUP), HOLDS),
    ("gradient-at-extremes", medians(np.linspace(1, 2, 7)), FAILS),
    ("gradient-at-extremes", medians(1 / CUP), FAILS),
    ("gradient-at-extremes", half_the_classes(0.5), FAILS),
    ("gradient-at-extremes", half_the_classes(0.8), OPEN),  # the sign test of 8 in 10: p = 0.11
    ("gradient-at-extremes", half_the_classes(0.9), HOLDS),  # of 9 in 10: p = 0.02
    ("gradient-at-extremes", medians(CUP) | {"done": (0.125, 1.0, 8.0)}, OPEN),
    ("gradient-by-class", {"dataset": "fashion-mnist"} | medians(np.linspace(1, 1.1, 7)), HOLDS),
    ("gradient-by-class", {"dataset": "fashion-mnist"} | medians(CUP), FAILS),
    ("gradient-by-class", {"dataset": "mnist"}, OPEN),
    ("mean-gradient-by-few", sizes(12.0), HOLDS),  # 120 of 1,110
    ("mean-gradient-by-few", sizes(10.0), FAILS),  # 100 of 1,090
    ("mean-gradient-by-few", {"images": 4}, OPEN),
    ("gradient-and-confidence", correlations(-0.8, 1e-9), HOLDS),
    ("gradient-and-confidence", correlations(-0.8, [1e-9] * 9 + [0.01]), FAILS),  # 90 % of the cases
    ("gradient-and-confidence", correlations([-0.8] * 9 + [0.8], 1e-9), FAILS),  # one class the other way
    ("gradient-and-confidence", correlations(-0.4, 1e-9), FAILS),  # not strong
    ("gradient-and-confidence", correlations(0.8, 1e-9), FAILS),
    ("gradient-and-confidence", correlations(-0.8, 0.01) | {"images": 49}, OPEN),
    ("gradient-predicts-errors", error_ranks(1.0), HOLDS),
    ("gradient-predicts-errors", error_ranks(0.0), FAILS),
    ("gradient-predicts-errors", error_ranks(-1.0), FAILS),
    ("gradient-predicts-errors", error_ranks(0.3, images=20), OPEN),  # the interval goes across 0.7
    ("gradient-predicts-errors", {"accuracy": 1.0}, OPEN),
    ("largest-gradients-wrong", ten_largest(9), HOLDS),
    ("largest-gradients-wrong", ten_largest(9) | {"done": (1.0,)}, HOLDS),
    ("largest-gradients-wrong", ten_largest(1), FAILS),
    ("largest-gradients-wrong", {"done": (2.0, 4.0, 8.0, 0.5)}, OPEN),
    ("largest-gradients-ugly", {}, OPEN),
]


@pytest.mark.parametrize(("name", "numbers", "expected"), CASES)
def test_verdict(make, judged, name, numbers, expected):
    assert judged(name, make(**numbers)).verdict == expected


def test_the_images_of_largest_gradient_are_counted_that_are_wrong(make, judged):
    assert (
        "as many as are wrong in all, 100% are wrong"
        in judged("gradient-predicts-errors", make(**error_ranks(1))).measured
    )
    assert (
        "as many as are wrong in all, 0% are wrong"
        in judged("gradient-predicts-errors", make(**error_ranks(-1))).measured
    )


@pytest.mark.parametrize(
    ("name", "numbers", "missing"),
    [
        ("gradient-at-extremes", half_the_classes(0.8), "this takes more classes."),
        ("gradient-predicts-errors", error_ranks(0.3, images=20), "this takes more test images."),
    ],
)
def test_what_cannot_be_told_says_what_is_missing(make, judged, name, numbers, missing):
    verdict = judged(name, make(**numbers))
    assert (verdict.verdict, verdict.measured.endswith(missing)) == (OPEN, True)


def test_every_claim_of_the_module_is_put_through_all_three_verdicts():
    alone = {claim.name for claim in gradients.CLAIMS if not claim.compares}
    assert {name for name, _, expected in CASES if expected == OPEN} == alone
    for verdict in (HOLDS, FAILS):
        assert {name for name, _, expected in CASES if expected == verdict} == alone - {"largest-gradients-ugly"}


def test_the_share_of_the_largest_is_counted_by_hand(make, judged):
    figures = judged("mean-gradient-by-few", make(**sizes(12.0))).figures
    assert figures["least share"] == pytest.approx(120 / 1110)


def test_a_class_of_few_images_is_left_out_of_the_correlations(make, judged):
    """It alone is not significant."""
    study = make(**correlations(-0.8, [1e-9] * 9 + [0.5]))
    for record in study.records:
        few = (record.final["label"] == 9) & (np.arange(N) > 100)
        record.final["label"] = np.where(few, 0, record.final["label"])
    verdict = judged("gradient-and-confidence", study)
    assert (verdict.verdict, verdict.figures["cases"]) == (HOLDS, 63)
    assert "Classes of fewer than 50 test images are left out." in verdict.measured


def test_auroc_is_scipys_u_over_all_pairs(make, judged):
    numbers = error_ranks(0.5)
    g, labels = numbers["final"]["gradient"][0], np.arange(N) % 10
    wrong = numbers["final"]["prediction"][0] != labels
    expected = stats.mannwhitneyu(g[wrong], g[~wrong]).statistic / (wrong.sum() * (~wrong).sum())
    assert judged("gradient-predicts-errors", make(**numbers)).figures["least AUROC"] == pytest.approx(expected)


def test_fishers_test_is_scipys(make, judged):
    figures = judged("largest-gradients-wrong", make(**ten_largest(4))).figures
    assert figures["p"] == pytest.approx(stats.fisher_exact([[4, 6], [50, 940]], alternative="greater").pvalue)


# Several data sets


@pytest.mark.parametrize(
    ("svhn", "images", "expected"),
    [(CLASSES, 60, HOLDS), (CLASSES[::-1], 60, FAILS), (np.roll(CLASSES, 5), 60, FAILS), (CLASSES, 49, OPEN)],
)
def test_digits_are_alike_if_their_classes_are_in_the_same_order(make, judged, svhn, images, expected):
    studies = make(**medians(CUP)), make(dataset="svhn", model="cnn", images=images, **medians(CUP, svhn))
    assert judged("gradients-of-digits", *studies).verdict == expected


def test_digits_are_compared_where_both_data_sets_are(make, judged):
    assert judged("gradients-of-digits", make(), make(dataset="cifar10")).verdict == OPEN
    apart = make(), make(dataset="svhn", temperatures=(16.0, 32.0))
    assert judged("gradients-of-digits", *apart).measured == "No temperature is finished on both data sets."
