"""Damaged data files are read or refused with a DataError that names them, soon."""

import gzip
import io
import struct
import tarfile
import zlib

import numpy as np
import pytest

from data_loaders import DataError, Dataset, Split, cifar10, load_hdf5, save_hdf5
from data_loaders.idx import read_idx
from data_loaders.svhn import read_svhn_file

pytestmark = pytest.mark.fuzz


def read_or_refused(read, path, content):
    path.write_bytes(content)
    refusal = None
    try:
        read(path)
    except DataError as error:
        refusal = str(error)
    assert refusal is None or (str(path) in refusal and len(refusal) < 2_100)


def idx_file():
    return bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 3, 4) + bytes(range(24))


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(name, sizes, data):
    header = element(6, struct.pack("<II", 9, 0)) + element(5, struct.pack(f"<{len(sizes)}i", *sizes))
    return element(14, header + element(1, name) + element(2, data))


MATRICES = (matrix(b"X", [32, 32, 3, 1], bytes(3072)), matrix(b"y", [1, 1], bytes([10])))
MAGIC = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def test_random_idx_file_is_read_or_rejected(fuzz, damaged, tmp_path):
    def attempt(rng):
        content = damaged(rng, idx_file())
        packed = rng.choice([0, 1, 2])
        content = content if packed == 0 else gzip.compress(content, 1)
        read_or_refused(
            lambda path: read_idx(path, 3), tmp_path / "a", damaged(rng, content) if packed == 2 else content
        )

    fuzz(attempt)


def test_random_matlab_file_is_read_or_rejected(fuzz, damaged, tmp_path):
    def attempt(rng):
        parts = []
        for content in MATRICES:
            # The pixels are many and mean nothing: damage what stands before them.
            content = damaged(rng, content[:80]) + content[80:]
            if rng.random() < 0.5:
                content = zlib.compress(content)
                content = struct.pack("<II", 15, len(content)) + content
            parts.append(content)
        content = MAGIC + b"".join(parts)
        read_or_refused(read_svhn_file, tmp_path / "a.mat", damaged(rng, content) if rng.random() < 0.3 else content)

    fuzz(attempt)


def archive():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name in (*cifar10.TRAIN_FILES, *cifar10.TEST_FILES):
            member = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
            member.size = 2 * cifar10.RECORD_BYTES
            file.addfile(member, io.BytesIO(bytes(member.size)))
    return buffer.getvalue()


def test_random_tar_file_is_read_or_rejected(fuzz, damaged, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "RECORDS", 2)
    sound = archive()

    def attempt(rng):
        content = bytearray(sound)
        for _ in range(rng.integers(1, 4)):
            header = 512 * rng.choice([0, 14, 28, 42])
            content[header : header + 512] = damaged(rng, content[header : header + 512])[:512].ljust(512, b"\0")
            if rng.random() < 0.9:
                content[header + 148 : header + 156] = b" " * 8
                content[header + 148 : header + 156] = b"%06o\0 " % sum(content[header : header + 512])
        packed = gzip.compress(bytes(content), 1)
        packed = damaged(rng, packed) if rng.random() < 0.2 else packed
        read_or_refused(cifar10.read_cifar10_archive, tmp_path / "a.tar.gz", packed)

    fuzz(attempt)


def test_random_hdf5_file_is_read_or_rejected(fuzz, damaged, tmp_path, monkeypatch):
    monkeypatch.setattr("data_loaders.hdf5.REHEARSAL_SECONDS", 3.0)  # HDF5 may run in a circle
    split = Split(np.zeros((3, 2, 2, 1), np.uint8), np.array([0, 1, 0]))
    save_hdf5(tmp_path / "sound.h5", Dataset("x", split, split, ("a", "b")))
    sound = (tmp_path / "sound.h5").read_bytes()
    fuzz(lambda rng: read_or_refused(load_hdf5, tmp_path / "a.h5", damaged(rng, sound)))
