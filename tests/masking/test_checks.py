"""Every check, on evidence made by hand, with its figure on both sides of the threshold."""

from dataclasses import replace

import numpy as np
import pytest

from minirobust.masking import CHECKS
from minirobust.masking.checks import exceeds_tolerance
from minirobust.masking.evidence import NOT_ON_RANDOM, Evidence, GradientHealth
from minirobust.measures.intervals import Estimate

N = 10_000


def first(count, samples=N):
    """The first `count` samples are fooled."""
    return np.arange(samples) < count


def standing(count, samples=N):
    """All but `count` samples are fooled."""
    return first(samples - count, samples)


def evidence(fooled=(), samples=N, **changes):
    """Return evidence without any sign of masking: every attack with ε fools all samples, and no pixel fools any.

    All samples are of one class of a thousand. Then robustness is the share of samples that stand, and chance 0.001.
    """
    everyone, no_one = first(samples, samples), first(0, samples)
    white_boxes = "white box", "white box + restart", "white box + smoothed"
    strong = dict.fromkeys(("FGSM", "PGD", "APGD", *white_boxes, "transfer", "Square", "worst case"), everyone)
    weak = dict.fromkeys(("clean", "noise", "brute-force pixel", "headroom pixel"), no_one)
    made = Evidence(
        labels=np.zeros(samples, int),
        classes=1_000,
        epsilon=0.1,
        health=GradientHealth(0, 0, 0, 0.0, 0.0),
        fooled=weak | strong | dict(fooled),
        fgsm_by_epsilon={0.0: no_one, 0.1: everyone, 1.0: everyone},
        pgd_by_steps={20: everyone, 40: everyone},
        pixel_samples=np.arange(samples),
    )
    return replace(made, **changes)


def judge(number, *known, **changes):
    """Return the check of that number."""
    return CHECKS[number - 1](evidence(*known, **changes))


def test_evidence_without_signs_of_masking_has_no_flag():
    checks = [check(evidence()) for check in CHECKS]
    assert [check.number for check in checks] == list(range(1, len(CHECKS) + 1))
    assert [check.flagged for check in checks] == [False] * len(CHECKS)
    assert {check.samples for check in checks} == {N}


@pytest.mark.parametrize(
    ("attacks", "numbers"), [(["transfer"], [6]), (["Square"], [7]), (NOT_ON_RANDOM, [1, 7, 9, 10])]
)
def test_a_check_without_its_attack_is_not_run_and_says_why(attacks, numbers):
    known = evidence(not_run=dict.fromkeys(attacks, "no time"))
    known = replace(known, fooled={name: fooled for name, fooled in known.fooled.items() if name not in attacks})
    for number in numbers:
        check = CHECKS[number - 1](known)
        assert (check.number, check.flagged, check.text) == (number, None, "no time")
        assert (check.samples, check.figures, check.estimate) == (0, {}, None)


@pytest.mark.parametrize(
    ("gap", "flagged"),
    [
        (Estimate(0.01, 0.005, 0.02), False),
        (Estimate(0.0101, 0.005, 0.02), True),
        (Estimate(0.5, 0.0, 1.0), False),
        (Estimate(0.5, 0.0001, 1.0), True),
    ],
)
def test_a_difference_counts_above_the_tolerance_and_beyond_chance(gap, flagged):
    assert exceeds_tolerance(gap) == flagged


# Check 1


@pytest.mark.parametrize(
    ("defect", "flagged"),
    [
        ({"sign_flips": 0.01}, False),
        ({"sign_flips": 0.0101}, True),
        ({"zero_samples": 1}, True),
        ({"not_finite": 1}, True),
        ({"zero_pixels": 0.9}, False),
    ],
)
def test_one_sample_without_a_gradient_and_more_than_a_hundredth_of_the_signs_count(defect, flagged):
    check = judge(1, health=replace(evidence().health, **defect))
    assert check.flagged == flagged
    assert list(check.figures.values()).count(0) == 4
    assert next(iter(defect.values())) in check.figures.values()


def test_a_model_without_a_twin_in_float64_may_still_lack_a_gradient():
    check = judge(1, health=GradientHealth(zero_samples=0, sign_flips=np.nan))
    assert (check.flagged, check.text) == (False, "0 zero, 0 not finite, no float64 twin")
    assert judge(1, health=GradientHealth(zero_samples=1, sign_flips=np.nan)).flagged


