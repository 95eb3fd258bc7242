"""Data sets survive a round trip through an HDF5 file; other HDF5 features are rejected."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_loaders import DataError, Dataset, Split, hdf5, load_hdf5, save_hdf5
from data_loaders.hdf5 import MAX_BYTES


def write(path: Path, change: Callable[[h5py.File], object] = lambda file: None) -> Path:
    """Write a sound file of five and two images by h5py alone, then change it."""
    with h5py.File(path, "w") as file:
        file.attrs["name"] = "tiny"
        file.attrs["class_names"] = ["cat", "dog"]
        file.attrs["source"] = "made by hand"
        for part, count in (("train", 5), ("test", 2)):
            images = np.arange(count * 12, dtype=np.uint8).reshape(count, 2, 2, 3)
            file[f"{part}/images"] = images
            file[f"{part}/labels"] = np.arange(count, dtype=np.int64) % 2
        change(file)
    return path


def replace(name: str, **arguments: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **arguments)

    return change


def test_a_file_in_the_layout_is_read(tmp_path: Path) -> None:
    dataset = load_hdf5(write(tmp_path / "a.h5"))
    assert dataset.name == "tiny"
    assert dataset.class_names == ("cat", "dog")
    assert dataset.source == "made by hand"
    assert dataset.train.images.shape == (5, 2, 2, 3)
    assert dataset.train.images.ravel().tolist() == list(range(60))
    assert dataset.test.labels.tolist() == [0, 1]


@pytest.mark.usefixtures("trusted_files")
def test_the_source_may_be_absent(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", lambda file: file.attrs.pop("source"))
    assert load_hdf5(path).source == ""


@pytest.mark.usefixtures("trusted_files")
def test_text_may_have_a_fixed_length(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file.attrs["name"] = np.bytes_("tiny")
        file.attrs["class_names"] = np.array(["cat", "dog"], "S")

    dataset = load_hdf5(write(tmp_path / "a.h5", change))
    assert dataset.name == "tiny"
    assert dataset.class_names == ("cat", "dog")


@pytest.mark.usefixtures("trusted_files")
def test_a_saved_file_has_the_layout(tmp_path: Path) -> None:
    save_hdf5(tmp_path / "b.h5", load_hdf5(write(tmp_path / "a.h5")))
    with h5py.File(tmp_path / "b.h5") as file:
        assert file.attrs["name"] == "tiny"
        assert list(file.attrs["class_names"]) == ["cat", "dog"]
        assert file.attrs["source"] == "made by hand"
        assert file["train/images"].dtype == np.uint8
        assert file["train/images"][:].ravel().tolist() == list(range(60))
        assert file["test/labels"].dtype == np.int64
        assert file["test/labels"][:].tolist() == [0, 1]
    assert load_hdf5(tmp_path / "b.h5").class_names == ("cat", "dog")


@pytest.mark.usefixtures("trusted_files")
def test_an_empty_split_can_be_saved(tmp_path: Path) -> None:
    dataset = load_hdf5(write(tmp_path / "a.h5"))
    save_hdf5(tmp_path / "b.h5", Dataset("x", dataset.train, dataset.test[:0], ("a", "b")))
    assert len(load_hdf5(tmp_path / "b.h5").test) == 0


@pytest.mark.usefixtures("trusted_files")
def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.h5")
    dataset, before = load_hdf5(path), path.read_bytes()

    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_hdf5(path, dataset)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.usefixtures("trusted_files")
def test_a_file_of_version_0_1_loads() -> None:
    dataset = load_hdf5(Path(__file__).parents[1] / "saved" / "stripes.h5")
    assert (dataset.name, dataset.class_names, dataset.source) == ("stripes", ("top", "middle", "bottom"), "")
    assert (len(dataset.train), len(dataset.test)) == (60, 30)
    # Of the 16 pixels of an image, 6, 6 and 4 belong to the three stripes; the stripe of its class is bright.
    stripe = np.repeat([0, 1, 2], [6, 6, 4])
    for split in (dataset.train, dataset.test):
        assert np.bincount(split.labels).tolist() == [len(split) // 3] * 3
        np.testing.assert_array_equal(split.images.reshape(-1, 16) >= 120, stripe == split.labels[:, None])


# What is saved can be loaded


def numbered(count: int, number: int = 0) -> Dataset:
    """Return a data set of so many images, in which every pixel and the name are one number."""
    split = Split(np.full((count, 2, 2, 3), number, np.uint8), np.zeros(count, np.int64))
    return Dataset(str(number), split, split[:1], ("a",))


@pytest.mark.usefixtures("trusted_files")
def test_array_above_the_limit_is_stored_uncompressed_and_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "MAX_BYTES", 1200)
    for count in (100, 101):
        save_hdf5(tmp_path / f"{count}.h5", numbered(count, 7))
    with h5py.File(tmp_path / "100.h5") as file:
        assert file["train/images"].compression == "gzip"
    with h5py.File(tmp_path / "101.h5") as file:
        assert (file["train/images"].compression, file["train/images"].chunks) == (None, None)
        assert file["test/images"].compression == "gzip"
    for count in (100, 101):
        loaded = load_hdf5(tmp_path / f"{count}.h5")
        assert loaded.train.images.shape == (count, 2, 2, 3)
        assert (loaded.train.images == 7).all()


@pytest.mark.usefixtures("trusted_files")
def test_labels_above_the_limit_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "MAX_BYTES", 100)
    save_hdf5(tmp_path / "a.h5", numbered(13))
    assert load_hdf5(tmp_path / "a.h5").train.labels.tolist() == [0] * 13


@pytest.mark.usefixtures("trusted_files")
def test_compressed_array_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_hdf5(tmp_path / "a.h5", numbered(101))
    monkeypatch.setattr(hdf5, "MAX_BYTES", 1200)
    message = "expected at most 1200 bytes, .*; a larger array must be stored uncompressed in one piece"
    with pytest.raises(DataError, match=message):
        load_hdf5(tmp_path / "a.h5")


@pytest.mark.usefixtures("trusted_files")
def test_array_that_the_file_is_too_small_to_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "MAX_BYTES", 59)
    path = write(tmp_path / "a.h5")
    assert len(load_hdf5(path).train) == 5
    with h5py.File(path) as file:
        end = file["train/images"].id.get_offset() + 60
    monkeypatch.setattr(os.path, "getsize", lambda path: end)
    assert len(hdf5._read(path).train) == 5
    monkeypatch.setattr(os.path, "getsize", lambda path: end - 1)
    with pytest.raises(DataError, match="expected at most 59 bytes"):
        hdf5._read(path)


@pytest.mark.usefixtures("trusted_files")
@pytest.mark.parametrize("count", [1, 4000, 5000, 20_000])
def test_any_number_of_class_names_loads(tmp_path: Path, count: int) -> None:
    dataset = numbered(2)
    class_names = tuple(f"{'ä' * (number % 40)}{number}" for number in range(count))
    save_hdf5(tmp_path / "a.h5", Dataset("n" * 70_000, dataset.train, dataset.test, class_names, ""))
    loaded = load_hdf5(tmp_path / "a.h5")
    assert (loaded.name, loaded.class_names, loaded.source) == ("n" * 70_000, class_names, "")


@pytest.mark.parametrize("text", ["a\0b", "a\0", "\ud800"])
@pytest.mark.parametrize("field", ["name", "class_names", "source"])
def test_text_that_cannot_be_stored_is_refused(tmp_path: Path, field: str, text: str) -> None:
    dataset = numbered(2)
    texts = {"name": "x", "class_names": ("a",), "source": ""} | {field: (text,) if field == "class_names" else text}
    with pytest.raises(ValueError, match="NULL|surrogates"):
        save_hdf5(tmp_path / "a.h5", Dataset(train=dataset.train, test=dataset.test, **texts))
    assert not list(tmp_path.iterdir())


# Several writers, a full disk


def assert_whole(path: Path) -> None:
    dataset = load_hdf5(path)
    assert (dataset.train.images == int(dataset.name)).all()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_threads_save_to_one_path(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: save_hdf5(path, numbered(600, number)), range(40)))
    assert_whole(path)


def test_processes_save_to_one_path(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    code = """
import sys
import numpy as np
from data_loaders import Dataset, Split, save_hdf5
split = Split(np.full((600, 2, 2, 3), int(sys.argv[2]), np.uint8), np.zeros(600, np.int64))
for repetition in range(15):
    save_hdf5(sys.argv[1], Dataset(sys.argv[2], split, split, ("a",)))
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path), number], stderr=subprocess.PIPE) for number in "12"
    ]
    assert [process.communicate(timeout=120)[1] for process in processes] == [b"", b""]
    assert [process.returncode for process in processes] == [0, 0]
    assert_whole(path)


