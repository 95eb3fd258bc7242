"""`write` and `read`: numbers and JSON in one HDF5 file that is whole or not there; what they mean is not known here.

A file is written under a temporary name and moved into place, so that a path holds the old file or the new one and
never half of either.

In front of the HDF5 data, in what that format calls the user block, stands a line with a name, a version and the
SHA-256 of everything behind it.  A file that was cut, damaged or made by somebody else is told by that line, before the
HDF5 library, which a single wrong bit can send into an endless loop, sees any of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path
from types import FrameType
from typing import Any

import numpy

FORMAT = "minirobust checkpoint"
VERSION = 1
SEAL = 512  # bytes of the user block; HDF5 asks for a power of two from 512


class CheckpointError(ValueError):
    """A file that is no checkpoint, not a whole one, or a newer one than this version reads."""


def write(path: Path, description: Mapping[str, Any], arrays: Mapping[str, numpy.ndarray]) -> None:
    """Writes what JSON holds and what arrays hold, replacing the file at `path` as a whole or not at all.

    Parameters
    ----------
    path : Path
    description : mapping that JSON can hold
    arrays : mapping of str to ndarray
        A name with slashes goes into groups.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written; what stood at `path` is untouched.
    """
    import h5py

    text = json.dumps(description)
    # The HDF5 library writes to memory: on a full disk it can neither go on nor close its file, and crashes in the end.
    whole = io.BytesIO()
    with _ctrl_c_held_back(), replacing(path) as temporary:
        with h5py.File(whole, "w", userblock_size=SEAL) as file:
            file.attrs["description"] = text
            for name, array in arrays.items():
                file.create_dataset(name, data=array)
        temporary.write_bytes(whole.getbuffer())
        seal(temporary)


def read(path: Path) -> tuple[dict[str, Any], dict[str, numpy.ndarray]]:
    """The description and the arrays of a file that `write` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    CheckpointError
        If it is foreign, truncated, damaged or of a newer version.
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
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"checkpoint {path}: cannot be rebuilt: {error}") from error
        return description, {name: file[name][...] for name in names}


def check_writable(path: Path) -> None:
    """Raises what `write` would raise of this path, before any work is done that could be lost."""
    temporary = _temporary(path)
    temporary.touch()
    temporary.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` whose file takes its place when the block ends well, and is gone when it does not.

    An OSError on the way is said of `path`, which somebody asked for, rather than of that name.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    """The name, cleared of what a process that was killed may have left there."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"save: expected an existing folder, got {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"save: expected the name of a file, got the folder {path}")
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    return temporary


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Lets Ctrl-C take effect after the block: a KeyboardInterrupt in one of h5py's callbacks would be lost."""
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


# The line in front


def seal(path: Path) -> None:
    """Writes the line that says what the file is, and that it is whole."""
    with path.open("r+b") as file:
        line = f"{FORMAT} {VERSION} {_digest(file)}\n"
        file.seek(0)
        file.write(line.encode("ascii"))


def _digest(file: BufferedReader | BufferedRandom) -> str:
    """The SHA-256 of everything behind the user block."""
    file.seek(SEAL)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _check_seal(path: Path) -> None:
    """Raises CheckpointError unless the file is a whole checkpoint of a version that is known."""
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
