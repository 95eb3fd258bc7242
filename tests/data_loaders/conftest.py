"""Fixtures for the tests of the loaders: an empty machine, a web server, and the location of real data."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest

from data_loaders.search import ENVIRONMENT_VARIABLE

REAL_DATA = os.environ.get(ENVIRONMENT_VARIABLE)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache folder that does not exist yet, and hide this machine's data sets."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(pooch, "os_cache", lambda project: folder / project)
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder / "minirobust"


@pytest.fixture
def real_data() -> Path:
    """Return the folder of real data sets; skip the test where there is none."""
    if not REAL_DATA:
        pytest.skip(f"{ENVIRONMENT_VARIABLE} is not set")
    return Path(REAL_DATA)


class Server:
    """A web server on this machine that serves `files` and can be told to misbehave.

    Attributes
    ----------
    files : dict
        From name to content.
    ranges : bool
        Whether it honours Range requests.
    cut_after : int or None
        Close the connection after so many bytes of a body.
    announce : bool
        Whether it sends a Content-Length.
    status : int or None
        Answer every GET request with this status, and nothing else; 302 leads back to the same address.
    pause : float
        Seconds before each piece of a body.
    piece : int
        Bytes in such a piece.
    pause_in_header : float
        Seconds before each of a thousand header lines.
    requests : list of (method, name, range)
        What it was asked for.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.cut_after: int | None = None
        self.announce = True
        self.status: int | None = None
        self.pause = self.pause_in_header = 0.0
        self.piece = 1
        self.closed = threading.Event()
        self.requests: list[tuple[str, str, str | None]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._http.server_port}/"

    @property
    def downloads(self) -> list[str | None]:
        """The Range header of every GET request so far."""
        return [wanted for method, _, wanted in self.requests if method == "GET"]

    def close(self) -> None:
        self.closed.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(send_body=False)

        def do_GET(self) -> None:
            self._answer(send_body=True)

        def _answer(self, send_body: bool) -> None:
            name, wanted = self.path.lstrip("/"), self.headers["Range"]
            server.requests.append((self.command, name, wanted))
            if send_body and server.status:
                self.send_response(server.status)
                self.send_header("Location", self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if name not in server.files:
                self.send_error(404)
                return
            body = server.files[name]
            start = int(wanted[len("bytes=") :].rstrip("-")) if wanted and server.ranges else 0
            if wanted and server.ranges:
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            body = body[start:]
            if server.announce:
                self.send_header("Content-Length", str(len(body)))
            if send_body and server.pause_in_header:
                self._drip([b"X-Line: x\r\n"] * 1000, server.pause_in_header)
            self.end_headers()
            if send_body and server.pause:
                places = range(0, len(body), server.piece)
                self._drip([body[place : place + server.piece] for place in places], server.pause)
            elif send_body:
                self.wfile.write(body[: server.cut_after])

        def _drip(self, pieces: list[bytes], pause: float) -> None:
            self.flush_headers()
            end = time.monotonic() + 20  # whatever the test does
            for piece in pieces:
                if server.closed.wait(pause) or time.monotonic() > end:
                    return
                try:
                    self.wfile.write(piece)
                    self.wfile.flush()
                except OSError:
                    return

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def dead_address() -> Iterator[str]:
    """Return the address of a port that refuses connections until the test ends: bound, but not listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/"


@pytest.fixture
def make_server() -> Iterator[Callable[[], Server]]:
    """Return a function that starts a server; all are closed after the test."""
    servers: list[Server] = []

    def start() -> Server:
        servers.append(Server())
        return servers[-1]

    yield start
    for server in servers:
        server.close()
