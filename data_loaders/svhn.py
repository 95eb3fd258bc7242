"""SVHN: colour photographs of house numbers, cropped to single digits, 32 x 32 pixels.

The files are in MATLAB's format, version 5: a header of 128 bytes, then one element per variable.
Each element is a tag (type, number of bytes) followed by its content, usually compressed with zlib.
A general reader creates whatever objects a file asks for, of any size. The few lines here read the
two numeric arrays that make up SVHN and refuse everything else. We tried SciPy's reader (1.17.1)
behind checks of the header and of everything that ``whosmat`` lists. With one to three bytes
changed, 31 of 3,000 files crashed the interpreter with a segmentation fault or a bus error, because
SciPy uses the type code of the numbers as an index without checking it. A file of 2 MB took 4 GB of
memory while ``whosmat`` was still reading a name.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_loaders.dataset import Dataset, Split
from data_loaders.download import RemoteFile
from data_loaders.errors import DataError
from data_loaders.search import Source, find_files

__all__ = ["MAX_BYTES", "SOURCE", "load_svhn", "read_svhn_file"]

SOURCE = Source(
    title="SVHN",
    folder="svhn",
    files=(
        RemoteFile(
            "train_32x32.mat",
            size=182_040_794,
            checksum="sha256:435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        ),
        RemoteFile(
            "test_32x32.mat",
            size=64_275_384,
            checksum="sha256:cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        ),
    ),
    addresses=("http://ufldl.stanford.edu/housenumbers/",),
)

MAX_BYTES = 1 << 28
"""Size limit for a file and for an array, 256 MiB; the training images take 215 MiB."""

# Codes of the format: the type of an element ("mi") and the class of an array ("mx").
_MI_MATRIX, _MI_COMPRESSED = 14, 15
_MI_INT8, _MI_INT32, _MI_UINT32 = 1, 5, 6
_MI_NUMBERS: dict[int, np.dtype[Any]] = {
    1: np.dtype("<i1"),
    2: np.dtype("<u1"),
    3: np.dtype("<i2"),
    4: np.dtype("<u2"),
    5: np.dtype("<i4"),
    6: np.dtype("<u4"),
    7: np.dtype("<f4"),
    9: np.dtype("<f8"),
    12: np.dtype("<i8"),
    13: np.dtype("<u8"),
}
_MX_NUMBERS = range(6, 16)
_COMPLEX_FLAG = 0x0800

_MAX_SIZES = 32  # dimensions of an array
_MAX_NAME = 63  # letters, as in MATLAB
_HEADER_BYTES = 512  # enough for flags, sizes and name within these limits


def load_svhn(folder: str | Path | None = None, download: bool = True) -> Dataset:
    """Load SVHN, cropped digits: 73,257 training and 26,032 test images.

    Parameters
    ----------
    folder : path, optional
        The folder that contains ``train_32x32.mat`` and ``test_32x32.mat``, or the parent of a
        folder ``svhn`` that does. By default, the places listed in `data_loaders.search` are
        searched.
    download : bool
        Whether to download the files (246 MB) into the user's cache if they are not found.

    Returns
    -------
    Dataset
        Images of shape (N, 32, 32, 3), uint8; the digit 0, which the files call 10, is class 0.

    Raises
    ------
    DataNotFoundError
        If the files are not found and cannot be downloaded.
    DataError
        If a file is invalid.

    References
    ----------
    Netzer, Wang, Coates, Bissacco, Wu and Ng, "Reading digits in natural images with unsupervised
    feature learning", NIPS workshop on deep learning, 2011. For non-commercial use only.
    """
    train, test = (read_svhn_file(path) for path in find_files(SOURCE, folder, download))
    return Dataset("svhn", train, test, tuple("0123456789"), "SVHN (Netzer et al. 2011)")


def read_svhn_file(path: str | Path) -> Split:
    """Read one of SVHN's files of cropped digits.

    Parameters
    ----------
    path : path of a MATLAB file, version 5, with the variables ``X``, uint8 of shape
        (32, 32, 3, N), and ``y``, whole numbers from 1 to 10 of shape (N, 1)

    Returns
    -------
    Split
        Images of shape (N, 32, 32, 3); label 10 becomes 0.

    Raises
    ------
    DataError
        If the file has another format, is truncated, corrupt or too large, or contains anything
        else.
    OSError
        If the file cannot be opened or read.
    """
    path = Path(path)
    variables = dict(_variables(_read_bytes(path), path))
    if len(variables) != 2:
        raise DataError(f"{path}: expected the variables X and y, found {sorted(variables)}")
    images, labels = variables["X"], variables["y"]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != (32, 32, 3):
        raise DataError(
            f"{path}: expected X of uint8, shape (32, 32, 3, N), found {images.dtype}, shape {images.shape}"
        )
    if labels.shape != (images.shape[3], 1) or labels.size == 0:
        raise DataError(
            f"{path}: expected y of shape ({images.shape[3]}, 1), a label for each of one or more "
            f"images, found shape {labels.shape}"
        )
    if not np.isin(labels, np.arange(1, 11)).all():
        raise DataError(f"{path}: expected labels from 1 to 10, found {labels.min()} to {labels.max()}")
    return Split(
        np.ascontiguousarray(images.transpose(3, 0, 1, 2)),
        labels[:, 0].astype(np.int64) % 10,
    )


def _read_bytes(path: Path) -> memoryview:
    """Return the content of the file after its header."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise DataError(f"{path}: expected at most {MAX_BYTES} bytes, found {size}")
    content = path.read_bytes()
    if not content.startswith(b"MATLAB 5.0 MAT-file") or content[124:128] != b"\x00\x01IM":
        raise DataError(
            f"{path}: expected a MATLAB file, version 5, little-endian, "
            f"found the beginning {content[:19]!r} and the version {content[124:128]!r}"
        )
    return memoryview(content)[128:]


