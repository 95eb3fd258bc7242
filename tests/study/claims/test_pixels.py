"""Claims about the pixel attack, on studies in which each holds, fails and cannot be told by construction."""

import numpy as np
import pytest
from scipy import stats

from minirobust.study.claims import pixels

UP = np.linspace(0.2, 0.8, 7)
DOWN = UP[::-1]
WEAKLY_UP = np.array([0.2, 0.3, 0.6, 0.5, 0.9, 0.7, 0.45])  # ρ = 0.57
BY_CLASS = np.linspace(0.1, 0.8, 10)
SAME_ORDER = DOWN[:, None] * 0.5 + BY_CLASS * 0.5
SHUFFLED = np.array([np.roll(BY_CLASS, 3 * row) for row in range(7)])
HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot tell here"
N = 1000


def success(values, of="pixel_success"):
    """The same success with any number of pixels: (temperatures,) or (temperatures, classes)."""
    values = np.asarray(values, float).reshape(7, -1)
    return {of: np.broadcast_to(values[:, None, :], (7, 3, 10))}


def counts(*numbers):
    """So many images fooled by exactly 1, 2, 3 pixels."""
    count = np.zeros(N, int)
    count[: sum(numbers)] = np.repeat(np.arange(1, len(numbers) + 1), numbers)
    return {"final": {"pixel_count": [count] * 7}}


def pairs(confidences, positions, only=None):
    """Images of 28 × 28 that two pixels at (row, column) fooled, with the confidence afterwards."""
    flat = np.array([[row * 28 + column for row, column in pair] for pair in positions]).reshape(-1, 2)
    found = {
        "two/after": np.array(confidences),
        "two/pixels": flat,
        "two/image": np.zeros((len(flat), 28, 28, 1), "uint8"),
    }
    return {
        "final": {name: [value if only in (None, row) else None for row in range(7)] for name, value in found.items()}
    }


CENTRE, EDGE, CORNER = (14, 14), (3, 14), (27, 27)
FASHION = {"dataset": "fashion-mnist"}

CASES = [
    ("one-pixel", {"final": success([0.06] * 4 + [0.01] * 3, "pixel_success_of_correct")}, HOLDS),
    ("one-pixel", {"final": success([0.06] * 3 + [0.01] * 4, "pixel_success_of_correct")}, FAILS),
    ("one-pixel", {"done": (8.0,)}, OPEN),
    ("more-pixels", counts(0, 6, 6), HOLDS),
    ("more-pixels", counts(9, 9, 0), FAILS),
    ("more-pixels", counts(9, 9, 5), OPEN),
    ("more-pixels", {"pixels": 1}, OPEN),
    ("pixel-falls-at-low-temperature", {"final": success(UP)}, HOLDS),
    ("pixel-falls-at-low-temperature", {"final": success(DOWN)}, FAILS),
    ("pixel-falls-at-low-temperature", {"final": success([0.5] * 7)}, FAILS),
    ("pixel-falls-at-low-temperature", {"final": success(WEAKLY_UP)}, OPEN),
    ("pixel-falls-at-low-temperature", {"final": success(np.linspace(0.2, 0.21, 7))}, OPEN),  # no more than chance
    ("pixel-fashion-excepted", FASHION | {"final": success(DOWN)}, HOLDS),
    ("pixel-fashion-excepted", FASHION | {"final": success(UP)}, FAILS),
    ("pixel-fashion-excepted", FASHION | {"final": success(WEAKLY_UP)}, OPEN),
    ("two-methods-agree", {"robustness": DOWN, "final": success(UP)}, HOLDS),
    ("two-methods-agree", {"robustness": DOWN, "final": success(DOWN)}, FAILS),
    ("two-methods-agree", {"robustness": DOWN, "final": success(WEAKLY_UP)}, OPEN),
    ("two-pixels-confident", pairs([0.3, 0.9], [(CENTRE, EDGE)] * 2), HOLDS),
    ("two-pixels-confident", pairs([0.3, 0.89] * 8, [(CENTRE, EDGE)] * 16), FAILS),  # of 112 in seven networks
    ("two-pixels-confident", pairs([0.3, 0.89] * 7, [(CENTRE, EDGE)] * 14), OPEN),  # of 98
    ("two-pixels-confident", pairs([0.3, 0.9], [(CENTRE, EDGE)] * 2, only=6) | {"done": (8.0,)}, HOLDS),
    ("two-pixels-confident", pairs([0.3, 0.8], [(CENTRE, EDGE)] * 2, only=6) | {"done": (8.0,)}, OPEN),
    ("two-pixels-confident", {}, OPEN),
    ("border-pixels", pairs([0.3, 0.3], [(CENTRE, EDGE), (CORNER, EDGE)]), HOLDS),
    ("border-pixels", pairs([0.3] * 16, [(CENTRE, EDGE), (CORNER, (4, 23))] * 8), FAILS),
    ("border-pixels", pairs([0.3] * 14, [(CENTRE, EDGE), (CORNER, (4, 23))] * 7), OPEN),
    ("border-pixels", pairs([0.3, 0.3], [(CENTRE, EDGE), (CORNER, (4, 23))]) | {"done": (8.0,)}, OPEN),
    ("border-pixels", {"pixels": 1}, OPEN),
    ("class-order-pixel", {"final": success(1 - SAME_ORDER)}, HOLDS),
    ("class-order-pixel", {"final": success(1 - SHUFFLED)}, FAILS),
    ("class-order-pixel", {"final": success(0.45 + SHUFFLED / 10), "images": 10}, OPEN),
]


