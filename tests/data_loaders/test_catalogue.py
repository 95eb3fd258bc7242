"""Every named data set is found, and compared with its known contents."""

import gzip
import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_loaders import (
    CATALOGUE,
    DataError,
    DataNotFoundError,
    Dataset,
    Split,
    load,
    load_colour_digits,
    load_mnist,
    save_hdf5,
    verify,
)
from data_loaders.fashion_mnist import SOURCE as FASHION
from data_loaders.idx import FILE_NAMES
from data_loaders.search import ENVIRONMENT_VARIABLE


def tiny(classes: tuple[str, ...] = ("a", "b"), test: int = 2) -> Dataset:
    images = np.arange(2 * 12, dtype=np.uint8).reshape(2, 2, 2, 3)
    return Dataset(
        "tiny", Split(images, np.array([0, 1])), Split(images[:test], np.array([1, 0], np.int64)[:test]), classes
    )


def put_digits(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write four idx files of MNIST's names, the same digits in both halves."""
    folder.mkdir(parents=True)
    contents = (
        struct.pack(">HBBIII", 0, 8, 3, len(images), 28, 28) + images.tobytes(),
        struct.pack(">HBBI", 0, 8, 1, len(labels)) + labels.astype(np.uint8).tobytes(),
    )
    for name, content in zip(FILE_NAMES, 2 * contents, strict=True):
        (folder / name).write_bytes(gzip.compress(content, 1))


@pytest.fixture
def few_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that claims to hold MNIST but has 100 images, none of a 9."""
    digits = load_mnist(mini=True).train
    rows = np.flatnonzero(digits.labels < 9)[:100]
    put_digits(tmp_path / "data/mnist", digits.images[rows], digits.labels[rows])
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "data"))
    return tmp_path / "data/mnist"


@pytest.mark.usefixtures("trusted_files")
def test_load_knows_names_and_paths(tmp_path: Path) -> None:
    assert load("digits").checksum() == load_mnist(mini=True).checksum()
    assert load("colour-digits").checksum() == load_colour_digits().checksum()
    save_hdf5(tmp_path / "tiny.h5", tiny())
    assert load(tmp_path / "tiny.h5").name == load(str(tmp_path / "tiny.h5")).name == "tiny"


def test_unknown_name_raises_and_lists_the_choices() -> None:
    with pytest.raises(ValueError, match=r"expected mnist, .*colour-digits or the path of an \.h5 file, got 'mnits'"):
        load("mnits")
    with pytest.raises(ValueError, match="got 'mnits'"):
        verify("mnits")


def test_the_checksum_is_that_of_the_bytes_in_their_documented_order() -> None:
    data = tiny()
    content = b"".join(part.tobytes() for s in (data.train, data.test) for part in (s.images, s.labels))
    assert data.checksum() == hashlib.sha256(content).hexdigest()
    strided = Dataset(data.name, Split(data.train.images[::-1][::-1], data.train.labels), data.test, data.class_names)
    assert strided.checksum() == data.checksum()
    swapped = Dataset(data.name, data.train[::-1], data.test, data.class_names)
    assert swapped.checksum() != data.checksum()


def test_find_names_the_folder_and_downloads_nothing(few_digits: Path) -> None:
    assert CATALOGUE["mnist"].find() == few_digits
    assert CATALOGUE["mnist"].fetch() == few_digits
    assert CATALOGUE["svhn"].find() is None
    assert CATALOGUE["digits"].find() is CATALOGUE["digits"].fetch() is None


@pytest.mark.parametrize("name", ["digits", "colour-digits"])
def test_shipped_data_have_the_known_checksums(name: str) -> None:
    found = verify(name)
    assert found.faults == []
    assert found.checksum == found.dataset.checksum()
    entry, data = CATALOGUE[name], found.dataset
    assert data.train.images.shape == (entry.train, *entry.shape)
    assert data.test.images.shape == (entry.test, *entry.shape)


def test_verify_names_every_fault(few_digits: Path) -> None:
    found = verify("mnist")
    assert [fault.partition(", got")[0] for fault in found.faults] == [
        "train: expected images of shape (60000, 28, 28, 1)",
        "test: expected images of shape (10000, 28, 28, 1)",
        "train: expected every label from 0 to 9",
        "test: expected every label from 0 to 9",
        f"expected content of SHA-256 {CATALOGUE['mnist'].checksum}",
    ]


def test_files_are_compared_with_published_checksums_if_no_content_is_known(
    few_digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = CATALOGUE["mnist"]
    source = entry.source
    assert source is not None
    monkeypatch.setitem(CATALOGUE, "mnist", replace(entry, checksum="", train=100, test=100))
    found = verify("mnist")
    assert found.compared == "the published files"
    assert [fault for fault in found.faults if "sha256" in fault] == [
        f"{few_digits / file.name}: expected {file.checksum.replace(':', ' ')}, "
        f"got {hashlib.sha256((few_digits / file.name).read_bytes()).hexdigest()}"
        for file in source.files
    ]
    for file in source.files:
        (few_digits / file.unpacked).write_bytes(gzip.decompress((few_digits / file.name).read_bytes()))
        (few_digits / file.name).unlink()
    found = verify("mnist")
    assert found.compared == ""
    assert not [fault for fault in found.faults if "sha256" in fault]


def test_verify_does_not_download_missing_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_loaders.search.download_files", lambda *_: pytest.fail("asked the network"))
    with pytest.raises(DataNotFoundError, match="because of download=False"):
        verify("cifar10")
    assert CATALOGUE["cifar10"].find() is None


@pytest.mark.usefixtures("trusted_files")
def test_custom_file_must_not_be_empty(tmp_path: Path) -> None:
    save_hdf5(tmp_path / "tiny.h5", tiny(("a", "b", "c")))
    assert verify(tmp_path / "tiny.h5").faults == []
    save_hdf5(tmp_path / "empty.h5", tiny(test=0))
    assert verify(tmp_path / "empty.h5").faults == ["test: expected at least one image, got none"]
    (tmp_path / "torn.h5").write_bytes((tmp_path / "tiny.h5").read_bytes()[:-100])
    with pytest.raises(DataError, match="torn.h5"):
        verify(tmp_path / "torn.h5")


def test_real_mnist_has_the_known_checksum(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(real_data))
    assert verify("mnist").faults == []


def test_real_fashion_mnist_has_the_known_checksum() -> None:
    if not Path(FASHION.system_folders[0]).is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    assert verify("fashion-mnist").faults == []
