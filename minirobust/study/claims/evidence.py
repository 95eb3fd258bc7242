"""The networks that a claim is judged on: those that are finished and have learned, with a `Score` for each.

A `Level` selects the attack: the paper's on all test images, or, on the audited images, the paper's (weak), the
strongest of all (strong), or any possible attack (proven).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from minirobust.measures import intervals
from minirobust.measures.intervals import Estimate
from minirobust.measures.regimes import temperature_label
from minirobust.measures.robustness import by_class
from minirobust.measures.statistics import exact, minus, over_seeds
from minirobust.study.claims.criteria import DATASETS, LEARNED, LEAST_TEMPERATURES
from minirobust.study.claims.verdict import CannotTellError, Case
from minirobust.study.store import Record, Study


def paper_dataset(study: Study) -> str | None:
    """Return which of the paper's data sets a study uses, in whole or in part: ``cifar10-25k.h5`` is cifar10."""
    name = Path(study.config.dataset).stem
    return next((known for known in DATASETS if name.startswith(known)), None)


class Level(NamedTuple):
    """An attack, and the index of an ε of the audit."""

    kind: Literal["paper", "weak", "strong", "proven"]
    row: int = 0


PAPER = Level("paper")


class Score(NamedTuple):
    """A network's figure. A rate also has its classes' rates and images, and an audit has which images were fooled."""

    estimate: Estimate
    rates: np.ndarray = np.array([])
    images: np.ndarray = np.array([])
    fooled: np.ndarray | None = None
    labels: np.ndarray | None = None

    def minus(self, other: Score) -> Estimate:
        """Return the difference of two networks, image by image if it is known which images were fooled."""
        if self.fooled is None or other.fooled is None or self.labels is None or other.labels is None:
            return minus(self.estimate, other.estimate)
        if not np.array_equal(self.labels, other.labels):
            raise CannotTellError("The audits used different images.")
        return intervals.difference(self.fooled, other.fooled, self.labels, len(self.rates))


Source = Callable[[Record, Level], Score | None]  # None for what is not stored


def exactly(value: float | np.floating | np.integer) -> Score:
    """Return the score of a figure without sampling error."""
    return Score(exact(float(value)))


def of_rates(rates: np.ndarray, images: np.ndarray) -> Score:
    """Return the score of rates by class: their mean."""
    return Score(intervals.mean_of_rates(rates, images), rates, images)


def of_fooled(fooled: np.ndarray, labels: np.ndarray, classes: int) -> Score:
    """Return the score of the images that were not fooled: robustness, the mean over classes."""
    images = np.bincount(labels, minlength=classes)
    return Score(intervals.network(fooled, labels, classes), by_class(fooled, labels, classes), images, fooled, labels)


def test_images(record: Record) -> np.ndarray:
    """Return the number of test images of each class."""
    return np.bincount(record.final["label"], minlength=record.epochs["class_accuracy"].shape[1])


def at(temperature: float) -> str:
    """Return the name of the case of one temperature."""
    return f"T = {temperature_label(temperature)}"


@dataclass(frozen=True)
class Sweep:
    """The networks that a claim is judged on, the unfinished temperatures, and a note on what is left out."""

    study: Study
    records: list[Record]
    unfinished: list[float]
    note: str

    @property
    def temperatures(self) -> list[float]:
        """The temperatures of the networks, from low to high."""
        return sorted({record.temperature for record in self.records})

    def scores(self, source: Source, level: Level = PAPER) -> dict[float, dict[int, Score]]:
        """Return the stored scores of the networks, by temperature, from low to high, and by seed."""
        found: dict[float, dict[int, Score]] = {}
        for record in sorted(self.records, key=lambda record: (record.temperature, record.seed)):
            if (score := source(record, level)) is not None:
                found.setdefault(record.temperature, {})[record.seed] = score
        return found

    def estimates(self, source: Source, level: Level = PAPER) -> dict[float, Estimate]:
        """Return each temperature's figure, with an interval over its seeds."""
        scores = self.scores(source, level)
        return {T: over_seeds([score.estimate for score in seeds.values()]) for T, seeds in scores.items()}

    def range(self, source: Source, level: Level = PAPER) -> tuple[list[float], dict[int, list[Score]]]:
        """Return the temperatures, and for each seed the scores at them; raise if they are too few for a trend."""
        ends = self.study.config.temperatures[0], self.study.config.temperatures[-1]
        if waiting := [T for T in ends if T in self.unfinished]:
            raise CannotTellError(f"{at(waiting[0])}, an end of the range, is not finished.{self.note}")
        scores, known = self.scores(source, level), len(self.temperatures)
        if level != PAPER and len(scores) < known:
            raise CannotTellError(f"{len(scores)} of {known} temperatures are audited.")
        if len(scores) < LEAST_TEMPERATURES:
            raise CannotTellError(f"This takes {LEAST_TEMPERATURES} temperatures, not {len(scores)}.{self.note}")
        seeds = sorted(set.intersection(*map(set, scores.values())))
        if not seeds:
            raise CannotTellError("No seed is finished at all temperatures.")
        return list(scores), {seed: [of[seed] for of in scores.values()] for seed in seeds}

    def waiting(self) -> list[Case]:
        """Return a case without a figure for each unfinished temperature."""
        return [Case(at(T), None) for T in self.unfinished]


def sweep(study: Study, *, learning: bool = False) -> Sweep:
    """Return the networks of a study that are finished and have learned; with `learning`, all that are finished.

    A network has learned if its accuracy, the mean over classes, is at least twice chance. If fewer than half of the
    temperatures have a network that learned, or may still get one, raise CannotTellError.
    """
    several, temperatures = len(study.config.seeds) > 1, study.config.temperatures
    attacked = [record for record in study.records if record.final]
    learned = [record for record in attacked if has_learned(record)]
    done = {record.temperature for record in attacked}
    unfinished = [T for T in temperatures if T not in done]
    note = f" {len(done)} of {len(temperatures)} temperatures are finished." if unfinished else ""
    dull = [at(r.temperature) + (f", seed {r.seed}" if several else "") for r in attacked if not has_learned(r)]
    if dull and not learning:
        note += f" Left out, because nothing was learned: {', '.join(dull)}."
    if not done or 2 * (len({record.temperature for record in learned}) + len(unfinished)) < len(temperatures):
        raise CannotTellError(f"Too few learned.{note}" if done else note.strip())
    return Sweep(study, attacked if learning else learned, unfinished, note)


def has_learned(record: Record) -> bool:
    """Whether a trained network's accuracy is at least twice chance."""
    accuracy = record.epochs["class_accuracy"][-1]
    return float(np.nanmean(accuracy)) >= LEARNED / len(accuracy)
