"""Read the stored results in docs/results/ for `numbers_of_page.py`: the tables and the claims."""

import csv
import gzip
import json
from functools import cache
from pathlib import Path
from statistics import mean, median

RESULTS = Path(__file__).parents[1] / "results"


def value(table, column, over_seeds=median, **where):
    """Return the number in the one row of each seed that `where` selects, and of several seeds a statistic.

    Parameters
    ----------
    table, column : str
        A table of `minirobust.study.load`, and one of its columns.
    over_seeds : callable, default median
        For example min or max.
    **where
        Values of other columns, such as ``dataset="mnist", temperature=1 / 64``.

    Raises
    ------
    LookupError
        If no row is selected, or several of one seed.
    """
    rows = _selected(table, where)
    seeds = [row["seed"] for row in rows]
    if not rows or len(set(seeds)) < len(seeds):
        raise LookupError(f"{table}.csv: expected one row per seed, got {len(rows)} for {where}")
    return over_seeds(float(row[column]) for row in rows)


def values(table, column, **where):
    """Return the numbers in all rows that `where` selects; raise LookupError if there is none."""
    rows = _selected(table, where)
    if not rows:
        raise LookupError(f"{table}.csv: expected a row, got none for {where}")
    return [float(row[column]) for row in rows]


def mean_over_classes(table, column, over_seeds=median, **where):
    """Return the mean over the rows of each seed, and of several seeds a statistic; see `value`."""
    rows = _selected(table, where)
    if not rows:
        raise LookupError(f"{table}.csv: expected a row of each class, got none for {where}")
    return over_seeds(
        mean(float(row[column]) for row in rows if row["seed"] == seed) for seed in {row["seed"] for row in rows}
    )


def adversarial(temperature, attack, epsilon):
    """Return what an attack leaves of a network that adversarial training made, from adversarial-training.csv."""
    path = RESULTS / "adversarial-training.csv"
    with path.open(encoding="utf-8", newline="") as file:
        wanted = {"temperature": temperature, "attack": attack, "epsilon": epsilon}
        (row,) = [row for row in csv.DictReader(file) if all(_is(row[name], each) for name, each in wanted.items())]
    return float(row["robustness"])


def claim(name, dataset, figure):
    """Return a figure of a claim, such as ``claim("robustness-falls", "MNIST", "ρ")``."""
    (found,) = (each for each in _claims() if (each["name"], each["dataset"]) == (name, dataset))
    return found["figures"][figure]


def verdicts(dataset, verdict, field="verdict"):
    """Return how many claims have a verdict on a data set; `field` may be "survives_verdict"."""
    return sum(each["dataset"] == dataset and each[field] == verdict for each in _claims())


def _selected(table, where):
    return [row for row in _rows(table) if all(_is(row[name], wanted) for name, wanted in where.items())]


def _is(text, wanted):
    return text == wanted if isinstance(wanted, str) else bool(text) and float(text) == wanted


@cache
def _rows(table):
    path = RESULTS / "tables" / f"{table}.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def _claims():
    return json.loads((RESULTS / "claims.json").read_text(encoding="utf-8"))
