"""A study's folder: `study.toml` is the configuration, and each task, one temperature and seed, is one HDF5 file.

Hidden files in the folder are locks, which are empty (see `held`), and files that are still being written.

A task's file is a checkpoint, from which `minirobust.load` reads the network. It also contains the measurements after
each of E epochs and, at the end, on each of N test images::

    epochs/loss                (E,)            mean training loss, nat
    epochs/train_accuracy      (E,)            on the first `train_samples` training images
    epochs/test_accuracy       (E,)
    epochs/class_accuracy      (E, classes)    on the test images of each class
    epochs/linear              (E,)            shares of the last hidden layer's net values in each regime,
    epochs/nonlinear           (E,)            which add up to 1
    epochs/saturated           (E,)
    epochs/slope_mean          (E,)            mean f'(net) over the last hidden layer
    epochs/slope_share         (E,)            share of the summed f'(net) in the steepest tenth of net values
    epochs/robustness          (E, ε, classes) R_c against FGSM at every ε
    epochs/gradient_median     (E, classes)    median of G(x) of each class
    epochs/gradient_mean       (E,)            mean of G(x)
    epochs/confidence          (E, classes)    mean probability of the true class

    timing/training            (E,)            seconds; all below `timing` differs from run to run
    timing/evaluation          (E,)
    timing/final, audit        ()

    final/label                (N,)
    final/prediction           (N,)
    final/brightness           (N,)            mean pixel of the image, from 0 to 1
    final/confidence           (N,)            probability of the true class
    final/gradient             (N,)            G(x)
    final/gradient_median      (classes,)      medians of G, its Pearson correlation with the confidence, the
    final/correlation          (classes,)      p-value of that
    final/p_value              (classes,)
    final/fgvm_robustness      (ε, classes)    R_c against FGVM at every ε
    final/pixel_success        (n, classes)    share of images wrong after a change of up to 1, 2, ..., n pixels
    final/pixel_success_of_correct             the same over initially correct images
    final/pixel_count          (N,)            how many pixels fooled each image; 0: none, or wrong before
    final/two/...              (M, ...)        images fooled with exactly two pixels: `index`, `pixels` (M, 2),
                                               `before` and `after` (confidences), `prediction`
    final/two/shown            (8,)            which of them are kept as pictures, the most confident first:
    final/two/image            (8, H, W, C)    uint8
    final/two/adversarial      (8, H, W, C)    uint8
    final/ugly/index           (10,)           the images of largest G
    final/ugly/image           (10, H, W, C)   uint8

    audit/fooled/...           (n,)            for every attack of the audit, on the first n test images; those on
    audit/pixel_samples        (m,)            single pixels have (m,) and were tried on these
    audit/sandwich/epsilon     (s,)            every ε of the audit, ascending; for each:
    audit/sandwich/fgsm        (s, n)          whether FGSM alone fools an image,
    audit/sandwich/fooled      (s, n)          whether any attack does,
    audit/sandwich/certified   (s, n)          and whether it is proven robust; absent where there is no certificate

    sharpened/ratio            (r,)            temperature after training / in training; for each, on the
    sharpened/correct          (r, k)          first k test images, what the network classifies correctly,
    sharpened/fgsm, fooled     (r, s, k)       and, for each ε of the audit, the same as there
    sharpened/certified        (r, s, k)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minirobust.backend import Backend
from minirobust.data import CATALOGUE
from minirobust.network import Network
from minirobust.optimizers import Optimizer
from minirobust.saving import atomic, sealed
from minirobust.saving.checkpoint import ARRAYS, Checkpoint, pack, unpack
from minirobust.saving.sealed import CheckpointError
from minirobust.study.config import StudyConfig
from minirobust.study.fields import FieldError, check_fields
from minirobust.tables import printable

CONFIG = "study.toml"
# A task does not depend on which other tasks the study has, so temperatures and seeds can be added later.
OF_THE_STUDY = ("temperatures", "seeds")
TITLES = {name: entry.title for name, entry in CATALOGUE.items()}

Arrays = dict[str, np.ndarray]


class StudyError(ValueError):
    """Raised for a folder or a file that belongs to another study, or to none."""


@dataclass
class Record:
    """The contents of one task's file, except for the network.

    Attributes
    ----------
    config : StudyConfig
    temperature : float
    seed : int
    environment : dict
        Versions, the backend, and the data set's SHA-256.
    epochs, timing, final, audited, sharpened : dict of str to ndarray
        The datasets below ``epochs/``, ``timing/``, ``final/``, ``audit/`` and ``sharpened/``: see the top of this
        file.
    audit : dict or None
        `AuditReport.to_dict`; None before the audit.
    """

    config: StudyConfig
    temperature: float
    seed: int
    environment: dict[str, str]
    epochs: Arrays = field(default_factory=dict)
    timing: Arrays = field(default_factory=dict)
    final: Arrays = field(default_factory=dict)
    audited: Arrays = field(default_factory=dict)
    sharpened: Arrays = field(default_factory=dict)
    audit: dict[str, Any] | None = None

    @property
    def epoch(self) -> int:
        """The number of completed epochs."""
        return len(self.epochs.get("loss", ()))

    def append(self, group: str, row: Mapping[str, Any]) -> None:
        """Add one epoch's values to every series of a group."""
        series = getattr(self, group)
        for name, value in row.items():
            value = np.asarray(value)[None]
            series[name] = np.concatenate([series[name], value]) if name in series else value


