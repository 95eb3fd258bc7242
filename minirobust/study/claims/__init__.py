"""`judge`: whether each claim of the paper holds, and whether it survives attacks stronger than the paper's.

All claims and thresholds are in `criteria`, the quantities in `sources`, and the comparisons in `measures`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from minirobust.saving import atomic
from minirobust.study.claims import criteria
from minirobust.study.claims.criteria import CLAIMS, FIXED, Claim
from minirobust.study.claims.evidence import PAPER, Level, Sweep, paper_dataset, sweep
from minirobust.study.claims.measures import MEASURES
from minirobust.study.claims.sources import fgsm, sandwich, sandwich_epsilons
from minirobust.study.claims.verdict import CannotTellError, Case, Ruling, Survival, Verdict, beyond, quantified
from minirobust.study.store import Study

__all__ = ["CLAIMS", "FIXED", "Verdict", "judge", "write_json"]

LISTED = 12  # cases: of more, only the count is given


def judge(studies: Sequence[Study]) -> list[Verdict]:
    """Judge every claim on every study that it is about. Unfinished studies are judged by what is finished.

    Parameters
    ----------
    studies : sequence of Study
        Of different data sets.

    Returns
    -------
    list of Verdict
        Claim by claim. A claim that no study is about has one verdict, "cannot tell here".

    Raises
    ------
    ValueError
        If two studies have the same title.
    """
    titles = [study.title for study in studies]
    if len(set(titles)) < len(titles):
        raise ValueError(f"claims: expected studies of different data sets, got {', '.join(titles)}")
    return [verdict for claim in CLAIMS for verdict in _verdicts(claim, studies)]


def _verdicts(claim: Claim, studies: Sequence[Study]) -> Iterable[Verdict]:
    about = [study for study in studies if paper_dataset(study) in claim.datasets]
    if claim.compares or not about:
        yield _verdict(claim, "all", about)
        return
    for study in about:
        yield _verdict(claim, study.title, [study])


def _verdict(claim: Claim, title: str, studies: Sequence[Study]) -> Verdict:
    """Return the verdict on a claim from its study, or from all the studies that it compares."""
    figures: dict[str, float] = {}
    found: Ruling = "cannot tell here"
    survives: tuple[str, Survival] = (
        "Nothing has been measured yet that stronger attacks could change.",
        "cannot tell here",
    )
    try:
        sweeps, note = _sweeps(claim, studies)
        dataset = paper_dataset(studies[0])
        cases = MEASURES[claim.measure](sweeps if claim.compares else sweeps[0], PAPER, claim)
        if not cases:
            raise CannotTellError("Nothing is left to compare.")
        found, measured = claim.judge(cases, dataset), _measured(claim, cases, dataset) + note
        figures = _figures(cases)
        survives = survival(claim, sweeps, dataset) if claim.audit else survives
    except CannotTellError as missing:
        measured = str(missing)
    text = survives[0] if claim.audit else None
    left: dict[Ruling, Survival | None] = {"holds": survives[1], "cannot tell here": "cannot tell here"}
    word = left.get(found) if claim.audit else None
    numbers = {name: float(value) if math.isfinite(value) else None for name, value in figures.items()}
    criterion = claim.criterion(paper_dataset(studies[0]) if studies else None)
    return Verdict(claim.name, claim.sentence, claim.section, criterion, title, found, measured, numbers, text, word)


def _sweeps(claim: Claim, studies: Sequence[Study]) -> tuple[list[Sweep], str]:
    """Return the networks that count, and a note on the studies that are left out because too few networks learned."""
    found, note = [], ""
    for study in studies:
        try:
            found.append(sweep(study, learning=claim.learning))
        except CannotTellError as missing:
            note += f" {study.title} is left out. {missing}" if claim.compares else f"{missing}"
    if not found:
        raise CannotTellError(note.strip() or "No study of this data set is given.")
    return found, note + "".join(one.note for one in found)


def _measured(claim: Claim, cases: Sequence[Case], dataset: str | None) -> str:
    """Describe the cases in words: one case with its interval, several by how many hold."""
    known = [case.estimate for case in cases if case.estimate]
    if len(cases) == 1 and known:
        (estimate,) = known
        interval = f" ({estimate.low:.3g} to {estimate.high:.3g})" if estimate.low < estimate.high else ""
        text = f"{cases[0].name}: {estimate.value:.3g}{interval}; {cases[0].text}".removesuffix("; ")
        return f"{text[:1].upper()}{text[1:]}."
    rulings = claim.rulings(cases, dataset)
    undecided = rulings.count("cannot tell here")
    values = [estimate.value for estimate in known]
    text = f"{rulings.count('holds')} of {len(cases)} cases hold" + (f", {undecided} undecided" if undecided else "")
    text += f"; values range from {min(values):.3g} to {max(values):.3g}" if values else ""
    return ". ".join([text, *(f"{case.name}: {case.text}" for case in cases if case.text)]) + "."


def _figures(cases: Sequence[Case]) -> dict[str, float]:
    """Return the cases as numbers, with their intervals, if they are few."""
    figures = {"cases": float(len(cases))}
    for case in cases if len(cases) <= LISTED else ():
        if case.estimate:
            figures |= {case.name: case.estimate.value, **case.figures}
            if case.estimate.low < case.estimate.high:
                figures |= {f"{case.name}, low": case.estimate.low, f"{case.name}, high": case.estimate.high}
    return figures


def write_json(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write all verdicts as a JSON list. The file is replaced as a whole or not at all.

    Parameters
    ----------
    path : Path
    verdicts : sequence of Verdict

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    text = json.dumps([asdict(verdict) for verdict in verdicts], indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


# Stronger attacks: the claim is judged again on the audited images


class Round(NamedTuple):
    """What the audits say about a claim at one ε."""

    text: str
    weak: Ruling = "cannot tell here"  # with the paper's attack
    strong: Ruling | None = "cannot tell here"  # with the strongest; None where nothing is left
    reversed: bool = False  # whether a trend has the other sign


def survival(claim: Claim, sweeps: Sequence[Sweep], dataset: str | None) -> tuple[str, Survival]:
    """Return what the audits say about a claim: a text with a line for each ε, and the outcome."""
    records = [record for one in sweeps for record in one.records if record.audited]
    if claim.audit == "never" or not records:
        reason = "Networks are audited after the last epoch only." if records else "No network has been audited."
        return reason, "cannot tell here"
    epsilons = sandwich_epsilons(records[0])
    if any(sandwich_epsilons(record) != epsilons for record in records):
        return "The audits used different ε.", "cannot tell here"
    for record in records:
        fell, unproven = sandwich(record, "strong"), sandwich(record, "proven")
        if fell is not None and unproven is not None and (fell & ~unproven).any():
            return "An attack fooled a certified image, so the attack or the certificate is wrong.", "cannot tell here"
    rows = range(len(epsilons)) if claim.audit == "every ε" else [len(epsilons) - 1]
    rounds = [_round(claim, sweeps, dataset, row, epsilons[row]) for row in rows]
    return "\n".join(one.text for one in rounds), _survival_of(rounds)


def _survival_of(rounds: Sequence[Round]) -> Survival:
    """Return the outcome over the ε at which the claim holds against the paper's attack and something is left."""
    if any(one.reversed for one in rounds[:-1]):
        return "reverses at small ε"
    strong = [one.strong for one in rounds if one.weak == "holds" and one.strong is not None]
    if strong:
        found = quantified(strong, "all")
        return {"holds": "survives", "does not hold": "rests on a weak attack"}.get(found, found)  # type: ignore[return-value]
    return "cannot be told: nothing is left" if any(one.strong is None for one in rounds) else "cannot tell here"


