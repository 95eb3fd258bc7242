"""Fashion-MNIST has the format and file names of MNIST, and must not be mistaken for it."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from data_loaders import DataError, load_fashion_mnist
from data_loaders.fashion_mnist import SOURCE
from data_loaders.idx import FILE_NAMES

MNIST_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def write_four_files(folder: Path, train_labels: bytes) -> None:
    count = len(train_labels)
    contents = (
        bytes([0, 0, 8, 3]) + struct.pack(">III", count, 28, 28) + bytes(count * 784),
        bytes([0, 0, 8, 1]) + struct.pack(">I", count) + train_labels,
        bytes([0, 0, 8, 3]) + struct.pack(">III", 1, 28, 28) + bytes(784),
        bytes([0, 0, 8, 1]) + struct.pack(">I", 1) + bytes(1),
    )
    for name, content in zip(FILE_NAMES, contents, strict=True):
        (folder / name).write_bytes(gzip.compress(content, 1))


def test_the_four_files_make_a_dataset(tmp_path: Path) -> None:
    write_four_files(tmp_path, bytes([9, 0, 0, 3]))
    dataset = load_fashion_mnist(tmp_path)
    assert dataset.name == "fashion-mnist"
    assert [dataset.class_names[label] for label in dataset.train.labels] == [
        "Ankle boot",
        "T-shirt/top",
        "T-shirt/top",
        "Dress",
    ]


def test_mnist_under_the_same_names_is_rejected(tmp_path: Path) -> None:
    labels = b"".join(bytes([label]) * count for label, count in enumerate(MNIST_COUNTS))
    write_four_files(tmp_path, labels)
    with pytest.raises(DataError, match="these are the labels of MNIST"):
        load_fashion_mnist(tmp_path)


def test_the_real_set_has_six_thousand_of_every_class() -> None:
    folder = Path(SOURCE.system_folders[0])
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there (Debian's package dataset-fashion-mnist)")
    dataset = load_fashion_mnist(folder)
    assert dataset.train.images.shape == (60000, 28, 28, 1)
    assert np.bincount(dataset.train.labels).tolist() == [6000] * 10
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    assert dataset.train.labels[:5].tolist() == [9, 0, 0, 3, 0]
    # The mean by which most programs normalize Fashion-MNIST.
    assert dataset.train.images.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
