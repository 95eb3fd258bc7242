"""`Split` and `Dataset`: images, labels and class names in memory.

This module is independent of files and formats. The loaders create these objects; training and
attacks use them.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from data_loaders.errors import DataError

__all__ = ["Dataset", "Split"]


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Labelled images: the training or the test split of a data set.

    Images are stored as integers, which take a quarter of the memory of float32; `pixels` converts
    the rows of a batch to floats when they are needed.

    Parameters
    ----------
    images : ndarray of shape (N, H, W, C), uint8
        Channels last, 0 is black.
    labels : ndarray of shape (N,), int64
        The class of every image, starting from 0.

    Raises
    ------
    DataError
        If a dtype or shape is wrong, the numbers of images and labels differ, or a label is
        negative.

    Examples
    --------
    >>> split = Split(np.zeros((2, 28, 28, 1), np.uint8), np.array([7, 2]))
    >>> split
    Split(2 images of 28x28x1)
    >>> split[:1].labels
    array([7])
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        _require_array("images", self.images, "uint8", "(N, H, W, C)")
        _require_array("labels", self.labels, "int64", "(N,)")
        if 0 in self.images.shape[1:]:
            raise DataError(f"images: expected height, width and channels of at least 1, got shape {self.images.shape}")
        if len(self.images) != len(self.labels):
            raise DataError(f"labels: expected {len(self.images)}, one for each image, got {len(self.labels)}")
        if len(self.labels) and self.labels.min() < 0:
            raise DataError(f"labels: expected 0 or greater, got {self.labels.min()}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | ArrayLike) -> "Split":
        """Return a split of the given rows: a slice gives a view, an array of indices a copy."""
        selection = _row_selection(rows)
        return Split(self.images[selection], self.labels[selection])

    def __repr__(self) -> str:
        height, width, channels = self.images.shape[1:]
        return f"Split({len(self)} images of {height}x{width}x{channels})"

    def pixels(self, rows: slice | ArrayLike = slice(None), dtype: DTypeLike = "float32") -> NDArray[np.floating]:
        """Return images as floats between 0 and 1, ready for a network.

        Parameters
        ----------
        rows : slice or array of indices
            Which images; all of them by default.
        dtype : floating-point dtype
            The division by 255 is carried out in this precision.

        Returns
        -------
        ndarray of shape (len(rows), H, W, C)
            A new array: writing to it does not change the split.

        Raises
        ------
        TypeError
            If `dtype` is not a floating-point type.
        """
        dtype = np.dtype(dtype)
        if not np.issubdtype(dtype, np.floating):
            raise TypeError(f"pixels: expected a floating-point dtype, got {dtype}")
        return np.divide(self.images[_row_selection(rows)], dtype.type(255), dtype=dtype)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A training split, a test split, and the names of their classes.

    Parameters
    ----------
    name : str
        Short name, as in ``"mnist"``.
    train, test : Split
        Both contain images of the same shape.
    class_names : tuple of str
        Entry i is the name of class i.
    source : str
        Description of where the images come from.

    Raises
    ------
    DataError
        If the image shapes differ, there are no classes, or a label has no class name.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    source: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.class_names, tuple) or not all(isinstance(name, str) for name in self.class_names):
            raise DataError(f"class_names: expected a tuple of str, got {self.class_names!r}")
        if not self.class_names:
            raise DataError("class_names: expected at least one, got none")
        expected, found = self.train.images.shape[1:], self.test.images.shape[1:]
        if expected != found:
            raise DataError(f"{self.name}: expected test images of shape {expected}, as in training, got {found}")
        for part, split in (("train", self.train), ("test", self.test)):
            if len(split) and split.labels.max() >= len(self.class_names):
                raise DataError(
                    f"{self.name}: expected {part} labels below {len(self.class_names)}, "
                    f"the number of class names, got {split.labels.max()}"
                )

    def checksum(self) -> str:
        """Return the SHA-256 of all images and labels, training split first, however they were stored."""
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(np.ascontiguousarray(split.images).data)
            digest.update(np.ascontiguousarray(split.labels).data)
        return digest.hexdigest()

    def __repr__(self) -> str:
        height, width, channels = self.train.images.shape[1:]
        return (
            f"Dataset({self.name!r}, {len(self.train)} train + {len(self.test)} test images "
            f"of {height}x{width}x{channels}, {len(self.class_names)} classes)"
        )


def _require_array(name: str, array: object, dtype: str, shape: str) -> None:
    ndim = shape.count(",") + (not shape.endswith(",)"))
    if not isinstance(array, np.ndarray):
        raise DataError(f"{name}: expected an ndarray of {dtype}, shape {shape}, got {type(array).__name__}")
    if array.dtype != dtype or array.ndim != ndim:
        raise DataError(f"{name}: expected {dtype}, shape {shape}, got {array.dtype}, shape {array.shape}")


def _row_selection(rows: slice | ArrayLike) -> slice | NDArray[np.generic]:
    if isinstance(rows, slice):
        return rows
    selection = np.asarray(rows)
    if selection.ndim != 1:
        # A single number would drop the first axis, but a network expects a batch, even of one image.
        raise TypeError(
            f"rows: expected a slice or a one-dimensional array of indices, got {rows!r}; "
            "for one image, use split[i:i + 1]"
        )
    return selection.astype(np.int64) if selection.size == 0 else selection
