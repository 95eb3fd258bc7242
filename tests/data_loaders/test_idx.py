"""The idx parser reads the documented format and rejects everything else."""

import gzip
import re
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_loaders import DataError
from data_loaders.idx import MAX_BYTES, read_idx, read_idx_split

HEADER = bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 2, 3)
ELEMENTS = bytes(range(12))
VALID = HEADER + ELEMENTS


def write(folder: Path, content: bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def labels_file(labels: list[int]) -> bytes:
    return bytes([0, 0, 8, 1]) + struct.pack(">I", len(labels)) + bytes(labels)


@pytest.mark.parametrize("content", [VALID, gzip.compress(VALID)], ids=["plain", "gzipped"])
def test_elements_are_in_c_order(tmp_path: Path, content: bytes) -> None:
    array = read_idx(write(tmp_path, content), ndim=3)
    assert array.dtype == np.uint8
    assert array.tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]


def test_a_gzip_file_may_have_several_members(tmp_path: Path) -> None:
    content = gzip.compress(VALID[:20]) + gzip.compress(VALID[20:])
    assert read_idx(write(tmp_path, content), ndim=3).ravel().tolist() == list(range(12))


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected the magic number 00 00 08 03 (idx, unsigned bytes, 3 dimensions), found"),
        (b"\x89PNG" + VALID[4:], "found 89 50 4e 47"),
        (bytes([0, 0, 9, 3]) + VALID[4:], "expected the magic number 00 00 08 03"),
        (bytes([0, 0, 8, 1]) + VALID[4:], "found 00 00 08 01"),
        (VALID[:10], "truncated: expected 3 sizes of 4 bytes, found 6 bytes"),
        (VALID[:16], "truncated: expected 12 bytes for shape (2, 2, 3), found 0"),
        (VALID[:-1], "truncated: expected 12 bytes for shape (2, 2, 3), found 11"),
        (VALID + b"\0", "expected the end of the file after 12 bytes"),
        (HEADER[:4] + struct.pack(">iii", -1, 2, 3) + ELEMENTS, "of 0 or greater, found shape (-1"),
        (HEADER[:4] + struct.pack(">III", 2**31 - 1, 28, 28), f"at most {MAX_BYTES} bytes, found"),
        (HEADER[:4] + struct.pack(">III", 0, 2**31 - 1, 2**31 - 1), "found shape (0, 2147483647"),
    ],
)
def test_the_error_names_file_expected_and_found(tmp_path: Path, content: bytes, message: str, compress: type) -> None:
    path = write(tmp_path, compress(content))
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        read_idx(path, ndim=3)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-9],
        lambda content: content[:12],
        lambda content: content[:-8] + bytes(4) + content[-4:],
        lambda content: content[:10] + bytes([255]) * 4 + content[14:],
        lambda content: content + b"trailing",
    ],
    ids=["truncated", "header only", "wrong checksum", "wrong block", "trailing bytes"],
)
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, damage: object) -> None:
    path = write(tmp_path, damage(gzip.compress(VALID)))  # type: ignore[operator]
    with pytest.raises(DataError, match="expected a sound gzip file, found damage"):
        read_idx(path, ndim=3)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = gzip.compress(VALID + bytes(1 << 24), 1)
    tracemalloc.start()
    with pytest.raises(DataError, match="expected the end of the file"):
        read_idx(write(tmp_path, bomb), ndim=3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 22


def test_labels_belong_to_their_images(tmp_path: Path) -> None:
    images = write(tmp_path, VALID, "images")
    split = read_idx_split(images, write(tmp_path, labels_file([7, 1]), "labels"), (2, 3), 10)
    assert split.images.shape == (2, 2, 3, 1)
    assert split.images[1, 1, 2, 0] == 11
    assert split.labels.tolist() == [7, 1]
    assert split.labels.dtype == np.int64


@pytest.mark.parametrize(
    ("labels", "shape", "message"),
    [
        ([7, 1, 2], (2, 3), "labels: expected 2 labels, one for each image in"),
        ([7, 10], (2, 3), "labels: expected labels below 10, found 10"),
        ([7, 1], (28, 28), "images: expected images of shape (28, 28), found (2, 3)"),
    ],
)
def test_files_that_do_not_match_are_rejected(
    tmp_path: Path, labels: list[int], shape: tuple[int, int], message: str
) -> None:
    images = write(tmp_path, VALID, "images")
    with pytest.raises(DataError, match=re.escape(message)):
        read_idx_split(images, write(tmp_path, labels_file(labels), "labels"), shape, 10)


def test_a_file_without_images_is_refused(tmp_path: Path) -> None:
    images = write(tmp_path, bytes([0, 0, 8, 3]) + struct.pack(">III", 0, 28, 28), "images")
    with pytest.raises(DataError, match="expected at least one image, found none"):
        read_idx_split(images, write(tmp_path, labels_file([]), "labels"), (28, 28), 10)


fuzz = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_valid_or_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refusal = None
    try:
        array = read_idx(path, ndim=3)
    except DataError as error:
        refusal = str(error)
    if refusal is not None:
        assert str(path) in refusal
        return
    plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    assert array.shape == struct.unpack(">III", plain[4:16])
    assert array.tobytes() == plain[16:]


@fuzz
@given(
    content=st.binary(max_size=80),
    prefix=st.sampled_from([b"", HEADER[:4], HEADER, b"\x1f\x8b", b"\x1f\x8b\x08"]),
    gzipped=st.booleans(),
)
def test_random_bytes_are_read_or_refused(tmp_path: Path, content: bytes, prefix: bytes, gzipped: bool) -> None:
    content = prefix + content
    assert_valid_or_refused(tmp_path / "file", gzip.compress(content) if gzipped else content)


@fuzz
@given(data=st.data(), gzipped=st.booleans())
def test_mutated_files_are_read_or_refused(tmp_path: Path, data: st.DataObject, gzipped: bool) -> None:
    content = bytearray(gzip.compress(VALID, mtime=0) if gzipped else VALID)
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    tail = data.draw(st.binary(max_size=8))
    assert_valid_or_refused(tmp_path / "file", bytes(content[:cut]) + tail)