@pytest.mark.parametrize(("name", "numbers", "expected"), CASES)
def test_verdict(make, judged, name, numbers, expected):
    assert judged(name, make(**numbers)).verdict == expected


@pytest.mark.parametrize("name", ["two-pixels-confident", "border-pixels"])
def test_that_there_is_none_takes_many_images(make, judged, name):
    verdict = judged(name, make(**pairs([0.3, 0.89] * 7, [(CENTRE, EDGE)] * 14)))
    assert verdict.verdict == OPEN
    assert verdict.measured.endswith("That there is none takes 100 images, of all temperatures.")


def test_every_claim_of_the_module_is_put_through_all_three_verdicts():
    alone = {claim.name for claim in pixels.CLAIMS if not claim.compares}
    for verdict in (HOLDS, FAILS, OPEN):
        assert {name for name, _, expected in CASES if expected == verdict} == alone


def test_success_counts_with_and_without_images_wrong_beforehand(make, judged):
    final = success(UP) | success(DOWN, "pixel_success_of_correct")
    verdict = judged("pixel-falls-at-low-temperature", make(final=final))
    assert verdict.figures["rho"] == pytest.approx(1)
    assert verdict.figures["rho of correct"] == pytest.approx(-1)
    assert verdict.measured.endswith("right beforehand it goes from 0.800 to 0.200, ρ = -1.00 (p < .001).")


def test_methods_are_compared_by_spearmans_correlation_of_what_they_leave(make, judged):
    study = make(robustness=DOWN, final=success(WEAKLY_UP))
    expected = stats.spearmanr(DOWN, 1 - WEAKLY_UP).statistic
    assert judged("two-methods-agree", study).figures["rho"] == pytest.approx(expected)


def test_success_counts_with_the_most_pixels(make, judged):
    most = {"pixel_success": np.full((7, 3, 10), 0.5), "pixel_success_of_correct": np.full((7, 3, 10), 0.5)}
    most["pixel_success"][:, 2] = UP[:, None]
    most["pixel_success_of_correct"][:, 2] = DOWN[:, None]
    figures = judged("pixel-falls-at-low-temperature", make(final=most)).figures
    assert (figures["rho"], figures["rho of correct"]) == (pytest.approx(1), pytest.approx(-1))


def ranked(rates):
    """Of each class the first images stand against one pixel, as under `standing`, and the others fall to one."""
    labels = np.arange(N) % 10
    place = np.arange(N) // 10
    return [(place >= round(100 * rate)).astype(int) for rate in rates], labels


@pytest.mark.parametrize(
    ("left", "expected"),
    [(DOWN * 0.9, "survives"), (UP, "rests on a weak attack"), (np.full(7, 0.1), "rests on a weak attack")],
)
def test_the_trend_over_temperature_must_be_left_when_every_pixel_is_tried(make, judged, left, expected):
    count, _ = ranked(DOWN)
    audits = {"brute-force pixel": left}
    study = make(accuracy=1.0, final=success(UP) | {"pixel_count": count}, audits=audits)
    verdict = judged("pixel-falls-at-low-temperature", study)
    assert (verdict.verdict, verdict.survives_verdict) == (HOLDS, expected)


@pytest.mark.parametrize(("left", "expected"), [(UP, "survives"), (DOWN, "rests on a weak attack")])
def test_the_exception_is_none_if_every_pixel_tried_shows_the_trend(make, judged, left, expected):
    count, _ = ranked(UP)
    study = make(**FASHION, final=success(DOWN) | {"pixel_count": count}, audits={"brute-force pixel": left})
    verdict = judged("pixel-fashion-excepted", study)
    assert (verdict.verdict, verdict.survives_verdict) == (HOLDS, expected)


@pytest.mark.parametrize(("left", "expected"), [(DOWN, "survives"), (UP, "rests on a weak attack")])
def test_methods_must_agree_when_both_are_stronger(make, judged, left, expected):
    count, _ = ranked(DOWN)
    audits = {"FGSM": DOWN, "worst case": DOWN, "brute-force pixel": left}
    study = make(accuracy=1.0, robustness=DOWN, final=success(UP) | {"pixel_count": count}, audits=audits)
    verdict = judged("two-methods-agree", study)
    assert (verdict.verdict, verdict.survives_verdict) == (HOLDS, expected)


@pytest.mark.parametrize(("left", "expected"), [(SAME_ORDER, "survives"), (SHUFFLED, "rests on a weak attack")])
def test_the_order_of_classes_must_be_left_when_every_pixel_is_tried(make, judged, left, expected):
    study = make(
        accuracy=SAME_ORDER / SAME_ORDER.max(), final=success(1 - SAME_ORDER), audits={"brute-force pixel": left}
    )
    verdict = judged("class-order-pixel", study)
    assert (verdict.verdict, verdict.survives_verdict) == (HOLDS, expected)


def test_every_pixel_tried_is_counted_over_images_that_were_right_beforehand(make, judged):
    """0.9 were right, 0.6 stand against every pixel: a third fell.  The pixel of largest gradient fooled 90 of 900."""
    count = np.zeros(N, int)
    count[:90] = 1
    final = success([0.1] * 7, "pixel_success_of_correct") | {"pixel_count": [count] * 7}
    verdict = judged("one-pixel", make(final=final, audits={"brute-force pixel": 0.6}))
    assert (verdict.verdict, verdict.survives_verdict) == (HOLDS, "survives")
    assert verdict.survives == (
        "Trying every pixel can only fool more: 33.3% of the audited images that were right beforehand, where the "
        "pixel of largest gradient fools 10.0%."
    )
