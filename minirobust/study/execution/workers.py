"""`Processes`: an executor of local processes, which continues if one of them dies.

`concurrent.futures.ProcessPoolExecutor` abandons all its work when one of its processes is killed. Here, only the call
that the process was running is affected, and it is tried again in a new process. `dask_executor` returns the executor
of a cluster, which has the same interface.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import LifoQueue
from typing import Any

TRIES = 3  # number of times that the process of a call may die before the call fails
# One thread per process: one process per core is faster than one process at a time with many threads.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_log = logging.getLogger("minirobust")
_spawn = multiprocessing.get_context("spawn")  # a forked process would share BLAS threads and CUDA with its parent


class WorkerDiedError(RuntimeError):
    """Raised for a call whose process was killed, or ran out of memory, in every attempt."""


class Processes(Executor):
    """Run calls in local processes, several at a time.

    A process is started when it is first needed, and then reused, because starting it and importing the libraries takes
    about a second.

    Parameters
    ----------
    workers : int
        Number of calls that run at the same time.
    devices : sequence of str, optional
        CUDA devices, one for each worker. Each process sees one of them.
    """

    def __init__(self, workers: int, devices: Sequence[str] = ()) -> None:
        self.lanes = ThreadPoolExecutor(workers)
        self.workers = [_Worker(device) for device in devices] or [_Worker() for _ in range(workers)]
        self.idle: LifoQueue[_Worker] = LifoQueue()  # the last one in has already loaded its libraries
        for worker in self.workers:
            self.idle.put(worker)
        self.lock = threading.Lock()
        self.closed = False

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:  # type: ignore[override]
        """Run ``function(*args)`` in a process. Function and arguments must be picklable, and it must not raise."""
        return self.lanes.submit(self._run, function, args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut down after the last call or, without waiting, by terminating every process immediately."""
        if not wait:
            with self.lock:
                self.closed = True
                for worker in self.workers:
                    worker.terminate()
        self.lanes.shutdown(cancel_futures=cancel_futures or not wait)
        for worker in self.workers:
            worker.end()

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        worker = self.idle.get()
        try:
            for attempt in range(1, TRIES + 1):
                with self.lock:  # no process starts after `shutdown` has terminated them all
                    if self.closed:
                        raise WorkerDiedError("the work was interrupted")
                    worker.start()
                try:
                    return worker.call(function, args)
                except (EOFError, OSError):  # the pipe ended before the answer, or within it
                    exit_code = worker.end()
                    if not self.closed:
                        _log.warning("a worker died (exit code %s) in attempt %d of %d", exit_code, attempt, TRIES)
            raise WorkerDiedError(f"its process died {TRIES} times: killed, or out of memory")
        finally:
            self.idle.put(worker)


class _Worker:
    """A process and the pipe to it; if the process has died, `start` replaces it."""

    process: SpawnProcess | None = None
    pipe: Connection

    def __init__(self, device: str | None = None) -> None:
        self.variables = ONE_THREAD if device is None else ONE_THREAD | {"CUDA_VISIBLE_DEVICES": device}

    def start(self) -> None:
        """Start a process, unless one is alive."""
        if self.process is not None and self.process.is_alive():
            return
        pipe, theirs = _spawn.Pipe()
        process = _spawn.Process(target=_answer_calls, args=(theirs,), daemon=True)
        with _environment(self.variables):
            process.start()
        theirs.close()  # so that the pipe ends when the process does
        self.process, self.pipe = process, pipe

    def call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Return ``function(*args)``, computed in the process; raise EOFError or OSError if the process dies."""
        self.pipe.send((function, args))
        return self.pipe.recv()

    def end(self) -> int | None:
        """Close the pipe, which makes the process end, wait for it, and return its exit code."""
        if self.process is None:
            return None
        self.pipe.close()
        self.process.join()
        return self.process.exitcode

    def terminate(self) -> None:
        """Terminate the process immediately."""
        if self.process is not None:
            self.process.terminate()


def _answer_calls(pipe: Connection) -> None:
    """Run in a process: answer calls until the pipe is closed."""
    # Ctrl-C in a terminal reaches every process of its group, but only the parent should handle it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            function, args = pipe.recv()
        except EOFError:
            return
        pipe.send(function(*args))


def _die_with_parent() -> None:
    """End this process when its parent is killed, so that it does not keep writing files."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a process to inherit, because libraries read them when they are loaded."""
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
    """Return the executor of a Dask cluster, which repeats a call if the worker that runs it dies.

    Raises
    ------
    RuntimeError
        If Dask is not installed.
    OSError
        If nothing answers at the address, or the connection to the scheduler is lost.
    """
    try:
        from distributed import Client
    except ImportError:
        raise RuntimeError('a cluster needs Dask: pip install "minirobust[cluster]"') from None
    log = logging.getLogger("distributed.client")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it would print two tracebacks in addition to our message
    try:
        with Client(address) as client:
            yield client.get_executor(pure=False)
    except CancelledError:  # all that a waiting call learns about the loss
        raise ConnectionError(
            f"lost the Dask scheduler at {address}: start it again and resume the study, which kept every full epoch"
        ) from None
    finally:
        log.setLevel(level)