def test_full_disk_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="the limits of a process are those of POSIX")
    path = tmp_path / "a.h5"
    save_hdf5(path, numbered(10))
    before = path.read_bytes()
    code = """
import resource, sys
import numpy as np
from data_loaders import Dataset, Split, save_hdf5
noise = np.random.default_rng(0).integers(0, 256, (3000, 20, 20, 1), dtype=np.uint8)
split = Split(noise, np.zeros(3000, np.int64))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    save_hdf5(sys.argv[1], Dataset("noise", split, split, ("a",)))
except OSError as error:
    print(error.strerror, error.filename)
"""
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert (run.returncode, run.stderr, run.stdout) == (0, "", f"File too large {path}\n")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


# What is refused


def test_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected an HDF5 file, found none"):
        load_hdf5(tmp_path / "a.h5")


@pytest.mark.usefixtures("trusted_files")
@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n", b"PK\x03\x04" + bytes(600)])
def test_another_format_is_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(DataError, match="expected an HDF5 file, found another format"):
        load_hdf5(tmp_path / "a.h5")


def test_child_process_rejects_files_with_the_same_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(DataError, match=f"^{tmp_path / 'a.h5'}: expected an HDF5 file, found another format$"):
        load_hdf5(tmp_path / "a.h5")


def link_elsewhere(file: h5py.File) -> None:
    del file["test"]
    file["test"] = h5py.ExternalLink("other.h5", "/test")


