"""What networks score under the attacks of their audits, where these saw a part of the images only."""

import numpy as np
import pytest

from minirobust.study.claims import stronger
from minirobust.study.claims.evidence import sweep


@pytest.fixture
def audited(make):
    """Of 1,000 images the audit saw 40, and every single pixel was tried on every third of these from the second on."""
    study = make(audits={"FGSM": 0.5})
    tried = np.arange(1, 40, 3)
    for record in study.records:
        fgsm, pixel = np.zeros(40, bool), np.zeros(len(tried), bool)
        fgsm[[3, 13]] = True  # both of class 3
        pixel[[0, 4]] = True  # images 1 and 13, of classes 1 and 3
        record.audited = {"fooled/FGSM": fgsm, "fooled/brute-force pixel": pixel, "pixel_samples": tried}
        record.final["pixel_count"][[1, 2]] = 1, 2
        record.final["prediction"] = record.final["label"].copy()
        record.final["prediction"][4] = 9
    return sweep(study)


def test_images_and_labels_go_together(audited):
    fgsm = stronger.standings(audited, "FGSM")[0]
    np.testing.assert_array_equal(fgsm.labels, np.arange(40) % 10)
    assert fgsm.by_class[3] == 0.5
    assert fgsm.value == pytest.approx(0.95)
    pixel = stronger.standings(audited, "brute-force pixel")[0]
    np.testing.assert_array_equal(pixel.labels, np.arange(1, 40, 3) % 10)
    assert (pixel.by_class[1], pixel.by_class[3]) == (0.5, 0)  # 1 and 31; 13
    ranked = stronger.standings(audited, "ranked pixel")[0]
    np.testing.assert_array_equal(ranked.labels, pixel.labels)
    np.testing.assert_array_equal(np.flatnonzero(ranked.fooled), [0, 1])  # image 1 by one pixel, 4 wrong before


# Over eleven temperatures a clear trend, ρ = -0.86, whose two ends are alike.
ENDS_ALIKE = np.array([0.505, 0.9, 0.8, 0.7, 0.6, 0.55, 0.504, 0.503, 0.502, 0.501, 0.5])
ELEVEN = tuple(2.0**exponent for exponent in range(-6, 5))


def test_a_trend_whose_ends_are_alike_cannot_be_told(make, judged):
    verdict = judged("robustness-falls", make(temperatures=ELEVEN, robustness=ENDS_ALIKE))
    assert verdict.figures["rho"] == pytest.approx(-0.864, abs=1e-3)
    assert verdict.verdict == "cannot tell here"
    assert "The two ends differ by no more than chance allows" in verdict.measured


def test_of_a_trend_half_must_be_left_between_its_ends(make):
    falling = np.linspace(0.9, 0.3, 11)
    of = [
        make(temperatures=ELEVEN, audits={"FGSM": falling, "worst case": left}) for left in (ENDS_ALIKE, falling - 0.3)
    ]
    verdicts = [stronger.trend_survives(sweep(study), -1)[1] for study in of]
    assert verdicts == ["rests on a weak attack", "survives"]
