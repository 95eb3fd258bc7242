"""Which networks count, what they score under each attack, and the statistics that claims are judged by.

Thresholds that several claims share stand here; all of them are our choice, for the paper gives none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Literal, NamedTuple

import numpy

from minirobust import intervals, robustness
from minirobust.intervals import Estimate, Z
from minirobust.masking import PIXEL_ATTACKS
from minirobust.plots import temperature_label
from minirobust.study.claims.verdict import CannotTellError, Finding, Ruling, Survival
from minirobust.study.store import Record, Study

SIGNIFICANT = 0.05
# Of five temperatures in perfect order the two-sided p is 2/5! = 0.017; of four it is 0.083 and can never count.
LEAST_TEMPERATURES = 5
# That a trend is absent is said from seven temperatures on, and of |ρ| below a half: a strong one would have shown.
ENOUGH_TO_DENY = 7
WEAK = 0.5
KEPT = 0.5  # of the difference between the ends of T must be left under a stronger attack
UNDECIDED = " That is too little to be sure of, and too much to deny: this takes more temperatures."
CHANCE = " Some of the differences are no larger than chance allows: this takes more test images."
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
    def temperatures(self) -> numpy.ndarray:
        return numpy.array(self.study.config.temperatures)[self.rows]

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

    def series(self, name: str) -> numpy.ndarray:
        """``epochs/name``, (temperatures, epochs, ...), seeds averaged."""
        return self.study.series(name)[self.rows]

    def last(self, name: str) -> numpy.ndarray:
        """The same after the last epoch, (temperatures, ...)."""
        return self.series(name)[:, -1]

    def final(self, name: str) -> numpy.ndarray:
        """``final/name``, (temperatures, ...), seeds averaged."""
        return self.study.final(name)[self.rows]

    def robustness(self) -> numpy.ndarray:
        """R_c against FGSM at the main ε after the last epoch, (temperatures, classes)."""
        return self.last("robustness")[:, self.study.config.epsilons.index(self.study.config.epsilon)]

    @property
    def images(self) -> numpy.ndarray:
        """How many test images there are of each class."""
        return numpy.bincount(self.records[0].final["label"], minlength=self.last("class_accuracy").shape[1])


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
        dull = [row for row in rows if numpy.nanmean(accuracy[row]) < bar]
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


def span(values: Sequence[float] | numpy.ndarray, form: str) -> str:
    """The least and the largest of some numbers, once if they are written alike."""
    least, largest = f"{min(values):{form}}", f"{max(values):{form}}"
    return least if least == largest else f"{least} to {largest}"


# What is left under an attack


class Standing(NamedTuple):
    """What a network scores under one attack of the audit.

    Attributes
    ----------
    temperature : float
    value : float
        Network robustness, seeds averaged.
    by_class : ndarray of float, shape (classes,)
    fooled, labels : ndarray, shape (n,)
        Of the first seed.
    """

    temperature: float
    value: float
    by_class: numpy.ndarray
    fooled: numpy.ndarray
    labels: numpy.ndarray


def standings(compared: Sweep, attack: str) -> list[Standing]:
    """Those temperatures of a sweep whose audit has this attack.

    "ranked pixel" is the paper's pixel attack with one pixel, on the samples that the brute-force pixel was tried on.
    """
    found = []
    for T in compared.temperatures:
        seeds = [_fooled(record, attack) for record in finished(compared.study.of(T)) if _has(record, attack)]
        if seeds:
            rates = numpy.array([robustness.by_class(*seed, classes=len(compared.images)) for seed in seeds])
            by_class = rates.mean(axis=0)
            found.append(Standing(float(T), float(numpy.nanmean(by_class)), by_class, *seeds[0]))
    return found


def _has(record: Record, attack: str) -> bool:
    return f"fooled/{'brute-force pixel' if attack == 'ranked pixel' else attack}" in record.audited


def _fooled(record: Record, attack: str) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Which samples are wrong under an attack, and their labels."""
    labels = record.final["label"]
    tried = record.audited["pixel_samples"]
    if attack == "ranked pixel":
        wrong = record.final["prediction"] != labels
        return (wrong | (record.final["pixel_count"] == 1))[tried], labels[tried]
    fooled = record.audited[f"fooled/{attack}"]
    return fooled, labels[tried] if attack in PIXEL_ATTACKS else labels[: len(fooled)]


# Trends over temperatures


class Correlation(NamedTuple):
    """Spearman's ρ, its two-sided p, and of how many pairs."""

    rho: float
    p: float
    n: int

    def __str__(self) -> str:
        return f"ρ = {self.rho:.2f} ({p_text(self.p)})"


