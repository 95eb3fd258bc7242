"""`write` and `read`: arrays and JSON in one HDF5 file that carries its own checksum.

What the contents mean is the business of the callers, and how a file is replaced that of `atomic`.

The file begins with a line of text in what HDF5 calls the user block: a name, a version, and the SHA-256 of everything
behind the block. `read` checks this line before it hands the file to the HDF5 library, because a single wrong bit can
send that library into an endless loop.
"""

from __future__ import annotations

import hashlib
import io
import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from minirobust.saving.atomic import replacing

FORMAT = "minirobust checkpoint"
VERSION = 2
SEAL = 512  # bytes of the user block; HDF5 requires a power of two, at least 512


class CheckpointError(ValueError):
    """Raised for a file that is not a checkpoint, is damaged, or needs a newer version of minirobust."""


def write(path: Path, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a description and arrays to one file. An existing file is replaced as a whole, or left as it is.

    Parameters
    ----------
    path : Path
    description : mapping
        Anything that JSON can represent.
    arrays : mapping of str to ndarray
        A name with slashes goes into groups.

    Raises
    ------
    OSError
        If the file cannot be written; see `atomic.replacing`.
    """
    import h5py

    text = json.dumps(description)
    # Let the HDF5 library write to memory: on a full disk it cannot even close its file, and crashes.
    whole = io.BytesIO()
    with _ctrl_c_held_back(), replacing(path) as temporary:
        with h5py.File(whole, "w", userblock_size=SEAL) as file:
            file.attrs["description"] = text
            for name, array in arrays.items():
                file.create_dataset(name, data=array)
        temporary.write_bytes(whole.getbuffer())
        seal(temporary)


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a file that `write` wrote.

    Returns
    -------
    description : dict
    arrays : dict of str to ndarray

    Raises
    ------
    FileNotFoundError
        If there is no file.
    CheckpointError
        If the file is foreign, truncated, damaged or written by a newer version.
    """
    if not path.exists():
        raise FileNotFoundError(f"checkpoint: no file at {path}")
    _check_seal(path)
    import h5py

    with h5py.File(path, "r") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        try:
            description = json.loads(file.attrs["description"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(f"checkpoint {path}: cannot be rebuilt: {error}") from error
        if not isinstance(description, dict):
            raise CheckpointError(f"checkpoint {path}: cannot be rebuilt: expected fields, got {description!r:.40}")
        return description, {name: file[name][...] for name in names}


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
    """Return the SHA-256 of everything behind the user block."""
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
            raise CheckpointError(f"checkpoint {path}: truncated or damaged: its checksum does not fit")
