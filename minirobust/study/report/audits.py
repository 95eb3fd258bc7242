"""The report's audits: robustness with intervals, checks of the gradient, and what the flags mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minirobust.measures.regimes import temperature_label
from minirobust.study.report.markup import Html, element, entries, table
from minirobust.study.report.selection import learned
from minirobust.study.store import Record, Study

ATTACKS = ("clean", "noise", "FGSM", "PGD", "transfer", "Square", "worst case", "brute-force pixel")


def audits_of(studies: Sequence[Study]) -> list[Html]:
    """Return the rates, checks and verdicts of all audits, with explanations."""
    introduction = element(
        "p",
        "A network can look robust only because its gradient misleads the attack: it is zero, wrong, or points nowhere "
        "useful. This is gradient masking. Each network was therefore attacked in several ways, with its gradient and "
        "without, and checked for signs of masking. The worst case, per image the worst of all attacks within ε, is "
        "the best upper bound of its robustness.",
    )
    return [introduction, *(part for study in studies for part in _audit(study))]


def _audit(study: Study) -> list[Html]:
    """Return the rates, checks and verdicts of one study's audits; networks that learned nothing are left out."""
    audited = [(record, record.audit) for record in learned(study).records if record.audit]
    heading = element("h3", study.title)
    if not audited:
        return [heading, element("p", "No network of this data set has been audited yet.")]
    attacks = [name for name in ATTACKS if any(name in audit["robustness"] for _, audit in audited)]
    rates = [
        [task_name(study, record), *(_rate(audit["robustness"].get(name)) for name in attacks)]
        for record, audit in audited
    ]
    checks = {check["number"]: check for _, audit in audited for check in audit["checks"]}
    outcomes = [[task_name(study, record), *map(_outcome, audit["checks"])] for record, audit in audited]
    samples = audited[0][1]["samples"]
    verdicts = {task_name(study, record): _sentence(audit["verdict"]) for record, audit in audited}
    return [
        heading,
        table(
            f"{study.title}: robustness at ε = {study.config.epsilon:g} with 95 % intervals, {samples:,} test images",
            ["network", *attacks],
            rates,
        ),
        element("h4", f"{study.title}: verdicts"),
        entries(verdicts),
        table(
            f"{study.title}: checks of the gradient",
            ["network", *(f"{number} {check['name']}" for number, check in checks.items())],
            outcomes,
        ),
        *_meanings(study, audited),
    ]


def task_name(study: Study, record: Record) -> str:
    """Return a network's name: its temperature, and its seed where there are several."""
    seed = f", seed {record.seed}" if len(study.config.seeds) > 1 else ""
    return f"T = {temperature_label(record.temperature)}{seed}"


def _rate(rate: Mapping[str, float] | None) -> Html:
    if rate is None:
        return Html("–")
    interval = element("small", f"{rate['low']:.3f} to {rate['high']:.3f}")
    return Html(element("span", f"{rate['value']:.3f}", class_="number") + interval)


def _outcome(check: Mapping[str, Any]) -> Html:
    if check["flagged"] is None:
        return element("span", "– not run")
    if not check["flagged"]:
        return element("span", "✓ pass", class_="verdict holds")
    return Html(element("span", "⚑ flagged", class_="verdict fails") + element("small", check["text"]))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _meanings(study: Study, audited: Sequence[tuple[Record, Mapping[str, Any]]]) -> list[Html]:
    """Return what each flagged check means, and which networks it flagged."""
    flagged: dict[int, list[tuple[Record, Mapping[str, Any]]]] = {}
    for record, audit in audited:
        for check in audit["checks"]:
            if check["flagged"]:
                flagged.setdefault(check["number"], []).append((record, check))
    if not flagged:
        return [element("p", "No check is flagged.")]
    meanings = {}
    for number, found in sorted(flagged.items()):
        check = found[0][1]
        where = ", ".join(task_name(study, record) for record, _ in found)
        name = f"Check {number}, {check['name']}: {check['finding']}"
        meanings[name] = f"Flagged if: {check['condition']}. Here: {where}. {check['meaning']} {check['remedy']}"
    return [element("h4", f"{study.title}: what the flags mean"), entries(meanings)]
