"""A child process and the pipes to it, with limits on the time and size of answers, and a clean end."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import time
from typing import Any

import numpy as np

from minirobust.classroom.pipes import open_pipes
from minirobust.classroom.protocol import FRAME, ProtocolError, check_lengths, pack, unpack
from minirobust.classroom.sandbox import ENVIRONMENT, MIB, Sandbox, end_everything_of

STARTING = 10.0  # seconds
STARVED = 5  # a call ends after this multiple of its limit, even if the machine was too busy to run it
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
    """A child that has started."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.user = sandbox.new_user()
        self.received = b""
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
        self.pipes = open_pipes(self.popen)
        self.watch = Stopwatch(self.popen.pid, STARTING)
        ready, _ = self.receive(0)
        if ready != {"ready": True}:
            raise self._refuse("protocol", "the child did not start")

    @property
    def printed(self) -> bytes:
        """The beginning of the child's output; complete after `close`."""
        return self.pipes.printed

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
        """Send a frame, without waiting until the child reads it."""
        self.pipes.write(pack(header, arrays))

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
        descendants = _descendants(self.popen.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL) if os.name == "posix" else self.popen.kill()
        for process in descendants:  # Some may have left the group.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        if self.user is not None:
            end_everything_of(self.user)
        self.popen.wait()
        self.pipes.close()

    def _take(self, count: int) -> bytes:
        """Return exactly `count` bytes from the child."""
        while len(self.received) < count:
            if self.watch.is_over():
                raise self._refuse("time", "no answer in time")
            chunk = self.pipes.read(LOOK)
            if chunk is None:
                if self.watch.look() > MAX_MEMORY:
                    raise self._refuse("memory", "more memory than is allowed")
                continue
            if not chunk:
                raise self._refuse("ended", "the program ended")
            self.received += chunk
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def _refuse(self, kind: str, sentence: str) -> Refused:
        self.close()
        return Refused(kind, sentence)


def _descendants(process: int) -> list[int]:
    """Return all processes that a process started, directly or indirectly; only on Linux."""
    found, waiting = list[int](), [process]
    while waiting:
        parent = waiting.pop()
        with contextlib.suppress(OSError, ValueError):
            children = _proc(parent, f"task/{parent}/children").split()
            found += map(int, children)
            waiting += map(int, children)
    return found


def _proc(process: int, name: str) -> str:
    """Return what the system reports about a process."""
    with open(f"/proc/{process}/{name}", encoding="utf-8", errors="replace") as file:  # faster than Path.read_text
        return file.read()


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
            _, resident, shared, *_ = map(int, _proc(each, "statm").split())
            state, *fields = _proc(each, "stat").rpartition(")")[2].split()
            pages += resident - shared
            ticks += sum(map(int, fields[10:14]))
            is_ready |= state == "R"
    if not pages:
        return 0, 0.0, is_ready
    return pages * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"), is_ready
