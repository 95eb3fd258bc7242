"""Download a file from the first mirror that has it, and move it into place once its checksum is verified.

The bytes received so far are kept in a ``.part`` file, so that an interrupted transfer resumes where
it stopped. pooch, which locates the user's cache folder, can neither resume a download nor abort one
that is too slow. The loaders define the files, and `search` looks for existing copies first.
"""

import contextlib
import hashlib
import os
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_loaders.atomic import replacing

__all__ = ["DownloadError", "RemoteFile", "download_files"]

ANSWER_SECONDS = 3.0
"""Time limit for a first answer from any of the mirrors, which are asked all at once."""

STALL_SECONDS = 30.0
"""How long a transfer may be slower than `MIN_BYTES_PER_SECOND` before it is interrupted."""

MIN_BYTES_PER_SECOND = 1_000
"""The lowest acceptable transfer rate."""

TOTAL_SECONDS = 6 * 3600.0
"""Time limit for one file from one mirror, over all attempts."""

ATTEMPTS = 5
"""Maximum number of attempts to transfer a file from one mirror."""

_PIECE = 1 << 14


@dataclass(frozen=True)
class RemoteFile:
    """A file that every mirror offers.

    Parameters
    ----------
    name : str
        Its name, on the mirrors and on this machine.
    size : int
        Size in bytes.
    checksum : str
        ``"sha256:..."`` or ``"md5:..."``.
    unpacked : str
        The name of the unpacked file or, if it ends in a slash, of the unpacked folder. Users may
        provide it instead of the file itself. Empty if only the file is accepted.
    """

    name: str
    size: int
    checksum: str
    unpacked: str = ""


class DownloadError(OSError):
    """Raised if no mirror delivers a file; `attempts` gives the reason for each address."""

    def __init__(self, attempts: Sequence[str]) -> None:
        super().__init__("\n".join(attempts))
        self.attempts = list(attempts)


def download_files(files: Sequence[RemoteFile], addresses: Sequence[str], folder: Path) -> None:
    """Download the files into the folder, each from the first address that has it.

    Parameters
    ----------
    files : sequence of RemoteFile
    addresses : sequence of str
        Web folders in order of preference; each ends in a slash.
    folder : Path
        Created if necessary. It receives only complete files with the right checksum, and ``.part``
        files, from which the next call resumes. If several processes download the same file into
        the same folder, one downloads it and the others wait; without file locks, as on Windows,
        each of them downloads it.

    Raises
    ------
    DownloadError
        If no address delivers one of the files.
    """
    alive, silent = _answering(addresses, files[0].name)
    for file in files:
        failures = dict(silent)
        for address in alive:
            url = address + file.name
            try:
                _retrieve(url, file, folder)
                break
            except (OSError, ValueError) as error:
                failures[url] = str(error)[:300]  # the message may contain text from the server
        else:
            raise DownloadError([f"{url}: {reason}" for url, reason in failures.items()])


def _answering(addresses: Sequence[str], name: str) -> tuple[list[str], dict[str, str]]:
    """Ask all mirrors at once, and separate those that answer from those that do not.

    Without a network, connections made one after another would each run into a timeout, and a name
    lookup may hang for longer than any timeout. Asking in threads bounds the total time.

    Returns
    -------
    alive : list of str
        The addresses that gave any answer, in the order given.
    silent : dict
        The reason for each of the other addresses, by URL.
    """
    answers: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    for address in addresses:
        threading.Thread(target=_ask, args=(address, name, answers), daemon=True).start()

    outcome = dict.fromkeys(addresses, f"no answer within {ANSWER_SECONDS:g} seconds")
    deadline = time.monotonic() + ANSWER_SECONDS
    for _ in addresses:
        try:
            address, failure = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        outcome[address] = failure
    alive = [address for address in addresses if not outcome[address]]
    return alive, {address + name: failure for address, failure in outcome.items() if failure}


def _ask(address: str, name: str, answers: "queue.SimpleQueue[tuple[str, str]]") -> None:
    import requests

    try:
        requests.head(address + name, timeout=ANSWER_SECONDS)
        answers.put((address, ""))
    except OSError as error:
        answers.put((address, _root_cause(error)))


def _root_cause(error: BaseException) -> str:
    """Return the innermost error's message; the outer errors only repeat it."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error) or type(error).__name__


def _retrieve(url: str, file: RemoteFile, folder: Path) -> None:
    """Download one file from one address, unless it has appeared in the meantime."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.name
    with _locked(folder / f".{file.name}.lock") as alone:
        if path.is_file() and _has_checksum(path, file):
            return
        # Two downloads must not append to the same part.
        part = folder / (f"{file.name}.part" if alone else f".{file.name}.{secrets.token_hex(4)}.part")
        try:
            _complete(url, file, part)
            with replacing(path) as temporary:
                os.replace(part, temporary)
        finally:
            if not alone:
                part.unlink(missing_ok=True)


