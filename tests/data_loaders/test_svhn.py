"""SVHN's files, written by SciPy or by hand byte by byte, are read; everything else is rejected."""

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_loaders import DataError, load_svhn
from data_loaders.svhn import MAX_BYTES, read_svhn_file

LABELS = np.array([[1], [9], [10], [3]], np.uint8)
IMAGES = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)
FILE_HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def save(path: Path, compress: bool = True, **variables: Any) -> Path:
    scipy.io.savemat(path, variables or {"X": IMAGES, "y": LABELS}, do_compression=compress)
    return path


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(name: bytes, sizes: list[int], data: bytes, kind: int = 2, flags: int = 9) -> bytes:
    return element(
        14,
        element(6, struct.pack("<II", flags, 0))
        + element(5, struct.pack(f"<{len(sizes)}i", *sizes))
        + element(1, name)
        + element(kind, data),
    )


def compressed(content: bytes, cut: int = 0) -> bytes:
    packed = zlib.compress(content)
    packed = packed[: len(packed) - cut]
    return struct.pack("<II", 15, len(packed)) + packed


X = matrix(b"X", [32, 32, 3, 1], bytes(3072))
Y = matrix(b"y", [1, 1], bytes([10]))


@pytest.mark.parametrize("compress", [True, False])
def test_channels_come_last_and_label_ten_is_zero(tmp_path: Path, compress: bool) -> None:
    split = read_svhn_file(save(tmp_path / "a.mat", compress))
    assert split.images.shape == (4, 32, 32, 3)
    assert split.labels.tolist() == [1, 9, 0, 3]
    for number in range(4):
        assert np.array_equal(split.images[number], IMAGES[:, :, :, number])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64", "uint64"])
def test_labels_may_have_any_numeric_type(tmp_path: Path, dtype: str) -> None:
    path = save(tmp_path / "a.mat", X=IMAGES, y=LABELS.astype(dtype))
    assert read_svhn_file(path).labels.tolist() == [1, 9, 0, 3]


def test_a_file_written_by_hand_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(FILE_HEADER + compressed(X) + Y)
    split = read_svhn_file(tmp_path / "a.mat")
    assert split.images.shape == (1, 32, 32, 3)
    assert split.labels.tolist() == [0]


