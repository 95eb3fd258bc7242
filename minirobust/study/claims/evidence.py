"""Which networks a claim is judged on: those that are finished and have learned.

Thresholds that several claims share stand here, in `statistics` and in `stronger`; all of them are our choice, for the
paper gives none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from minirobust.measures.regimes import temperature_label
from minirobust.study.claims.verdict import CannotTellError
from minirobust.study.store import Record, Study

# Of five temperatures in perfect order the two-sided p is 2/5! = 0.017; of four it is 0.083 and can never count.
LEAST_TEMPERATURES = 5
LEARNED = 2  # times chance: a network below has not learned, and how it stands an attack means nothing
LEAST_IMAGES = 50  # of a class, for a figure of that class: the 95 % interval of a rate is then at most ± 0.13

PAPER_DATASETS = ("mnist", "fashion-mnist", "svhn", "cifar10")


def paper_dataset(study: Study) -> str | None:
    """Which of the paper's data sets a study is of, or of a part of: ``cifar10-25k.h5`` is of cifar10."""
    name = Path(study.config.dataset).stem
    return next((known for known in PAPER_DATASETS if name.startswith(known)), None)


def is_fashion(study: Study) -> bool:
    return paper_dataset(study) == "fashion-mnist"


def is_not_fashion(study: Study) -> bool:
    return not is_fashion(study)


# Which networks count


@dataclass(frozen=True)
class Sweep:
    """The temperatures of a study that a claim is judged on, from low to high.

    Attributes
    ----------
    study : Study
    rows : list of int
        Which of `StudyConfig.temperatures`.
    note : str
        Which others were left out and why, as a sentence with a blank before it; empty if none.
    """

    study: Study
    rows: list[int]
    note: str

    @property
    def temperatures(self) -> np.ndarray:
        return np.array(self.study.config.temperatures)[self.rows]

    def row(self, temperature: float) -> int:
        """Which row of `series`, `last`, `final` and `robustness` is this temperature's."""
        return list(self.temperatures).index(temperature)

    @property
    def unfinished(self) -> int:
        """How many temperatures of the study are not finished."""
        return sum(not finished(self.study.of(T)) for T in self.study.config.temperatures)

    @property
    def labels(self) -> list[str]:
        return [temperature_label(T) for T in self.temperatures]

    @property
    def records(self) -> list[Record]:
        """Every finished task at these temperatures."""
        return [record for T in self.temperatures for record in finished(self.study.of(T))]

    def series(self, name: str) -> np.ndarray:
        """``epochs/name``, (temperatures, epochs, ...), seeds averaged."""
        return self.study.series(name)[self.rows]

    def last(self, name: str) -> np.ndarray:
        """The same after the last epoch, (temperatures, ...)."""
        return self.series(name)[:, -1]

    def final(self, name: str) -> np.ndarray:
        """``final/name``, (temperatures, ...), seeds averaged."""
        return self.study.final(name)[self.rows]

    def robustness(self) -> np.ndarray:
        """R_c against FGSM at the main ε after the last epoch, (temperatures, classes)."""
        return self.last("robustness")[:, self.study.config.main]

    @property
    def images(self) -> np.ndarray:
        """How many test images there are of each class."""
        return np.bincount(self.records[0].final["label"], minlength=self.last("class_accuracy").shape[1])


def finished(records: Iterable[Record]) -> list[Record]:
    """Those that were attacked, which comes after the last epoch."""
    return [record for record in records if record.final]


def sweep(study: Study, *, extent: Literal["range", "most", "any"] = "range", learned: bool = True) -> Sweep:
    """The temperatures that are finished and, if asked for, have learned.

    A network has learned if its accuracy, the mean over classes, is at least twice chance.  One below is often
    constant, so that no attack changes its answer.

    Parameters
    ----------
    study : Study
    extent : {"range", "most", "any"}
        What must be finished: the lowest and the highest temperature of the study, and for a trend five in all, for a
        statement about most temperatures half of them; or any one.  As many must have learned, if that is asked for.
    learned : bool, default True
        Whether networks near chance are left out.

    Raises
    ------
    CannotTellError
        If that is not given.
    """
    temperatures = study.config.temperatures
    rows = [row for row, T in enumerate(temperatures) if finished(study.of(T))]
    progress = f"{len(rows)} of {count(len(temperatures), 'temperature')} {'is' if len(rows) == 1 else 'are'} finished"
    needed = len(temperatures) / 2 if extent == "most" else 1
    if len(rows) < needed:
        raise CannotTellError(f"Too few are finished: {progress}.")
    waiting = [T for T in (temperatures[0], temperatures[-1]) if not finished(study.of(T))]
    if extent != "any" and waiting:
        raise CannotTellError(f"T = {temperature_label(waiting[0])}, an end of the range, is not finished: {progress}.")
    note = f" {progress[0].upper()}{progress[1:]}." if len(rows) < len(temperatures) else ""
    if learned:
        accuracy = study.series("class_accuracy")[:, -1]
        bar = LEARNED / accuracy.shape[1]
        dull = [row for row in rows if np.nanmean(accuracy[row]) < bar]
        rows = [row for row in rows if row not in dull]
        if dull:
            names = ", ".join(temperature_label(temperatures[row]) for row in dull)
            note += f" T = {names} left out: with an accuracy below {bar:.2g}, twice chance, nothing was learned."
    if extent == "most" and len(rows) < needed:
        raise CannotTellError(f"Too few learned: {len(rows)} of {count(len(temperatures), 'temperature')}.{note}")
    least = LEAST_TEMPERATURES if extent == "range" else 1
    if len(rows) < least:
        raise CannotTellError(f"This takes {count(least, 'temperature')}, and there {are(len(rows))}.{note}")
    return Sweep(study, rows, note)


def sweeps(studies: Iterable[Study], *, learned: bool = True) -> list[Sweep]:
    """`sweep` of several studies, most of whose temperatures must be finished; an error says of which they are not."""
    found = []
    for study in studies:
        try:
            found.append(sweep(study, extent="most", learned=learned))
        except CannotTellError as missing:
            raise CannotTellError(f"{study.title}: {missing}") from None
    return found


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def are(number: int) -> str:
    return {0: "is none", 1: "is 1"}.get(number, f"are {number}")


def span(values: Sequence[float] | np.ndarray, form: str) -> str:
    """The least and the largest of some numbers, once if they are written alike."""
    least, largest = f"{min(values):{form}}", f"{max(values):{form}}"
    return least if least == largest else f"{least} to {largest}"