GROUPS = {
    "epochs": "epochs/",
    "timing": "timing/",
    "final": "final/",
    "audited": "audit/",
    "sharpened": "sharpened/",
}
TOP = tuple(prefix.removesuffix("/") for prefix in GROUPS.values())
REMEDY = "remove the file to start its task again"


def task_path(folder: Path, temperature: float, seed: int) -> Path:
    """Return the path of a task's file, which differs for any two temperatures."""
    return folder / f"T{repr(temperature).removesuffix('.0')}-seed{seed}.h5"


def write(path: Path, record: Record, network: Network, optimizer: Optimizer | None) -> None:
    """Replace a task's file atomically; raise OSError if it cannot be written."""
    description, arrays = pack(network, optimizer, record.epoch)
    description["study"] = {
        "config": record.config.to_dict(),
        "temperature": record.temperature,
        "seed": record.seed,
        "environment": record.environment,
        "audit": record.audit,
    }
    for group, prefix in GROUPS.items():
        arrays |= {prefix + name: array for name, array in getattr(record, group).items()}
    sealed.write(path, description, arrays)


def read(path: Path) -> Record:
    """Return the contents of a task's file, except for the network.

    Raises
    ------
    FileNotFoundError, CheckpointError
        If there is no file, or it is damaged or not a checkpoint.
    StudyError
        If it does not belong to a study, or belongs to another task than its name says, or a field is missing or
        invalid.
    """
    return _record(path, *_sealed(path, TOP))


def read_with_network(path: Path, backend: str) -> tuple[Record, Checkpoint]:
    """Return what `read` returns, and the network and its optimizer."""
    description, arrays = _sealed(path, (*TOP, *ARRAYS))
    return _record(path, description, arrays), unpack(path, description, arrays, backend)


def _sealed(path: Path, names: Collection[str]) -> tuple[dict[str, Any], Arrays]:
    """Return what `sealed.read` returns, and add a remedy to the message of its error."""
    try:
        return sealed.read(path, names)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {REMEDY}") from error


def _record(path: Path, description: Mapping[str, Any], arrays: Arrays) -> Record:
    if "study" not in description:
        raise StudyError(f"study: expected a task's file, got the checkpoint {path}")
    results = {name: array for name, array in arrays.items() if name.startswith(tuple(GROUPS.values()))}
    try:
        record = _filled(description["study"], results)
        check_fields(record.config, results, record.audit)
    except FieldError as error:
        raise StudyError(f"study: {path}: {error}; {REMEDY}") from error
    expected = task_path(path.parent, record.temperature, record.seed)
    if path.name != expected.name:
        raise StudyError(
            f"study: {path}: expected the task that its name says, got T = {record.temperature:g} and seed "
            f"{record.seed}: rename it to {expected.name}, or {REMEDY}"
        )
    return record


