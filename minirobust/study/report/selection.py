"""Which studies, temperatures and networks a figure shows, and what their classes are called."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from minirobust.measures.regimes import temperature_label
from minirobust.study.claims.evidence import has_learned, paper_dataset
from minirobust.study.store import Record, Study


class NothingStored(ValueError):  # noqa: N818 - a reason to wait, and no error of anybody's
    """No study has what a figure shows, yet; the message says what is missing."""


def those(needed: str, has: Callable[[Study], bool], studies: Sequence[Study]) -> list[Study]:
    """Return the studies that have what is needed; raise NothingStored if there is none."""
    found = [study for study in studies if has(study)]
    if not found:
        titles = ", ".join(study.title for study in studies) or "nothing"
        raise NothingStored(f"it needs {needed}, and there is none in {titles}")
    return found


def with_epochs(studies: Sequence[Study]) -> list[Study]:
    """Return the studies that have a finished epoch."""
    return those("a finished epoch", lambda study: any(record.epoch for record in study.records), studies)


def attacked(studies: Sequence[Study]) -> list[Study]:
    """Return the studies that have a network that was attacked."""
    needed = "a network that was attacked after its last epoch"
    return those(needed, lambda study: any(record.final for record in study.records), studies)


def nearest_to_one(studies: Sequence[Study], name: str) -> list[tuple[Study, Record]]:
    """Return each study with a network that learned and has `name` in ``final``, and the one nearest to T = 1."""

    def shown(study: Study) -> list[Record]:
        return [record for record in study.records if name in record.final and not is_dull(record)]

    needed = "a network that was attacked" if name == "ugly/image" else "an image that two pixels fool"
    found = those(needed, lambda study: bool(shown(study)), studies)
    return [(study, min(shown(study), key=lambda record: abs(math.log(record.temperature)))) for study in found]


def spread(length: int, count: int) -> list[int]:
    """Return up to `count` of the indices 0 to length - 1, first and last among them, as evenly spaced as can be."""
    return sorted({round(place) for place in np.linspace(0, length - 1, min(count, length))})


# Networks that learned nothing


def learned(study: Study) -> Study:
    """Return a study without the numbers of networks that were trained to the end and learned nothing."""
    return Study(study.config, [blank_of(record) if is_dull(record) else record for record in study.records])


def blank_of(record: Record) -> Record:
    """Return a record with NaN for every number, and no audit."""
    epochs, final = (
        {name: np.full(array.shape, np.nan) for name, array in group.items()} for group in (record.epochs, record.final)
    )
    return replace(record, epochs=epochs, final=final, audited={}, audit=None, sharpened={})


def is_dull(record: Record) -> bool:
    """Whether a network was trained to the end and its accuracy is below twice chance."""
    return record.epoch == record.config.epochs and not has_learned(record)


def dull_columns(study: Study) -> list[int]:
    """Return the places of the temperatures at which networks were trained, and none learned anything."""
    of = [study.of(T) for T in study.config.temperatures]
    return [column for column, records in enumerate(of) if records and all(map(is_dull, records))]


def temperature_labels(study: Study) -> list[str]:
    """Return the temperatures as labels of an axis; a star says that some seeds learned nothing and are left out."""
    labels = []
    for column, T in enumerate(study.config.temperatures):
        some = any(map(is_dull, study.of(T))) and column not in dull_columns(study)
        labels.append(temperature_label(T) + ("*" if some else ""))
    return labels


def class_names(study: Study, classes: int) -> list[str]:
    """Return what the classes are called; a class of a data set without names has its number."""
    from data_loaders import cifar10, fashion_mnist

    known = {"fashion-mnist": fashion_mnist.CLASS_NAMES, "cifar10": cifar10.CLASS_NAMES}
    names = known.get(str(paper_dataset(study)), ())
    return list(names) if len(names) == classes else [str(c) for c in range(classes)]
