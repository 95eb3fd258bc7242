"""Claims about robustness against FGSM, on studies in which each holds, fails and cannot be told by construction."""

import numpy as np
import pytest
from scipy import stats

from minirobust.study.claims import robustness

UP = np.linspace(0.2, 0.8, 7)
DOWN = UP[::-1]
ZIGZAG = np.array([0.5, 0.3, 0.6, 0.2, 0.55, 0.35, 0.45])
WEAKLY_DOWN = np.array([0.6, 0.9, 0.5, 0.7, 0.3, 0.2, 0.55])  # ρ = -0.57, p = 0.2
BY_CLASS = np.linspace(0.1, 0.8, 10)
SAME_ORDER = DOWN[:, None] * 0.5 + BY_CLASS * 0.5
HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot tell here"

RISING = np.tile(np.linspace(0.2, 0.6, 12), (7, 1))
AT_EVERY_EPSILON = np.stack([DOWN, DOWN * 0.8, DOWN * 0.6], axis=1)
SHUFFLED = np.array([np.roll(BY_CLASS, 3 * row) for row in range(7)])
SWAPPED = BY_CLASS[[0, 3, 4, 1, 2, 7, 8, 5, 6, 9]]


def at(values):
    """One robustness for each temperature and ε, in every epoch and class."""
    return np.broadcast_to(np.asarray(values, float)[:, None, :, None], (7, 12, 3, 10))


def in_time(values):
    """One robustness for each temperature and epoch, at every ε and in every class."""
    return np.broadcast_to(np.asarray(values, float)[:, :, None, None], (7, 12, 3, 10))


CASES = [
    ("robustness-falls", {"robustness": DOWN}, HOLDS),
    ("robustness-falls", {"robustness": UP}, FAILS),
    ("robustness-falls", {"robustness": ZIGZAG}, FAILS),
    ("robustness-falls", {"robustness": 0.5}, FAILS),
    ("robustness-falls", {"robustness": WEAKLY_DOWN}, OPEN),
    ("robustness-falls", {"robustness": [0.51, 0.505, 0.5, 0.3, 0.2, 0.1, 0.49]}, OPEN),  # the ends are alike
    ("robustness-falls", {"robustness": np.linspace(0.52, 0.5, 7), "images": 10}, OPEN),  # by no more than chance
    ("robustness-falls", {"robustness": DOWN, "done": (0.125, 0.25, 8.0)}, OPEN),
    ("robustness-falls", {"robustness": DOWN, "accuracy": [0.9, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1]}, OPEN),
    ("robustness-follows-saturation", {"series": {"saturated": RISING, "robustness": in_time(RISING)}}, HOLDS),
    ("robustness-follows-saturation", {"series": {"saturated": RISING, "robustness": in_time(1 - RISING)}}, FAILS),
    ("robustness-follows-saturation", {"series": {"robustness": in_time(RISING)}}, OPEN),  # saturation does not vary
    ("robustness-follows-saturation", {"epochs": 9}, OPEN),
    ("falls-with-epsilon", {"series": {"robustness": at(AT_EVERY_EPSILON)}}, HOLDS),
    ("falls-with-epsilon", {"series": {"robustness": at(AT_EVERY_EPSILON[:, ::-1])}}, FAILS),
    ("falls-with-epsilon", {"series": {"robustness": at(AT_EVERY_EPSILON[:, [0, 2, 1]])}}, FAILS),  # rises on the way
    ("falls-with-epsilon", {"epsilons": (0.1,), "series": {"robustness": np.full((7, 12, 1, 10), 0.5)}}, OPEN),
    ("low-temperature-at-every-epsilon", {"series": {"robustness": at(AT_EVERY_EPSILON)}}, HOLDS),
    ("low-temperature-at-every-epsilon", {"series": {"robustness": at(np.stack([DOWN, DOWN, UP], axis=1))}}, FAILS),
    ("low-temperature-at-every-epsilon", {"series": {"robustness": at(np.tile(WEAKLY_DOWN, (3, 1)).T)}}, OPEN),
    ("trade-off", {"accuracy": UP + 0.15, "robustness": DOWN}, HOLDS),
    ("trade-off", {"accuracy": UP + 0.15, "robustness": UP}, FAILS),
    ("trade-off", {"accuracy": np.linspace(0.9, 0.91, 7), "robustness": DOWN}, OPEN),  # by no more than chance
    ("trade-off", {"accuracy": UP + 0.15, "robustness": WEAKLY_DOWN}, OPEN),
    ("classes-differ", {"robustness": SAME_ORDER}, HOLDS),
    ("classes-differ", {"robustness": 0.5}, FAILS),
    ("classes-differ", {"robustness": 0.5, "images": 49}, OPEN),
    ("class-order-fgsm", {"robustness": SAME_ORDER}, HOLDS),
    ("class-order-fgsm", {"robustness": SHUFFLED}, FAILS),
    ("class-order-fgsm", {"robustness": 0.45 + SHUFFLED / 10, "images": 10}, OPEN),  # all chance
    ("class-order-fgsm", {"robustness": 0.5}, OPEN),
    ("class-order-fgsm", {"robustness": np.array([BY_CLASS, SWAPPED] * 3 + [BY_CLASS])}, HOLDS),  # mean ρ = 0.77
]


