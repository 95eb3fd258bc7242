"""`replacing`: write a file so that its path holds the old file or the new one, never a part of either.

`minirobust/saving/atomic.py` and `data_loaders/atomic.py` have one text, because neither package imports the other.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["check_writable", "replacing"]


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file that takes the place of `path` when the block ends without an exception.

    The temporary file has a unique name in the same folder. Any number of threads and processes may therefore write
    to one path: each file is whole, and the last one stays. The file is flushed to disk before it takes its place.
    A symbolic link stays, and its target is replaced. A new file gets the default permissions, an existing one keeps
    its own.

    Parameters
    ----------
    path : path
        An existing regular file or a new name, in an existing folder.

    Yields
    ------
    Path
        An empty file, which the block fills. If the block fails, the file is removed and `path` is untouched.

    Raises
    ------
    OSError
        If the folder does not exist, `path` is not a regular file, or the file cannot be written. The message names
        `path`, not the temporary file.

    Notes
    -----
    A process that is killed leaves its temporary file, ``.name.*.part``. The next write to the same path removes it,
    provided that it was left on the same machine and, on Linux, in the same container; only there does a process
    number show that the writer no longer runs. On Windows such files stay.
    """
    path = Path(path)
    target, permissions = _target(path)
    # Only the owner may read the new contents of a private file while they are written.
    with _temporary_file(path, target, 0o666 if permissions is None else 0o600) as temporary:
        yield temporary
        with temporary.open("r+b") as file:
            if permissions is not None:
                temporary.chmod(permissions)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    with contextlib.suppress(OSError):  # Windows cannot open a folder, and some file systems cannot flush one.
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def check_writable(path: str | Path) -> None:
    """Raise the OSError that `replacing` would raise for `path`, before work is done that could be lost."""
    path = Path(path)
    with _temporary_file(path, _target(path)[0], 0o600):
        pass


def _target(path: Path) -> tuple[Path, int | None]:
    """Return the file that `path` leads to, and its permissions or None if it does not exist."""
    target = Path(os.path.realpath(path))
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        folder = target.parent if path.is_symlink() else path.parent
        if not folder.is_dir():
            raise FileNotFoundError(f"save {path}: expected an existing folder, got {folder}") from None
        return target, None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"save {path}: expected the name of a file, got a folder")
    if not stat.S_ISREG(mode):
        raise OSError(f"save {path}: expected a regular file, got a device, pipe or socket")
    return target, stat.S_IMODE(mode)


@contextlib.contextmanager
def _temporary_file(path: Path, target: Path, permissions: int) -> Iterator[Path]:
    """Create an empty file beside `target`, and remove it at the end unless it was moved."""
    _remove_leftovers(target)
    temporary = target.with_name(f".{target.name}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        temporary.touch(permissions, exist_ok=False)
        yield temporary
    except OSError as error:
        if error.errno is None or str(error.filename or temporary) != str(temporary):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _remove_leftovers(target: Path) -> None:
    """Remove the temporary files of `target` whose processes have ended."""
    # Version 0.1 used the fixed name .name.part.
    leftover = re.compile(rf"\.{re.escape(target.name)}\.({_machine()}-(?P<process>\d{{1,9}})-\w+\.)?part")
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            found = leftover.fullmatch(name)
            if found and not (found["process"] and _is_running(int(found["process"]))):
                target.with_name(name).unlink(missing_ok=True)


def _machine() -> str:
    """Return a short name for where process numbers are unique: a machine or, on Linux, a container."""
    namespace = "/proc/self/ns/pid"
    container = os.readlink(namespace) if os.path.lexists(namespace) else ""
    return f"{zlib.crc32(f'{platform.node()} {container}'.encode()):08x}"


def _is_running(process: int) -> bool:
    """Return False if no process has this number, and True if one has or it cannot be known."""
    if os.name != "posix":
        return True  # On Windows, os.kill ends the process.
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # It runs and belongs to another user.
        return True
    return True