def spearman(x: Sequence[float] | numpy.ndarray, y: Sequence[float] | numpy.ndarray) -> Correlation:
    """Spearman's ρ; p from all orders of up to eight pairs, from Student's t beyond, never below that of all orders.

    A constant goes along with nothing: ρ = 0, p = 1.
    """
    from scipy.stats import rankdata, spearmanr

    n = len(x)
    if n < 2 or numpy.ptp(x) == 0 or numpy.ptp(y) == 0:
        return Correlation(0.0, 1.0, n)
    rho, p = spearmanr(x, y)
    if n <= 8:
        a, b = rankdata(x) - (n + 1) / 2, rankdata(y) - (n + 1) / 2
        p = (abs(numpy.array(list(permutations(b))) @ a) >= abs(a @ b) - 1e-9).mean()
    return Correlation(float(rho), max(float(p), 2 / math.factorial(n)), n)


def monotone(found: Correlation, sign: int) -> Ruling:
    """Whether y rises with x (`sign` 1) or falls (-1).

    It does if ρ has that sign with p < 0.05.  It does not if ρ has the other sign with p < 0.05, or if |ρ| towards it
    is below 0.5 over at least seven temperatures.  Else too few temperatures lean too little.
    """
    towards = sign * found.rho
    if found.p < SIGNIFICANT:
        return "holds" if towards > 0 else "does not hold"
    return "does not hold" if found.n >= ENOUGH_TO_DENY and towards < WEAK else "cannot tell here"


def with_effect(ruling: Ruling, gap: Estimate, sign: int) -> Ruling:
    """A trend counts only if its two ends differ that way by more than chance: else there are too few images."""
    beyond = gap.low > 0 if sign > 0 else gap.high < 0
    return "cannot tell here" if ruling == "holds" and not beyond else ruling


def gap_of_means(low: Estimate, high: Estimate) -> Estimate:
    """The second minus the first, as if of different samples: wider than needed for the same images."""
    half = math.hypot(low.high - low.low, high.high - high.low) / 2
    value = high.value - low.value
    return Estimate(value, value - half, value + half)


def trend_of_rates(compared: Sweep, rates: numpy.ndarray, sign: int, what: str) -> Finding:
    """Whether the mean over classes of rates (temperatures, classes) rises or falls with T: see `monotone`.

    Its values at the lowest and the highest T must also differ that way beyond their 95 % interval.
    """
    means = [intervals.mean_of_rates(row, compared.images) for row in rates]
    gap = gap_of_means(means[0], means[-1])
    return trend(compared, [mean.value for mean in means], sign, what, gap)


def trend(
    compared: Sweep,
    values: Sequence[float] | numpy.ndarray,
    sign: int,
    what: str,
    gap: Estimate | None = None,
    form: str = ".3f",
) -> Finding:
    """Whether one number for each temperature rises or falls with T: see `monotone`; of a gap, `with_effect`."""
    found = spearman(compared.temperatures, values)
    ruling = monotone(found, sign)
    labels = compared.labels
    measured = (
        f"{what} goes from {values[0]:{form}} at T = {labels[0]} to {values[-1]:{form}} at T = {labels[-1]}; "
        f"Spearman's {found} over {found.n} temperatures.{compared.note}"
    )
    if gap is not None and with_effect(ruling, gap, sign) != ruling:
        ruling = "cannot tell here"
        measured += " The two ends differ by no more than chance allows: this takes more test images."
    elif ruling == "cannot tell here":
        measured += UNDECIDED
    figures = {"rho": found.rho, "p": found.p, "temperatures": found.n}
    return Finding(
        ruling, measured, figures | {f"T = {label}": float(v) for label, v in zip(labels, values, strict=True)}
    )


# What stronger attacks leave of a claim


def with_survival(found: Finding, attacked: Callable[[], tuple[str, Survival]]) -> Finding:
    """A finding about robustness, with what stronger attacks say of it."""
    try:
        text, verdict = attacked()
    except CannotTellError as missing:
        text, verdict = str(missing), "cannot tell here"
    given: dict[Ruling, Survival | None] = {"holds": verdict, "cannot tell here": "cannot tell here"}
    return replace(found, survives=text, survives_verdict=given.get(found.verdict))


def trend_survives(compared: Sweep, sign: int, *, pixel: bool = False) -> tuple[str, Survival]:
    """Whether robustness goes along with T as it does against the paper's attack when stronger ones are tried.

    Stronger: the worst case, the worst for each image of clean, noise, FGSM, PGD, transfer and Square; of pixel
    attacks, the brute-force single pixel.  The trend survives if it holds there too, see `monotone`, and at least half
    is left of the difference between the two ends.  It rests on a weak attack if it holds against the paper's attack on
    the audited images and not there, or if less than half of that difference is left, beyond chance.  The ends are
    compared image by image.
    """
    weak, strong = ("ranked pixel", "brute-force pixel") if pixel else ("FGSM", "worst case")
    names = (weak, strong) if pixel else (weak, "white box", "transfer", "Square", strong)
    of = {name: standings(compared, name) for name in names}
    _check_audited(compared, of[strong])
    parts = [f"{CALLED[name]} {spearman(*_over_temperature(rows))}" for name, rows in of.items() if len(rows) > 2]
    (before, gap), (after, left) = (_trend_of(of[name], sign) for name in (weak, strong))
    first, last = of[strong][0], of[strong][-1]
    text = (
        f"Robustness over T on {count(len(first.labels), 'audited image')}: {', '.join(parts)}. From "
        f"T = {temperature_label(first.temperature)} to {temperature_label(last.temperature)} "
        f"{CALLED[weak]} leaves {of[weak][0].value:.3f} to {of[weak][-1].value:.3f}, and {CALLED[strong]} "
        f"{first.value:.3f} to {last.value:.3f}."
    )
    verdict = survival(before, after)
    most_left, half = max(sign * left.low, sign * left.high), sign * gap.value * KEPT
    if before == "holds" and most_left < half:
        verdict = "rests on a weak attack"
    elif verdict == "survives" and sign * left.value < half:
        verdict = "cannot tell here"
    return text, verdict