def _variables(content: memoryview, path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the name and the array of every variable in the file."""
    expected = ["X", "y"]
    while content:
        kind, element, content = _split_element(content, path)
        packed = element if kind == _MI_COMPRESSED else None
        if packed is not None:
            kind, element = _unpacked_header(packed, path)
        if kind != _MI_MATRIX:
            raise DataError(f"{path}: expected an array (type {_MI_MATRIX}), found type {kind}")
        # Decompress only the beginning of an array until its name, shape and type have been checked.
        name, shape, data = _parse_header(element, path)
        if name not in expected:
            raise DataError(f"{path}: expected the variables X and y, once each, found {name!r}")
        expected.remove(name)
        if packed is not None:
            _, _, data = _parse_header(_decompress(packed, path), path)
        yield name, _parse_numbers(name, shape, data, path)


def _split_element(content: memoryview, path: Path) -> tuple[int, memoryview, memoryview]:
    """Split off the first element; return its type, its content, and what follows it."""
    if len(content) < 8:
        raise DataError(f"{path}: truncated: expected a tag of 8 bytes, found {len(content)}")
    kind, size = struct.unpack_from("<II", content)
    if kind >> 16:
        # The short form: type and size share four bytes, and up to four bytes of content follow.
        kind, size, start, end = kind & 0xFFFF, kind >> 16, 4, 8
        if size > 4:
            raise DataError(f"{path}: expected at most 4 bytes in a short element, found {size}")
    else:
        start, end = 8, 8 + size
        if kind != _MI_COMPRESSED:
            end += -size % 8
    if end > len(content):
        raise DataError(f"{path}: truncated: expected an element of {end} bytes, found {len(content)}")
    return kind, content[start : start + size], content[end:]


def _unpacked_header(packed: memoryview, path: Path) -> tuple[int, memoryview]:
    """Return the type of a compressed element, and the beginning of its content."""
    try:
        start = zlib.decompressobj().decompress(packed, 8 + _HEADER_BYTES)
    except zlib.error as error:
        raise DataError(f"{path}: expected sound compressed data, found damage: {error}") from error
    if len(start) < 8:
        raise DataError(f"{path}: truncated: expected a tag of 8 bytes, found {len(start)}")
    kind, _ = struct.unpack_from("<II", start)
    return kind, memoryview(start)[8:]


def _decompress(packed: memoryview, path: Path) -> memoryview:
    """Decompress one element, up to the size that its tag declares and at most `MAX_BYTES`."""
    try:
        tag = zlib.decompressobj().decompress(packed, 8)
        declared = 8 + struct.unpack("<II", tag)[1]
        if declared > MAX_BYTES:
            raise DataError(f"{path}: expected arrays of at most {MAX_BYTES} bytes, found {declared}")
        stream = zlib.decompressobj()
        content = stream.decompress(packed, declared + 1)
    except zlib.error as error:
        raise DataError(f"{path}: expected sound compressed data, found damage: {error}") from error
    if len(content) != declared or not stream.eof or stream.unused_data:
        found = "more bytes, or no end" if len(content) >= declared else len(content)
        raise DataError(f"{path}: expected {declared} decompressed bytes, found {found}")
    return memoryview(content)[8:]


def _parse_header(content: memoryview, path: Path) -> tuple[str, tuple[int, ...], memoryview]:
    """Return the name and the shape of a real numeric array, and what follows them."""
    flags, content = _typed(content, _MI_UINT32, "array flags", 2, path)
    sizes, content = _typed(content, _MI_INT32, "sizes", _MAX_SIZES, path)
    letters, content = _typed(content, _MI_INT8, "a name", _MAX_NAME, path)
    name = letters.tobytes().decode("ascii", errors="backslashreplace")
    if len(flags) != 2 or flags[0] & 0xFF not in _MX_NUMBERS or flags[0] & _COMPLEX_FLAG:
        raise DataError(f"{path}: expected {name!r} to be real numbers, found flags {flags.tolist()}")
    if len(sizes) < 2 or sizes.min() < 0:
        raise DataError(f"{path}: expected two or more sizes for {name!r}, found {sizes.tolist()}")
    return name, tuple(sizes.tolist()), content


def _parse_numbers(name: str, shape: tuple[int, ...], content: memoryview, path: Path) -> NDArray[Any]:
    """Return the values of an array."""
    kind, data, rest = _split_element(content, path)
    if kind not in _MI_NUMBERS or rest:
        raise DataError(f"{path}: expected {name!r} to hold numbers only, found type {kind}")
    dtype = _MI_NUMBERS[kind]
    expected = math.prod(shape) * dtype.itemsize
    if expected != len(data) or max(shape) > MAX_BYTES:
        raise DataError(f"{path}: expected {expected} bytes for {name!r} of shape {shape}, found {len(data)}")
    try:
        return np.frombuffer(data, dtype).reshape(shape, order="F")
    except ValueError as error:
        raise DataError(f"{path}: expected {name!r} of a shape that NumPy can hold, found {shape}: {error}") from error


def _typed(content: memoryview, kind: int, what: str, most: int, path: Path) -> tuple[NDArray[Any], memoryview]:
    found, element, rest = _split_element(content, path)
    dtype = _MI_NUMBERS[kind]
    if found != kind or len(element) % dtype.itemsize or len(element) > most * dtype.itemsize:
        raise DataError(
            f"{path}: expected {what} (type {kind}, at most {most}), found type {found}, {len(element)} bytes"
        )
    return np.frombuffer(element, dtype), rest
