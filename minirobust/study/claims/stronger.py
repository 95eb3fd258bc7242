"""What stronger attacks leave of a claim: the networks' scores under every attack of their audits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from minirobust.masking import PIXEL_ATTACKS
from minirobust.measures import intervals, robustness
from minirobust.measures.intervals import Estimate
from minirobust.measures.regimes import temperature_label
from minirobust.study.claims.evidence import LEAST_TEMPERATURES, Sweep, count, finished
from minirobust.study.claims.statistics import monotone, spearman, with_effect
from minirobust.study.claims.verdict import CannotTellError, Finding, Ruling, Survival
from minirobust.study.store import Record

KEPT = 0.5  # of the difference between the ends of T must be left under a stronger attack


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
    by_class: np.ndarray
    fooled: np.ndarray
    labels: np.ndarray


def standings(compared: Sweep, attack: str) -> list[Standing]:
    """Those temperatures of a sweep whose audit has this attack.

    "ranked pixel" is the paper's pixel attack with one pixel, on the samples that the brute-force pixel was tried on.
    """
    found = []
    for T in compared.temperatures:
        seeds = [_fooled(record, attack) for record in finished(compared.study.of(T)) if _has(record, attack)]
        if seeds:
            rates = np.array([robustness.by_class(*seed, classes=len(compared.images)) for seed in seeds])
            by_class = rates.mean(axis=0)
            found.append(Standing(float(T), float(np.nanmean(by_class)), by_class, *seeds[0]))
    return found


def _has(record: Record, attack: str) -> bool:
    return f"fooled/{'brute-force pixel' if attack == 'ranked pixel' else attack}" in record.audited


def _fooled(record: Record, attack: str) -> tuple[np.ndarray, np.ndarray]:
    """Which samples are wrong under an attack, and their labels."""
    labels = record.final["label"]
    tried = record.audited["pixel_samples"]
    if attack == "ranked pixel":
        wrong = record.final["prediction"] != labels
        return (wrong | (record.final["pixel_count"] == 1))[tried], labels[tried]
    fooled = record.audited[f"fooled/{attack}"]
    return fooled, labels[tried] if attack in PIXEL_ATTACKS else labels[: len(fooled)]


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

    Stronger: the worst case, the worst for each image of all attacks of the audit; of pixel attacks, the brute-force
    single pixel.  The trend survives if it holds there too, see `monotone`, and at least half
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
    "white box": "white box (along the true gradient)",
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
    if not np.array_equal(first.labels, last.labels):
        raise CannotTellError("The audits took different images.")
    gap = intervals.difference(last.fooled, first.fooled, first.labels, len(first.by_class))
    return with_effect(monotone(spearman(*_over_temperature(rows)), sign), gap, sign), gap
