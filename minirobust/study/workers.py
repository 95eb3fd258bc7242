"""`Processes`: an executor of local processes, each of which may die without taking others along.

`concurrent.futures.ProcessPoolExecutor` gives up all its work when one of its processes is killed; here every call gets
a process of its own, and a new one if that dies.  `dask_executor` gives a cluster's executor, with the same interface.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

TRIES = 3  # how often a call is begun before its processes' deaths are taken for its own fault
# Each process computes on one thread: as many processes as cores are faster than many threads in one after the other.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_log = logging.getLogger("minirobust")
_spawn = multiprocessing.get_context("spawn")  # a forked process would share BLAS threads and CUDA with its parent


class WorkerDiedError(RuntimeError):
    """A call's process was killed, or ran out of memory, each time that it was begun."""


class Processes(Executor):
    """Runs calls in local processes, a number of them at a time.

    Parameters
    ----------
    workers : int
        How many at a time.
    devices : sequence of str, optional
        CUDA devices; each process sees one of them, and there should be as many as workers.
    """

    def __init__(self, workers: int, devices: Sequence[str] = ()) -> None:
        self.lanes = ThreadPoolExecutor(workers)
        self.devices: SimpleQueue[str] = SimpleQueue()
        for device in devices:
            self.devices.put(device)
        self.takes_device = bool(devices)
        self.lock = threading.Lock()
        self.running: set[Any] = set()
        self.closed = False

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:  # type: ignore[override]
        """Runs ``function(*args)`` in a process; all of it must be picklable, and it must return, not raise."""
        return self.lanes.submit(self._run, function, args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the executor: after the last call, or, without waiting, by ending every process now."""
        if not wait:
            with self.lock:
                self.closed = True
                for process in self.running:
                    process.terminate()
        self.lanes.shutdown(cancel_futures=cancel_futures or not wait)

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        device = self.devices.get() if self.takes_device else None
        try:
            for attempt in range(1, TRIES + 1):
                process, answer = self._start(function, args, device)
                try:
                    return answer.recv()
                except (EOFError, OSError):  # the pipe ended before the answer, or in its midst
                    process.join()
                    if self.closed:
                        raise WorkerDiedError("the work was interrupted") from None
                    _log.warning("a worker died (exit code %s) in attempt %d of %d", process.exitcode, attempt, TRIES)
                finally:
                    process.join()
                    with self.lock:
                        self.running.discard(process)
            raise WorkerDiedError(f"its process died {TRIES} times: killed, or out of memory")
        finally:
            if device is not None:
                self.devices.put(device)

    def _start(self, function: Callable[..., Any], args: tuple[Any, ...], device: str | None) -> tuple[Any, Connection]:
        answer, theirs = _spawn.Pipe(duplex=False)
        process = _spawn.Process(target=_work, args=(theirs, function, args), daemon=True)
        with self.lock:
            if self.closed:
                raise WorkerDiedError("the work was interrupted")
            self.running.add(process)
            with _environment(ONE_THREAD | ({} if device is None else {"CUDA_VISIBLE_DEVICES": device})):
                process.start()
        theirs.close()  # so that the pipe ends when the process does
        return process, answer


def _work(answer: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """What a process does: one call."""
    # Ctrl-C in a terminal reaches every process of its group: the parent decides what becomes of the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    answer.send(function(*args))


def _die_with_parent() -> None:
    """A parent that was killed ends nobody: without this, its children would go on and write files behind its back."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Environment variables for a process to inherit: libraries read them when they are loaded."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """The executor of a Dask cluster; it begins a call anew when the worker dies that has it.

    Raises
    ------
    RuntimeError
        If Dask is not installed.
    OSError
        If nothing answers at the address.
    """
    try:
        from distributed import Client
    except ImportError:
        raise RuntimeError('a cluster needs Dask: pip install "minirobust[cluster]"') from None
    with Client(address) as client:
        yield client.get_executor(pure=False)
