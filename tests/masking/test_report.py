"""The printed report, its verdict, and its JSON."""

import json

import numpy as np
import pytest

from minirobust.masking.report import AuditReport, Check
from minirobust.masking.sandwich import Sandwich
from minirobust.measures import intervals
from minirobust.measures.intervals import Estimate

FINDINGS = ("masked", "masked", "FGSM too weak here", "PGD not converged", "masked")


def report(*flagged, y=(0, 0, 1, 1), classes=2, certified=(False, False, True, True)):
    """Return a report of five checks, of which those with these numbers are flagged and the last is not run."""
    y, fooled = np.array(y), np.array([True, False, False, False])
    checks = [
        Check(
            number,
            f"check of kind {number}",
            f"> {number}",
            finding,
            f"This is the meaning of {number}, in words enough for a second line of the report, which has 80 columns.",
            f"This is what to do about {number}.",
            None if number == 5 else number in flagged,
            "no time" if number == 5 else f"figures {number}",
            {} if number == 5 else {"figure": number / 10},
            Estimate(number / 10, 0.0, 1.0) if number in (1, 3) else None,
            0 if number == 5 else 4,
        )
        for number, finding in enumerate(FINDINGS, start=1)
    ]
    proven = None if certified is None else np.array(certified)
    small, large = (Sandwich(epsilon, proven, fooled, 0 * fooled > 0, y, classes) for epsilon in (0.125, 0.25))
    found = {"clean": np.zeros(4, bool), "worst case": fooled}
    return AuditReport(
        checks=tuple(checks),
        robustness={name: intervals.network(row, y, classes) for name, row in found.items()},
        by_class={name: intervals.by_class(row, y, classes) for name, row in found.items()},
        fooled=found,
        sandwiches=(small, large),
        pixel_samples=np.array([0, 3]),
        labels=y,
        epsilon=0.25,
        budget="quick",
        seed=7,
    )


def test_rows_have_outcome_name_figures_and_interval():
    lines = str(report(3)).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "audit of 4 samples at ε = 0.25, budget 'quick', seed 7"
    rows = [" ".join(line.split()) for line in lines]
    assert "1 pass check of kind 1 figures 1 0.100 [0.000, 1.000]" in rows
    assert "2 pass check of kind 2 figures 2" in rows
    assert "3 FLAG check of kind 3 figures 3 0.300 [0.000, 1.000]" in rows
    assert "5 not run check of kind 5 no time" in rows


def test_attacks_have_robustness_interval_and_samples():
    made = report()
    value, low, high = made.robustness["worst case"]
    assert value == 0.75
    (line,) = [line for line in str(made).splitlines() if line.startswith("worst case")]
    assert line.split() == ["worst", "case", "0.750", f"{low:.3f}", "to", f"{high:.3f}", "4"]


def test_a_flag_is_printed_with_its_meaning_and_its_remedy():
    made = report(1, 3)
    text = " ".join(str(made).split())
    for check in made.checks:
        assert (f"(flagged if {check.condition})" in text) == bool(check.flagged)
        assert (check.meaning in text, check.remedy in text) == (bool(check.flagged), bool(check.flagged))


@pytest.mark.parametrize(
    ("flagged", "verdict", "masked"),
    [
        ((), "no sign of masking", False),
        ((1,), "the gradient is masked (check 1)", True),
        ((1, 2), "the gradient is masked (checks 1, 2)", True),
        ((3, 4), "FGSM is too weak here (check 3); PGD has not converged (check 4)", False),
        ((2, 3), "the gradient is masked (check 2); FGSM is too weak here (check 3)", True),
    ],
)
def test_verdict_has_the_findings_and_both_bounds(flagged, verdict, masked):
    made = report(*flagged)
    lower, upper = (
        "{:.3f} [{:.3f}, {:.3f}]".format(*rate) for rate in (made.sandwiches[-1].lower, made.sandwiches[-1].upper)
    )
    assert made.verdict == f"{verdict}: robustness at ε = 0.25 is at least {lower} and at most {upper}"
    assert made.masked == masked
    assert [check.number for check in made.flagged] == list(flagged)
    assert " ".join(str(made).split()).endswith(f" verdict: {made.verdict}")
    assert repr(made) == str(made)


def test_json_has_all_figures():
    made = report(1)
    told = made.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["robustness"]["worst case"] == made.robustness["worst case"]._asdict()
    assert told["by_class"]["worst case"]["low"] == made.by_class["worst case"].low.tolist()
    assert [check["flagged"] for check in told["checks"]] == [True, False, False, False, None]
    assert told["checks"][0]["estimate"] == {"value": 0.1, "low": 0.0, "high": 1.0}
    assert (told["samples"], told["pixel_samples"], told["seed"], told["masked"]) == (4, 2, 7, True)
    assert told["verdict"] == made.verdict


def test_a_class_without_a_sample_is_none_in_json():
    told = report(classes=3).to_dict()
    assert told["by_class"]["worst case"]["value"] == [0.5, 1.0, None]
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_each_epsilon_has_both_bounds_and_robustness_against_fgsm():
    rows = [" ".join(line.split()) for line in str(report()).splitlines()]
    (small,) = [row for row in rows if row.startswith("0.125 ")]
    rates = report().sandwiches[0]
    shown = ("{:.3f} [{:.3f}, {:.3f}]".format(*rate) for rate in (rates.lower, rates.upper, rates.against_fgsm))
    assert small == " ".join(["0.125", *shown])
    assert report().to_dict()["sandwiches"][0] == {
        "epsilon": 0.125,
        "lower": rates.lower._asdict(),
        "upper": rates.upper._asdict(),
        "FGSM": rates.against_fgsm._asdict(),
    }


def test_without_a_certificate_there_is_no_lower_bound():
    made = report(certified=None)
    assert "0.125 no certificate 0.750" in " ".join(str(made).split())
    assert "robustness at ε = 0.25 is at most 0.750" in made.verdict
    assert made.to_dict()["sandwiches"][0]["lower"] is None
