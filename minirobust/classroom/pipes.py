"""The pipes to a child. The grader never waits for a child that stops reading or writing.

A program may ask an oracle thousands of questions, so `Pipes` works without threads, whose switches would take longer
than the answers. Windows cannot poll a pipe: there, `ThreadedPipes` has a thread for each pipe.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import subprocess
import threading
import time
from typing import IO

MAX_PRINTED = 8 * 1024
CHUNK = 64 * 1024


def open_pipes(popen: subprocess.Popen[bytes]) -> Pipes | ThreadedPipes:
    """Return the pipes to a child of which all three are unbuffered pipes."""
    return Pipes(popen) if hasattr(select, "poll") else ThreadedPipes(popen)


class Pipes:
    """The pipes to a child, used by a single thread.

    Parameters
    ----------
    popen : subprocess.Popen
        A process with three unbuffered pipes.

    Attributes
    ----------
    printed : bytes
        The beginning of what the child wrote to its error stream; complete after `close`.
    """

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.stdin, self.stdout, self.stderr = _three(popen)
        self.printed = b""
        self.unsent = memoryview(b"")
        self.poll = select.poll()
        for pipe in (self.stdin, self.stdout, self.stderr):
            os.set_blocking(pipe.fileno(), False)
        for pipe in (self.stdout, self.stderr):
            self.poll.register(pipe, select.POLLIN)

    def write(self, frame: bytes) -> None:
        """Send a frame. What the pipe cannot hold is sent while `read` waits."""
        self.unsent = memoryview(b"".join((self.unsent, frame)))
        self._send()
        if self.unsent:
            self.poll.register(self.stdin, select.POLLOUT)

    def read(self, seconds: float) -> bytes | None:
        """Return what the child has sent: b"" if it has closed the pipe, None if nothing comes in time."""
        end, left = time.monotonic() + seconds, seconds
        while left > 0:
            for descriptor, _ in self.poll.poll(1000 * left):
                if descriptor == self.stdout.fileno():
                    return self.stdout.read(CHUNK)
                if descriptor == self.stderr.fileno():
                    if not self._drain():
                        self.poll.unregister(self.stderr)
                    continue
                self._send()
                if not self.unsent:
                    self.poll.unregister(self.stdin)
            left = end - time.monotonic()
        return None

    def close(self) -> None:
        """Close the pipes of a child that has ended."""
        # A process that escaped may go on writing.
        while len(self.printed) < MAX_PRINTED and self._drain():
            pass
        for pipe in (self.stdin, self.stdout, self.stderr):
            pipe.close()

    def _send(self) -> None:
        try:
            self.unsent = self.unsent[self.stdin.write(self.unsent) or 0 :]
        except OSError:  # The child has closed the pipe.
            self.unsent = self.unsent[:0]

    def _drain(self) -> bool:
        """Read what the child has printed, and return whether there was anything."""
        chunk = self.stderr.read(CHUNK)
        self.printed += (chunk or b"")[: MAX_PRINTED - len(self.printed)]
        return bool(chunk)


class ThreadedPipes:
    """The pipes to a child, with a thread for each. The attributes and methods are those of `Pipes`."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.printed = b""
        self.outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.incoming: queue.Queue[bytes] = queue.Queue(maxsize=16)
        work = zip((self._write, self._read, self._drain), _three(popen), strict=True)
        self.threads = [threading.Thread(target=do, args=[pipe], daemon=True) for do, pipe in work]
        for thread in self.threads:
            thread.start()

    def write(self, frame: bytes) -> None:
        self.outgoing.put(frame)

    def read(self, seconds: float) -> bytes | None:
        with contextlib.suppress(queue.Empty):
            return self.incoming.get(timeout=seconds)
        return None

    def close(self) -> None:
        """Wait for the threads; without isolation, a process that escaped may hold a pipe and so a thread."""
        self.outgoing.put(None)
        deadline = time.monotonic() + 1
        while any(thread.is_alive() for thread in self.threads) and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):  # The reader waits for room in the queue.
                self.incoming.get(timeout=0.001)

    def _write(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            while (frame := self.outgoing.get()) is not None:
                rest = memoryview(frame)
                while rest:
                    rest = rest[pipe.write(rest) :]

    def _read(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            while chunk := pipe.read(CHUNK):
                self.incoming.put(chunk)
        self.incoming.put(b"")

    def _drain(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            while chunk := pipe.read(CHUNK):
                self.printed += chunk[: MAX_PRINTED - len(self.printed)]


def _three(popen: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    if popen.stdin is None or popen.stdout is None or popen.stderr is None:
        raise ValueError("popen: expected pipes for input, output and errors, got none: pass subprocess.PIPE")
    return popen.stdin, popen.stdout, popen.stderr
