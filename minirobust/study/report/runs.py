"""The report's account of what was run, how long it took, and how to run it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from minirobust.study.config import StudyConfig, words
from minirobust.study.report.audits import task_name
from minirobust.study.report.markup import Html, element, entries, table
from minirobust.study.store import Record, Study


def runs_of(studies: Sequence[Study]) -> list[Html]:
    """Return how far every network is, on what it was made and with which configuration."""
    return [part for study in studies for part in _run(study)]


def _run(study: Study) -> list[Html]:
    tasks = study.config.tasks()
    done = sum(record.epoch == study.config.epochs for record in study.records)
    audited = sum(record.audit is not None for record in study.records)
    state = f"{done} of {len(tasks)} networks are trained to the end, {audited} are audited."
    environment: dict[str, dict[str, None]] = {}
    for record in study.records:
        for name, value in record.environment.items():
            environment.setdefault(name, {})[value] = None
    names = {"data": "SHA-256 of images and labels"}
    return [
        element("h3", study.title),
        element("p", state),
        table(
            f"{study.title}: the networks",
            ["network", "epochs", "test accuracy", "training", "evaluation", "final attacks", "audit"],
            [_progress(study, record) for record in study.records],
        ),
        entries({names.get(name, name): ", ".join(values) for name, values in environment.items()}),
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
    """Seconds as people say them: ``4.2 s``, ``3 min 20 s``, ``2 h 05 min``."""
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
        element("p", "The first commands train, measure, attack and audit; one that was stopped goes on where it was."),
        element("pre", element("code", text)),
    ]


def _portable(config: StudyConfig) -> StudyConfig:
    """With a data set's file by its name alone: where it lies on this machine is nobody's business."""
    return config.but(dataset=Path(config.dataset).name)


def _slug(study: Study) -> str:
    """A name for a study's folder."""
    return "".join(c if c.isalnum() else "-" for c in Path(study.config.dataset).stem)
