"""`audit` as a whole: from the evidence to the report, on every backend, and its errors."""

import re
from dataclasses import astuple
from functools import partial

import audited_networks as make
import numpy as np
import pytest

import minirobust as mr
from minirobust import masking
from minirobust.masking.zoo import GaussianNoise
from minirobust.measures import intervals
from minirobust.model import Given
from minirobust.stack import Evaluation

quick = partial(mr.audit, epsilon=0.1, budget="quick")


@pytest.fixture(scope="session")
def report_on_the_host(trained_on_the_host, sources, few, tiny):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(masking.BUDGETS, "quick", tiny)
        return mr.audit(trained_on_the_host, *few, epsilon=(0.02, 0.1), sources=sources, budget="quick")


def test_every_backend_gives_the_same_report(trained, sources, few, report_on_the_host, tiny_audits):
    few = map(trained.backend.asarray, few)
    report = mr.audit(trained, *few, epsilon=(0.02, 0.1), sources=sources, budget="quick")
    for name, fooled in report_on_the_host.fooled.items():
        assert (report.fooled[name] != fooled).sum() <= 1, name  # rounding may tip one sample
    for of_one, of_other in zip(report.sandwiches, report_on_the_host.sandwiches, strict=True):
        assert (of_one.fooled != of_other.fooled).sum() <= 1
        assert (of_one.certified != of_other.certified).sum() <= 1
    outcomes = [[check.flagged for check in made.checks] for made in (report, report_on_the_host)]
    assert outcomes[0] == outcomes[1]


def test_rates_and_intervals_are_those_of_fooled(report_on_the_host, few):
    report, (_, y) = report_on_the_host, few
    for name, fooled in report.fooled.items():
        assert report.robustness[name] == intervals.network(fooled, y)
        np.testing.assert_array_equal(report.by_class[name], intervals.by_class(fooled, y))
    assert report.checks[3].estimate == intervals.difference(report.fooled["FGSM"], report.fooled["PGD"], y)
    assert report.checks[3].samples == 60


def test_the_report_has_all_checks_in_order_within_80_columns(report_on_the_host):
    assert [check.number for check in report_on_the_host.checks] == list(range(1, 11))
    assert None not in [check.flagged for check in report_on_the_host.checks]
    assert max(map(len, str(report_on_the_host).splitlines())) <= 80


def test_same_seed_gives_the_same_report_and_another_seed_does_not(trained_on_the_host, few, tiny_audits):
    first, again, other = (quick(trained_on_the_host, *few, seed=seed) for seed in (1, 1, 2))
    assert first.to_dict() == again.to_dict()
    assert any((first.fooled[name] != other.fooled[name]).any() for name in first.fooled)


def test_audit_leaves_the_network_and_the_samples_unchanged(trained, few, tiny_audits):
    to_numpy = trained.backend.to_numpy
    x, y = (array[:20].copy() for array in few)
    trained.gradients += 0.5
    watched = x, y, trained.parameters, trained.gradients
    before = [to_numpy(array).tobytes() for array in watched]
    quick(trained, x, y, sources=[trained])
    assert [to_numpy(array).tobytes() for array in watched] == before
    with pytest.raises(RuntimeError, match="backward before forward"):
        trained.backward(np.zeros((len(x), 10)))


def test_progress_prints_the_cost_first_and_does_not_change_the_report(trained_on_the_host, few, capsys, tiny_audits):
    quiet = quick(trained_on_the_host, *few)
    assert capsys.readouterr() == ("", "")
    told = quick(trained_on_the_host, *few, progress=True)
    output = capsys.readouterr()
    assert re.fullmatch(
        r"audit of 60 samples: at most [\d,]+ gradients, about [\d,]+ s; less where attacks succeed early\n",
        output.err,
    )
    assert output.out == ""
    assert told.to_dict() == quiet.to_dict()


@pytest.mark.parametrize("name", masking.BUDGETS)
def test_budget_is_selected_by_name(name, trained_on_the_host, few, monkeypatch):
    def asked(model, x, y, epsilons, sources, budget, seed, progress):
        raise InterruptedError(budget)

    monkeypatch.setattr(masking, "gather", asked)
    with pytest.raises(InterruptedError) as ended:
        mr.audit(trained_on_the_host, *few, budget=name)
    assert ended.value.args == (masking.BUDGETS[name],)


def test_a_larger_budget_computes_more():
    quick, standard, full = (astuple(masking.BUDGETS[name]) for name in ("quick", "standard", "full"))
    assert all(a <= b <= c for a, b, c in zip(quick, standard, full, strict=True))
    assert quick < standard < full


