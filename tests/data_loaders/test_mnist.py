"""MNIST: from files made by hand, from the shipped digits, and from the real files if they are available."""

import gzip
import hashlib
import struct
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from data_loaders import DataError, load_mnist
from data_loaders.idx import FILE_NAMES
from data_loaders.mnist import SOURCE

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + bytes(array)


def write_four_files(folder: Path, train_labels: list[int], gzipped: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.array(train_labels, np.uint8)
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 3, 4] = labels
    arrays = (images, labels, images[:1], labels[:1])
    for name, array in zip(FILE_NAMES, arrays, strict=True):
        content = idx_bytes(array)
        if gzipped:
            (folder / name).write_bytes(gzip.compress(content, 1))
        else:
            (folder / name.removesuffix(".gz")).write_bytes(content)


@pytest.mark.parametrize("gzipped", [True, False])
@pytest.mark.parametrize("subfolder", ["", "mnist"])
def test_the_four_files_make_a_dataset(tmp_path: Path, gzipped: bool, subfolder: str) -> None:
    write_four_files(tmp_path / subfolder, [5, 0, 9], gzipped)
    dataset = load_mnist(tmp_path)
    assert dataset.name == "mnist"
    assert dataset.class_names == tuple("0123456789")
    assert dataset.train.labels.tolist() == [5, 0, 9]
    assert dataset.train.images[:, 3, 4, 0].tolist() == [5, 0, 9]
    assert dataset.test.images.shape == (1, 28, 28, 1)


def test_fashion_mnist_under_the_same_names_is_rejected(tmp_path: Path) -> None:
    write_four_files(tmp_path, [label for label in range(10) for _ in range(6000)])
    with pytest.raises(DataError, match="these are the labels of Fashion-MNIST"):
        load_mnist(tmp_path)


def test_the_shipped_digits_are_split_evenly_and_shuffled() -> None:
    mini = load_mnist(mini=True)
    assert mini.name == "digits"
    assert mini.train.images.shape == (4000, 28, 28, 1)
    assert mini.test.images.shape == (1000, 28, 28, 1)
    assert np.bincount(mini.train.labels).tolist() == [400] * 10
    assert np.bincount(mini.test.labels).tolist() == [100] * 10
    # Every batch of 500 should see every class, near 50 times.
    for batch in mini.train.labels.reshape(8, 500):
        assert np.bincount(batch, minlength=10).min() >= 25


def test_the_shipped_digits_need_no_file_and_no_network(cache: Path) -> None:
    load_mnist("/no/such/folder", download=True, mini=True)
    assert not cache.exists()


def test_the_shipped_digits_are_all_different() -> None:
    mini = load_mnist(mini=True)
    images = [image.tobytes() for part in (mini.train, mini.test) for image in part.images]
    assert len(set(images)) == 5000


def test_the_shipped_files_are_small() -> None:
    folder = resources.files("data_loaders") / "mini"
    assert sum(len(file.read_bytes()) for file in folder.iterdir() if file.is_file()) < 1_200_000


def test_the_shipped_digits_occur_in_the_training_set_and_only_there(real_data: Path) -> None:
    mnist, mini = load_mnist(real_data), load_mnist(mini=True)
    training = {image.tobytes(): label for image, label in zip(mnist.train.images, mnist.train.labels, strict=True)}
    testing = {image.tobytes() for image in mnist.test.images}
    for part in (mini.train, mini.test):
        for image, label in zip(part.images, part.labels, strict=True):
            assert training[image.tobytes()] == label
            assert image.tobytes() not in testing


def test_real_files_have_the_sizes_and_checksums_of_the_downloads(
    real_data: Path,
) -> None:
    for file in SOURCE.files:
        content = (real_data / "mnist" / file.name).read_bytes()
        assert len(content) == file.size
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == file.checksum


def test_the_real_set_has_its_known_counts(real_data: Path) -> None:
    mnist = load_mnist(real_data)
    assert mnist.train.images.shape == (60000, 28, 28, 1)
    assert mnist.test.images.shape == (10000, 28, 28, 1)
    assert np.bincount(mnist.train.labels).tolist() == TRAIN_COUNTS
    assert np.bincount(mnist.test.labels).tolist() == TEST_COUNTS
    assert mnist.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    # The mean by which most programs normalize MNIST.
    assert mnist.train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