def test_the_two_files_make_a_dataset(tmp_path: Path) -> None:
    save(tmp_path / "train_32x32.mat")
    save(tmp_path / "test_32x32.mat", X=IMAGES[..., :2], y=LABELS[:2])
    dataset = load_svhn(tmp_path)
    assert (dataset.name, len(dataset.train), len(dataset.test)) == ("svhn", 4, 2)
    assert dataset.class_names == tuple("0123456789")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"X": IMAGES}, "expected the variables X and y, found ['X']"),
        ({"X": IMAGES, "y": LABELS, "z": LABELS}, "the variables X and y, once each, found 'z'"),
        ({"X": IMAGES, "y": LABELS[:3]}, "expected y of shape (4, 1)"),
        ({"X": IMAGES, "y": LABELS - 1}, "expected labels from 1 to 10, found 0 to 9"),
        ({"X": IMAGES, "y": LABELS + 1}, "expected labels from 1 to 10, found 2 to 11"),
        ({"X": IMAGES, "y": LABELS + 0.5}, "expected labels from 1 to 10, found 1.5 to 10.5"),
        ({"X": IMAGES, "y": LABELS * np.nan}, "expected labels from 1 to 10, found nan"),
        ({"X": IMAGES[..., 0], "y": LABELS}, "shape (32, 32, 3, N), found uint8, shape (32, 32, 3"),
        ({"X": IMAGES[:28], "y": LABELS}, "found uint8, shape (28, 32, 3, 4)"),
        ({"X": IMAGES / 255, "y": LABELS}, "expected X of uint8"),
        ({"X": IMAGES * 1j, "y": LABELS}, "expected 'X' to be real numbers"),
        ({"X": np.array([{"a": 1}], object), "y": LABELS}, "expected 'X' to be real numbers"),
        ({"X": {"field": IMAGES}, "y": LABELS}, "expected 'X' to be real numbers"),
        ({"X": "text", "y": LABELS}, "expected 'X' to be real numbers"),
    ],
)
def test_other_content_is_rejected(tmp_path: Path, variables: dict[str, Any], message: str) -> None:
    path = save(tmp_path / "a.mat", **variables)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        read_svhn_file(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a MATLAB file, version 5, little-endian"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + X + Y, "found the beginning b'MATLAB"),
        (FILE_HEADER[:126] + b"MI" + X + Y, "and the version b'\\x00\\x01MI'"),
        (FILE_HEADER + X + Y[:-3], "truncated"),
        (FILE_HEADER + X + Y + b"\0\0\0", "truncated: expected a tag of 8 bytes, found 3"),
        (FILE_HEADER + compressed(X)[:-4] + compressed(Y), "damage"),
        (FILE_HEADER + compressed(X)[:-4], "truncated"),
        (FILE_HEADER + compressed(X, cut=4) + Y, "found more bytes, or no end"),
        (FILE_HEADER + compressed(X, cut=12) + Y, "expected 3144 decompressed bytes, found"),
        (FILE_HEADER + compressed(X[:-8]), "expected 3144 decompressed bytes, found 3136"),
        (FILE_HEADER + compressed(X + Y), "expected 3144 decompressed bytes, found more"),
        (FILE_HEADER + compressed(b"\0\0"), "truncated: expected a tag of 8 bytes, found 2"),
        (FILE_HEADER + X + compressed(X), "expected the variables X and y, once each, found 'X'"),
        (FILE_HEADER + element(2, b"abc"), "expected an array (type 14), found type 2"),
        (FILE_HEADER + matrix(b"X", [32, 32, 3, -1], b""), "sizes for 'X', found [32, 32, 3, -1]"),
        (FILE_HEADER + matrix(b"X", [7], bytes(7)), "two or more sizes for 'X', found [7]"),
        (FILE_HEADER + matrix(b"X", [32, 32, 3, 2], bytes(3072)), "expected 6144 bytes for 'X'"),
        (FILE_HEADER + matrix(b"X", [2**31 - 1] * 6, bytes(3072)), "found 3072"),
        (FILE_HEADER + matrix(b"X", [0, 2**31 - 1, 2**31 - 1], b""), "found 0"),
        (FILE_HEADER + matrix(b"X", [1, 1], b"a", kind=16), "hold numbers only, found type 16"),
        (FILE_HEADER + matrix(b"X", [1, 1], b"a", flags=16), "'X' to be real numbers"),
        (FILE_HEADER + matrix(b"X", [1] * 33, b"a"), "sizes (type 5, at most 32), found type 5, 132 bytes"),
        (FILE_HEADER + matrix(b"X" * 64, [1, 1], b"a"), "a name (type 1, at most 63), found type 1, 64 bytes"),
        (FILE_HEADER + matrix(b"X", [0] + [2**28] * 3, b""), "a shape that NumPy can hold"),
    ],
)
def test_a_damaged_or_hostile_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        read_svhn_file(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_zlib_bomb_is_not_unpacked(tmp_path: Path) -> None:
    honest_about_its_size = struct.pack("<II", 14, MAX_BYTES + 8) + X[8:] + bytes(1 << 24)
    liar = X + bytes(1 << 24)
    for content in (honest_about_its_size, liar):
        (tmp_path / "a.mat").write_bytes(FILE_HEADER + compressed(content))
        with pytest.raises(DataError, match=r"expected arrays of at most|found more"):
            read_svhn_file(tmp_path / "a.mat")


def test_file_beyond_the_limits_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.mat").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(DataError, match=f"expected at most {MAX_BYTES} bytes"):
        read_svhn_file(tmp_path / "a.mat")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), compress=st.booleans())
def test_mutated_files_are_read_or_refused(tmp_path: Path, data: st.DataObject, compress: bool) -> None:
    content = bytearray(FILE_HEADER + (compressed(Y) + compressed(X) if compress else Y + X))
    # The pixels are many and without structure; what stands before them is worth mutating.
    position = st.integers(100, min(330, len(content) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(position)] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path = tmp_path / "a.mat"
    path.write_bytes(bytes(content[:cut]) + data.draw(st.binary(max_size=9)))
    try:
        outcome = repr(read_svhn_file(path))
    except DataError as error:
        outcome = str(error)
    assert outcome == "Split(1 images of 32x32x3)" or str(path) in outcome