@pytest.mark.parametrize(("name", "numbers", "expected"), CASES)
def test_verdict(make, judged, name, numbers, expected):
    assert judged(name, make(**numbers)).verdict == expected


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("robustness-falls", {"robustness": WEAKLY_DOWN}),
        ("low-temperature-at-every-epsilon", {"series": {"robustness": at(np.tile(WEAKLY_DOWN, (3, 1)).T)}}),
        ("trade-off", {"accuracy": UP + 0.15, "robustness": WEAKLY_DOWN}),
    ],
)
def test_a_weak_trend_takes_more_temperatures(make, judged, name, numbers):
    verdict = judged(name, make(**numbers))
    assert (verdict.verdict, verdict.measured.endswith("this takes more temperatures.")) == (OPEN, True)


def test_every_claim_of_the_module_is_put_through_all_three_verdicts():
    alone = [claim.name for claim in robustness.CLAIMS if not claim.compares]
    for verdict in (HOLDS, FAILS, OPEN):
        assert {name for name, _, expected in CASES if expected == verdict} == set(alone)


def audits(worst, fgsm=DOWN, **others):
    return {"FGSM": fgsm, "worst case": worst} | others


NEARLY = np.array([0.5, 0.6, 0.4, 0.45, 0.2, 0.1, 0.3])


@pytest.mark.parametrize(
    ("audited", "expected"),
    [
        (audits(DOWN - 0.15), "survives"),
        (audits(UP - 0.15), "rests on a weak attack"),  # the opposite trend
        (audits(np.zeros(7)), "rests on a weak attack"),  # nothing is left anywhere
        (audits(DOWN * 0.2), "rests on a weak attack"),  # the trend is there, but a fifth of it
        (audits(np.full(7, 0.1), fgsm=np.full(7, 0.5)), "cannot tell here"),  # FGSM shows no trend on these images
        (None, "cannot tell here"),
    ],
)
def test_low_temperatures_are_more_robust_if_the_worst_case_says_so_too(make, judged, audited, expected):
    verdict = judged("robustness-falls", make(robustness=DOWN, audits=audited))
    assert (verdict.verdict, verdict.survives_verdict) == (HOLDS, expected)


def test_what_stronger_attacks_say_is_told_attack_by_attack(make, judged):
    study = make(robustness=DOWN, audits=audits(UP, Square=DOWN, transfer=ZIGZAG))
    rho = stats.spearmanr(range(7), ZIGZAG).statistic
    assert judged("robustness-falls", study).survives == (
        f"Robustness over T on 1,000 audited images: FGSM ρ = -1.00 (p < .001), transfer ρ = {rho:.2f} (p = 0.91), "
        "Square ρ = -1.00 (p < .001), the worst case of all these ρ = 1.00 (p < .001). From T = 1/8 to 8 FGSM leaves "
        "0.800 to 0.200, and the worst case of all these 0.200 to 0.800."
    )


def test_what_does_not_hold_has_nothing_to_survive(make, judged):
    verdict = judged("robustness-falls", make(robustness=UP, audits=audits(DOWN, fgsm=UP)))
    assert (verdict.verdict, verdict.survives_verdict) == (FAILS, None)
    assert "the worst case of all these 0.800 to 0.200" in verdict.survives