def _filled(study: Any, results: Arrays) -> Record:
    """Return the record in a file; raise FieldError if a field is missing or has the wrong type."""
    fields = ("config", "temperature", "seed", "environment", "audit")
    if not isinstance(study, dict):
        raise FieldError(f"expected the field study to be an object, got {type(study).__name__}")
    for name in fields:
        if name not in study:
            raise FieldError(f"expected the field study/{name}, found none")
    config, temperature, seed, environment, audit = (study[name] for name in fields)
    if not isinstance(config, dict):
        raise FieldError(f"expected study/config to be an object, got {type(config).__name__}")
    try:
        config = StudyConfig.from_dict(config)
    except (ValueError, TypeError, OverflowError) as error:
        raise FieldError(f"expected study/config to be a configuration, got an error: {error}") from error
    if type(temperature) not in (int, float) or not 0 < temperature <= sys.float_info.max:
        raise FieldError(f"expected study/temperature to be a number above 0, got {temperature!r:.40}")
    if type(seed) is not int or seed < 0:
        raise FieldError(f"expected study/seed to be a whole number of at least 0, got {seed!r:.40}")
    if not isinstance(environment, dict) or not all(isinstance(text, str) for text in environment.values()):
        raise FieldError("expected study/environment to be an object of strings, got something else")
    for name in ("backend", "data"):
        if name not in environment:
            raise FieldError(f"expected the field study/environment/{name}, found none")
    groups = {
        group: {name.removeprefix(prefix): array for name, array in results.items() if name.startswith(prefix)}
        for group, prefix in GROUPS.items()
    }
    return Record(config, temperature, seed, environment, audit=audit, **groups)


def check_same(path: Path, found: StudyConfig, expected: StudyConfig) -> None:
    """Raise StudyError if a file was made with a configuration that would have given different results.

    A data set given by a path may have moved: only its name is compared here, and its checksum when a task continues.
    """
    there, here = ({**config.to_dict(), "dataset": Path(config.dataset).name} for config in (found, expected))
    differing = [name for name in here if name not in OF_THE_STUDY and there[name] != here[name]]
    if differing:
        name = differing[0]
        raise StudyError(
            f"study: {path} was made with {name} = {there[name]}, expected {here[name]}: "
            "choose another folder, or the same configuration"
        )


def check_backend(path: Path, record: Record, backend: Backend) -> None:
    """Raise StudyError if a task was begun on another backend, which can happen with "auto" on another machine.

    The library's version, the device and the size of chunks may differ; only the initial ones are recorded.
    """
    begun_on = record.environment["backend"]
    if not begun_on.startswith(f"<backend {backend.name}:"):
        raise StudyError(
            f"study: {path} was begun on {begun_on}, but auto takes {backend} here: "
            f"continue it where auto takes the former, or {REMEDY}"
        )


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a task's file; wait for it if another process holds it.

    This is a kernel lock on an empty file beside `path`, which is released however the process ends.  It also works
    between machines if their shared file system supports locks, as NFS 4 does.

    Raises
    ------
    OSError
        If the folder cannot be written, or its file system has no locks.
    """
    import fcntl  # only on POSIX; elsewhere, studies can be read but not run

    # Not `open`, which would follow a symbolic link and truncate its target.
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


# The folder


def open_folder(folder: Path, config: StudyConfig) -> None:
    """Create a study's folder, or check that it belongs to this study; the temperatures and seeds may differ.

    Parameters
    ----------
    folder : Path
    config : StudyConfig
        Its temperatures and seeds are added to those of the folder.

    Raises
    ------
    StudyError
        If the folder holds another study.
    OSError
        If it cannot be created or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CONFIG
    with held(path):
        if path.exists():
            found = read_config(folder)
            check_same(path, found, config)
            config = config.but(
                temperatures=[*{*found.temperatures, *config.temperatures}], seeds=[*{*found.seeds, *config.seeds}]
            )
            if config == found:
                return
        with atomic.replacing(path) as temporary:
            temporary.write_text(config.to_toml(), encoding="utf-8")


