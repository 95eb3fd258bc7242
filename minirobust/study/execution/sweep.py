"""`run_study`: train and audit every task of a study, on this machine's cores or on a cluster.

`task` defines what a task does, `store` where its results are kept, and `workers` which process runs it.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from minirobust import backend as backends
from minirobust.cores import core_count
from minirobust.data import load
from minirobust.measures.regimes import temperature_label
from minirobust.study import store
from minirobust.study.config import StudyConfig
from minirobust.study.execution import task as run
from minirobust.study.execution.progress import Progress, state
from minirobust.study.execution.workers import Processes, dask_executor

Task = tuple[float, int]
Step = Callable[[StudyConfig, float, int, Path], None]  # `run.train` or `run.audit_trained`
Call = tuple[Step, Task]
LOOK = 1.0  # seconds between two looks at the tasks' files


@dataclass(frozen=True)
class Failure:
    """A task that failed. Its file keeps the epochs completed before.

    Attributes
    ----------
    temperature : float
    seed : int
    error : str
        One sentence.
    traceback : str
        Empty if the worker died.
    """

    temperature: float
    seed: int
    error: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"T = {temperature_label(self.temperature)}, seed {self.seed}: {self.error}"


def run_study(
    config: StudyConfig,
    folder: str | Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    quiet: bool = False,
) -> list[Failure]:
    """Run all tasks of a study that are not finished yet.

    An interrupted task continues after its last complete epoch. A network is audited as soon as all networks of its
    seed are trained. If a task fails, the others continue, and the failure is reported at the end; if a training fails,
    no network of its seed is audited. Two calls with the same folder share the work: each task is run by one of them
    while the other waits for it.

    Parameters
    ----------
    config : StudyConfig
    folder : path
        Created if it does not exist. With a scheduler, every worker must see it under this path.
    workers : int, optional
        Number of local processes. By default, one for each core, or for each CUDA device if the backend is CuPy.
    scheduler : str, optional
        The address of a Dask scheduler, such as ``tcp://host:8786``, whose workers then run the tasks. Each worker
        uses the devices that it sees: with GPUs, there should be one worker for each.
    quiet : bool, default False
        Whether to show no progress.

    Returns
    -------
    list of Failure
        In the order of `StudyConfig.tasks`. Empty if all tasks succeeded.

    Raises
    ------
    StudyError, ValueError
        If the folder holds another study, or the network does not fit the data.
    DataNotFoundError
        If the data set is not found and cannot be downloaded.
    OSError
        If the folder cannot be written, or no scheduler answers.
    """
    run.new_network(config, config.temperatures[0], config.seeds[0], load(config.dataset))
    folder = Path(folder).resolve()
    store.open_folder(folder, config)
    for task in config.tasks():
        state(config, folder, *task)  # reads the file, so that a damaged one raises an error before anything runs
    with Progress(config, folder, quiet) as progress, _executor(config, workers, scheduler) as executor:
        failures = _run_tasks(executor, config, folder, progress)
    return [failures[task] for task in config.tasks() if task in failures]


@contextmanager
def _executor(config: StudyConfig, workers: int | None, scheduler: str | None) -> Iterator[Executor]:
    """Return the executor of a study; an exception, such as Ctrl-C, ends all running calls."""
    if scheduler is not None:
        with dask_executor(scheduler) as executor:
            yield from _ended(executor)
    else:
        devices = _cuda_devices() if config.backend in ("auto", "cupy") else ()
        yield from _ended(Processes(workers or len(devices) or core_count(), devices))


def _ended(executor: Executor) -> Iterator[Executor]:
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False)
        raise
    executor.shutdown()


def _run_tasks(executor: Executor, config: StudyConfig, folder: Path, progress: Progress) -> dict[Task, Failure]:
    """Make every call of a study as soon as the calls that it needs have succeeded; return the tasks that failed."""
    waiting = _needs(config)
    running: dict[Future[tuple[str, str] | None], Call] = {}
    done: set[Call] = set()
    failures: dict[Task, Failure] = {}
    while True:
        for step, task in [call for call, needed in waiting.items() if needed <= done]:
            running[executor.submit(attempt, step, config, *task, folder)] = step, task
            del waiting[step, task]
        progress.show()
        if not running:
            return failures
        ended, _ = wait(running, timeout=LOOK, return_when=FIRST_COMPLETED)
        for future in ended:
            step, task = running.pop(future)
            if error := _error(future):
                failures[task] = Failure(*task, *error)
            else:
                done.add((step, task))


def _needs(config: StudyConfig) -> dict[Call, set[Call]]:
    """Return every call of a study in the order of submission, and the calls that must have succeeded before it.

    Trainings come first, since audits need them. Within a seed, the longest trainings, at the lowest temperatures, come
    first: at the end, a long one would keep one worker busy while the others are idle.
    """
    needs: dict[Call, set[Call]] = {(run.train, task): set() for task in config.tasks()}
    for T, seed in config.tasks():
        # The network itself, and the sources of transfer.
        needs[run.audit_trained, (T, seed)] = {(run.train, (other, seed)) for other in config.temperatures}
    return needs


def attempt(step: Step, config: StudyConfig, T: float, seed: int, folder: Path) -> tuple[str, str] | None:
    """Run one step of a task; return None, or its error as (one sentence, traceback), which can be pickled."""
    try:
        step(config, T, seed, folder)
    except Exception as error:
        return f"{type(error).__name__}: {error}", traceback.format_exc()
    return None


def _error(future: Future[tuple[str, str] | None]) -> tuple[str, ...] | None:
    """Return what `attempt` returned, or that its worker died."""
    error = future.exception()
    return future.result() if error is None else (f"{type(error).__name__}: {error}",)


def _cuda_devices() -> tuple[str, ...]:
    """Return the CUDA devices that may be used here; none if the backend "cupy" does not run."""
    try:
        backends.get("cupy")
    except backends.BackendError:
        return ()
    import cupy

    count = cupy.cuda.runtime.getDeviceCount()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")  # CUDA renumbers them from 0; a worker needs their original names
    return tuple(allowed.split(",")[:count] if allowed else map(str, range(count)))
