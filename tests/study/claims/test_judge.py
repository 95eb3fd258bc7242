"""`claims.judge` as a whole: the claims it covers, its verdicts on unfinished studies, and its JSON."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from minirobust.study import claims, store


def test_every_claim_is_judged_on_every_data_set_that_it_is_about(make):
    datasets = {}
    for one in claims.judge([make(), make(dataset="fashion-mnist")]):
        datasets.setdefault(one.name, []).append(one.dataset)
    assert list(datasets) == [claim.name for claim in claims.CLAIMS]
    assert datasets["best-accuracy"] == ["MNIST", "Fashion-MNIST"]
    assert datasets["gradient-at-extremes"] == ["MNIST"]
    assert datasets["gradient-by-class"] == ["Fashion-MNIST"]
    assert datasets["convolutional-less-robust"] == ["all"]


def test_a_data_set_that_the_paper_does_not_have_is_judged_where_no_figure_of_it_is_needed(make):
    names = {one.name for one in claims.judge([make(dataset="digits")]) if one.dataset != "all"}
    assert "robustness-falls" in names
    assert "best-accuracy" not in names


def test_claim_about_a_missing_data_set_is_undecided(make):
    (found,) = [one for one in claims.judge([make()]) if one.name == "gradient-by-class"]
    assert (found.dataset, found.verdict) == ("all", "cannot tell here")
    assert found.measured == "No study of this data set is given."


@pytest.mark.parametrize("done", [(), (0.125,), (0.125, 8.0), (0.125, 0.25, 0.5, 1.0, 8.0)])
def test_an_unfinished_study_is_judged_without_a_failure(make, done):
    for one in claims.judge([make(done=done, begun=(2.0,)), make(dataset="cifar10", model="cnn", done=done)]):
        assert one.measured


def test_without_finished_tasks_every_claim_is_undecided(make):
    assert {one.verdict for one in claims.judge([make(done=())])} == {"cannot tell here"}


def test_without_a_study_every_claim_is_undecided():
    assert {one.verdict for one in claims.judge([])} == {"cannot tell here"}


def test_networks_at_chance_do_not_count_for_robustness(make):
    for one in claims.judge([make(accuracy=0.1, robustness=0.1, audits={"FGSM": 0.1, "worst case": 0.1})]):
        if one.survives is not None:
            assert one.verdict == "cannot tell here"


def test_a_class_without_a_test_image_is_left_out(make):
    """Its rates are NaN, as the study stores them."""
    study = make(sandwich={0.05: (0.5, 0.4), 0.1: (0.3, 0.2)})
    for record in study.records:
        keep = record.final["label"] != 3
        for name in ("label", "prediction", "gradient", "pixel_count"):
            record.final[name] = record.final[name][keep]
        for name in ("gradient_median", "correlation", "p_value", "pixel_success", "pixel_success_of_correct"):
            record.final[name][..., 3] = np.nan
        for name in ("class_accuracy", "robustness"):
            record.epochs[name] = record.epochs[name].copy()
            record.epochs[name][..., 3] = np.nan
        for name in ("fgsm", "fooled"):
            record.audited[f"sandwich/{name}"] = record.audited[f"sandwich/{name}"][:, keep]
    for one in claims.judge([study]):
        assert "nan" not in one.measured
        assert all(value is not None for value in one.figures.values()), one.name


def test_seeds_are_averaged(make, judged, seeds):
    both = seeds(make(robustness=0.3), make(robustness=0.7))
    assert judged("robustness-falls", both).figures["T = 1"] == pytest.approx(0.5)


def test_a_figure_that_is_exact_has_no_interval(make, judged):
    """The shares of a regime are those of all net values, and one seed has no spread."""
    figures = judged("linear-falls", make()).figures
    assert "between the ends" in figures
    assert "between the ends, low" not in figures


def test_a_survival_is_said_of_what_holds_and_is_about_robustness(make):
    audits = dict.fromkeys(("FGSM", "worst case", "greedy pixel"), 0.5)
    about = {claim.name: claim.audit is not None for claim in claims.CLAIMS}
    for one in claims.judge([make(audits=audits)]):
        assert (one.survives is not None) == about[one.name]
        assert (one.survives_verdict is None) == (not about[one.name] or one.verdict == "does not hold")


def test_two_studies_of_one_title_are_refused(make):
    with pytest.raises(ValueError, match="claims: expected studies of different data sets, got MNIST, MNIST"):
        claims.judge([make(), make()])


def test_json_has_every_field_and_null_for_nan(make, tmp_path):
    found = claims.judge([make()])
    odd = dataclasses.replace(found[0], figures={"missing": None, "there": 0.5})
    claims.write_json(tmp_path / "claims.json", [odd, *found[1:]])
    text = (tmp_path / "claims.json").read_text(encoding="utf-8")
    assert json.loads(text) == [dataclasses.asdict(one) for one in [odd, *found[1:]]]
    assert [path.name for path in tmp_path.iterdir()] == ["claims.json"]


def test_real_study_is_judged_from_its_files():
    """One temperature of an older version, whose network learned nothing: that is said and no more."""
    found = {
        one.name: one for one in claims.judge([store.read_study(Path(__file__).parents[2] / "saved" / "study-0.1")])
    }
    assert found["robustness-falls"].measured == "Too few learned. Left out, because nothing was learned: T = 1/2."
    assert found["extreme-temperatures"].measured == "Too few learned."
