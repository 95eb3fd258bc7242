"""`claims.judge` as a whole: what it covers, what it says of unfinished studies, and how that is written down."""

import dataclasses
import json

import numpy as np
import pytest

from minirobust.study import claims, config, store
from minirobust.study.claims import families, gradients, pixels, robustness, training, verdict
from minirobust.study.execution import task as run

MODULES = (training, robustness, gradients, pixels, families)


def test_every_claim_of_every_module_is_on_the_list_once():
    defined = [value for module in MODULES for value in vars(module).values() if isinstance(value, verdict.Claim)]
    assert {id(claim) for claim in defined} == {id(claim) for claim in claims.CLAIMS}
    assert len(claims.CLAIMS) == len({claim.name for claim in claims.CLAIMS})


def test_every_claim_states_its_criterion():
    assert all(claim.judge.__doc__ for claim in claims.CLAIMS)


def test_every_claim_is_judged_on_every_data_set_that_it_is_about(make):
    found = claims.judge([make(), make(dataset="fashion-mnist")])
    datasets = {}
    for one in found:
        datasets.setdefault(one.name, []).append(one.dataset)
    assert list(datasets) == [claim.name for claim in claims.CLAIMS]
    assert datasets["best-accuracy"] == ["MNIST", "Fashion-MNIST"]
    assert datasets["gradient-at-extremes"] == ["MNIST"]
    assert datasets["gradient-by-class"] == ["Fashion-MNIST"]
    assert datasets["convolutional-less-robust"] == ["all"]


def test_a_claim_about_a_data_set_that_is_not_there_cannot_be_told(make):
    (found,) = [one for one in claims.judge([make()]) if one.name == "gradient-by-class"]
    assert (found.dataset, found.verdict) == ("all", "cannot tell here")
    assert found.measured == "There is no study of Fashion-MNIST here."


@pytest.mark.parametrize("done", [(), (0.125,), (0.125, 8.0), (0.125, 0.25, 0.5, 1.0, 8.0)])
def test_an_unfinished_study_is_judged_without_a_failure(make, done):
    for one in claims.judge([make(done=done, begun=(2.0,)), make(dataset="cifar10", model="cnn", done=done)]):
        assert one.verdict != "cannot tell here" or one.measured


def test_with_nothing_finished_nothing_is_said(make):
    assert {one.verdict for one in claims.judge([make(done=())])} == {"cannot tell here"}


def test_without_a_study_nothing_is_said():
    assert {one.verdict for one in claims.judge([])} == {"cannot tell here"}


def test_networks_that_all_stayed_at_chance_say_nothing_of_robustness(make):
    for one in claims.judge([make(accuracy=0.1, robustness=0.1, audits={"FGSM": 0.1, "worst case": 0.1})]):
        if one.survives is not None:
            assert one.verdict == "cannot tell here"


def test_a_class_without_a_test_image_is_left_out(make):
    """Its rates are NaN, as the study stores them."""
    study = make()
    for record in study.records:
        keep = record.final["label"] != 3
        for name in ("label", "prediction", "gradient", "pixel_count"):
            record.final[name] = record.final[name][keep]
        for name in ("gradient_median", "correlation", "p_value", "pixel_success", "pixel_success_of_correct"):
            record.final[name][..., 3] = np.nan
        for name in ("class_accuracy", "robustness"):
            record.epochs[name] = record.epochs[name].copy()
            record.epochs[name][..., 3] = np.nan
    for one in claims.judge([study]):
        assert "nan" not in one.measured
        assert all(value is not None for value in one.figures.values()), one.name


def test_seeds_are_averaged(make, judged):
    """Robustness 0.3 and 0.7 of two seeds is 0.5."""
    one, other = make(robustness=0.3), make(robustness=0.7)
    seeds = one.config.but(seeds=(0, 1))
    for record in one.records + other.records:
        record.config = seeds
    for record in other.records:
        record.seed = 1
    both = store.Study(seeds, one.records + other.records)
    assert judged("robustness-falls", both).figures["T = 1"] == pytest.approx(0.5)


