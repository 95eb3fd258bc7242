"""Small files that claim huge contents are rejected quickly, with a short message and the documented exception."""

import gzip
import io
import struct
import tarfile
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from data_loaders import DataError, Dataset, Split, load_hdf5
from data_loaders.cifar10 import RECORD_BYTES, RECORDS, TEST_FILES, TRAIN_FILES, read_cifar10_archive
from data_loaders.gunzip import MAX_MEMBERS, Gunzip
from data_loaders.idx import read_idx
from data_loaders.svhn import read_svhn_file

FOLDER = "cifar-10-batches-bin"


def refused(read: Callable[[Path], object], path: Path, content: bytes) -> str:
    """Assert that a file is refused soon, and return the message."""
    path.write_bytes(content)
    begin = time.perf_counter()
    with pytest.raises(DataError) as caught:
        read(path)
    assert time.perf_counter() - begin < 5  # one second on a machine that does nothing else
    message = str(caught.value)
    assert str(path) in message
    assert len(message) < 2_100
    return message


# gzip


def with_long_name(content: bytes, letters: int) -> bytes:
    """Return a gzip file whose header has a name of so many letters."""
    plain = gzip.compress(content)
    return plain[:3] + b"\x08" + plain[4:10] + b"x" * letters + b"\0" + plain[10:]


@pytest.mark.parametrize(
    "content",
    [
        lambda: with_long_name(b"", 20_000_000),
        lambda: with_long_name(bytes(1 << 20), 5_000_000)[:-8],
        lambda: gzip.compress(b"") * 300_000,
        lambda: gzip.compress(bytes(1 << 22), 9) * 64,
        lambda: b"\x1f\x8b" + b"\xff" * 1_000_000,
    ],
    ids=["long name", "long name, cut", "empty members", "bomb", "nonsense"],
)
def test_hostile_gzip_file_is_refused(tmp_path: Path, content: Callable[[], bytes]) -> None:
    packed = content()
    refused(lambda path: read_idx(path, 3), tmp_path / "file.gz", packed)
    refused(read_cifar10_archive, tmp_path / "file.gz", packed)


def test_gzip_file_with_a_long_name_is_read() -> None:
    assert Gunzip(io.BytesIO(with_long_name(b"content", 1_000_000))).read() == b"content"


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_gzip_file_is_unpacked_as_by_python(piece: int) -> None:
    generator = np.random.default_rng(0)
    contents = [generator.bytes(size) * 3 for size in (0, 1, 70_000)]
    stream, found = Gunzip(io.BytesIO(b"".join(map(gzip.compress, contents)))), b""
    while data := stream.read(piece):
        found += data
        if len(found) > 1_000 and piece == 1:
            break
    assert b"".join(contents).startswith(found)
    assert piece == 1 or found == b"".join(contents)


def test_number_of_gzip_members_is_bounded() -> None:
    member = gzip.compress(b"x")
    assert Gunzip(io.BytesIO(member * MAX_MEMBERS)).read() == b"x" * MAX_MEMBERS
    with pytest.raises(zlib.error, match="more than 100 members"):
        Gunzip(io.BytesIO(member * (MAX_MEMBERS + 1))).read()


# tar


def header(name: bytes, size: int = 0, kind: bytes = b"0", prefix: bytes = b"") -> bytes:
    """Return the header of one member, with its checksum."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124:136] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[257:263] = b"ustar\0"
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def long_name(kind: bytes, letters: int = 200) -> bytes:
    """Return a member that gives the next one a long name, as GNU tar and pax do."""
    content = b"30 path=" + b"x" * letters
    return header(b"././@LongLink", len(content), kind) + content.ljust(-(-len(content) // 512) * 512, b"\0")


BATCH = f"{FOLDER}/data_batch_1.bin".encode()


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (lambda: long_name(b"L") * 1_000, "found files and folders only|a link, a device or the like"),
        (lambda: long_name(b"x") * 1_000, "expected at most 100 members"),
        (lambda: long_name(b"g") * 1_000, "expected at most 100 members"),
        (lambda: header(b"x", 10**7, b"x") + bytes(10**7), "expected at most 1048576 bytes"),
        (lambda: header(BATCH, RECORDS * RECORD_BYTES, b"5"), "expected a folder to be empty"),
        (lambda: header(BATCH, 0, b"5") * 2, "damage"),
        (lambda: header(f"{FOLDER}/x".encode()) * 30_000, "expected at most 100 members"),
        (lambda: header(b"data_batch_1.bin", 5, prefix=b"../.."), "expected everything inside"),
        (lambda: header(b"../data_batch_1.bin", 5, prefix=FOLDER.encode()), "expected everything inside"),
        (lambda: header(f"{FOLDER}/x".encode(), 8**11 - 1), "expected at most 1048576 bytes"),
        (lambda: header(f"{FOLDER}/".encode() + b"\x1b[2J" * 20), "damage"),
        (lambda: header(FOLDER.encode(), 0, b"S"), "a link, a device or the like"),
        (lambda: header(BATCH, 7).replace(b"00000000007", b"-0000000007"), "damaged header"),
        (lambda: b"\x80" + header(BATCH, 7)[1:], "damaged header"),
        (lambda: bytes(512) * 2 + bytes(1 << 22), "end of the archive"),
        (lambda: bytes(1024) + b"x", "end of the archive"),
        (lambda: bytes(1024), "expected data_batch_1.bin"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_archive_is_refused(tmp_path: Path, archive: Callable[[], bytes], message: str) -> None:
    found = refused(read_cifar10_archive, tmp_path / "a.tar.gz", gzip.compress(archive(), 1))
    assert any(part in found for part in message.split("|"))
    assert "\x1b" not in found


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_every_usual_format_are_read(tmp_path: Path, kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_loaders.cifar10.RECORDS", 2)
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin", "readme.html"]
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=kind) as archive:
        for number, name in enumerate(names):
            content = bytes([number]) * (5 if name == "readme.html" else 2 * RECORD_BYTES)
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size, member.mtime, member.uname = len(content), 1.5, "Zoë"  # for which pax needs a header
            archive.addfile(member, io.BytesIO(content))
    train, test = read_cifar10_archive(tmp_path / "a.tar.gz")
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert test.images[1, 31, 31].tolist() == [5, 5, 5]


def test_size_may_fill_its_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some programs write twelve digits and no zero byte, directly before the digits of the time."""
    monkeypatch.setattr("data_loaders.cifar10.RECORDS", 1)
    content = b""
    for name in (*TRAIN_FILES, *TEST_FILES):
        block = bytearray(header(f"{FOLDER}/{name}".encode(), RECORD_BYTES))
        block[124:148] = b"%012o" % RECORD_BYTES + b"14000000000\0"
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        content += bytes(block) + bytes(RECORD_BYTES + -RECORD_BYTES % 512)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(content + bytes(1024)))
    train, test = read_cifar10_archive(tmp_path / "a.tar.gz")
    assert (len(train), len(test)) == (5, 1)