def test_zeros_that_the_backend_may_have_caused_are_reported():
    flushing = GradientHealth(zero_pixels=0.1, smallest=float(np.finfo("float32").tiny))
    assert judge(1, health=flushing).text.endswith("; numbers below 1e-38 are zero on this backend")
    whole = replace(flushing, smallest=float(np.finfo("float32").smallest_subnormal))
    assert "backend" not in judge(1, health=whole).text
    assert "backend" not in judge(1, health=replace(flushing, zero_pixels=0.0)).text


def test_samples_without_finite_logits_are_mentioned():
    assert judge(1, health=GradientHealth(0, 3, 2, 0, 0)).text == (
        "0 zero, 3 not finite, 0.00% flips; 2 samples have NaN or infinite logits"
    )


# Checks 2 and 3


def curve(*counts):
    """How many samples stand at ε = 0, 0.1, 0.2, ..."""
    return {step / 10: standing(count) for step, count in enumerate(counts)}


@pytest.mark.parametrize(("low", "high", "flagged"), [(100, 200, False), (100, 201, True)])
def test_a_rise_counts_above_the_tolerance(low, high, flagged):
    check = judge(2, fgsm_by_epsilon=curve(N, low, high))
    assert check.text == "rise from ε = 0.1 to 0.2"
    assert check.estimate.value == check.figures["rise"] == high / N - low / N
    assert check.flagged == flagged


@pytest.mark.parametrize(("high", "flagged"), [(1_058, False), (1_059, True)])
def test_a_rise_counts_if_the_interval_of_its_end_is_above_chance(high, flagged):
    check = judge(2, fgsm_by_epsilon=curve(N, 0, high), classes=10)
    assert check.flagged == flagged
    assert check.text == ("rise from ε = 0.1 to 0.2" if flagged else "no rise above chance")
    assert check.estimate.value == (high / N if flagged else 0)


def test_a_slow_rise_counts_from_the_lowest_value_before_it():
    check = judge(2, fgsm_by_epsilon=curve(N, 8_000, 5_000, 5_040, 5_080, 5_120, 0))
    assert check.text == "rise from ε = 0.2 to 0.5"
    assert check.flagged
    assert list(check.figures) == [f"robustness at {epsilon:g}" for epsilon in np.arange(7) / 10] + ["rise"]


def test_a_larger_rise_below_chance_does_not_hide_a_smaller_one_above_it():
    check = judge(2, fgsm_by_epsilon=curve(N, 6_000, 7_000, 1_000, 4_000), classes=2)
    assert check.text == "rise from ε = 0.1 to 0.2"
    assert check.flagged


@pytest.mark.parametrize(("left", "flagged"), [(1_058, False), (1_059, True)])
def test_robustness_to_an_unbounded_attack_counts_if_its_interval_is_above_chance(left, flagged):
    check = judge(3, fgsm_by_epsilon=curve(N, N, left), classes=10)
    assert check.figures == {"robustness": left / N, "chance": 0.1}
    assert check.text == "left at ε = 0.2, chance 0.100"
    assert check.flagged == flagged


# Checks 4 and 5


@pytest.mark.parametrize(("gap", "flagged"), [(1_060, False), (1_061, True)])
def test_the_gap_counts_if_its_interval_is_above_a_tenth(gap, flagged):
    check = judge(4, {"FGSM": standing(2_000), "PGD": standing(2_000 - gap)})
    assert check.estimate.value == pytest.approx(gap / N)
    assert check.text == f"FGSM 0.200, PGD {(2_000 - gap) / N:.3f}"
    assert check.flagged == flagged


def test_fgsm_stronger_than_pgd_is_not_flagged():
    assert not judge(4, {"FGSM": standing(0), "PGD": standing(N)}).flagged


@pytest.mark.parametrize(("before", "flagged"), [(100, False), (101, True)])
def test_pgd_that_finds_more_in_twice_the_steps_counts_above_the_tolerance(before, flagged):
    check = judge(5, pgd_by_steps={7: standing(before), 14: standing(0)})
    assert check.figures == {"S steps": before / N, "2 S steps": 0, "fall": before / N}
    assert check.text == "0.010 in 7 steps, 0.000 in 14"
    assert check.flagged == flagged


# Checks 6, 7, 8 and 10