def _complete(url: str, file: RemoteFile, part: Path) -> None:
    """Download the rest of `part`; raise OSError or ValueError if that fails or its checksum is wrong."""
    begun_elsewhere = part.exists()
    _transfer(url, part, file.size)
    if begun_elsewhere and not _has_checksum(part, file):
        # The bytes left by an earlier download may be wrong, so start again from this address.
        part.unlink()
        _transfer(url, part, file.size)
    if not _has_checksum(part, file):
        part.unlink()
        raise ValueError(f"wrong checksum: expected {file.checksum}")


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[bool]:
    """Hold an exclusive lock until the block ends; yield False if file locks are not available.

    The kernel releases the lock when the process ends, however it ends.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    while True:
        # Not `open`, which would follow a symbolic link and truncate its target.
        with os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                alone = True
            except OSError:  # Some network file systems have no locks.
                alone = False
            try:
                current = lock.stat()
            except FileNotFoundError:
                continue
            # The previous holder removed its file, and another process may have created a new one.
            if not os.path.samestat(os.fstat(file.fileno()), current):
                continue
            try:
                yield alone
            finally:
                lock.unlink(missing_ok=True)
            return


def _has_checksum(path: Path, file: RemoteFile) -> bool:
    kind, _, expected = file.checksum.partition(":")
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, kind).hexdigest() == expected


def _transfer(url: str, part: Path, size: int) -> None:
    """Complete `part`, resuming after an interruption as long as an attempt makes progress."""
    deadline = time.monotonic() + TOTAL_SECONDS
    for attempt in range(ATTEMPTS):
        arrived = _size(part)
        try:
            _receive(url, part, size, deadline)
            return
        except OSError:
            if attempt == ATTEMPTS - 1 or _size(part) <= arrived:
                raise


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(url: str, part: Path, size: int, deadline: float) -> None:
    """Append the missing bytes to `part`; raise OSError if the connection is lost or too slow."""
    if _size(part) >= size:
        return
    with contextlib.closing(_Request(url, _size(part), size, deadline)) as request:
        arrived = request.start()
        with part.open("ab" if arrived else "wb") as file, _progress_bar(part.stem, arrived, size) as advance:
            try:
                for piece in request.pieces():
                    file.write(piece[: size - arrived])
                    arrived += len(piece)
                    advance(len(piece))
                    if arrived > size:
                        break
            except OSError as error:
                raise ConnectionError(f"connection lost after {arrived} of {size} bytes: {error}") from error
    if arrived < size and request.announced:
        raise ConnectionError(f"connection lost after {arrived} of {size} bytes")
    if arrived != size:
        # The server ended the transfer itself, so it has a different file, which cannot be resumed.
        part.unlink()
        raise OSError(f"expected a file of {size} bytes, found {arrived}{' or more' * (arrived > size)}")


@contextlib.contextmanager
def _progress_bar(text: str, arrived: int, size: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal; yield a function that adds a number of bytes to it."""
    if sys.stderr is None or not sys.stderr.isatty():  # None if it was closed before Python started
        yield lambda more: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(text, completed=arrived, total=size)
        yield lambda more: progress.advance(task, more)


class _Request:
    """A request for the rest of a file, made in a separate thread so that a slow server can be abandoned.

    A connection timeout is not enough, because it restarts with every byte.
    """

    def __init__(self, url: str, offset: int, size: int, deadline: float) -> None:
        self.url, self.offset, self.size, self.deadline = url, offset, size, deadline
        self.announced = False
        self._answers: queue.Queue[int | bytes | Exception | None] = queue.Queue(maxsize=64)
        self._left = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def start(self) -> int:
        """Wait for the response; return the offset in the file at which it begins."""
        offset = self._next(time.monotonic() + ANSWER_SECONDS + STALL_SECONDS)
        assert isinstance(offset, int)
        return offset

    def pieces(self) -> Iterator[bytes]:
        """Yield the content as it arrives."""
        while True:
            arrived, limit = 0, time.monotonic() + STALL_SECONDS
            while arrived < STALL_SECONDS * MIN_BYTES_PER_SECOND:
                piece = self._next(limit)
                if not isinstance(piece, bytes):
                    return
                arrived += len(piece)
                yield piece

    def close(self) -> None:
        """Abandon the request; its thread ends as soon as it notices."""
        self._left.set()

    def _next(self, limit: float) -> int | bytes | None:
        limit = min(limit, self.deadline)
        try:
            answer = self._answers.get(timeout=max(0.0, limit - time.monotonic()))
        except queue.Empty:
            if limit == self.deadline:
                raise TimeoutError(f"not finished within {TOTAL_SECONDS:g} seconds") from None
            raise TimeoutError(f"less than {MIN_BYTES_PER_SECOND} bytes a second") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _run(self) -> None:
        try:
            for answer in self._ask():
                self._put(answer)
                if self._left.is_set():
                    return
            self._put(None)
        except Exception as error:
            self._put(error)

    def _put(self, answer: int | bytes | Exception | None) -> None:
        while not self._left.is_set():
            with contextlib.suppress(queue.Full):
                self._answers.put(answer, timeout=1.0)
                return

    def _ask(self) -> Iterator[int | bytes]:
        """Yield the offset at which the response begins, then its pieces."""
        import requests
        import urllib3

        # A proxy that decompresses a .gz file would change its size, offsets and checksum.
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={self.offset}-"}
        with requests.get(self.url, headers=headers, stream=True, timeout=(ANSWER_SECONDS, STALL_SECONDS)) as response:
            response.raise_for_status()
            offset = self.offset if response.status_code == requests.codes.partial else 0
            announced = response.headers.get("Content-Length")
            if announced is not None and announced != str(self.size - offset):
                raise OSError(f"expected {self.size - offset} more bytes, the server announced {announced:.20}")
            # urllib3 before version 2 does not report that a body is shorter than announced.
            self.announced = announced is not None
            yield offset
            try:
                yield from response.raw.stream(_PIECE, decode_content=False)
            except urllib3.exceptions.HTTPError as error:
                raise ConnectionError(_root_cause(error)) from error
