"""`judge`: every claim of the paper as a measured statement, and whether it survives attacks stronger than the paper's.

The claims are in `training`, `robustness`, `gradients`, `pixels` and `families`, each a short function whose docstring
gives its criterion.  The criteria are our choice: the paper states what it saw, not how it would have been refuted.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from minirobust.saving import atomic
from minirobust.study.claims import families, gradients, pixels, robustness, training
from minirobust.study.claims.verdict import CannotTellError, Claim, Finding, Verdict
from minirobust.study.store import Study

__all__ = ["CLAIMS", "Verdict", "judge", "table", "to_json", "write_json"]

CLAIMS = (*training.CLAIMS, *robustness.CLAIMS, *gradients.CLAIMS, *pixels.CLAIMS, *families.CLAIMS)

WIDTH = 120  # columns of the table


def judge(studies: Sequence[Study]) -> list[Verdict]:
    """Every claim on every study that it is about; unfinished studies are judged by what is finished.

    Parameters
    ----------
    studies : sequence of Study
        Of different data sets.

    Returns
    -------
    list of Verdict
        Claim by claim.  One that no study is about is there once, with "cannot tell here".

    Raises
    ------
    ValueError
        If two studies have one title: their verdicts could not be told apart.
    """
    titles = [study.title for study in studies]
    if len(set(titles)) < len(titles):
        raise ValueError(f"claims: expected studies of different data sets, got {', '.join(titles)}")
    return [verdict for claim in CLAIMS for verdict in _verdicts(claim, studies)]


def _verdicts(claim: Claim, studies: Sequence[Study]) -> Iterable[Verdict]:
    if claim.compares:
        yield _verdict(claim, "all", studies)
        return
    concerned = [study for study in studies if claim.applies(study)]
    for study in concerned:
        yield _verdict(claim, study.title, study)
    if not concerned:
        yield _stated(claim, "all", Finding("cannot tell here", f"There is no study of {claim.of} here."))


def _verdict(claim: Claim, dataset: str, evidence: Study | Sequence[Study]) -> Verdict:
    try:
        return _stated(claim, dataset, claim.judge(evidence))
    except CannotTellError as missing:
        return _stated(claim, dataset, Finding("cannot tell here", str(missing)))


def _stated(claim: Claim, dataset: str, found: Finding) -> Verdict:
    survives, verdict = found.survives, found.survives_verdict
    if claim.about_robustness and survives is None:
        survives, verdict = "There is no finding yet to put to stronger attacks.", "cannot tell here"
    figures = {name: _number(value) for name, value in found.figures.items()}
    return Verdict(
        claim.name, claim.sentence, claim.section, dataset, found.verdict, found.measured, figures, survives, verdict
    )


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def to_json(verdicts: Sequence[Verdict]) -> str:
    """All verdicts as a JSON list; what is no number is null."""
    return json.dumps([asdict(verdict) for verdict in verdicts], indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, verdicts: Sequence[Verdict]) -> None:
    """`to_json` in a file, which is replaced as a whole or not at all; raises OSError if it cannot be written."""
    with atomic.replacing(path) as temporary:
        temporary.write_text(to_json(verdicts), encoding="utf-8")


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as text: each claim, below it what every data set says, and last which rest on a weak attack."""
    blocks: list[str] = []
    for index, verdict in enumerate(verdicts):
        if not index or verdicts[index - 1].name != verdict.name:
            blocks.append(f"\n{_wrapped(f'{verdict.claim} ({_place(verdict.section)})', '')}")
        blocks.append(_wrapped(f"{verdict.dataset}: {verdict.verdict}. {verdict.measured}", "  "))
        if verdict.survives is not None:
            against = f"{verdict.survives_verdict}. " if verdict.survives_verdict else ""
            blocks.append(_wrapped(f"against stronger attacks: {against}{verdict.survives}", "    "))
    weak = [f"{v.name} ({v.dataset})" for v in verdicts if v.survives_verdict == "rests on a weak attack"]
    blocks.append("\n" + _wrapped(f"Claims that rest on a weak attack: {', '.join(weak) or 'none'}.", ""))
    return "\n".join(blocks).lstrip("\n")


def _place(section: str) -> str:
    return f"section {section}" if section[0].isdigit() else section


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")