@pytest.mark.parametrize(("number", "attack"), [(6, "transfer"), (7, "Square")])
@pytest.mark.parametrize(("more", "flagged"), [(0, False), (100, False), (101, True)])
def test_an_attack_without_this_gradient_counts_if_it_fools_what_the_white_box_does_not(number, attack, more, flagged):
    """It fools nothing that the white box fools: only the union is compared."""
    check = judge(number, {"white box": standing(more), attack: ~standing(more)})
    assert check.figures == {"white box": more / N, f"with {attack}": 0, "excess": more / N}
    assert check.estimate.value == more / N
    assert check.text == f"white box {more / N:.3f}, with {attack} 0.000"
    assert check.flagged == flagged


@pytest.mark.parametrize(("more", "flagged"), [(0, False), (3, False), (5, True)])
def test_noise_counts_if_it_fools_more_than_the_white_box_beyond_chance(more, flagged):
    check = judge(8, {"noise": standing(0), "white box": standing(more)})
    assert check.figures == {"white box": more / N, "noise": 0, "excess": more / N}
    assert (check.estimate.low > 0) == check.flagged == flagged


@pytest.mark.parametrize(("more", "flagged"), [(-500, False), (100, False), (101, True)])
def test_a_smoothed_gradient_counts_if_it_fools_more_than_a_restart_of_the_true_one(more, flagged):
    """What the smoothed gradient adds to the white box alone does not count."""
    found = {"white box": standing(5_000), "white box + restart": standing(max(more, 0))}
    check = judge(10, found | {"white box + smoothed": standing(max(-more, 0))})
    assert check.figures == {"true": max(more, 0) / N, "smoothed": max(-more, 0) / N, "excess": more / N}
    assert check.text == f"true {max(more, 0) / N:.3f}, smoothed {max(-more, 0) / N:.3f}"
    assert check.flagged == flagged


# Check 9


@pytest.mark.parametrize("wrong", [0, 100])
@pytest.mark.parametrize(("missed", "flagged"), [(200, False), (201, True)])
def test_the_gradients_pixel_may_miss_some_of_the_images_that_a_pixel_fools(missed, flagged, wrong):
    """20 % of those that were right without an attack."""
    found = {"clean": first(wrong), "brute-force pixel": first(wrong + 1_000)}
    check = judge(9, found | {"headroom pixel": first(wrong + 1_000 - missed)})
    assert check.figures["missed"] == missed / 1_000
    assert check.estimate.value == pytest.approx(missed / N)
    assert check.flagged == flagged


@pytest.mark.parametrize(("gap", "flagged"), [(99, False), (101, True)])
def test_single_pixels_count_above_the_tolerance(gap, flagged):
    check = judge(9, {"brute-force pixel": first(400), "headroom pixel": first(400 - gap)})
    assert check.figures["missed"] > 0.2
    assert check.flagged == flagged


def test_single_pixels_are_compared_on_the_samples_on_which_they_were_tried():
    tried = np.array([1, 3, 4])
    labels = np.repeat([0, 1], [2, N - 2])
    found = {"clean": first(1), "brute-force pixel": first(2, 3), "headroom pixel": first(1, 3)}
    check = judge(9, found, labels=labels, pixel_samples=tried)
    assert check.samples == 3
    assert check.figures == {"brute force": 0.75, "headroom": 0.5, "gap": 0.25, "missed": 0.5}


# Few samples


@pytest.mark.parametrize(("more", "flagged"), [(4, False), (5, True)])
def test_difference_that_may_be_chance_is_not_flagged(more, flagged):
    """4 of 100 samples are more than the tolerance, and no evidence."""
    weak, strong = standing(more, 100), standing(0, 100)
    pixels = {"brute-force pixel": first(more, 100), "headroom pixel": first(0, 100)}
    smoothed = {"white box + restart": weak, "white box + smoothed": strong}
    checks = (
        judge(2, samples=100, classes=100_000, fgsm_by_epsilon={0: strong, 1: weak}),
        judge(5, samples=100, pgd_by_steps={20: weak, 40: strong}),
        judge(6, {"white box": weak}, samples=100),
        judge(7, {"white box": weak}, samples=100),
        judge(9, pixels, samples=100),
        judge(10, smoothed, samples=100),
    )
    for check in checks:
        assert check.estimate.value == pytest.approx(more / 100)
        assert check.flagged == flagged, check.name
