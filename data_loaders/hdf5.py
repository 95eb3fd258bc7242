"""The project's own file layout, for custom data sets and for subsets of known ones.

One HDF5 file contains ``/train/images`` (uint8, shape (N, H, W, C)) and ``/train/labels`` (int64,
shape (N,)), the same two arrays under ``/test``, and the attributes ``name``, ``class_names`` and,
if known, ``source``. HDF5 supports much more: links to other files, data stored elsewhere, arrays
that are declared but never written. A data set needs none of this, so the reader refuses it.
"""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_loaders.atomic import replacing
from data_loaders.dataset import Dataset, Split
from data_loaders.errors import DataError

if TYPE_CHECKING:
    import h5py

__all__ = ["MAX_BYTES", "load_hdf5", "save_hdf5"]

MAX_BYTES = 1 << 30
"""Size limit for a compressed array, 1 GiB: six times CIFAR-10's training images.

A larger array must be stored uncompressed, so that a small file cannot claim gigabytes of memory.
"""

REHEARSAL_SECONDS = 20.0
"""Time limit for reading a small file in a child process; half a second is typical."""

_SLOWEST_BYTES_PER_SECOND = 5e6
_REFUSED = 3
"""The child process's exit status if it refuses the file and prints the reason."""

_DEFLATE_RATIO = 1032
"""The highest compression ratio of zlib; data with a higher declared ratio was never written."""


