"""Download a file from the first mirror that has it, and put it in place once its checksum is right.

What has arrived is kept in a ``.part`` file, so that a transfer that was cut off goes on where it
stopped. Which files there are, and where they are looked for before anything is downloaded, is the
business of the loaders and of `search`.
"""

import contextlib
import hashlib
import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_loaders.atomic import replacing

__all__ = ["DownloadError", "RemoteFile", "download_files"]

ANSWER_SECONDS = 3.0
"""How long all mirrors together have to give a sign of life."""

STALL_SECONDS = 30.0
"""How long a transfer may stand still before it counts as cut off."""

ATTEMPTS = 5
"""How often one mirror may be asked to go on after a cut."""


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
        files, from which the next call goes on. Of several downloads of one file into one folder,
        all but the first wait for it (except on Windows, where they disturb each other).

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
                failures[url] = str(error)
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
    path, part = folder / file.name, folder / (file.name + ".part")
    with _locked(folder / f".{file.name}.lock"):
        if path.is_file() and _has_checksum(path, file):
            return
        begun_elsewhere = part.exists()
        _transfer(url, part, file.size)
        if begun_elsewhere and not _has_checksum(part, file):
            # The fault may lie in what an earlier download left, so start this address afresh.
            part.unlink()
            _transfer(url, part, file.size)
        if not _has_checksum(part, file):
            part.unlink()
            raise ValueError(f"wrong checksum: expected {file.checksum}")
        with replacing(path) as temporary:
            os.replace(part, temporary)


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """Hold an exclusive lock, so that no two downloads append to one part.

    The kernel releases the lock when the process ends, however it ends.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    while True:
        with lock.open("w") as file:
            with contextlib.suppress(OSError):  # Some network file systems have no locks.
                fcntl.flock(file, fcntl.LOCK_EX)
            try:
                current = lock.stat()
            except FileNotFoundError:
                continue
            # The previous holder removed its file, and another process may have made a new one.
            if not os.path.samestat(os.fstat(file.fileno()), current):
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _has_checksum(path: Path, file: RemoteFile) -> bool:
    kind, _, expected = file.checksum.partition(":")
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, kind).hexdigest() == expected


def _transfer(url: str, part: Path, size: int) -> None:
    """Complete `part`, trying again after a cut as long as something arrives."""
    for attempt in range(ATTEMPTS):
        arrived = _size(part)
        try:
            _receive(url, part, size)
            return
        except OSError:
            if attempt == ATTEMPTS - 1 or _size(part) <= arrived:
                raise


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(url: str, part: Path, size: int) -> None:
    """Append to `part` what it lacks; raise OSError if the connection ends before."""
    import requests
    import urllib3
    from tqdm import tqdm

    arrived = _size(part)
    if arrived >= size:
        return
    # A proxy that unpacks a .gz file on the way would spoil size, offset and checksum.
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={arrived}-"}
    with requests.get(url, headers=headers, stream=True, timeout=(ANSWER_SECONDS, STALL_SECONDS)) as response:
        response.raise_for_status()
        if response.status_code != requests.codes.partial:
            arrived = 0
        _check_announced(response.headers.get("Content-Length"), size - arrived)
        with (
            part.open("ab" if arrived else "wb") as file,
            # disable=None: a bar on a terminal, silence elsewhere.
            tqdm(desc=part.stem, initial=arrived, total=size, unit="B", unit_scale=True, disable=None) as bar,
        ):
            try:
                for chunk in response.raw.stream(1 << 16, decode_content=False):
                    file.write(chunk[: size - arrived])
                    arrived += len(chunk)
                    bar.update(len(chunk))
                    if arrived > size:
                        break
            except urllib3.exceptions.HTTPError as error:
                raise ConnectionError(
                    f"connection lost after {arrived} of {size} bytes: {_root_cause(error)}"
                ) from error
    if arrived != size:
        # The server ended of its own accord: this is another file, nothing to go on from.
        part.unlink()
        raise OSError(f"expected a file of {size} bytes, found {arrived} or more")


def _check_announced(content_length: str | None, expected: int) -> None:
    if content_length is not None and content_length != str(expected):
        raise OSError(f"expected {expected} bytes to come, the server announced {content_length}")
