"""`write` and `read`: arrays and JSON in one HDF5 file that carries its own checksum.

`checkpoint` and `study.store` define what the contents mean; `atomic` replaces the file.

The file begins with a line of text in what HDF5 calls the user block: a name, a version, and the SHA-256 of everything
after the block. `read` checks this line before it passes the file to the HDF5 library, because a single wrong bit can
send that library into an endless loop. The checksum does not prevent forgery, so `read` does not trust the sizes and
links in the file either: it reads only the names that it expects, and only arrays whose bytes are in the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import signal
import threading
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust.saving.atomic import replacing

if TYPE_CHECKING:
    import h5py

FORMAT = "minirobust checkpoint"
VERSION = 2
SEAL = 512  # bytes of the user block; HDF5 requires a power of two, at least 512
MAX_DESCRIPTION = 2**24  # characters of JSON, which takes up to twenty times as much memory once it is parsed
MAX_NAMES = 5_000  # arrays and groups that are read; a network of 1,000 layers and a task of the study have fewer
MAX_DEPTH = 4  # groups within groups, as in audit/fooled/PGD
MAX_MESSAGE = 1_000  # characters; a name in a forged file may be megabytes long


class CheckpointError(ValueError):
    """Raised for a file that is not a checkpoint, is damaged, or needs a newer version of minirobust."""

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]} …")


def write(path: Path, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a description and arrays to one file, replacing an existing file atomically.

    Parameters
    ----------
    path : Path
    description : mapping
        Anything that JSON can represent.
    arrays : mapping of str to ndarray
        A name with slashes is stored in groups.

    Raises
    ------
    ValueError
        If the description is longer than `MAX_DESCRIPTION`.
    OSError
        If the file cannot be written; see `atomic.replacing`.
    """
    import h5py

    text = json.dumps(description)
    if len(text) > MAX_DESCRIPTION:
        raise ValueError(_too_long(text))
    # On a full disk, the HDF5 library cannot close its file and crashes, so it writes to memory instead.
    whole = io.BytesIO()
    with _ctrl_c_held_back(), replacing(path) as temporary:
        with h5py.File(whole, "w", userblock_size=SEAL) as file:
            file.attrs["description"] = text
            for name, array in arrays.items():
                file.create_dataset(name, data=array)
        temporary.write_bytes(whole.getbuffer())
        seal(temporary)


def read(path: Path, names: Collection[str] | None = None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a file written by `write`.

    Parameters
    ----------
    path : Path
    names : collection of str, optional
        The top-level arrays and groups to read; by default, all.

    Returns
    -------
    description : dict
    arrays : dict of str to ndarray

    Raises
    ------
    FileNotFoundError
        If there is no file.
    CheckpointError
        If the file is not a checkpoint, is truncated, damaged or written by a newer version, or an array is not stored
        in it as plain numbers.
    """
    if not path.exists():
        raise FileNotFoundError(f"checkpoint: no file at {path}")
    if not path.is_file() and not path.is_dir():  # opening a folder raises an OSError that says so
        raise CheckpointError(f"checkpoint {path}: expected a regular file, got a device, pipe or socket")
    _check_seal(path)
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text = file.attrs["description"]
            if len(text) > MAX_DESCRIPTION:
                raise CheckpointError(_too_long(text))
            description = json.loads(text)
            if not isinstance(description, dict):
                raise CheckpointError(f"expected a JSON object as its description, got a {type(description).__name__}")
            return description, _read_arrays(file, set(file) if names is None else names, path.stat().st_size)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error
    except Exception as error:  # h5py raises errors of nearly every kind for a forged file
        raise CheckpointError(f"checkpoint {path}: cannot be read: {type(error).__name__}: {error}") from error


def _too_long(text: str) -> str:
    return f"expected a description of at most {MAX_DESCRIPTION:,} characters, got {len(text):,}: use arrays"


def _read_arrays(file: h5py.File, names: Collection[str], file_size: int) -> dict[str, np.ndarray]:
    """Return the arrays below `names`, which together cannot be larger than the file that contains them."""
    arrays = {}
    left = file_size
    for name, dataset in _datasets(file, names):
        if dataset.dtype.kind not in "biufc":
            raise CheckpointError(f"expected {name} to be numbers, got {dataset.dtype}")
        left -= dataset.nbytes
        if not _is_plain(dataset, file_size) or left < 0:
            raise CheckpointError(
                f"expected {name} to be stored in this file, uncompressed and in one piece, "
                f"got an array of shape {dataset.shape} stored differently"
            )
        arrays[name] = dataset[...]
    return arrays


def _datasets(file: h5py.File, names: Collection[str]) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the name and dataset of every array below `names`; follow no links, and read a limited number of names."""
    import h5py

    waiting = deque(name for name in file if name in names)
    seen = 0
    while waiting:
        name = waiting.popleft()
        seen += 1
        item = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
        if isinstance(item, h5py.Dataset):
            yield name, item
        elif not isinstance(item, h5py.Group):
            raise CheckpointError(f"expected {name} to be an array or a group, got a link or a type")
        elif seen + len(waiting) + len(item) > MAX_NAMES or name.count("/") >= MAX_DEPTH:
            raise CheckpointError(f"expected at most {MAX_NAMES:,} names, {MAX_DEPTH} groups deep, got more in {name}")
        else:
            waiting.extend(f"{name}/{inner}" for inner in item)


def _is_plain(dataset: h5py.Dataset, file_size: int) -> bool:
    """Return whether every byte of an array is in this file, uncompressed and in one piece."""
    if dataset.external or dataset.is_virtual or dataset.chunks is not None:
        return False
    offset = dataset.id.get_offset() or 0  # None if a small array is stored within its header
    # An array that was never written takes no storage, and reads as any number of zeros.
    return dataset.id.get_storage_size() == dataset.nbytes and offset + dataset.nbytes <= file_size


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Delay Ctrl-C until the block ends, because a KeyboardInterrupt in one of h5py's callbacks would be lost."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    pressed = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if pressed:
            signal.raise_signal(signal.SIGINT)


# The first line


def seal(path: Path) -> None:
    """Write the first line: name, version and checksum."""
    with path.open("r+b") as file:
        line = f"{FORMAT} {VERSION} {_digest(file)}\n"
        file.seek(0)
        file.write(line.encode("ascii"))


def _digest(file: BufferedReader | BufferedRandom) -> str:
    """Return the SHA-256 of everything after the user block."""
    file.seek(SEAL)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _check_seal(path: Path) -> None:
    """Raise CheckpointError unless the file is an undamaged checkpoint of a known version."""
    with path.open("rb") as file:
        line = file.read(SEAL).split(b"\n")[0].decode("ascii", errors="replace")
        name, _, rest = line.partition(f"{FORMAT} ")
        version, _, digest = rest.partition(" ")
        if name or not version.isdecimal():
            raise CheckpointError(f"checkpoint {path}: expected a {FORMAT}, got another kind of file")
        if int(version) > VERSION:
            raise CheckpointError(
                f"checkpoint {path}: expected version {VERSION} or older, got {version}: update minirobust"
            )
        if int(version) < 1:
            raise CheckpointError(f"checkpoint {path}: expected version 1 to {VERSION}, got {version}")
        if digest != _digest(file):
            raise CheckpointError(f"checkpoint {path}: truncated or damaged: its checksum does not match")
