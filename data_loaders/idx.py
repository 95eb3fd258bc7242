"""The idx format, in which MNIST and Fashion-MNIST were published: one array per file.

An idx file is a four-byte magic number (two zeros, a code for the type, the number of dimensions),
one big-endian 32-bit size per dimension, and the elements in C order; both data sets gzip it.
This module reads the format and the four files that make up such a data set; `search` finds them.

Files are not trusted: nothing is read beyond the size that the header declares, and that size is
limited, so a gzip bomb costs neither time nor memory.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from data_loaders.dataset import Split
from data_loaders.errors import DataError
from data_loaders.gunzip import Gunzip

__all__ = ["FILE_NAMES", "MAX_BYTES", "read_idx", "read_idx_split", "read_idx_splits", "refuse_counts"]

FILE_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
"""The files of such a data set: training images and labels, then test images and labels."""

MAX_BYTES = 1 << 28
"""Size limit for an array, 256 MiB: five times MNIST's training images."""

_UNSIGNED_BYTE = 0x08


def read_idx(path: str | Path, ndim: int) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, gzipped or not.

    Parameters
    ----------
    path : path of the file
    ndim : int
        The required number of dimensions: 3 for images, 1 for labels.

    Returns
    -------
    ndarray of uint8
        An array of the shape that the file's header declares.

    Raises
    ------
    DataError
        If the file is not in this format, or is truncated, corrupt, too large, or longer than its
        header declares.
    OSError
        If the file cannot be opened or read.

    References
    ----------
    "The IDX file format", on MNIST's page: http://yann.lecun.com/exdb/mnist/
    """
    path = Path(path)
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not gzipped:
            return _parse(file, path, ndim)
        try:
            return _parse(Gunzip(file), path, ndim)
        except (EOFError, zlib.error) as error:
            raise DataError(f"{path}: expected a sound gzip file, found damage: {error}") from error


def read_idx_split(
    images_path: str | Path, labels_path: str | Path, image_shape: tuple[int, int], classes: int
) -> Split:
    """Read a file of greyscale images and the file of their labels.

    Parameters
    ----------
    images_path, labels_path : paths of the two idx files
    image_shape : (int, int)
        Required height and width of the images.
    classes : int
        Number of classes; every label must be smaller.

    Returns
    -------
    Split
        Images of shape (N, H, W, 1).

    Raises
    ------
    DataError
        See `read_idx`; also if the images have another shape, there are none, the numbers of images
        and labels differ, or a label is out of range.
    """
    images, labels = read_idx(images_path, ndim=3), read_idx(labels_path, ndim=1)
    if images.shape[1:] != image_shape:
        raise DataError(f"{images_path}: expected images of shape {image_shape}, found {images.shape[1:]}")
    if len(images) == 0:
        raise DataError(f"{images_path}: expected at least one image, found none")
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path}: expected {len(images)} labels, one for each image in {images_path}, found {len(labels)}"
        )
    if labels.max() >= classes:
        raise DataError(f"{labels_path}: expected labels below {classes}, found {labels.max()}")
    return Split(images[..., np.newaxis], labels.astype(np.int64))


def read_idx_splits(
    paths: Sequence[Path], image_shape: tuple[int, int] = (28, 28), classes: int = 10
) -> tuple[Split, Split]:
    """Read the four files of `FILE_NAMES`, in that order, as a training and a test split."""
    train_images, train_labels, test_images, test_labels = paths
    return (
        read_idx_split(train_images, train_labels, image_shape, classes),
        read_idx_split(test_images, test_labels, image_shape, classes),
    )


def refuse_counts(labels: NDArray[np.int64], counts: Sequence[int], path: Path, name: str) -> None:
    """Raise DataError if the labels have the counts per class of another data set, `name`.

    MNIST and Fashion-MNIST share their file names, so one can be mistaken for the other.
    """
    if np.array_equal(np.bincount(labels, minlength=len(counts)), counts):
        raise DataError(
            f"{path}: these are the labels of {name}, a data set with the same file names; "
            "put each data set into a subfolder with its own name"
        )


def _parse(stream: BinaryIO | Gunzip, path: Path, ndim: int) -> NDArray[np.uint8]:
    shape = _read_header(stream, path, ndim)
    elements = np.empty(math.prod(shape), np.uint8)
    found = _fill(stream, elements.data)
    if found < len(elements):
        raise DataError(f"{path}: truncated: expected {len(elements)} bytes for shape {shape}, found {found}")
    # In a gzip file, this read also reaches the checksum at the end and verifies it.
    if stream.read(1):
        raise DataError(
            f"{path}: expected the end of the file after {len(elements)} bytes for shape {shape}, found more"
        )
    return elements.reshape(shape)


def _read_header(stream: BinaryIO | Gunzip, path: Path, ndim: int) -> tuple[int, ...]:
    expected_magic = bytes([0, 0, _UNSIGNED_BYTE, ndim])
    magic = _read(stream, 4)
    if magic != expected_magic:
        raise DataError(
            f"{path}: expected the magic number {expected_magic.hex(' ')} (idx, unsigned bytes, "
            f"{ndim} dimension{'s' * (ndim > 1)}), found {magic.hex(' ') or 'an empty file'}"
        )
    sizes = _read(stream, 4 * ndim)
    if len(sizes) < 4 * ndim:
        raise DataError(f"{path}: truncated: expected {ndim} sizes of 4 bytes, found {len(sizes)} bytes")
    shape = struct.unpack(f">{ndim}i", sizes)
    if min(shape) < 0:
        raise DataError(f"{path}: expected sizes of 0 or greater, found shape {shape}")
    # A size of 0 must not hide sizes that are too large, which NumPy refuses even in an empty array.
    if math.prod(max(size, 1) for size in shape) > MAX_BYTES:
        raise DataError(f"{path}: expected at most {MAX_BYTES} bytes, found shape {shape}")
    return shape


def _read(stream: BinaryIO | Gunzip, size: int) -> bytes:
    """Return `size` bytes, or fewer if the stream ends."""
    buffer = bytearray(size)
    return bytes(buffer[: _fill(stream, memoryview(buffer))])


def _fill(stream: BinaryIO | Gunzip, buffer: memoryview) -> int:
    """Read into the buffer until it is full or the stream ends; return the bytes read."""
    filled = 0
    while filled < len(buffer):
        count = stream.readinto(buffer[filled:])  # type: ignore[union-attr]
        if not count:
            break
        filled += count
    return filled
