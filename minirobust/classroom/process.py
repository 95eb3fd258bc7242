"""A child process and the pipes to it, with limits on the time and size of answers, and a clean end."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from minirobust.classroom.protocol import FRAME, ProtocolError, check_lengths, pack, unpack
from minirobust.classroom.sandbox import ENVIRONMENT, MIB, Sandbox, end_everything_of

STARTING = 10.0  # seconds
STARVED = 5  # a call ends after this multiple of its limit, even if the machine was too busy to run it
MAX_PRINTED = 8 * 1024
MAX_MEMORY = 2048 * MIB  # for all processes of a child together; each process also has its own limit
LOOK = 0.05  # seconds between two checks of the memory


class Refused(Exception):  # noqa: N818  # This is an outcome, not an error in this program.
    """There is no answer. `kind` is "time", "memory", "ended" or "protocol"."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class Stopwatch:
    """The time that a call takes: computation and sleep of the child, and the grader's computation for it.

    While a child waits for a busy processor, its time does not count, so the load of the machine changes no grade. If
    the system does not report the processor time of a process, all time counts.
    """

    def __init__(self, process: int, seconds: float) -> None:
        self.process, self.seconds = process, seconds
        self.start, self.grader, self.child = time.monotonic(), time.thread_time(), _usage(process)[1]
        self.asleep = 0.0
        self.stopped: float | None = None

    def look(self) -> int:
        """Note that `LOOK` seconds have passed without an answer, and return how much memory is in use."""
        memory, _, is_ready = _usage(self.process)
        self.asleep += 0.0 if is_ready else LOOK
        return memory

    def taken(self) -> float:
        """Return the seconds until now, or until the watch was stopped."""
        if self.stopped is not None:
            return self.stopped
        computed = _usage(self.process)[1] - self.child + time.thread_time() - self.grader
        return max(0.0, computed) + self.asleep

    def is_over(self) -> bool:
        """Return whether the time is used up."""
        passed = time.monotonic() - self.start
        # Asking the system takes time, so check the clock first.
        return passed > self.seconds and (passed > STARVED * self.seconds or self.taken() >= self.seconds)

    def stop(self) -> None:
        """Stop the watch, before the child is ended."""
        self.stopped = self.taken()


class Process:
    """A child that has started.

    Attributes
    ----------
    printed : bytes
        The beginning of its output.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.user = sandbox.new_user()
        self.printed = b""
        self.popen = subprocess.Popen(
            sandbox.command(self.user),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            cwd=os.path.abspath(os.sep),
            start_new_session=True,
            bufsize=0,
        )
        self.outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.incoming: queue.Queue[bytes] = queue.Queue(maxsize=16)
        self.received = b""
        # The grader waits for queues, never for a pipe, so a child that stops reading or writing cannot block it.
        work = {self._write: self.popen.stdin, self._read: self.popen.stdout, self._drain: self.popen.stderr}
        self.watch = Stopwatch(self.popen.pid, STARTING)
        self.threads = [threading.Thread(target=do, args=[pipe], daemon=True) for do, pipe in work.items()]
        for thread in self.threads:
            thread.start()
        ready, _ = self.receive(0)
        if ready != {"ready": True}:
            raise self._refuse("protocol", "the child did not start")

    def ask(
        self, request: dict[str, Any], arrays: list[np.ndarray], seconds: float = 10.0, most: int = MIB
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Send a request and return the reply to it.

        Raises
        ------
        Refused
            If no valid reply of at most `most` bytes comes within `seconds`. The child is then ended.
        """
        nonce = self.begin(request, arrays, seconds)
        reply, received = self.receive(most)
        self.check_nonce(reply, nonce)
        return reply, received

    def begin(self, request: dict[str, Any], arrays: list[np.ndarray], seconds: float) -> str:
        """Send a request with a fresh nonce, return the nonce, and start the stopwatch."""
        nonce = secrets.token_hex(8)
        self.watch = Stopwatch(self.popen.pid, seconds)
        self.send({**request, "nonce": nonce}, arrays)
        return nonce

    def send(self, header: dict[str, Any], arrays: list[np.ndarray]) -> None:
        """Hand a frame to the thread that writes it."""
        self.outgoing.put(pack(header, arrays))

    def check_nonce(self, reply: dict[str, Any], nonce: str) -> None:
        """Raise `Refused` unless a reply belongs to the current request."""
        if reply.get("nonce") != nonce:
            raise self._refuse("protocol", "an answer without a question")

    def receive(self, most: int) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Return the next frame, whose arrays may have at most `most` bytes."""
        try:
            header, blob = check_lengths(self._take(FRAME.size), most)
            return unpack(self._take(header), self._take(blob))
        except ProtocolError as error:
            raise self._refuse("protocol", str(error)) from None

    def close(self) -> None:
        """End the child and everything that it started."""
        if self.popen.returncode is not None:
            return
        self.watch.stop()
        self.outgoing.put(None)
        descendants = _descendants(self.popen.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL) if os.name == "posix" else self.popen.kill()
        for process in descendants:  # Some may have left the group.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        if self.user is not None:
            end_everything_of(self.user)
        self.popen.wait()
        self._end_threads()

    def _end_threads(self) -> None:
        """Wait for the threads; without isolation, a process that escaped may hold a pipe and so a thread."""
        deadline = time.monotonic() + 1
        while any(thread.is_alive() for thread in self.threads) and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):  # The reader waits for room in the queue.
                self.incoming.get(timeout=0.001)

    def _take(self, count: int) -> bytes:
        """Return exactly `count` bytes from the child."""
        while len(self.received) < count:
            if self.watch.is_over():
                raise self._refuse("time", "no answer in time")
            try:
                chunk = self.incoming.get(timeout=LOOK)
            except queue.Empty:
                if self.watch.look() > MAX_MEMORY:
                    raise self._refuse("memory", "more memory than is allowed") from None
                continue
            if not chunk:
                raise self._refuse("ended", "the program ended")
            self.received += chunk
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def _refuse(self, kind: str, sentence: str) -> Refused:
        self.close()
        return Refused(kind, sentence)

    def _write(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            while (frame := self.outgoing.get()) is not None:
                rest = memoryview(frame)
                while rest:
                    rest = rest[pipe.write(rest) :]

    def _read(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            while chunk := pipe.read(64 * 1024):
                self.incoming.put(chunk)
        self.incoming.put(b"")

    def _drain(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            while chunk := pipe.read(64 * 1024):
                self.printed += chunk[: MAX_PRINTED - len(self.printed)]


def _descendants(process: int) -> list[int]:
    """Return all processes that a process started, directly or indirectly; only on Linux."""
    found, waiting = list[int](), [process]
    while waiting:
        parent = waiting.pop()
        with contextlib.suppress(OSError, ValueError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            found += map(int, children)
            waiting += map(int, children)
    return found


def _usage(process: int) -> tuple[int, float, bool]:
    """Return what a process and its descendants use, on Linux; 0 elsewhere.

    Returns
    -------
    memory : int
        Bytes of memory that is not shared.
    computed : float
        Seconds of processor time since they started.
    is_ready : bool
        Whether any of them runs, or would run if a processor were free.
    """
    pages, ticks, is_ready = 0, 0, False
    for each in [process, *_descendants(process)]:
        with contextlib.suppress(OSError, ValueError, IndexError):
            _, resident, shared, *_ = map(int, Path(f"/proc/{each}/statm").read_text().split())
            state, *fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            pages += resident - shared
            ticks += sum(map(int, fields[10:14]))
            is_ready |= state == "R"
    if not pages:
        return 0, 0.0, is_ready
    return pages * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"), is_ready
