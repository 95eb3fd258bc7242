"""CIFAR-10's records and archive, built here byte by byte, are read; hostile ones are refused."""

import gzip
import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_loaders import DataError, cifar10, load_cifar10

RECORDS = 2
FOLDER = "cifar-10-batches-bin"
TRAIN = [f"data_batch_{number}.bin" for number in range(1, 6)]
NAMES = [*TRAIN, "test_batch.bin"]


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two images per file instead of ten thousand, for the tests' speed."""
    monkeypatch.setattr(cifar10, "RECORDS", RECORDS)


def record(label: int, red: int, green: int, blue: int) -> bytes:
    planes = [bytes([value]) * 1024 for value in (red, green, blue)]
    return bytes([label]) + b"".join(planes)


def batch(number: int) -> bytes:
    return record(number, 10 * number, 20, 30) + record(9, 1, 2, 3)


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        info.linkname = "/etc/passwd"
    return info


def six_members() -> list[tuple[tarfile.TarInfo, bytes]]:
    members = [(member(FOLDER, kind=tarfile.DIRTYPE), b"")]
    for number, name in enumerate(NAMES):
        members.append((member(f"{FOLDER}/{name}", batch(number)), batch(number)))
    return members


def tar(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def write_archive(folder: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    path = folder / "cifar-10-binary.tar.gz"
    path.write_bytes(gzip.compress(tar(members)))
    return path


def write_folder(parent: Path) -> Path:
    (parent / FOLDER).mkdir()
    for number, name in enumerate(NAMES):
        (parent / FOLDER / name).write_bytes(batch(number))
    return parent / FOLDER


def assert_is_the_set(folder: Path) -> None:
    dataset = load_cifar10(folder)
    assert dataset.name == "cifar10"
    assert dataset.train.images.shape == (10, 32, 32, 3)
    assert dataset.test.images.shape == (2, 32, 32, 3)
    assert dataset.train.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert dataset.test.labels.tolist() == [5, 9]
    assert dataset.train.images[6, 31, 0].tolist() == [30, 20, 30]
    assert dataset.class_names[3] == "cat"


def test_the_archive_is_read(tmp_path: Path) -> None:
    extras = [(member(f"{FOLDER}/readme.html", b"<p>"), b"<p>")]
    write_archive(tmp_path, six_members() + extras)
    assert_is_the_set(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-binary.tar.gz"]


def test_the_order_in_the_archive_does_not_matter(tmp_path: Path) -> None:
    write_archive(tmp_path, six_members()[::-1])
    assert_is_the_set(tmp_path)


@pytest.mark.parametrize("inside", [False, True])
def test_the_unpacked_folder_is_read(tmp_path: Path, inside: bool) -> None:
    folder = write_folder(tmp_path)
    assert_is_the_set(folder if inside else tmp_path)


def test_planes_are_stored_row_by_row(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    red = np.arange(1024) % 251
    content = bytes([0]) + red.astype(np.uint8).tobytes() + bytes(2048) + batch(0)[3073:]
    (folder / TRAIN[0]).write_bytes(content)
    image = load_cifar10(tmp_path).train.images[0]
    assert image[3, 5, 0] == (3 * 32 + 5) % 251
    assert not image[..., 1:].any()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (member("../evil"), "expected everything inside cifar-10-batches-bin, found '../evil'"),
        (member("/etc/passwd"), "expected everything inside cifar-10-batches-bin, found '/etc/pas"),
        (member(f"{FOLDER}/../../evil"), "expected everything inside cifar-10-batches-bin"),
        (member("data_batch_1.bin"), "expected everything inside cifar-10-batches-bin"),
        (member(f"{FOLDER}/link", kind=tarfile.SYMTYPE), "a link, a device or the like"),
        (member(f"{FOLDER}/link", kind=tarfile.LNKTYPE), "a link, a device or the like"),
        (member(f"{FOLDER}/tty", kind=tarfile.CHRTYPE), "a link, a device or the like"),
        (member(f"{FOLDER}/pipe", kind=tarfile.FIFOTYPE), "a link, a device or the like"),
    ],
)
def test_members_outside_the_archive_are_rejected(tmp_path: Path, extra: tarfile.TarInfo, message: str) -> None:
    path = write_archive(tmp_path, [*six_members(), (extra, b"")])
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load_cifar10(tmp_path)
    assert str(path) in str(caught.value)


def test_link_in_place_of_a_batch_is_rejected(tmp_path: Path) -> None:
    members = six_members()
    members[1] = (member(f"{FOLDER}/{TRAIN[0]}", kind=tarfile.SYMTYPE), b"")
    write_archive(tmp_path, members)
    with pytest.raises(DataError, match="a link, a device or the like"):
        load_cifar10(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda members: members[:-1], "expected test_batch.bin in cifar-10-batches-bin, found ["),
        (lambda members: [*members, members[2]], "expected one data_batch_2.bin, found a second"),
        (
            lambda members: [(member(f"{FOLDER}/{TRAIN[2]}", b"ab"), b"ab")],
            "data_batch_3.bin: expected 6146 bytes, 2 images of 3073, found 2",
        ),
        (
            lambda members: [(members[1][0], batch(10)), *members[2:]],
            "data_batch_1.bin: expected labels below 10, found 10",
        ),
    ],
)
def test_other_content_is_rejected(tmp_path: Path, change: Callable[[list], list], message: str) -> None:
    path = write_archive(tmp_path, change(six_members()))
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load_cifar10(tmp_path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        gzip.compress(b"no tar"),
        gzip.compress(b""),
        gzip.compress(tar(six_members()))[:-200],
        gzip.compress(tar(six_members())[:9000]),
        gzip.compress(tar(six_members()))[:-8] + bytes(8),
    ],
    ids=["empty", "no gzip", "no tar", "nothing", "cut gzip", "cut tar", "wrong checksum"],
)
def test_damaged_archive_is_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz"):
        load_cifar10(tmp_path)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    zeros = bytes(1 << 21)
    for bomb, message in (
        (tar([*six_members(), (member(f"{FOLDER}/extra", zeros), zeros)]), "at most 1048576 bytes in 'extra', found 2"),
        (tar(six_members()) + zeros, "expected the end of the archive after its last member, found more"),
    ):
        (tmp_path / "cifar-10-binary.tar.gz").write_bytes(gzip.compress(bomb))
        with pytest.raises(DataError, match=message):
            load_cifar10(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.unlink(), "expected the file data_batch_2.bin, found none"),
        (lambda file: file.write_bytes(batch(1) + b"x"), "data_batch_2.bin: expected 6146 bytes"),
        (lambda file: file.write_bytes(batch(1)[:-1]), "2 images of 3073, found 6145"),
        (lambda file: file.write_bytes(bytes([200]) * 6146), "below 10, found 200"),
    ],
)
def test_wrong_unpacked_folder_is_rejected(tmp_path: Path, change: Callable[[Path], object], message: str) -> None:
    folder = write_folder(tmp_path)
    change(folder / TRAIN[1])
    with pytest.raises(DataError, match=re.escape(message)):
        load_cifar10(tmp_path)


@settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_archives_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(tar(six_members()))
    headers = [512 * 0, 512, 512 * 15, 512 * 29]
    for _ in range(data.draw(st.integers(1, 4))):
        # A header is where a byte means something.
        place = data.draw(st.sampled_from(headers)) + data.draw(st.integers(0, 511))
        content[place] = data.draw(st.integers(0, 255))
        _repair_checksum(content, place // 512 * 512)
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(gzip.compress(bytes(content[:cut]) + data.draw(st.binary(max_size=9)), 1))
    try:
        outcome = repr(cifar10.read_cifar10_archive(path))
    except DataError as error:
        outcome = str(error)
    assert outcome == "(Split(10 images of 32x32x3), Split(2 images of 32x32x3))" or str(path) in outcome


def _repair_checksum(content: bytearray, header: int) -> None:
    content[header + 148 : header + 156] = b" " * 8
    content[header + 148 : header + 156] = b"%06o\0 " % sum(content[header : header + 512])