def test_an_audit_that_lacks_an_end_of_the_range_cannot_tell(make, judged):
    study = make(robustness=DOWN, audits=audits(DOWN))
    study.records[0].audited, study.records[0].audit = {}, None
    verdict = judged("robustness-falls", study)
    assert (verdict.survives_verdict, verdict.survives) == (OPEN, "6 of 7 temperatures are audited.")


@pytest.mark.parametrize(
    ("name", "numbers", "left", "expected"),
    [
        ("trade-off", {"accuracy": UP + 0.15, "robustness": DOWN}, DOWN - 0.1, "survives"),
        ("trade-off", {"accuracy": UP + 0.15, "robustness": DOWN}, UP, "rests on a weak attack"),
        ("classes-differ", {"robustness": SAME_ORDER}, SAME_ORDER, "survives"),
        ("classes-differ", {"robustness": SAME_ORDER}, 0.3, "rests on a weak attack"),
        ("classes-differ", {"robustness": SAME_ORDER}, 0.01, "cannot tell here"),  # nothing left to differ in
        ("class-order-fgsm", {"robustness": SAME_ORDER}, SAME_ORDER / 2, "survives"),
        ("class-order-fgsm", {"robustness": SAME_ORDER}, SHUFFLED, "rests on a weak attack"),
        ("low-temperature-at-every-epsilon", {"robustness": DOWN}, UP, "rests on a weak attack"),
        ("low-temperature-at-every-epsilon", {"robustness": DOWN}, DOWN, "cannot tell here"),  # at one ε alone
        ("falls-with-epsilon", {"robustness": DOWN}, 0.0, "survives"),  # true by definition
    ],
)
def test_what_is_left_of_a_claim(make, judged, name, numbers, left, expected):
    found = {"FGSM": numbers["robustness"], "clean": numbers.get("accuracy", 0.9), "worst case": left}
    verdict = judged(name, make(**numbers, audits=found))
    assert (verdict.verdict, verdict.survives_verdict) == (HOLDS, expected)


def test_over_training_the_audit_cannot_tell(make, judged):
    study = make(series={"saturated": RISING * DOWN[:, None], "robustness": in_time(RISING)}, audits=audits(DOWN))
    verdict = judged("robustness-follows-saturation", study)
    assert (verdict.verdict, verdict.survives_verdict) == (HOLDS, OPEN)
    assert verdict.survives.endswith("what the worst case leaves is ρ = 1.00 (p < .001).")


def test_levels_that_rise_together_are_told_from_changes_that_go_together(make, judged, rng):
    """Both rise, but whenever the one takes a large step the other takes a small one."""
    step = 0.01 + 0.002 * rng.permutation(12)
    share, robust = 0.2 + np.cumsum(step), 0.2 + np.cumsum(0.04 - step)
    verdict = judged(
        "robustness-follows-saturation",
        make(series={"saturated": np.tile(share, (7, 1)), "robustness": in_time(np.tile(robust, (7, 1)))}),
    )
    assert verdict.verdict == HOLDS
    assert verdict.figures["median rho"] == pytest.approx(1)
    assert verdict.figures["median rho of changes"] == pytest.approx(-1)


def test_epochs_before_the_network_learned_do_not_count(make, judged):
    """At chance robustness is 0.1 and saturation high; without those epochs the two fall together."""
    share = np.concatenate([[0.9, 0.9], np.linspace(0.6, 0.4, 10)])
    robust = np.concatenate([[0.1, 0.1], np.linspace(0.6, 0.4, 10)])
    accuracy = np.where(np.arange(12) < 2, 0.1, 0.9)
    series = {
        "saturated": np.tile(share, (7, 1)),
        "robustness": in_time(np.tile(robust, (7, 1))),
        "class_accuracy": np.broadcast_to(accuracy[None, :, None], (7, 12, 10)),
    }
    assert judged("robustness-follows-saturation", make(series=series)).figures["median rho"] == pytest.approx(1)


def test_agreement_of_orders_is_reported_with_the_least_alike(make, judged):
    rates = SAME_ORDER.copy()
    rates[-1] = rates[-1][::-1]
    figures = judged("class-order-fgsm", make(robustness=rates)).figures
    assert figures["mean rho"] == pytest.approx((15 - 6) / 21)  # 6 temperatures agree in 15 pairs, 6 pairs are opposite
    assert figures["least rho"] == pytest.approx(-1)
