"""The report's account of what was run, how long it took, and how to run it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from minirobust.study.config import StudyConfig, words
from minirobust.study.report.audits import task_name
from minirobust.study.report.markup import Html, element, entries, table
from minirobust.study.store import Record, Study

# By the name of an entry of `Record.environment`: its name in plain words.
ENVIRONMENT = {
    "date": "training began on",
    "commit": "commit",
    "minirobust": "minirobust",
    "python": "Python",
    "numpy": "NumPy",
    "scipy": "SciPy",
    "h5py": "h5py",
    "machine": "processor",
    "backend": "backend",
    "data": "SHA-256 of the data set's images and labels",
}


def provenance(studies: Sequence[Study], written: date) -> str:
    """Return when the report was written and when the networks were trained, by which versions of the code."""
    text = f"Written on {_in_words(written.isoformat())} by minirobust {version('minirobust')}."
    found = _environment(record for study in studies for record in study.records)
    if not found:
        return text
    days = [_in_words(day) for day in sorted(found.get("date", []))]
    between = f", begun between {days[0]} and {days[-1]}" if len(days) > 1 else f", begun on {days[0]}" if days else ""
    commit = f"commit {' and '.join(found['commit'])}" if "commit" in found else "commit not recorded"
    libraries = [f"{ENVIRONMENT[name]} {' and '.join(found[name])}" for name in ("python", "numpy") if name in found]
    made = " and ".join(found.get("minirobust", ["of an unknown version"]))
    return f"{text} The networks were trained by minirobust {made} ({commit}) with {' and '.join(libraries)}{between}."


def _in_words(day: str) -> str:
    """Return an ISO date in words; a file may hold any other text, which stays as it is."""
    try:
        parsed = date.fromisoformat(day)
    except ValueError:
        return day
    return f"{parsed.day} {parsed:%B %Y}"


def _environment(records: Iterable[Record]) -> dict[str, list[str]]:
    """Return every value of each entry of the records' environments, in plain words."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for name, value in record.environment.items():
            found.setdefault(name, {})[value.removeprefix("<backend ").removesuffix(">")] = None
    return {name: list(values) for name, values in found.items()}


def runs_of(studies: Sequence[Study]) -> list[Html]:
    """Return how far each network is, with its environment and configuration."""
    return [part for study in studies for part in _run(study)]


def _run(study: Study) -> list[Html]:
    tasks = study.config.tasks()
    done = sum(record.epoch == study.config.epochs for record in study.records)
    audited = sum(record.audit is not None for record in study.records)
    state = f"{done} of {len(tasks)} networks are trained to the end, {audited} are audited."
    environment = _environment(study.records)
    names = [name for name in {**ENVIRONMENT, **environment} if name in environment]
    return [
        element("h3", study.title),
        element("p", state),
        table(
            f"{study.title}: the networks",
            ["network", "epochs", "test accuracy", "training", "evaluation", "final attacks", "audit"],
            [_progress(study, record) for record in study.records],
        ),
        entries({ENVIRONMENT.get(name, name): ", ".join(environment[name]) for name in names}),
        element("h4", f"{study.title}: configuration"),
        element("pre", _portable(study.config).to_toml().strip()),
    ]


def _progress(study: Study, record: Record) -> list[str]:
    timing = record.timing
    accuracy = f"{record.epochs['test_accuracy'][-1]:.3f}" if record.epoch else "–"
    return [
        task_name(study, record),
        f"{record.epoch} of {study.config.epochs}",
        accuracy,
        *(
            duration(float(timing[name].sum())) if name in timing else "–"
            for name in ("training", "evaluation", "final", "audit")
        ),
    ]


def duration(seconds: float) -> str:
    """Return seconds as text: ``4.2 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def commands_of(studies: Sequence[Study]) -> list[Html]:
    """Return the commands that run the studies again."""
    folders = [f"results/{_slug(study)}" for study in studies]
    runs = [
        f"minirobust study run {words(_portable(study.config))} --output {folder}"
        for study, folder in zip(studies, folders, strict=True)
    ]
    every = " ".join(folders)
    text = "\n".join([*runs, f"minirobust study figures {every}", f"minirobust report {every}"])
    return [
        element("p", "The first commands train, measure, attack and audit. A command that was stopped continues."),
        element("pre", element("code", text)),
    ]


def _portable(config: StudyConfig) -> StudyConfig:
    """Return a configuration with the data set's file name alone: a published page does not show private paths."""
    return config.but(dataset=Path(config.dataset).name)


def _slug(study: Study) -> str:
    """Return a name for a study's folder."""
    return "".join(c if c.isalnum() else "-" for c in Path(study.config.dataset).stem)
