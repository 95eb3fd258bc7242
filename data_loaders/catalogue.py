"""The data sets that can be loaded by name: their expected contents, their location, and their verification.

The loaders parse the formats and `search` finds the files; this module gives each data set one name.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from data_loaders import cifar10, fashion_mnist, mnist, svhn
from data_loaders.colour_digits import load_colour_digits
from data_loaders.dataset import Dataset, Split
from data_loaders.errors import DataNotFoundError
from data_loaders.hdf5 import load_hdf5
from data_loaders.search import Source, find_files

__all__ = ["CATALOGUE", "Entry", "Verification", "load", "verify"]


@dataclass(frozen=True)
class Entry:
    """The expected properties of a complete data set.

    Parameters
    ----------
    title : str
        Its name in messages.
    load : callable
        Its loader; without arguments, it downloads files that are not on this machine.
    train, test : int
        Number of images.
    shape : tuple of int
        Shape of one image, (H, W, C).
    licence : str
    source : Source, optional
        Where its files can be found; None if it needs no files.
    checksum : str
        `Dataset.checksum` of the complete data set, which does not depend on how the files are compressed. If empty,
        the checksums of the files are compared with the published ones instead.
    """

    title: str
    load: Callable[[], Dataset]
    train: int
    test: int
    shape: tuple[int, int, int]
    licence: str
    source: Source | None = None
    checksum: str = ""

    def find(self) -> Path | None:
        """Return the folder with the data set's files, or None if none are found or needed, without downloading."""
        if self.source is None:
            return None
        try:
            return find_files(self.source, download=False)[0].parent
        except DataNotFoundError:
            return None

    def fetch(self) -> Path | None:
        """Return the folder with the data set's files, and download them first if necessary.

        Raises
        ------
        DataNotFoundError
            If the data set is not found and cannot be downloaded.
        """
        return None if self.source is None else find_files(self.source)[0].parent


CATALOGUE = {
    "mnist": Entry(
        "MNIST",
        mnist.load_mnist,
        train=60_000,
        test=10_000,
        shape=(28, 28, 1),
        licence="CC BY-SA 3.0",
        source=mnist.SOURCE,
        checksum="1e35582d42a90940c55b956deb61875c020b567ed20e3c5b174f52bf7809ed9b",
    ),
    "fashion-mnist": Entry(
        "Fashion-MNIST",
        fashion_mnist.load_fashion_mnist,
        train=60_000,
        test=10_000,
        shape=(28, 28, 1),
        licence="MIT",
        source=fashion_mnist.SOURCE,
        checksum="ece172613115fb18b120bec8f6c02271af90b8b8f0a5af5c51cbd5ceed68e619",
    ),
    "svhn": Entry(
        "SVHN",
        svhn.load_svhn,
        train=73_257,
        test=26_032,
        shape=(32, 32, 3),
        licence="non-commercial use only",
        source=svhn.SOURCE,
    ),
    "cifar10": Entry(
        "CIFAR-10",
        cifar10.load_cifar10,
        train=50_000,
        test=10_000,
        shape=(32, 32, 3),
        licence="none stated",
        source=cifar10.SOURCE,
    ),
    "digits": Entry(
        "5,000 digits of MNIST",
        partial(mnist.load_mnist, mini=True),
        train=4_000,
        test=1_000,
        shape=(28, 28, 1),
        licence="CC BY-SA 3.0",
        checksum="deea5df6f0e077c8fbadcb1d77bd925c36a5a96172e228b3d691ea6b4a6f17bf",
    ),
    "colour-digits": Entry(
        "colour digits",
        load_colour_digits,
        train=4_000,
        test=1_000,
        shape=(32, 32, 3),
        licence="CC BY-SA 3.0",
        checksum="24198b4d08cdcb51e54bb2e054098d0c421825c658a85b9229a67570c2ce576a",
    ),
}


def load(dataset: str | Path) -> Dataset:
    """Load a data set by its name, or from a file in the project's HDF5 layout by its path.

    Parameters
    ----------
    dataset : str or path
        A key of `CATALOGUE`, or a path that ends in ``.h5``.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        If `dataset` is neither.
    DataNotFoundError, DataError, FileNotFoundError
        If the data set is not found or is invalid.
    """
    if str(dataset).endswith(".h5"):
        return load_hdf5(dataset)
    if dataset not in CATALOGUE:
        raise ValueError(f"data set: expected {', '.join(CATALOGUE)} or the path of an .h5 file, got {str(dataset)!r}")
    return CATALOGUE[str(dataset)].load()


@dataclass(frozen=True)
class Verification:
    """The result of `verify`.

    Parameters
    ----------
    dataset : Dataset
    checksum : str
        `Dataset.checksum`.
    compared : str
        A description of what the content was compared with; empty if there is nothing to compare with.
    faults : list of str
        The problems found, one sentence each; empty if there are none.
    """

    dataset: Dataset
    checksum: str
    compared: str
    faults: list[str] = field(default_factory=list)


def verify(dataset: str | Path) -> Verification:
    """Load a data set without downloading anything, and check its counts, labels and checksums.

    Parameters
    ----------
    dataset : str or path
        As for `load`.

    Returns
    -------
    Verification

    Raises
    ------
    ValueError, DataNotFoundError, DataError, FileNotFoundError
        If the data set is unknown, is not found, or cannot be read.
    """
    entry = CATALOGUE.get(str(dataset))
    files = find_files(entry.source, download=False) if entry and entry.source else ()
    data = load(dataset)
    checksum = data.checksum()
    if entry is None:
        return Verification(data, checksum, "", _empty_splits(data))
    faults = [*_counts(entry, data), *_missing_classes(data)]
    if entry.checksum:
        if checksum != entry.checksum:
            faults.append(f"expected content of SHA-256 {entry.checksum}, got {checksum}")
        return Verification(data, checksum, "the known content", faults)
    assert entry.source is not None, "a data set without files has a known checksum"
    packed = {file: path for file, path in zip(entry.source.files, files, strict=True) if path.name == file.name}
    for file, path in packed.items():
        kind, expected = file.checksum.split(":")
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, kind).hexdigest()
        if found != expected:
            faults.append(f"{path}: expected {kind} {expected}, got {found}")
    return Verification(data, checksum, "the published files" if packed else "", faults)


def _splits(data: Dataset) -> dict[str, Split]:
    return {"train": data.train, "test": data.test}


def _empty_splits(data: Dataset) -> list[str]:
    return [f"{name}: expected at least one image, got none" for name, split in _splits(data).items() if not len(split)]


def _counts(entry: Entry, data: Dataset) -> list[str]:
    expected = {"train": (entry.train, *entry.shape), "test": (entry.test, *entry.shape)}
    return [
        f"{name}: expected images of shape {expected[name]}, got {split.images.shape}"
        for name, split in _splits(data).items()
        if split.images.shape != expected[name]
    ]


def _missing_classes(data: Dataset) -> list[str]:
    classes = len(data.class_names)
    return [
        f"{name}: expected every label from 0 to {classes - 1}, got {np.unique(split.labels).tolist()}"
        for name, split in _splits(data).items()
        if len(np.unique(split.labels)) < classes
    ]
