"""The benchmark: all contenders compute the same, and its tables replace those between markers and nothing else."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.performance import contests, growth, pages, timing
from benchmarks.planted_faults import FAULTS

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, str(ROOT / "tests" / "benchmarks" / "all.py")]
PAGE = """# Speed

<!-- benchmark: mlp -->

| old |

<!-- end -->

Between the tables: `<!-- end -->` within a line is no marker.

<!-- benchmark: cnn -->
<!-- end -->
The last line has no newline."""


def run(*arguments, **variables):
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"} | variables
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=environment)


# Agreement


@pytest.mark.slow
def test_all_installed_contenders_compute_the_same():
    # In a process of its own: JAX warns of the forks that other tests need.  Compilation takes minutes, so it is off.
    checked = run("--check", TORCHDYNAMO_DISABLE="1")
    assert checked.returncode == 0, checked.stderr
    contenders = {
        "torch": "PyTorch, fused Adam",
        "jax": "JAX",
        "autograd": "autograd, its Adam",
        "mygrad": "mygrad, Adam",
    }
    for package, contender in contenders.items():
        assert (f" {contender} " in checked.stdout) == (importlib.util.find_spec(package) is not None)


@pytest.mark.parametrize(
    ("function", "ours", "theirs"),
    [
        ("training", 0.5, 0.501),
        ("input_gradient", [[1.0, -1.0]], [[1.0, 1.0]]),
        ("fgsm", [[False, False], [True, False]], [[False, False], [True, True]]),
        ("training", 0.5, np.nan),
    ],
)
def test_another_result_is_a_mismatch(function, ours, theirs):
    contest = contests.Contest("the contest", function, work=None)
    outcome = contests.Outcome(contest, {"ours": np.array(ours), "same": np.array(ours), "other": np.array(theirs)})
    (sentence,) = contests.mismatches([outcome])
    assert sentence.startswith("MISMATCH in the contest: expected other to differ from ours by at most")


# Times


def test_calls_take_turns_in_both_directions():
    order = []
    calls = {name: lambda name=name: order.append(name) or len(order) for name in "abc"}
    assert timing.take_turns(calls, rounds=2) == {"a": [1, 6], "b": [2, 5], "c": [3, 4]}
    assert order == list("abccba")


def test_a_ratio_is_the_median_over_rounds_with_its_spread():
    assert timing.spread(timing.ratios([2.0, 9.0, 4.0], [1.0, 3.0, 4.0])) == "2.00 (1.00 to 3.00)"


@pytest.mark.parametrize("p", [0, 1, 1.5])
def test_the_exponent_of_a_power_is_its_exponent(p):
    assert growth.exponent([3 * factor**p for factor in growth.FACTORS]) == pytest.approx(p, abs=1e-12)


# Tables between markers


def test_a_table_replaces_what_stands_between_its_markers_and_nothing_else():
    text = pages.replaced("page", PAGE, ("mlp", "cnn"), {"cnn": "| new |", "growth": "| of another page |"})
    before, after = PAGE.split("<!-- benchmark: cnn -->\n")
    assert text == f"{before}<!-- benchmark: cnn -->\n\n| new |\n\n{after}"
    assert pages.replaced("page", text, ("mlp", "cnn"), {"cnn": "| new |"}) == text


@pytest.mark.parametrize(
    "wrong",
    [
        PAGE.replace("<!-- benchmark: mlp -->\n", ""),
        PAGE.replace("<!-- end -->\nThe last", "The last"),
        PAGE.replace("<!-- benchmark: mlp -->", "<!-- benchmark: cnn -->"),
        PAGE.replace("| old |", "<!-- benchmark: growth -->\n<!-- end -->"),
        PAGE.replace("cnn", "memory"),
        PAGE + "\n<!-- benchmark: cnn -->\n<!-- end -->",
    ],
    ids=["missing", "not closed", "doubled", "nested", "unknown", "doubled at the end"],
)
def test_wrong_markers_are_refused_in_one_sentence(wrong):
    with pytest.raises(ValueError, match=r"^page: expected the markers mlp, end, cnn, end, got .*: put each table"):
        pages.replaced("page", wrong, ("mlp", "cnn"), {"mlp": "| new |"})


@pytest.fixture
def copied(tmp_path):
    """A folder with copies of all pages."""
    for page in pages.PAGES:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_bytes((ROOT / page).read_bytes())
    return tmp_path


def test_a_table_is_written_into_every_page_that_has_it(copied):
    pages.write({"study": "| new |"}, copied)
    changed = [page for page in pages.PAGES if "| new |" in (copied / page).read_text()]
    assert changed == [page for page, names in pages.PAGES.items() if "study" in names]
    assert sorted(path.name for path in copied.iterdir()) == ["docs", "tests"]


def test_no_page_is_written_if_the_markers_of_one_are_wrong(copied):
    (copied / "tests/benchmarks/README.md").write_text("no markers")
    with pytest.raises(ValueError, match=r"tests/benchmarks/README.md: expected the markers study, end, got none"):
        pages.write({"study": "| new |"}, copied)
    page = "docs/reference/performance.md"
    assert (copied / page).read_bytes() == (ROOT / page).read_bytes()


def test_the_pages_have_the_tables_that_the_command_makes():
    assert {name for names in pages.PAGES.values() for name in names} == set(pages.TABLES)
    pages.rewritten({})
    others = {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")} - {ROOT / page for page in pages.PAGES}
    assert [path for path in others if pages.MARKER.search(path.read_text())] == []


@pytest.mark.parametrize("only", ["memory", "mlp,memory", "summary"])
def test_unknown_tables_are_refused_before_anything_is_measured(only):
    refused = run("--only", only)
    assert refused.returncode == 2
    assert "error: argument --only: expected" in refused.stderr
    assert refused.stdout == ""


# Planted faults


def test_the_code_that_each_planted_fault_replaces_stands_once_in_its_file():
    for name, faults in FAULTS.items():
        for what, file, text, fault in faults:
            source = (ROOT / "minirobust" / "attacks" / file).read_text(encoding="utf-8")
            assert source.count(text) == 1, f"{name}: {what}"
            assert fault != text
