"""A data set rejects arrays that do not fit together, and converts integers to floats exactly."""

import re

import numpy as np
import pytest

from data_loaders import DataError, Dataset, Split


def split_of(count: int, shape: tuple[int, int, int] = (2, 3, 1), highest: int = 9) -> Split:
    images = np.arange(count * int(np.prod(shape))).reshape(count, *shape) % 256
    return Split(images.astype(np.uint8), np.arange(count) % (highest + 1))


def test_a_split_shows_count_and_shape() -> None:
    assert repr(split_of(5)) == "Split(5 images of 2x3x1)"


def test_a_dataset_shows_name_counts_shape_and_classes() -> None:
    dataset = Dataset("tiny", split_of(5), split_of(2), tuple("0123456789"))
    assert repr(dataset) == "Dataset('tiny', 5 train + 2 test images of 2x3x1, 10 classes)"


def test_pixels_are_the_nearest_floats_to_255ths() -> None:
    every_value = Split(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), np.zeros(1, dtype=np.int64))
    for dtype in ("float16", "float32", "float64"):
        pixels = every_value.pixels(dtype=dtype)
        assert pixels.dtype == dtype
        assert pixels.shape == (1, 16, 16, 1)
        exact = np.arange(256, dtype=np.longdouble) / 255
        assert np.array_equal(pixels.ravel(), exact.astype(dtype))


def test_pixels_are_a_copy() -> None:
    split = split_of(2)
    before = split.images.copy()
    split.pixels()[:] = 0.5
    assert np.array_equal(split.images, before)


@pytest.mark.parametrize("rows", [slice(1, 3), [1, 2], np.array([1, 2])])
def test_rows_are_a_slice_or_indices(rows: slice | list[int]) -> None:
    split = split_of(4)
    assert split[rows].labels.tolist() == [1, 2]
    assert np.array_equal(split[rows].images, split.images[1:3])
    assert np.array_equal(split.pixels(rows), split.pixels()[1:3])
    assert len(split[rows]) == 2


def test_rows_may_be_a_mask_or_empty() -> None:
    split = split_of(4)
    assert split[split.labels == 3].labels.tolist() == [3]
    assert len(split[[]]) == 0
    assert split.pixels([]).shape == (0, 2, 3, 1)


def test_single_row_number_raises_with_the_remedy() -> None:
    with pytest.raises(TypeError, match=re.escape("split[i:i + 1]")):
        split_of(4)[2]
    with pytest.raises(TypeError, match=re.escape("split[i:i + 1]")):
        split_of(4).pixels(2)


def test_pixels_refuse_integers() -> None:
    with pytest.raises(TypeError, match="floating-point dtype, got uint8"):
        split_of(4).pixels(dtype="uint8")


IMAGES, LABELS = np.zeros((4, 2, 3, 1), np.uint8), np.zeros(4, np.int64)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.tolist(), LABELS, "images: expected an ndarray of uint8, shape (N, H, W, C)"),
        (IMAGES.astype("float32"), LABELS, "images: expected uint8, shape (N, H, W, C), got float"),
        (IMAGES[..., 0], LABELS, "shape (N, H, W, C), got uint8, shape (4, 2, 3)"),
        (IMAGES[..., :0], LABELS, "of at least 1, got shape (4, 2, 3, 0)"),
        (IMAGES, LABELS.astype("int32"), "labels: expected int64, shape (N,), got int32"),
        (IMAGES, LABELS[:, None], "labels: expected int64, shape (N,), got int64, shape (4, 1)"),
        (IMAGES, LABELS[:3], "labels: expected 4, one for each image, got 3"),
        (IMAGES, LABELS - 2, "labels: expected 0 or greater, got -2"),
    ],
)
def test_split_with_inconsistent_arrays_raises_and_names_them(images: object, labels: object, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        Split(images, labels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("test_split", "names", "message"),
    [
        (split_of(2), ["0", "1"], "class_names: expected a tuple of str"),
        (split_of(2), (0, 1), "class_names: expected a tuple of str"),
        (split_of(2), (), "class_names: expected at least one"),
        (split_of(2, (3, 3, 1)), tuple("01234"), "of shape (2, 3, 1), as in training, got (3, 3"),
        (split_of(6), tuple("01234"), "expected test labels below 5, the number of class names, g"),
    ],
)
def test_dataset_with_inconsistent_splits_raises_and_names_them(test_split: Split, names: object, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        Dataset("tiny", split_of(5), test_split, names)  # type: ignore[arg-type]