@pytest.mark.slow
def test_the_full_budget_finds_more(trained_on_the_host, few):
    x, y = few
    quick, full = (mr.audit(trained_on_the_host, x[:5], y[:5], 0.05, budget=budget) for budget in ("quick", "full"))
    assert full.robustness["worst case"].value <= quick.robustness["worst case"].value
    assert "100 steps" in full.checks[4].text


def test_a_random_network_is_reported_as_random(trained_on_the_host, few):
    net = make.behind(GaussianNoise(0.2), trained_on_the_host)
    report = quick(net, few[0][:10], few[1][:10], sources=[trained_on_the_host])
    assert report.random
    assert report.to_dict()["random"]
    assert report.verdict.startswith("the model is random, evaluated by majority votes; ")
    not_run = {check.number: check.text for check in report.checks if check.flagged is None}
    assert not_run == dict.fromkeys([1, 7, 9, 10], "the model is random")


def test_model_that_is_not_a_network_is_audited(trained_on_the_host, few, tiny_audits):
    model = Given(Evaluation(trained_on_the_host))
    report, of_network = (quick(each, *few, sources=[model]) for each in (model, trained_on_the_host))
    assert not report.random
    assert report.checks[0].text == "0 zero, 0 not finite, no float64 twin"
    assert report.to_dict()["checks"][0]["figures"]["sign flips"] is None
    assert [check.flagged for check in report.checks] == [check.flagged for check in of_network.checks]
    assert report.robustness["white box"] == of_network.robustness["white box"]


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0}, "audit: expected epsilon to be one or more different numbers above 0, got 0"),
        ({"epsilon": (0.1, 0.02, 0.1)}, r"expected epsilon to be one or more different numbers above 0, got \(0.1, "),
        ({"epsilon": ()}, r"expected epsilon to be one or more different numbers above 0, got \(\)"),
        ({"epsilon": (0.1, "0.2")}, r"expected epsilon in \[0, 1\], got '0.1'"),
        ({"epsilon": 1.5}, r"expected epsilon in \[0, 1\], got 1.5"),
        ({"budget": ["quick"]}, r"audit: expected budget to be one of 'quick', 'standard', 'full', got \['quick'\]"),
        ({"budget": "huge"}, "audit: expected budget to be one of 'quick', 'standard', 'full', got 'huge'"),
        ({"seed": -1}, "expected seed to be a whole number of at least 0, got -1"),
        (
            {"sources": [mr.models.mlp(1, (5, 5, 1))]},
            r"audit: sources\[0\]: expected the target's input_shape \(28, 28, 1\), got \(5, 5, 1\)",
        ),
        (
            {"sources": [mr.models.mlp(1, classes=3)]},
            r"audit: sources\[0\]: expected the target's classes 10, got 3",
        ),
        (
            {"sources": [mr.Network([mr.Flatten(), mr.Dense(10)], (28, 28, 1), input_range=(0, 255))]},
            r"audit: sources\[0\]: expected the target's input_range \(0.0, 1.0\), got \(0.0, 255.0\)",
        ),
        (
            {"sources": [mr.Network([mr.Flatten(), mr.Dense(10), mr.Softmax()], (28, 28, 1))]},
            r"audit: sources\[0\]: layer 2, Softmax\(\): expected a network that ends in logits",
        ),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(options, message, trained_on_the_host, few, monkeypatch):
    monkeypatch.setattr(masking, "gather", None)  # whatever runs now fails otherwise
    with pytest.raises(ValueError, match=message):
        mr.audit(trained_on_the_host, *few, **options)


@pytest.mark.parametrize("sources", [mr.models.mlp(1), None])
def test_sources_that_are_not_a_list_raise(sources, trained_on_the_host, few):
    with pytest.raises(TypeError, match="audit: expected sources to be networks in a list, got (Network|None)"):
        mr.audit(trained_on_the_host, *few, sources=sources)


def test_sources_that_are_not_networks_raise(trained_on_the_host, few):
    with pytest.raises(TypeError, match=r"audit: sources\[1\]: expected a Network or a model with logits, got 0.25"):
        mr.audit(trained_on_the_host, *few, sources=[trained_on_the_host, 0.25])


def test_object_that_is_not_a_model_raises(few):
    with pytest.raises(TypeError, match=r"expected a Network or a model with logits, got <bound method"):
        mr.audit(mr.models.mlp(1).logits, *few)


def test_wrong_samples_raise(trained_on_the_host, few):
    x, y = few
    for wrong, message in (
        ((x[:0], y[:0]), "expected at least one sample, got an empty batch"),
        ((2 * x, y), r"expected pixels in \[0, 1\], got 0 to 2"),
        ((x, y + 10), "labels: expected classes 0 to 9"),
        ((x, y[1:]), r"labels: expected shape \(60,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            mr.audit(trained_on_the_host, *wrong)