def test_claims_are_about_robustness_or_have_nothing_to_survive(make):
    audits = dict.fromkeys(("clean", "FGSM", "worst case", "brute-force pixel"), 0.5)
    about = {claim.name: claim.about_robustness for claim in claims.CLAIMS}
    for one in claims.judge([make(audits=audits)]):
        assert (one.survives is not None) == about[one.name]
        assert one.survives_verdict is None or about[one.name]
        assert (one.survives_verdict is None) == (not about[one.name] or one.verdict == "does not hold")


def test_two_studies_of_one_title_are_refused(make):
    with pytest.raises(ValueError, match="claims: expected studies of different data sets, got MNIST, MNIST"):
        claims.judge([make(), make()])


def test_json_holds_every_field_and_null_for_what_is_no_number(make, tmp_path):
    found = claims.judge([make()])
    odd = dataclasses.replace(found[0], figures={"missing": None, "there": 0.5})
    claims.write_json(tmp_path / "claims.json", [odd, *found[1:]])
    text = (tmp_path / "claims.json").read_text(encoding="utf-8")
    assert json.loads(text) == [dataclasses.asdict(one) for one in [odd, *found[1:]]]
    assert text == claims.to_json([odd, *found[1:]])
    assert [path.name for path in tmp_path.iterdir()] == ["claims.json"]


def test_figures_that_are_no_numbers_are_none(make, monkeypatch):
    found = verdict.Finding("holds", "", {"missing": np.nan, "there": np.float32(0.5)})
    claim = verdict.claim("name", "4", "Sentence.")(lambda study: found)
    monkeypatch.setattr(claims, "CLAIMS", (claim,))
    assert claims.judge([make()])[0].figures == {"missing": None, "there": 0.5}


def test_constant_gradients_have_no_correlation(make, judged):
    study = make(final={"correlation": np.full((7, 10), np.nan)})
    assert judged("gradient-and-confidence", study).verdict == "cannot tell here"
    assert judged("gradient-predicts-errors", study).figures["median r"] is None


def test_the_table_names_claims_verdicts_and_what_rests_on_a_weak_attack(make):
    falling = np.linspace(0.8, 0.2, 7)
    text = claims.table(claims.judge([make(robustness=falling, audits={"FGSM": falling, "worst case": 0.0})]))
    assert "Networks are more robust against FGSM at low temperatures and less at high ones. (section 4.1)" in text
    assert "  MNIST: holds. Robustness against FGSM at ε = 0.1 goes from 0.800 at T = 1/8 to 0.200 at T = 8" in text
    assert "    against stronger attacks: rests on a weak attack. Robustness over T on 1,000 audited images" in text
    assert text.splitlines()[-1].startswith("Claims that rest on a weak attack: robustness-falls (MNIST)")
    assert max(map(len, text.splitlines())) <= 120


def test_a_real_study_is_judged_by_what_its_files_hold(tmp_path):
    """Two temperatures are too few for a trend, and enough for the others."""
    quick = config.PRESETS["quick"].but(temperatures=(1 / 4, 1.0), epochs=1, pixels=2, audit_samples=40)
    store.open_folder(tmp_path, quick)
    for measure in (run.train, run.audit_trained):
        for T, seed in quick.tasks():
            measure(quick, T, seed, tmp_path)
    study = store.read_study(tmp_path)
    found = {one.name: one for one in claims.judge([study])}
    assert found["robustness-falls"].measured == "This takes 5 temperatures, and there are 2."
    assert found["falls-with-epsilon"].verdict == "holds"
    assert "finds robustness rising above chance at 0 of 2 networks" in found["falls-with-epsilon"].survives
    one_pixel = [record.final["pixel_success_of_correct"][0].mean() for record in study.records]
    assert found["one-pixel"].figures["least"] == pytest.approx(min(one_pixel))
    assert "Trying every pixel can only fool more" in found["one-pixel"].survives
    assert json.loads(claims.to_json(list(found.values())))