def _round(claim: Claim, sweeps: Sequence[Sweep], dataset: str | None, row: int, epsilon: float) -> Round:
    said, left = ("With the greedy pixel attack", None) if claim.audit == "pixels" else _left(sweeps, row, epsilon)
    try:
        given = sweeps if claim.compares else sweeps[0]
        weak, strong = (MEASURES[claim.measure](given, Level(kind, row), claim) for kind in ("weak", "strong"))
    except CannotTellError as reason:
        return Round(f"{said}. {reason}")
    before, after = claim.judge(weak, dataset), claim.judge(strong, dataset)
    if not strong or (left is not None and left < criteria.LEFT):
        return Round(f"{said}: nothing is left.", before, None)
    turned = False
    if claim.measure.startswith("trend") and not claim.denies and strong[0].estimate and weak[0].estimate:
        shown = abs(weak[0].estimate.value)
        kept = beyond(strong[0].estimate, criteria.KEPT * shown, claim.direction)
        after = quantified([after, kept], "all") if before == "holds" else after
        turned = beyond(strong[0].estimate, criteria.EFFECT, criteria.OPPOSITE[claim.direction]) == "holds"
    by_paper, by_strongest = (_brief(claim, cases, dataset) for cases in (weak, strong))
    text = f"{said}. With the paper's attack {by_paper}, with the strongest {by_strongest}"
    return Round(f"{text}{': reversed' if turned else ''}.", before, after, turned)


def _left(sweeps: Sequence[Sweep], row: int, epsilon: float) -> tuple[str, float | None]:
    """Return what the strongest attack leaves and what is proven, in words, and the most that the attack leaves."""
    said = f"ε = {epsilon:g}"
    left, proven = (
        [estimate.value for one in sweeps for estimate in one.estimates(fgsm, Level(kind, row)).values()]
        for kind in ("strong", "proven")
    )
    if not left:
        return said, None
    said += f": the strongest attack leaves {min(left):.3f} to {max(left):.3f}"
    return said + (f" and {min(proven):.3f} to {max(proven):.3f} is proven" if proven else ""), max(left)


def _brief(claim: Claim, cases: Sequence[Case], dataset: str | None) -> str:
    """Return in a few words what the cases say about a claim."""
    if len(cases) == 1 and cases[0].estimate:
        return cases[0].text or f"{cases[0].estimate.value:.2f}"
    return f"{claim.rulings(cases, dataset).count('holds')} of {len(cases)} cases hold"