def read_config(folder: Path) -> StudyConfig:
    """Return the configuration of a study's folder.

    Raises
    ------
    StudyError
        If the folder holds none, or one that cannot be read.
    """
    path = folder / CONFIG
    if path.exists() and not path.is_file():
        raise StudyError(f"study: expected {path} to be a regular file, got a folder, device, pipe or socket")
    try:
        return StudyConfig.from_toml(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise StudyError(f"study: expected a study's folder, got {folder}, which contains no {CONFIG}") from None
    except ValueError as error:
        raise StudyError(f"study: {path} cannot be read: {error}") from error


@dataclass
class Study:
    """A folder's records, and arrays of their results: the first axis is temperature, and seeds are averaged.

    Attributes
    ----------
    config : StudyConfig
    records : list of Record
        The records of all tasks that have begun, in the order of `StudyConfig.tasks`.
    """

    config: StudyConfig
    records: list[Record]

    @property
    def title(self) -> str:
        """The data set's name for display, such as "CIFAR-10", or "CIFAR-10 (50k)" for the file ``cifar10-50k.h5``."""
        if self.config.dataset in TITLES:
            return TITLES[self.config.dataset]
        name = Path(self.config.dataset).stem
        known, _, part = name.rpartition("-")
        return f"{TITLES[known]} ({printable(part, keep='')})" if known in TITLES else printable(name, keep="")

    def series(self, name: str) -> np.ndarray:
        """Return ``epochs/name`` of every temperature, (temperatures, epochs, ...); NaN for epochs not done yet."""
        return self._side_by_side([record.epochs.get(name) for record in self.records], (self.config.epochs,))

    def final(self, name: str) -> np.ndarray:
        """Return ``final/name`` of every temperature, (temperatures, ...); NaN for those not attacked yet."""
        return self._side_by_side([record.final.get(name) for record in self.records], ())

    def of(self, temperature: float) -> list[Record]:
        """Return the records at one temperature, one for each seed that has begun."""
        return [record for record in self.records if record.temperature == temperature]

    def _side_by_side(self, arrays: list[np.ndarray | None], length: tuple[int, ...]) -> np.ndarray:
        """Return the mean over seeds of each temperature's arrays, each padded with NaN to the given length."""
        shapes = {array.shape[len(length) :] for array in arrays if array is not None}
        (shape,) = shapes or {()}
        values = np.full((len(self.config.temperatures), len(self.config.seeds), *length, *shape), np.nan)
        for record, array in zip(self.records, arrays, strict=True):
            if array is not None:
                place = self.config.temperatures.index(record.temperature), self.config.seeds.index(record.seed)
                values[place][: len(array)] = array
        return mean_of_present(values, axis=1)


def mean_of_present(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean of the values that are not NaN; NaN where all are."""
    present = ~np.isnan(values)
    total = np.where(present, values, 0).sum(axis=axis)
    return np.where(present.any(axis=axis), total / np.maximum(present.sum(axis=axis), 1), np.nan)


def read_study(folder: Path) -> Study:
    """Return the results in a study's folder so far.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Study

    Raises
    ------
    StudyError, CheckpointError
        If it is not a study's folder, or a file in it is damaged or belongs to another study.
    """
    config = read_config(folder)
    paths = [path for task in config.tasks() if (path := task_path(folder, *task)).exists()]
    records = [read(path) for path in paths]
    for path, record in zip(paths, records, strict=True):
        check_same(path, record.config, config)
    return Study(config, records)