def load_hdf5(path: str | Path) -> Dataset:
    """Load a data set from an HDF5 file in the project's layout.

    Parameters
    ----------
    path : path of the file

    Returns
    -------
    Dataset

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If the file is not in HDF5 format, is damaged, or lacks a member, or if a member has the
        wrong dtype or shape, is stored in another file, or is compressed and larger than
        `MAX_BYTES`.

    Notes
    -----
    The file is read twice, first in a child process, because a damaged file can hang or crash the
    HDF5 library.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected an HDF5 file, found none")
    _rehearse(path)
    return _read(path)


def save_hdf5(path: str | Path, dataset: Dataset) -> None:
    """Save a data set as an HDF5 file in the project's layout.

    A reader of `path` sees either the old file or the new one, never a partial file. Any number of
    threads and processes may save to the same path.

    Parameters
    ----------
    path : path of the file
        An existing file is replaced.
    dataset : Dataset

    Raises
    ------
    ValueError
        If a string cannot be stored because it contains a NUL or a lone surrogate.
    OSError
        If the file cannot be written.

    Notes
    -----
    The file is assembled in memory. Arrays larger than `MAX_BYTES` are not compressed.
    """
    import h5py

    with replacing(path) as temporary:
        # On a full disk, the HDF5 library cannot close its file and crashes, so it writes to memory instead.
        whole = io.BytesIO()
        # Before version 1.8 of the format, an attribute cannot hold more than about 4,000 class names.
        with h5py.File(whole, "w", libver=("v108", "latest")) as file:
            file.attrs["name"] = dataset.name
            file.attrs["class_names"] = list(dataset.class_names)
            file.attrs["source"] = dataset.source
            for part, split in (("train", dataset.train), ("test", dataset.test)):
                _write_split(file, part, split)
        temporary.write_bytes(whole.getbuffer())


def _write_split(file: "h5py.File", part: str, split: Split) -> None:
    storage = {}
    if 0 < split.images.nbytes <= MAX_BYTES:
        # HDF5 decompresses whole chunks; one chunk is about one batch.
        chunks = (min(len(split), 250), *split.images.shape[1:])
        storage = {"compression": "gzip", "chunks": chunks}
    file.create_dataset(f"{part}/images", data=split.images, **storage)
    file.create_dataset(f"{part}/labels", data=split.labels)


def _rehearse(path: Path) -> None:
    """Read the file in a child process first, and raise DataError if that fails.

    HDF5 trusts the lengths and links in a file. A single wrong byte can make it allocate gigabytes
    or follow a cycle forever, and Ctrl-C does not stop it (found by fuzzing HDF5 2.0). A child
    process can be killed, and if it crashes, this process survives.
    """
    seconds = REHEARSAL_SECONDS + path.stat().st_size / _SLOWEST_BYTES_PER_SECOND
    code = "import sys; from data_loaders import hdf5; hdf5._rehearsal(sys.argv[1])"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path),
        "PYTHONIOENCODING": "utf-8:backslashreplace",
    }
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-c", code, str(path)],  # -P: no imports from the current folder
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(
            f"{path}: expected a sound HDF5 file, but reading it took more than {seconds:.0f} seconds"
        ) from error
    if child.returncode == _REFUSED:
        raise DataError(child.stderr.strip())
    if child.returncode != 0:
        last_words = child.stderr.strip().splitlines()[-1:]
        raise DataError(
            f"{path}: expected a sound HDF5 file, but reading it crashed with exit status "
            f"{child.returncode} {' '.join(last_words)}"
        )


def _rehearsal(path: str) -> None:
    """Read the file in the child process and discard its content."""
    try:
        _read(Path(path))
    except DataError as error:
        print(error, file=sys.stderr)
        sys.exit(_REFUSED)


def _read(path: Path) -> Dataset:
    import h5py

    if not h5py.is_hdf5(path):
        raise DataError(f"{path}: expected an HDF5 file, found another format")
    try:
        with h5py.File(path, "r") as file:
            name, class_names = _text(file, "name"), _text_list(file, "class_names")
            source = _text(file, "source") if "source" in file.attrs else ""
            train, test = (_read_split(file, part) for part in ("train", "test"))
            return Dataset(name, train, test, class_names, source)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, MemoryError) as error:
        raise DataError(f"{path}: expected a sound HDF5 file, found damage: {error}") from error


def _read_split(file: "h5py.File", part: str) -> Split:
    import h5py

    group = _member(file, part, h5py.Group)
    images = _checked_array(group, "images", np.dtype("uint8"), 4)
    labels = _checked_array(group, "labels", np.dtype("int64"), 1)
    if len(images) != len(labels):
        raise DataError(f"expected {len(images)} labels in /{part}/labels, one for each image, found {len(labels)}")
    return Split(images[...], labels[...])


def _member(group: "h5py.Group", name: str, kind: type) -> "h5py.HLObject":
    import h5py

    where = f"{group.name.rstrip('/')}/{name}"
    link = group.get(name, getlink=True)
    if link is None:
        raise DataError(f"expected {where}, found {sorted(group)}")
    if not isinstance(link, h5py.HardLink):
        raise DataError(f"expected {where} itself, found a {type(link).__name__}")
    member = group[name]
    if not isinstance(member, kind):
        raise DataError(f"expected {where} to be a {kind.__name__}, found a {type(member).__name__}")
    return member


def _checked_array(group: "h5py.Group", name: str, dtype: np.dtype[Any], ndim: int) -> "h5py.Dataset":
    """Return an array of the file after checking its type and size, without reading it."""
    import h5py

    dataset = _member(group, name, h5py.Dataset)
    where = dataset.name
    if dataset.dtype != dtype or len(dataset.shape or ()) != ndim:
        raise DataError(
            f"{where}: expected {dtype} with {ndim} dimension{'s' * (ndim > 1)}, "
            f"found {dataset.dtype}, shape {dataset.shape}"
        )
    if dataset.external or dataset.is_virtual:
        raise DataError(f"{where}: expected data inside the file, found a reference to other files")
    chunk_bytes = int(np.prod(dataset.chunks or (0,), dtype=object)) * dtype.itemsize
    if max(dataset.nbytes, chunk_bytes) > MAX_BYTES and not _is_uncompressed(dataset):
        raise DataError(
            f"{where}: expected at most {MAX_BYTES} bytes, found shape {dataset.shape}, chunks {dataset.chunks}; "
            "a larger array must be stored uncompressed in one piece"
        )
    if dataset.nbytes > _DEFLATE_RATIO * dataset.id.get_storage_size():
        raise DataError(
            f"{where}: expected data for shape {dataset.shape}, found {dataset.id.get_storage_size()} bytes in the file"
        )
    return dataset


def _is_uncompressed(dataset: "h5py.Dataset") -> bool:
    """Return whether the file holds every byte of the array, in one piece."""
    offset = dataset.id.get_offset()  # None if the array is in chunks, or nothing was ever written
    return offset is not None and offset + dataset.nbytes <= os.path.getsize(dataset.file.filename)


def _text(file: "h5py.File", name: str) -> str:
    text = _text_attribute(file, name)
    if not isinstance(text, str):
        raise DataError(f"expected the attribute {name} to be a single string, found {text!r}")
    return text


def _text_list(file: "h5py.File", name: str) -> tuple[str, ...]:
    texts = _text_attribute(file, name)
    if not isinstance(texts, list):
        raise DataError(f"expected the attribute {name} to be a list of strings, found {texts!r}")
    return tuple(texts)


def _text_attribute(file: "h5py.File", name: str) -> str | list[str]:
    import h5py

    if name not in file.attrs:
        raise DataError(f"expected the attribute {name}, found {sorted(file.attrs)}")
    dtype = file.attrs.get_id(name).dtype
    value = file.attrs[name] if h5py.check_string_dtype(dtype) else None
    if isinstance(value, str | bytes):
        return _decoded(value)
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return [_decoded(text) for text in value.tolist()]
    raise DataError(f"expected the attribute {name} to be a string or a list of strings, found {dtype}")


def _decoded(text: str | bytes) -> str:
    # Fixed-length text, which other programs write, arrives as bytes. Text that is not UTF-8 arrives
    # as a str with surrogates, which cannot be printed.
    return (text if isinstance(text, bytes) else text.encode(errors="surrogateescape")).decode()
