"""Whether claims survive stronger attacks, on made-up audits for each of the five answers."""

import numpy as np
import pytest

from minirobust.study.claims.evidence import Level, sweep
from minirobust.study.claims.sources import accuracy, fgsm, pixels

UP = np.linspace(0.2, 0.8, 7)
DOWN = UP[::-1]
BY_CLASS = np.linspace(0.1, 0.8, 10)
SAME_ORDER = DOWN[:, None] * 0.5 + BY_CLASS * 0.5
SHUFFLED = np.array([np.roll(BY_CLASS, 3 * row) for row in range(7)])
SURVIVES, WEAK, OPEN = "survives", "rests on a weak attack", "cannot tell here"
REVERSES, NOTHING = "reverses at small ε", "cannot be told: nothing is left"


def falling(gap, low=0.3):
    """Robustness that falls by so much from the lowest temperature to the highest."""
    return np.linspace(low + gap, low, 7)


CASES = [
    ({0.02: (DOWN, DOWN), 0.1: (DOWN, DOWN)}, SURVIVES),
    ({0.02: (DOWN, DOWN), 0.1: (DOWN, UP)}, WEAK),
    ({0.02: (DOWN, UP), 0.1: (DOWN, DOWN)}, REVERSES),
    ({0.02: (DOWN, UP), 0.1: (DOWN, np.zeros(7))}, REVERSES),
    ({0.02: (np.full(7, 0.8), UP), 0.1: (DOWN, np.zeros(7))}, REVERSES),  # whatever FGSM says there
    ({0.02: (DOWN, falling(-0.03)), 0.1: (DOWN, DOWN)}, WEAK),  # no longer falls, and does not rise by 0.05
    ({0.02: (DOWN, np.zeros(7)), 0.1: (DOWN, np.zeros(7))}, NOTHING),
    ({0.02: (DOWN, np.full(7, 0.04)), 0.1: (DOWN, np.zeros(7))}, NOTHING),
    ({0.02: (DOWN, np.full(7, 0.06)), 0.1: (DOWN, np.zeros(7))}, WEAK),
    ({0.02: (DOWN, DOWN), 0.1: (DOWN, np.zeros(7))}, SURVIVES),  # where nothing is left nothing can be told
    ({0.02: (np.full(7, 0.9), np.full(7, 0.9)), 0.1: (DOWN, DOWN)}, SURVIVES),  # at the other end of the scale
    ({0.02: (np.full(7, 0.9), np.full(7, 0.9)), 0.1: (DOWN, falling(0.2))}, WEAK),
    ({0.1: (falling(0.6), falling(0.36))}, SURVIVES),  # half of 0.6 is kept
    ({0.1: (falling(0.6), falling(0.24))}, WEAK),
    ({0.1: (falling(0.6), falling(0.3))}, OPEN),
    ({0.1: (np.full(7, 0.5), np.full(7, 0.5))}, OPEN),  # FGSM shows no trend on these images
]


@pytest.mark.parametrize(("sandwich", "expected"), CASES)
def test_low_temperatures_are_more_robust_if_the_strongest_attack_says_so_too(make, judged, sandwich, expected):
    verdict = judged("robustness-falls", make(robustness=DOWN, images=300, sandwich=sandwich))
    assert (verdict.verdict, verdict.survives_verdict) == ("holds", expected)


@pytest.mark.parametrize(("gap", "expected"), [(0.58, SURVIVES), (0.1, OPEN)])
def test_what_is_left_carries_an_interval_over_seeds(make, judged, seeds, gap, expected):
    """Of a fall of 0.6 the strongest attack keeps all with one seed; with the other nearly as much, or hardly any."""
    studies = [
        make(robustness=falling(0.6), images=1000, sandwich={0.1: (falling(0.6), falling(left))}) for left in (0.6, gap)
    ]
    assert judged("robustness-falls", seeds(*studies)).survives_verdict == expected


def test_an_older_audit_at_the_main_epsilon_alone_is_read(make, judged):
    for left, expected in ((DOWN, SURVIVES), (DOWN * 0.2, WEAK), (DOWN * 0, NOTHING)):
        study = make(robustness=DOWN, audits={"FGSM": DOWN, "worst case": left})
        assert judged("robustness-falls", study).survives_verdict == expected
    assert judged("robustness-falls", study).survives == (
        "ε = 0.1: the strongest attack leaves 0.000 to 0.000: nothing is left."
    )