CALLED = {
    "FGSM": "FGSM",
    "white box": "white box (FGSM and PGD)",
    "transfer": "transfer",
    "Square": "Square",
    "worst case": "the worst case of all these",
    "ranked pixel": "the paper's attack with one pixel",
    "brute-force pixel": "every single pixel tried",
}


def survival(weak: Ruling, strong: Ruling) -> Survival:
    """What a stronger attack leaves of a claim, if the paper's attack bears it out on the same samples."""
    if strong == "holds":
        return "survives"
    return "rests on a weak attack" if (weak, strong) == ("holds", "does not hold") else "cannot tell here"


def _check_audited(compared: Sweep, rows: list[Standing]) -> None:
    """Raises CannotTellError unless as many temperatures as a trend takes are audited, both ends among them."""
    found, T = [row.temperature for row in rows], compared.temperatures
    if len(rows) < LEAST_TEMPERATURES or found[0] != T[0] or found[-1] != T[-1]:
        raise CannotTellError(f"{len(rows)} of {count(len(T), 'temperature')} are audited.")


def _over_temperature(rows: list[Standing]) -> tuple[list[float], list[float]]:
    return [row.temperature for row in rows], [row.value for row in rows]


def _trend_of(rows: list[Standing], sign: int) -> tuple[Ruling, Estimate]:
    """Whether robustness rises or falls with T, and by how much between its ends, of the first seed."""
    first, last = rows[0], rows[-1]
    if not numpy.array_equal(first.labels, last.labels):
        raise CannotTellError("The audits took different images.")
    gap = intervals.difference(last.fooled, first.fooled, first.labels, len(first.by_class))
    return with_effect(monotone(spearman(*_over_temperature(rows)), sign), gap, sign), gap


# Classes beside each other


def differ(rates: numpy.ndarray, images: numpy.ndarray) -> float:
    """The p-value of Pearson's χ² that all classes have one rate: (classes,) each."""
    from scipy.stats import chi2_contingency

    present = ~numpy.isnan(rates)
    hits = numpy.rint(rates[present] * images[present])
    table = numpy.array([hits, images[present] - hits])
    return 1.0 if (table.sum(axis=1) == 0).any() else float(chi2_contingency(table).pvalue)


def spread(rates: numpy.ndarray, images: numpy.ndarray) -> tuple[float, float]:
    """The standard deviation of a rate over the classes, and the part of its square that the few samples explain.

    The first is what is left without that part, p (1 - p) / n averaged over the classes; 0 if nothing is.
    """
    present = ~numpy.isnan(rates)
    p, n = rates[present], images[present]
    total, noise = float(p.var(ddof=1)), float((p * (1 - p) / n).mean())
    return math.sqrt(max(total - noise, 0.0)), min(noise / total, 1.0) if total else 1.0


def agreement(rates: numpy.ndarray) -> tuple[float, float, float]:
    """How alike temperatures order the classes: mean and least ρ of two rows (temperatures, classes), Friedman's p."""
    from scipy.stats import friedmanchisquare, spearmanr

    present = rates[:, ~numpy.isnan(rates).any(axis=0)]
    rho = spearmanr(present, axis=1).statistic
    pairs = rho[numpy.triu_indices(len(present), k=1)]
    return float(pairs.mean()), float(pairs.min()), float(friedmanchisquare(*present.T).pvalue)


def auroc(scores: numpy.ndarray, positive: numpy.ndarray) -> Estimate:
    """How often a positive sample scores above a negative one, with the interval of Hanley & McNeil (1982)."""
    from scipy.stats import rankdata

    m, n = int(positive.sum()), int((~positive).sum())
    area = (rankdata(scores)[positive].sum() - m * (m + 1) / 2) / (m * n)
    above, below = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (m - 1) * (above - area**2) + (n - 1) * (below - area**2)) / (m * n)
    half = Z * math.sqrt(max(variance, 0.0))
    return Estimate(float(area), max(float(area) - half, 0.0), min(float(area) + half, 1.0))


def p_text(p: float) -> str:
    return "p < .001" if p < 0.001 else f"p = {p:.2g}"
