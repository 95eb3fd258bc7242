"""A download is resumed, checked, tried at every mirror, and never leaves an incomplete file."""

import contextlib
import hashlib
import io
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import urllib3

from data_loaders import download
from data_loaders.download import DownloadError, RemoteFile, download_files

if TYPE_CHECKING:
    from conftest import Server

CONTENT = bytes(range(256)) * 1000
FILE = RemoteFile("digits.gz", size=len(CONTENT), checksum=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")


@pytest.fixture
def server(make_server: "Callable[[], Server]") -> "Server":
    server = make_server()
    server.files["digits.gz"] = CONTENT
    return server


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_downloaded_file_is_complete_and_leaves_no_other_file(tmp_path: Path, server: "Server") -> None:
    download_files([FILE], [server.address], tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder" / "digits.gz").read_bytes() == CONTENT
    assert names(tmp_path / "new" / "folder") == ["digits.gz"]


@pytest.mark.parametrize("ranges", [True, False])
def test_download_continues_where_an_earlier_one_stopped(tmp_path: Path, server: "Server", ranges: bool) -> None:
    server.ranges = ranges
    (tmp_path / "digits.gz.part").write_bytes(CONTENT[:100_000])
    download_files([FILE], [server.address], tmp_path)
    assert server.downloads == ["bytes=100000-"]
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT
    assert names(tmp_path) == ["digits.gz"]


def test_download_resumes_after_a_lost_connection(tmp_path: Path, server: "Server") -> None:
    server.cut_after = 100_000
    download_files([FILE], [server.address], tmp_path)
    assert server.downloads == ["bytes=0-", "bytes=100000-", "bytes=200000-"]
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT


def test_an_interrupted_download_leaves_no_file_but_its_part(tmp_path: Path, server: "Server") -> None:
    server.cut_after = 1000
    with pytest.raises(DownloadError, match="connection lost after 5000 of 256000 bytes"):
        download_files([FILE], [server.address], tmp_path)
    assert names(tmp_path) == ["digits.gz.part"]

    server.cut_after = None
    download_files([FILE], [server.address], tmp_path)
    assert server.downloads[-1] == "bytes=5000-"
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT


def test_complete_part_needs_only_the_checksum(tmp_path: Path, server: "Server") -> None:
    (tmp_path / "digits.gz.part").write_bytes(CONTENT)
    download_files([FILE], [server.address], tmp_path)
    assert server.downloads == []
    assert names(tmp_path) == ["digits.gz"]


@pytest.mark.parametrize("part", [b"x" * 1000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 1)])
def test_damaged_part_is_discarded(tmp_path: Path, server: "Server", part: bytes) -> None:
    (tmp_path / "digits.gz.part").write_bytes(part)
    download_files([FILE], [server.address], tmp_path)
    assert server.downloads[-1] == "bytes=0-"
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT


def test_wrong_checksum_is_rejected_and_leaves_no_file(tmp_path: Path, server: "Server") -> None:
    server.files["digits.gz"] = CONTENT[:-1] + b"x"
    with pytest.raises(DownloadError, match="wrong checksum: expected sha256:"):
        download_files([FILE], [server.address], tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("announce", [True, False])
@pytest.mark.parametrize("content", [b"<html>Log in first</html>", CONTENT + b"more"])
def test_another_file_is_rejected_and_leaves_no_file(
    tmp_path: Path, server: "Server", content: bytes, announce: bool
) -> None:
    server.files["digits.gz"], server.announce = content, announce
    with pytest.raises(DownloadError, match="expected"):
        download_files([FILE], [server.address], tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("fault", ["absent", "spoilt", "short", "cut", "dead"])
def test_next_mirror_is_tried_after_a_failure(
    tmp_path: Path,
    make_server: "Callable[[], Server]",
    server: "Server",
    dead_address: str,
    fault: str,
) -> None:
    first = make_server()
    first.files["digits.gz"] = {"spoilt": b"x" * len(CONTENT), "short": b"<html>"}.get(fault, CONTENT)
    if fault == "absent":
        first.files.clear()
    if fault == "cut":
        first.cut_after = 1000
    addresses = [dead_address if fault == "dead" else first.address, server.address]
    download_files([FILE], addresses, tmp_path)
    assert names(tmp_path) == ["digits.gz"]
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT


def test_mirrors_are_tried_in_order(tmp_path: Path, make_server: "Callable[[], Server]", server: "Server") -> None:
    unneeded = make_server()
    unneeded.files["digits.gz"] = CONTENT
    download_files([FILE], [server.address, unneeded.address], tmp_path)
    assert server.downloads == ["bytes=0-"]
    assert unneeded.downloads == []


def test_error_page_does_not_replace_the_partial_file(tmp_path: Path, server: "Server") -> None:
    (tmp_path / "digits.gz.part").write_bytes(CONTENT[:100_000])
    server.files["digits.gz"], server.ranges = b"<html>Log in first</html>", False
    with pytest.raises(DownloadError, match="expected 256000 more bytes, the server announced 25"):
        download_files([FILE], [server.address], tmp_path)
    assert (tmp_path / "digits.gz.part").read_bytes() == CONTENT[:100_000]


def test_several_downloads_into_one_folder_wait_for_the_first(tmp_path: Path, server: "Server") -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: download_files([FILE], [server.address], tmp_path), range(8)))
    assert server.downloads == ["bytes=0-"]
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT
    assert names(tmp_path) == ["digits.gz"]


def test_processes_download_into_one_folder(tmp_path: Path, server: "Server") -> None:
    (tmp_path / "digits.gz.part").write_bytes(CONTENT[:1000])
    code = f"""
import sys
from pathlib import Path
from data_loaders.download import RemoteFile, download_files
file = RemoteFile("digits.gz", {FILE.size}, {FILE.checksum!r})
download_files([file], [sys.argv[1]], Path(sys.argv[2]))
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, server.address, str(tmp_path)], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=60)[1] for process in processes] == [b""] * 2
    assert server.downloads == ["bytes=1000-"]
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT
    assert names(tmp_path) == ["digits.gz"]


def test_waiting_download_continues_after_the_first_failed(tmp_path: Path, server: "Server") -> None:
    failed = threading.Event()

    def fail() -> None:
        with download._locked(tmp_path / ".digits.gz.lock"):
            waiting.start()
            assert not failed.wait(0.2)
            (tmp_path / "digits.gz.part").write_bytes(CONTENT[:5000])

    def go_on() -> None:
        download_files([FILE], [server.address], tmp_path)
        failed.set()

    waiting = threading.Thread(target=go_on)
    fail()
    waiting.join()
    assert server.downloads == ["bytes=5000-"]
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT


def test_lock_of_a_killed_process_does_not_block_others(tmp_path: Path, server: "Server") -> None:
    (tmp_path / ".digits.gz.lock").touch()
    download_files([FILE], [server.address], tmp_path)
    assert names(tmp_path) == ["digits.gz"]


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path, server: "Server") -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".digits.gz.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(DownloadError, match=r"digits\.gz\.lock"):
        download_files([FILE], [server.address], tmp_path)
    assert (tmp_path / "victim").read_text() == "precious"


def test_removed_lock_is_ignored(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="locks are those of POSIX")
    lock, entered = tmp_path / "lock", threading.Event()

    def enter() -> None:
        with download._locked(lock):
            entered.set()

    first = lock.open("w")
    fcntl.flock(first, fcntl.LOCK_EX)
    waiting = threading.Thread(target=enter)
    waiting.start()
    assert not entered.wait(0.2)
    lock.unlink()
    with lock.open("w") as second:
        fcntl.flock(second, fcntl.LOCK_EX)
        first.close()
        assert not entered.wait(0.2)
        lock.unlink()
    assert entered.wait(10)
    waiting.join()


def test_a_damaged_file_in_place_is_replaced(tmp_path: Path, server: "Server") -> None:
    (tmp_path / "digits.gz").write_bytes(b"x")
    download_files([FILE], [server.address], tmp_path)
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT
    assert names(tmp_path) == ["digits.gz"]


def test_error_names_every_address_and_its_failure(
    tmp_path: Path, make_server: "Callable[[], Server]", dead_address: str
) -> None:
    empty = make_server()
    with pytest.raises(DownloadError) as caught:
        download_files([FILE], [dead_address, empty.address], tmp_path / "folder")
    dead, absent = sorted(caught.value.attempts, key=lambda attempt: "404" in attempt)
    assert re.match(f"{re.escape(dead_address)}digits.gz: .*refused", dead)
    assert absent.startswith(f"{empty.address}digits.gz: 404")


# Servers that are slow, or do not give the file


def failure(server: "Server", folder: Path) -> str:
    """Return what the download says of a server that does not deliver."""
    begin = time.monotonic()
    with pytest.raises(DownloadError) as caught:
        download_files([FILE], [server.address], folder)
    assert time.monotonic() - begin < 15
    (attempt,) = caught.value.attempts
    assert attempt.startswith(f"{server.address}digits.gz: ")
    assert len(attempt.splitlines()) == 1
    return attempt


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(download, "STALL_SECONDS", 0.5)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("pause", [0.05, 30.0], ids=["a byte now and then", "nothing"])
def test_download_gives_up_on_a_slow_server(tmp_path: Path, server: "Server", pause: float) -> None:
    server.pause = pause
    assert re.search("less than 1000 bytes a second|timed out", failure(server, tmp_path))
    assert set(names(tmp_path)) <= {"digits.gz.part"}


@pytest.mark.usefixtures("impatient")
def test_download_gives_up_on_a_server_with_slow_headers(tmp_path: Path, server: "Server") -> None:
    server.pause_in_header = 0.05
    assert "less than 1000 bytes a second" in failure(server, tmp_path)
    assert names(tmp_path) == []


@pytest.mark.usefixtures("impatient")
def test_slow_mirror_is_replaced_by_the_next_one(
    tmp_path: Path, server: "Server", make_server: "Callable[[], Server]"
) -> None:
    slow = make_server()
    slow.files["digits.gz"], slow.pause = CONTENT, 0.05
    download_files([FILE], [slow.address, server.address], tmp_path)
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT
    assert names(tmp_path) == ["digits.gz"]


def test_a_slow_transfer_that_keeps_the_rate_is_finished(
    tmp_path: Path, server: "Server", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "STALL_SECONDS", 1.0)
    server.piece, server.pause = 20_000, 0.15  # two seconds in all
    download_files([FILE], [server.address], tmp_path)
    assert server.downloads == ["bytes=0-"]
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT


def test_transfer_has_a_total_time_limit(tmp_path: Path, server: "Server", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TOTAL_SECONDS", 0.5)
    server.pause = 0.01
    assert "not finished within 0.5 seconds" in failure(server, tmp_path)


@pytest.mark.parametrize(
    ("status", "message"), [(403, "403 Client Error: Forbidden"), (416, "416 Client Error"), (302, "redirects")]
)
@pytest.mark.parametrize("part", [b"", CONTENT[:1000]])
def test_refusal_is_one_sentence_and_keeps_the_part(
    tmp_path: Path, server: "Server", status: int, message: str, part: bytes
) -> None:
    server.status = status
    if part:
        (tmp_path / "digits.gz.part").write_bytes(part)
    assert message in failure(server, tmp_path)
    assert names(tmp_path) == ["digits.gz.part"] * bool(part)
    server.status = None
    download_files([FILE], [server.address], tmp_path)
    assert names(tmp_path) == ["digits.gz"]


def test_download_resumes_after_a_cut_that_urllib3_misses(
    tmp_path: Path, server: "Server", monkeypatch: pytest.MonkeyPatch
) -> None:
    original = urllib3.response.HTTPResponse.__init__

    def lenient(self: object, *args: object, **options: object) -> None:
        original(self, *args, **{**options, "enforce_content_length": False})  # as before urllib3 2

    monkeypatch.setattr(urllib3.response.HTTPResponse, "__init__", lenient)
    server.cut_after = 100_000
    download_files([FILE], [server.address], tmp_path)
    assert server.downloads == ["bytes=0-", "bytes=100000-", "bytes=200000-"]
    assert (tmp_path / "digits.gz").read_bytes() == CONTENT
    assert names(tmp_path) == ["digits.gz"]


def test_server_text_in_a_message_is_limited(tmp_path: Path, server: "Server", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("http.server.BaseHTTPRequestHandler.responses", {403: ("no" * 10_000, "")})
    server.status = 403
    assert len(failure(server, tmp_path)) < 500


def test_downloads_without_locks_do_not_share_a_part(
    tmp_path: Path, server: "Server", monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def no_locks(lock: Path) -> Iterator[bool]:
        yield False

    monkeypatch.setattr(download, "_locked", no_locks)
    for _ in range(5):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: download_files([FILE], [server.address], tmp_path), range(4)))
        assert (tmp_path / "digits.gz").read_bytes() == CONTENT
        assert names(tmp_path) == ["digits.gz"]
        (tmp_path / "digits.gz").unlink()


def test_without_a_network_no_file_is_created(tmp_path: Path, dead_address: str) -> None:
    with pytest.raises(DownloadError):
        download_files([FILE], [dead_address], tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_unresponsive_network_costs_one_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # it never accepts
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(DownloadError, match=r"no answer within 0.2 seconds|timed out"):
            download_files([FILE], [address] * 3, tmp_path)


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path, server: "Server") -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match=re.escape(f"{server.address}digits.gz: ")):
        download_files([FILE], [server.address], tmp_path / "file")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO(), None], ids=["terminal", "file", "closed"])
def test_only_a_terminal_shows_a_progress_bar(
    tmp_path: Path, server: "Server", stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with contextlib.redirect_stderr(stream):
        download_files([FILE], [server.address], tmp_path)
    shown = stream.getvalue() if stream else ""
    assert ("digits.gz" in shown) == ("256.0/256.0 kB" in shown) == isinstance(stream, Terminal)