def test_verdict_at_every_epsilon_is_reported_with_the_certificate(make, judged):
    sandwich = {0.02: (DOWN, UP, UP / 2), 0.1: (DOWN, DOWN * 0.9, DOWN * 0)}
    assert judged("robustness-falls", make(robustness=DOWN, sandwich=sandwich)).survives == (
        "ε = 0.02: the strongest attack leaves 0.200 to 0.800 and 0.100 to 0.400 is proven. With the paper's attack "
        "0.8 at T = 1/8 and 0.2 at T = 8, ρ = -1.00, with the strongest 0.2 at T = 1/8 and 0.8 at T = 8, ρ = 1.00: "
        "reversed.\nε = 0.1: the strongest attack leaves 0.180 to 0.720 and 0.000 to 0.000 is proven. With the paper's "
        "attack 0.8 at T = 1/8 and 0.2 at T = 8, ρ = -1.00, with the strongest 0.72 at T = 1/8 and 0.18 at T = 8, "
        "ρ = -1.00."
    )


def test_an_image_cannot_be_certified_and_fooled(make, judged):
    """Certificates and attacks count the same images, so that the two can be compared one by one."""
    contradiction = {0.1: (DOWN, DOWN, DOWN + 0.01)}
    verdict = judged("robustness-falls", make(robustness=DOWN, sandwich=contradiction))
    assert verdict.survives_verdict == OPEN
    assert verdict.survives == "An attack fooled a certified image, so the attack or the certificate is wrong."
    assert (
        judged("robustness-falls", make(robustness=DOWN, sandwich={0.1: (DOWN, DOWN, DOWN)})).survives_verdict
        == SURVIVES
    )


def test_audits_at_different_epsilons_are_not_compared(make, judged):
    study = make(robustness=DOWN, sandwich={0.1: (DOWN, DOWN)})
    study.records[0].audited["sandwich/epsilon"] = np.array([0.2])
    assert judged("robustness-falls", study).survives == "The audits used different ε."


def test_an_audit_that_lacks_a_temperature_cannot_tell(make, judged):
    study = make(robustness=DOWN, audits={"FGSM": DOWN, "worst case": DOWN})
    study.records[0].audited = {}
    verdict = judged("robustness-falls", study)
    assert (verdict.survives_verdict, verdict.survives.endswith("6 of 7 temperatures are audited.")) == (OPEN, True)
    for record in study.records:
        record.audited = {}
    assert judged("robustness-falls", study).survives == "No network has been audited."


def test_claim_that_does_not_hold_has_no_survival(make, judged):
    verdict = judged("robustness-falls", make(robustness=UP, audits={"FGSM": UP, "worst case": DOWN}))
    assert (verdict.verdict, verdict.survives_verdict) == ("does not hold", None)


@pytest.mark.parametrize(
    ("name", "numbers", "left", "expected"),
    [
        ("low-temperature-at-every-epsilon", {"robustness": DOWN}, DOWN, SURVIVES),
        ("low-temperature-at-every-epsilon", {"robustness": DOWN}, UP, WEAK),
        ("trade-off", {"accuracy": UP + 0.15, "robustness": DOWN}, DOWN - 0.1, SURVIVES),
        ("trade-off", {"accuracy": UP + 0.15, "robustness": DOWN}, UP, WEAK),
        ("classes-differ", {"robustness": SAME_ORDER}, SAME_ORDER, SURVIVES),
        ("classes-differ", {"robustness": SAME_ORDER}, 0.3, WEAK),
        ("classes-differ", {"robustness": SAME_ORDER}, 0.01, NOTHING),
        ("class-order-fgsm", {"robustness": SAME_ORDER}, SAME_ORDER / 2, SURVIVES),
        ("class-order-fgsm", {"robustness": SAME_ORDER}, SHUFFLED, WEAK),
    ],
)
def test_what_is_left_of_a_claim(make, judged, name, numbers, left, expected):
    found = {"FGSM": numbers["robustness"], "worst case": left}
    verdict = judged(name, make(**numbers, audits=found))
    assert (verdict.verdict, verdict.survives_verdict) == ("holds", expected)


def test_what_is_true_of_every_attack_by_definition_is_not_said_to_survive(make, judged):
    verdict = judged("falls-with-epsilon", make(robustness=DOWN, audits={"FGSM": DOWN, "worst case": DOWN}))
    assert (verdict.verdict, verdict.survives, verdict.survives_verdict) == ("holds", None, None)


def test_audit_does_not_decide_claims_about_training(make, judged):
    rising = np.tile(np.linspace(0.2, 0.6, 12), (7, 1))
    series = {"saturated": rising, "robustness": np.broadcast_to(rising[:, :, None, None], (7, 12, 3, 10))}
    verdict = judged("robustness-follows-saturation", make(series=series, audits={"FGSM": DOWN, "worst case": DOWN}))
    assert (verdict.verdict, verdict.survives_verdict) == ("holds", OPEN)
    assert verdict.survives == "Networks are audited after the last epoch only."


# Pixels: the paper's attack and the greedy one, with as many