def link_softly(file: h5py.File) -> None:
    del file["test/images"]
    file["test/images"] = h5py.SoftLink("/train/images")


def make_virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((5, 2, 2, 3), "uint8")
    layout[:] = h5py.VirtualSource("other.h5", "/train/images", (5, 2, 2, 3))
    del file["train/images"]
    file.create_virtual_dataset("train/images", layout)


def store_outside(file: h5py.File) -> None:
    replace("train/images", shape=(5, 2, 2, 3), dtype="uint8", external=[("/etc/passwd", 0, 60)])(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.pop("name"), "expected the attribute name, found ['class_names'"),
        (lambda file: file.attrs.pop("class_names"), "expected the attribute class_names, found"),
        (
            lambda file: file.attrs.create("name", 7),
            "expected the attribute name to be a string or a list of strings, found int64",
        ),
        (lambda file: file.attrs.create("name", ["a", "b"]), "name to be a single string, found ['a', 'b']"),
        (
            lambda file: file.attrs.create("class_names", [1, 2]),
            "class_names to be a string or a list of strings, found int64",
        ),
        (lambda file: file.attrs.create("class_names", "cat"), "class_names to be a list of strings"),
        (lambda file: file.attrs.create("class_names", ["cat"]), "expected train labels below 1"),
        (lambda file: file.pop("test"), "expected /test, found ['train']"),
        (lambda file: file["train"].pop("labels"), "expected /train/labels, found ['images']"),
        (replace("test", data=[1]), "expected /test to be a Group, found a Dataset"),
        (lambda file: file.attrs.create("name", b"\xff\xfe"), "expected a sound HDF5 file, found damage"),
        (
            lambda file: file.attrs.create("name", h5py.Empty("S4")),
            "name to be a string or a list of strings, found |S4",
        ),
        (replace("train/labels", data=[0, 1]), "expected 5 labels in /train/labels, one for each"),
        (
            replace("train/labels", data=np.zeros(5)),
            "/train/labels: expected int64 with 1 dimension, found float64",
        ),
        (replace("train/labels", data=np.full(5, -1)), "expected 0 or greater, got -1"),
        (
            replace("train/images", data=np.zeros((5, 2, 2, 3))),
            "/train/images: expected uint8 with 4 dimensions, found float64, shape (5, 2, 2, 3)",
        ),
        (replace("train/images", data=np.zeros((5, 4), np.uint8)), "found uint8, shape (5, 4)"),
        (replace("train/images", dtype=h5py.Empty("u1").dtype, shape=None), "expected uint8 with"),
        (replace("test/images", data=np.zeros((2, 3, 3, 3), np.uint8)), "as in training, got"),
        (link_elsewhere, "expected /test itself, found a ExternalLink"),
        (link_softly, "expected /test/images itself, found a SoftLink"),
        (make_virtual, "/train/images: expected data inside the file, found a reference to other"),
        (store_outside, "/train/images: expected data inside the file, found a reference to oth"),
        (
            replace("train/images", shape=(10**6, 99, 99, 99), dtype="u1", chunks=(1, 9, 9, 9)),
            f"/train/images: expected at most {MAX_BYTES} bytes, found shape (1000000, 99, 99, 99)",
        ),
        (
            replace("train/images", shape=(10**6, 99, 99, 99), dtype="u1"),
            f"/train/images: expected at most {MAX_BYTES} bytes, found shape (1000000, 99, 99, 99)",
        ),
        (
            replace("train/images", shape=(5, 999, 999, 99), dtype="u1", chunks=(1, 9, 9, 9)),
            "/train/images: expected data for shape (5, 999, 999, 99), found 0 bytes in the file",
        ),
        (
            replace(
                "train/images",
                shape=(1, 1, 1, 3),
                maxshape=(None, None, None, 3),
                dtype="u1",
                chunks=(1000, 1000, 1000, 3),
            ),
            f"expected at most {MAX_BYTES} bytes, found shape (1, 1, 1, 3), chunks (1000, 1000",
        ),
    ],
)
@pytest.mark.usefixtures("trusted_files")  # the child process, which refuses the same, has tests of its own
def test_invalid_contents_are_rejected(tmp_path: Path, change: Callable[[h5py.File], object], message: str) -> None:
    path = write(tmp_path / "a.h5", change)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load_hdf5(path)
    assert str(caught.value).startswith(str(path))


