"""The data sets that have a name here: what each should be, where it lies on this machine, and whether it is sound.

The loaders know the formats and `search` the places; this module joins them under one name for each set.
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
    """A data set as it is when it is whole.

    Parameters
    ----------
    title : str
        Its name in sentences.
    load : callable
        Its loader; called with nothing, it downloads what is nowhere.
    train, test : int
        How many images.
    shape : tuple of int
        Of one image, (H, W, C).
    licence : str
    source : Source, optional
        Its files; None if it needs none.
    checksum : str
        `Dataset.checksum` of the whole set, which holds however the files were compressed. Where it is empty, the
        files are compared with the published ones instead.
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
        """The folder in which its files lie, or None if they are nowhere or it needs none; nothing is downloaded."""
        if self.source is None:
            return None
        try:
            return find_files(self.source, download=False)[0].parent
        except DataNotFoundError:
            return None

    def fetch(self) -> Path | None:
        """`find`, after a download if that is necessary.

        Raises
        ------
        DataNotFoundError
            If it is nowhere and cannot be downloaded.
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
        If it is neither.
    DataNotFoundError, DataError, FileNotFoundError
        As the loaders do.
    """
    if str(dataset).endswith(".h5"):
        return load_hdf5(dataset)
    if dataset not in CATALOGUE:
        raise ValueError(f"data set: expected {', '.join(CATALOGUE)} or the path of an .h5 file, got {str(dataset)!r}")
    return CATALOGUE[str(dataset)].load()


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Parameters
    ----------
    dataset : Dataset
    checksum : str
        `Dataset.checksum`.
    compared : str
        What its content was compared with, in words; empty if there is nothing.
    faults : list of str
        What is not as it should be, a sentence each; empty if all is well.
    """

    dataset: Dataset
    checksum: str
    compared: str
    faults: list[str] = field(default_factory=list)


def verify(dataset: str | Path) -> Verification:
    """Load a data set without downloading anything, and hold counts, labels and checksums against what they should be.

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
        If it is unknown, nowhere, or cannot be read at all.
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
    assert entry.source is not None, "what needs no file has a known content"
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
        f"{name}: expected labels 0 to {classes - 1}, all of them, got {np.unique(split.labels).tolist()}"
        for name, split in _splits(data).items()
        if len(np.unique(split.labels)) < classes
    ]
