"""`replacing`: write a file atomically, so that its path always holds either the old file or the complete new one.

`minirobust/saving/atomic.py` and `data_loaders/atomic.py` are identical, because neither package imports the other.
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
    """Yield a temporary file that replaces `path` when the block ends without an exception.

    The temporary file has a unique name in the same folder, so any number of threads and processes may write to the
    same path: every file is complete, and the last one remains. The file is flushed to disk before it replaces
    `path`. If `path` is a symbolic link, its target is replaced. A new file gets the default permissions; an existing
    file keeps its permissions.

    Parameters
    ----------
    path : path
        An existing regular file, or a new name in an existing folder.

    Yields
    ------
    Path
        An empty file for the block to write. If the block raises, the file is removed and `path` does not change.

    Raises
    ------
    OSError
        If the folder does not exist, `path` is not a regular file, or the file cannot be written. The message names
        `path`, not the temporary file.

    Notes
    -----
    A killed process leaves its temporary file, ``.name.*.part``, behind. The next write to the same path removes it if
    it runs on the same machine and, on Linux, in the same container: elsewhere, the process number in the name does
    not show whether the writer is still running. On Windows, such files are not removed.
    """
    path = Path(path)
    target, permissions = _target(path)
    # An existing file may be private, so only its owner may read the new contents before the permissions are copied.
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
    """Raise the OSError that `replacing` would raise for `path`, before any work is done that would be lost."""
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
    """Create an empty file next to `target`, and remove it at the end unless it was moved."""
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
    """Remove the temporary files of `target` that were left by processes that have ended."""
    # Version 0.1 used the fixed name .name.part.
    leftover = re.compile(rf"\.{re.escape(target.name)}\.({_machine()}-(?P<process>\d{{1,9}})-\w+\.)?part")
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            found = leftover.fullmatch(name)
            if found and not (found["process"] and _is_running(int(found["process"]))):
                target.with_name(name).unlink(missing_ok=True)


def _machine() -> str:
    """Return a short name for this machine or, on Linux, this container: process numbers are unique within it."""
    namespace = "/proc/self/ns/pid"
    container = os.readlink(namespace) if os.path.lexists(namespace) else ""
    return f"{zlib.crc32(f'{platform.node()} {container}'.encode()):08x}"


def _is_running(process: int) -> bool:
    """Return whether a process with this number is running; True if that cannot be determined."""
    if os.name != "posix":
        return True  # On Windows, os.kill ends the process.
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # It runs and belongs to another user.
        return True
    return True
