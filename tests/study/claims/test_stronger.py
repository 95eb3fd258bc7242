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


def test_the_ends_of_a_trend_are_the_lowest_and_the_highest_temperature(make):
    """0.8 is left at T = 1/8, and next to nothing of it elsewhere."""
    left = np.array([0.8, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01])
    text, verdict = stronger.trend_survives(sweep(make(audits={"FGSM": left, "worst case": left})), -1)
    assert verdict == "survives"
    assert "the worst case of all these 0.800 to 0.010" in text
    weak = np.array([0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.0])
    _, verdict = stronger.trend_survives(sweep(make(audits={"FGSM": weak, "worst case": weak * [0.3] + 0.2})), -1)
    assert verdict == "rests on a weak attack"