# MATLAB


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(name: bytes = b"X", sizes: bytes = struct.pack("<4i", 32, 32, 3, 1), data: bytes = bytes(3072)) -> bytes:
    return element(14, element(6, struct.pack("<II", 9, 0)) + element(5, sizes) + element(1, name) + element(2, data))


def compressed(content: bytes) -> bytes:
    zipped = zlib.compress(content, 1)
    return struct.pack("<II", 15, len(zipped)) + zipped


LARGE = (1 << 24) // 3072 - 1  # images that fit into the limit


@pytest.mark.parametrize(
    "content",
    [
        lambda: matrix(sizes=b"\xff\xff\xff\x7f" * 1_000_000),
        lambda: matrix(sizes=b"\x01\0\0\0" * 1_000_000),
        lambda: matrix(name=b"\x1b[2J" * 1_000_000),
        lambda: matrix(name=b"z", data=bytes(1 << 25)),
        lambda: element(14, element(6, bytes(1 << 25))),
        lambda: element(14, b""),
        lambda: element(14, bytes(1 << 25)),
    ],
    ids=["product of sizes", "many sizes", "long name", "other name", "many flags", "nothing", "zeros"],
)
def test_hostile_matlab_file_is_refused_whether_compressed_or_not(tmp_path: Path, content: Callable[[], bytes]) -> None:
    magic, plain = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM", content()
    for packed in (plain, compressed(plain)):
        assert "\x1b" not in refused(read_svhn_file, tmp_path / "a.mat", magic + packed)


@pytest.mark.parametrize(
    "content",
    [lambda: matrix() + bytes(1 << 24), lambda: matrix(name=b"z", data=bytes(1 << 24))],
    ids=["more than declared", "another variable"],
)
def test_decompression_bomb_takes_no_memory(tmp_path: Path, content: Callable[[], bytes]) -> None:
    magic = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    packed = magic + compressed(content())
    tracemalloc.start()
    refused(read_svhn_file, tmp_path / "a.mat", packed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 22


def test_decompression_bomb_of_many_variables_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_loaders.svhn.MAX_BYTES", 1 << 24)
    bomb = compressed(matrix(sizes=struct.pack("<4i", 32, 32, 3, LARGE), data=bytes(3072 * LARGE)))
    magic = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    assert len(bomb) < 2_000_000
    assert "once each, found 'X'" in refused(read_svhn_file, tmp_path / "a.mat", magic + bomb * 4)


# HDF5


def test_messages_of_hdf5_files_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["name"] = ["x" * 1_000_000]
        file.attrs["class_names"] = ["a"]
    with pytest.raises(DataError, match="name to be a single string") as caught:
        load_hdf5(path)
    assert len(str(caught.value)) < 2_100


def test_images_are_not_read_before_their_labels_are_known_to_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["name"], file.attrs["class_names"] = "x", ["a"]
        file.create_dataset("train/images", (1 << 14, 128, 128, 1), "u1", chunks=(64, 128, 128, 1), compression="gzip")
        chunk = zlib.compress(bytes(64 << 14))
        for start in range(0, 1 << 14, 64):
            file["train/images"].id.write_direct_chunk((start, 0, 0, 0), chunk)
        file["train/labels"] = np.zeros(3, np.int64)
    assert "expected 16384 labels in /train/labels" in refused(load_hdf5, path, path.read_bytes())


# Messages


def test_error_messages_are_bounded() -> None:
    split = Split(np.zeros((1, 1, 1, 1), np.uint8), np.zeros(1, np.int64))
    with pytest.raises(DataError) as caught:
        Dataset("x", split, split, ["y" * 10**7])  # type: ignore[arg-type]
    assert len(str(caught.value)) < 2_100
