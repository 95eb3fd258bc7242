"""The check of the numbers on the study's page finds each that is wrong, missing or unknown; and the page passes it."""

import gzip
import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "study"
PAGE = """# The study of 2020

Robustness on MNIST falls from 0.801 at T = 1/64 to 0.012
at T = 16 (ρ = −1.00), on 10,000 images, of which 12 % are digits at ε = 0.1 and 0.2.
"""
NUMBERS = {
    "from {0.801} at T = 1/64 to {0.012} at T = 16": [0.8014, 0.0119],
    "ρ = {−1.00}": [-0.9996],
    "of which {12} %": [12.4],
}
CONSTANTS = ["10,000 images"]


@pytest.fixture(autouse=True)
def _scripts_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("check_numbers", "stored", "numbers_of_page"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def check(page=PAGE, numbers=NUMBERS, constants=CONSTANTS):
    return import_module("check_numbers").check(page, numbers, constants)


def test_a_page_whose_numbers_are_the_results_passes():
    assert check() == []


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (PAGE.replace("0.801", "0.802"), "'from {0.801} at T = 1/64 to {0.012} at T = 16': not on the page"),
        (PAGE + "About 0.3 more.", "line 5: 0.3 is not in numbers_of_page.py: … "),
        (PAGE + "At T = 4 and 0.4 more.", "line 5: 0.4 is not in"),
        (PAGE + "At ε = 0.1 and 0.17 more.", "line 5: 0.17 is not in"),
        (PAGE + "Figures 2 and 2.5.", "line 5: 2.5 is not in"),
        (PAGE + "All 1,234 of them.", "line 5: 1,234 is not in"),
        (PAGE + "Or -0.3.", "line 5: -0.3 is not in"),
        (PAGE.replace("10,000", "20,000"), "'10,000 images': not on the page"),
    ],
)
def test_a_number_that_is_not_listed_is_named(page, message):
    assert any(line.startswith(message) for line in check(page))


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([0.8016, 0.0119], "the page has 0.801, the results 0.802"),
        ([0.8014, 0.0126], "the page has 0.012, the results 0.013"),
        ([0.8014], "2 numbers in braces, 1 results"),
    ],
)
def test_a_number_that_is_not_the_result_is_named(results, message):
    text = next(iter(NUMBERS))
    assert check(numbers=NUMBERS | {text: results}) == [f"{text!r}: {message}"]


@pytest.mark.parametrize(
    "text",
    [
        "```\n0.5\n```",
        "`0.5`",
        "<!-- 0.5 -->",
        "[a](figure-05.png)",
        "## 5 of them",
        "*The paper*: 0.98\nand 0.90.",
        "T ≤ 1/2",
        "from 1/64 to\n16",
        "T = 1, 2 and 4.",
        "ε = 0.01 to 0.05",
        "Figures 11\nand 12, check 10",
        "p < .001",
        "CIFAR-10 and float32, r1 and r2",
        "2026-11-27",
        "a 95 % interval",
    ],
)
def test_numbers_that_are_no_results_need_no_entry(text):
    assert check(f"{PAGE}\n{text}\n") == []


def test_a_result_in_a_sentence_about_the_paper_is_checked_too():
    page = "*The paper*: 0.98.\n\n*Measured*: 0.97."
    assert check(page, {"*Measured*: {0.97}": [0.9]}, []) == [
        "'*Measured*: {0.97}': the page has 0.97, the results 0.90",
    ]


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """The module that reads results, on a small table and one claim."""
    module = import_module("stored")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    (tmp_path / "tables").mkdir()
    rows = ["dataset,temperature,seed,attack,robustness", "mnist,0.25,0,FGSM,0.5", "mnist,0.25,1,FGSM,0.7"]
    rows += ["mnist,0.25,2,FGSM,0.6", "mnist,4.0,0,FGSM,0.1", "mnist,4.0,0,PGD,0.0", "mnist,,0,FGSM,0.9"]
    (tmp_path / "tables" / "audit.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    found = [{"name": "a", "dataset": "MNIST", "verdict": "holds", "figures": {"ρ": -1.0}}]
    (tmp_path / "claims.json").write_text(json.dumps(found))
    return module


def test_a_result_is_one_row_of_each_seed(stored):
    assert stored.value("audit", "robustness", dataset="mnist", temperature=1 / 4) == 0.6
    assert stored.value("audit", "robustness", min, temperature=1 / 4) == 0.5
    assert stored.value("audit", "robustness", temperature=4, attack="PGD") == 0
    assert stored.values("audit", "robustness", temperature=4) == [0.1, 0.0]
    for where in ({"temperature": 4}, {"temperature": 8}):
        with pytest.raises(LookupError, match="audit.csv: expected one row per seed, got [02] for"):
            stored.value("audit", "robustness", **where)
    with pytest.raises(LookupError, match="expected a row, got none"):
        stored.values("audit", "robustness", temperature=8)


def test_figures_and_verdicts_of_claims(stored):
    assert stored.claim("a", "MNIST", "ρ") == -1
    assert stored.verdicts("MNIST", "holds") == 1
    assert stored.verdicts("SVHN", "holds") == 0


@pytest.mark.skipif(not (FOLDER.parent / "results" / "tables").exists(), reason="no tables in docs/results")
def test_the_page_prints_the_stored_results(capsys):
    assert import_module("check_numbers").main() == 0, capsys.readouterr().out