def ranked(rates):
    """Of each class the first images stand, as under `standing`, and the others fall to one pixel."""
    place = np.arange(1000) // 10
    return [(place >= round(100 * rate)).astype(int) for rate in rates]


def attacked(make, weak, greedy, **numbers):
    """A study whose images fall to the paper's attack on all test images as they do on the audited ones."""
    success = np.broadcast_to((1 - np.asarray(weak))[:, None, None], (7, 3, 10))
    audits = {"FGSM": DOWN, "worst case": DOWN, "greedy pixel": greedy}
    final = {"pixel_success": success, "pixel_count": ranked(weak)}
    return make(accuracy=1.0, final=final, audits=audits, **numbers)


@pytest.mark.parametrize(("greedy", "expected"), [(DOWN * 0.9, SURVIVES), (UP, WEAK), (DOWN * 0.2, WEAK)])
def test_the_trend_against_pixels_must_be_left_by_the_greedy_attack(make, judged, greedy, expected):
    verdict = judged("pixel-falls-at-low-temperature", attacked(make, DOWN, greedy))
    assert (verdict.verdict, verdict.survives_verdict) == ("holds", expected)


@pytest.mark.parametrize(("greedy", "expected"), [(UP, SURVIVES), (DOWN, WEAK)])
def test_the_exception_is_none_if_the_greedy_attack_shows_the_trend(make, judged, greedy, expected):
    verdict = judged("pixel-fashion-excepted", attacked(make, UP, greedy, dataset="fashion-mnist"))
    assert (verdict.verdict, verdict.survives_verdict) == ("holds", expected)


@pytest.mark.parametrize(("greedy", "expected"), [(DOWN, SURVIVES), (UP, WEAK)])
def test_methods_must_agree_when_both_are_stronger(make, judged, greedy, expected):
    verdict = judged("two-methods-agree", attacked(make, DOWN, greedy, robustness=DOWN))
    assert (verdict.verdict, verdict.survives_verdict) == ("holds", expected)


@pytest.mark.parametrize(("left", "expected"), [(SAME_ORDER, SURVIVES), (SHUFFLED, WEAK)])
@pytest.mark.parametrize("name", ["class-order-pixel", "classes-differ-pixel"])
def test_the_classes_against_pixels(make, judged, name, left, expected):
    left = np.full(7, 0.5) if name == "classes-differ-pixel" and left is SHUFFLED else left
    success = np.broadcast_to(1 - SAME_ORDER[:, None], (7, 3, 10))
    count = [(np.arange(1000) // 10 >= np.round(100 * row)[np.arange(1000) % 10]).astype(int) for row in SAME_ORDER]
    final = {"pixel_success": success, "pixel_count": count}
    verdict = judged(name, make(accuracy=1.0, final=final, audits={"greedy pixel": left}))
    assert (verdict.verdict, verdict.survives_verdict) == ("holds", expected)


def test_without_the_greedy_attack_pixels_cannot_be_told(make, judged):
    study = attacked(make, DOWN, DOWN)
    for record in study.records:
        del record.audited["fooled/greedy pixel"]
    assert judged("pixel-falls-at-low-temperature", study).survives_verdict == OPEN


# Which images


def test_images_and_labels_go_together_where_the_audit_saw_a_part(make):
    """Of 1,000 images the audit saw 40, and pixels were tried on every third of these from the second on."""
    study = make(audits={"FGSM": 0.5})
    tried = np.arange(1, 40, 3)
    for record in study.records:
        fell, greedy = np.zeros(40, bool), np.zeros(len(tried), bool)
        fell[[3, 13]] = True  # both of class 3
        greedy[[0, 4]] = True  # images 1 and 13, of classes 1 and 3
        record.audited = {"fooled/FGSM": fell, "fooled/greedy pixel": greedy, "pixel_samples": tried}
        record.final["pixel_count"][[1, 2]] = 3, 2
        record.final["prediction"] = record.final["label"].copy()
        record.final["prediction"][4] = 9
    audited = sweep(study)
    weak, strong = Level("weak"), Level("strong")
    found = audited.scores(fgsm, weak)[1.0][0]
    np.testing.assert_array_equal(found.labels, np.arange(40) % 10)
    assert (found.rates[3], found.estimate.value) == (0.5, pytest.approx(0.95))
    assert audited.scores(fgsm, strong) == {}
    np.testing.assert_array_equal(np.flatnonzero(audited.scores(accuracy, weak)[1.0][0].fooled), [4])
    found = audited.scores(pixels, strong)[1.0][0]
    np.testing.assert_array_equal(found.labels, tried % 10)
    assert (found.rates[1], found.rates[3]) == (0.5, 0)  # 1 and 31; 13
    np.testing.assert_array_equal(np.flatnonzero(audited.scores(pixels, weak)[1.0][0].fooled), [0, 1])  # images 1, 4
