"""Download a file from the first mirror that has it, and put it in place once its checksum is right.

What has arrived is kept in a ``.part`` file, so that a transfer that was cut off continues where it
stopped; pooch, which knows the user's cache folder, can neither resume a download nor end one that
is too slow. The loaders define the files, and `search` looks for them before anything is downloaded.
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
"""How long all mirrors together have to give a sign of life."""

STALL_SECONDS = 30.0
"""How long a transfer may fall short of `MIN_BYTES_PER_SECOND` before it counts as cut off."""

MIN_BYTES_PER_SECOND = 1_000
"""The slowest transfer that is worth waiting for."""

TOTAL_SECONDS = 6 * 3600.0
"""How long one mirror may take for one file, all attempts together."""

ATTEMPTS = 5
"""How often one mirror may be asked to continue after a cut."""

_PIECE = 1 << 14


@dataclass(frozen=True)
class RemoteFile:
    """A file as it lies on every mirror.

    Parameters
    ----------
    name : str
        Its name, there and here.
    size : int
        In bytes.
    checksum : str
        ``"sha256:..."`` or ``"md5:..."``.
    unpacked : str
        The name that it, or (ending in a slash) the folder in it, bears after someone unpacked it
        by hand: as good as the file itself. Empty if there is no such form.
    """

    name: str
    size: int
    checksum: str
    unpacked: str = ""


class DownloadError(OSError):
    """No mirror delivered the file; `attempts` says of every address what came of it."""

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
        Made if necessary. It receives only whole files whose checksum is right, and ``.part``
        files, from which the next call continues. Of several downloads of one file into one folder,
        all but the first wait for it; without file locks, as on Windows, each downloads it.

    Raises
    ------
    DownloadError
        At the first file that no address delivers.
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
                failures[url] = str(error)[:300]  # some of the words may be the server's own
        else:
            raise DownloadError([f"{url}: {reason}" for url, reason in failures.items()])


def _answering(addresses: Sequence[str], name: str) -> tuple[list[str], dict[str, str]]:
    """Ask all mirrors at once, and part those that answer from those that do not.

    With no network the connections fail one by one, each after its own timeout, and looking up a
    name may hang for longer than any timeout. Asking in threads bounds the whole search.

    Returns
    -------
    alive : list of str
        The addresses that answered anything at all, in the order given.
    silent : dict
        From the URL of each other address to the reason.
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
    """Return the innermost message: the outer ones repeat it in the words of three libraries."""
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
        # Two downloads must not append to one part.
        part = folder / (f"{file.name}.part" if alone else f".{file.name}.{secrets.token_hex(4)}.part")
        try:
            _complete(url, file, part)
            with replacing(path) as temporary:
                os.replace(part, temporary)
        finally:
            if not alone:
                part.unlink(missing_ok=True)


def _complete(url: str, file: RemoteFile, part: Path) -> None:
    """Download what a part lacks; raise OSError or ValueError unless it then has the right checksum."""
    begun_elsewhere = part.exists()
    _transfer(url, part, file.size)
    if begun_elsewhere and not _has_checksum(part, file):
        # The fault may lie in what an earlier download left, so start this address afresh.
        part.unlink()
        _transfer(url, part, file.size)
    if not _has_checksum(part, file):
        part.unlink()
        raise ValueError(f"wrong checksum: expected {file.checksum}")


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[bool]:
    """Hold an exclusive lock until the block ends; yield False if there are no locks here.

    The kernel releases the lock when the process ends, however it ends.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    while True:
        # Not `open`: it would follow a symbolic link, and empty the file that the link leads to.
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
            # The previous holder removed its file, and another process may have made a new one.
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
    """Complete `part`, trying again after a cut as long as something arrives."""
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
    """Append to `part` what it lacks; raise OSError if the connection ends before, or is too slow."""
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
        # The server ended of its own accord: this is another file, from which nothing can continue.
        part.unlink()
        raise OSError(f"expected a file of {size} bytes, found {arrived}{' or more' * (arrived > size)}")


@contextlib.contextmanager
def _progress_bar(text: str, arrived: int, size: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many bytes have arrived; yield a function that counts more."""
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
    """A request for the rest of a file, made in a thread of its own, so that a slow server can be left.

    A timeout of the connection is not enough: it begins anew with every byte.
    """

    def __init__(self, url: str, offset: int, size: int, deadline: float) -> None:
        self.url, self.offset, self.size, self.deadline = url, offset, size, deadline
        self.announced = False
        self._answers: queue.Queue[int | bytes | Exception | None] = queue.Queue(maxsize=64)
        self._left = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def start(self) -> int:
        """Wait for the answer; return the offset in the file at which it begins."""
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
        """Leave the request; its thread ends as soon as it notices."""
        self._left.set()

    def _next(self, limit: float) -> int | bytes | None:
        limit = min(limit, self.deadline)
        try:
            answer = self._answers.get(timeout=max(0.0, limit - time.monotonic()))
        except queue.Empty:
            if limit == self.deadline:
                raise TimeoutError(f"not done within {TOTAL_SECONDS:g} seconds") from None
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
        """Yield the offset at which the answer begins, then its pieces."""
        import requests
        import urllib3

        # A proxy that unpacks a .gz file on the way would spoil size, offset and checksum.
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={self.offset}-"}
        with requests.get(self.url, headers=headers, stream=True, timeout=(ANSWER_SECONDS, STALL_SECONDS)) as response:
            response.raise_for_status()
            offset = self.offset if response.status_code == requests.codes.partial else 0
            announced = response.headers.get("Content-Length")
            if announced is not None and announced != str(self.size - offset):
                raise OSError(f"expected {self.size - offset} bytes to come, the server announced {announced:.20}")
            # urllib3 before version 2 does not say that a body is shorter than announced.
            self.announced = announced is not None
            yield offset
            try:
                yield from response.raw.stream(_PIECE, decode_content=False)
            except urllib3.exceptions.HTTPError as error:
                raise ConnectionError(_root_cause(error)) from error