def test_text_that_makes_hdf5_loop_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "REHEARSAL_SECONDS", 2.0)
    path = write(tmp_path / "a.h5")
    content = bytearray(path.read_bytes())
    # The chain of texts ends in free space; with a size of 0, the end leads back to itself.
    free_space = content.index((0xF88).to_bytes(8, "little"), content.index(b"GCOL"))
    content[free_space : free_space + 8] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(DataError, match="expected a sound HDF5 file, but reading it took more than 2 seconds"):
        load_hdf5(path)


def test_crash_of_hdf5_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.h5")
    (tmp_path / "h5py.py").write_text("import os; os.abort()")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match="reading it crashed with exit status"):
        load_hdf5(path)


def test_real_files_in_the_layout_are_read(real_data: Path) -> None:
    cifar = load_hdf5(real_data / "cifar10-25k.h5")
    assert cifar.train.images.shape == (20000, 32, 32, 3)
    assert cifar.test.images.shape == (5000, 32, 32, 3)
    assert cifar.class_names[:2] == ("airplane", "automobile")
    # CIFAR-10's first training image is a frog, the second a truck.
    assert [cifar.class_names[label] for label in cifar.train.labels[:2]] == ["frog", "truck"]
    svhn = load_hdf5(real_data / "svhn-1083.h5")
    assert (len(svhn.train), len(svhn.test)) == (883, 200)
    # SVHN's first training image shows a 1, the second a 9.
    assert svhn.train.labels[:2].tolist() == [1, 9]


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_cut_and_mutated_files_are_read_or_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    monkeypatch.setattr(hdf5, "REHEARSAL_SECONDS", 3.0)
    path = tmp_path / "a.h5"
    content = bytearray(write(path).read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path.write_bytes(bytes(content[:cut]))
    try:
        outcome = repr(load_hdf5(path))
    except DataError as error:
        outcome = str(error)
    assert re.match(r"Dataset\(.*, 5 train \+ 2 test images of 2x2x3, ", outcome) or str(path) in outcome
