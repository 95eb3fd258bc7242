"""Which studies, temperatures, seeds and networks a figure shows, and the names of their classes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from minirobust.measures.regimes import temperature_label
from minirobust.study.claims.evidence import has_learned, paper_dataset
from minirobust.study.store import Record, Study


class NothingStored(ValueError):  # noqa: N818 - not an error, but a reason to wait
    """Raised where no study has what a figure shows; the message says what is missing."""


def those(needed: str, has: Callable[[Study], bool], studies: Sequence[Study]) -> list[Study]:
    """Return the studies that have what is needed and are not left out; raise NothingStored if there is none."""
    found = [study for study in studies if has(study) and not too_few_learned(study)]
    if not found:
        titles = ", ".join(study.title for study in studies) or "nothing"
        few = ", where too few networks learned" if any(map(has, studies)) else ""
        raise NothingStored(f"it needs {needed}, and there is none in {titles}{few}")
    return found


def with_epochs(studies: Sequence[Study]) -> list[Study]:
    """Return the studies that have a finished epoch."""
    return those("a finished epoch", lambda study: any(record.epoch for record in study.records), studies)


def attacked(studies: Sequence[Study]) -> list[Study]:
    """Return the studies that have a network that was attacked."""
    needed = "a network that was attacked after its last epoch"
    return those(needed, lambda study: any(record.final for record in study.records), studies)


def nearest_to_one(studies: Sequence[Study], name: str) -> list[tuple[Study, Record]]:
    """Return each study that has a network with `name` in ``final`` that learned, and the one nearest to T = 1."""

    def shown(study: Study) -> list[Record]:
        return [record for record in study.records if name in record.final and not is_dull(record)]

    needed = "a network that was attacked" if name == "ugly/image" else "an image that two pixels fool"
    found = those(needed, lambda study: bool(shown(study)), studies)
    return [(study, min(shown(study), key=lambda record: abs(math.log(record.temperature)))) for study in found]


def spread(length: int, count: int) -> list[int]:
    """Return up to `count` of the indices 0 to length - 1, evenly spaced, with the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, length - 1, min(count, length))})


# Several seeds


def by_seed(study: Study, quantity: Callable[[Study], np.ndarray]) -> np.ndarray:
    """Return a quantity of the study with each seed on its own: (seeds that have begun, ...)."""
    seeds = [seed for seed in study.config.seeds if any(record.seed == seed for record in study.records)]
    alone = [
        Study(study.config.but(seeds=[seed]), [record for record in study.records if record.seed == seed])
        for seed in seeds
    ]
    return np.array([quantity(one) for one in alone])


def low_median_high(values: np.ndarray) -> np.ndarray:
    """Return the lowest, the median and the highest value along the first axis, ignoring NaN unless all are NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, where all is NaN
        return np.nanquantile(values, [0, 0.5, 1], axis=0)


def with_seeds(study: Study, statistic: str = "median and range") -> str:
    """Return the study's title, with the statistic that is shown of its seeds if there are several."""
    seeds = len({record.seed for record in study.records})
    return f"{study.title}, {statistic} of {seeds} seeds" if seeds > 1 else study.title


# Networks that learned nothing


def too_few_learned(study: Study) -> bool:
    """Return whether nothing was learned at more than half of the temperatures. Claims are not judged then, either."""
    return 2 * len(dull_columns(study)) > len(study.config.temperatures)


def learned(study: Study) -> Study:
    """Return a study without the numbers of the networks that were trained to the end and learned nothing."""
    return Study(study.config, [blank_of(record) if is_dull(record) else record for record in study.records])


def blank_of(record: Record) -> Record:
    """Return a record with NaN for every number, and no audit."""
    epochs, final = (
        {name: np.full(array.shape, np.nan) for name, array in group.items()} for group in (record.epochs, record.final)
    )
    return replace(record, epochs=epochs, final=final, audited={}, audit=None, sharpened={})


def is_dull(record: Record) -> bool:
    """Return whether a network was trained to the end and its accuracy is below twice chance."""
    return record.epoch == record.config.epochs and not has_learned(record)


def dull_columns(study: Study) -> list[int]:
    """Return the indices of the temperatures at which networks were trained and none learned anything."""
    of = [study.of(T) for T in study.config.temperatures]
    return [column for column, records in enumerate(of) if records and all(map(is_dull, records))]


def temperature_labels(study: Study) -> list[str]:
    """Return the labels of a temperature axis; a star marks one at which some seeds learned nothing."""
    labels = []
    for column, T in enumerate(study.config.temperatures):
        some = any(map(is_dull, study.of(T))) and column not in dull_columns(study)
        labels.append(temperature_label(T) + ("*" if some else ""))
    return labels


def class_names(study: Study, classes: int) -> list[str]:
    """Return the names of the classes, or their numbers if the data set has no names."""
    from data_loaders import cifar10, fashion_mnist

    known = {"fashion-mnist": fashion_mnist.CLASS_NAMES, "cifar10": cifar10.CLASS_NAMES}
    names = known.get(str(paper_dataset(study)), ())
    return list(names) if len(names) == classes else [str(c) for c in range(classes)]
