"""`run_study`: every task of a study, trained and then audited, on this machine's cores or on a cluster.

What a task does is in `run`, where it is kept in `store`, and who computes it in `workers`.
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
from minirobust.data import load
from minirobust.plots import temperature_label
from minirobust.study import run, store
from minirobust.study.config import StudyConfig
from minirobust.study.progress import Progress, state
from minirobust.study.workers import Processes, dask_executor

Task = tuple[float, int]
LOOK = 1.0  # seconds between two looks at the tasks' files


@dataclass(frozen=True)
class Failure:
    """A task that did not end well; what it had done by then stands in its file.

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
    """Runs all tasks of a study, or what is left of them, and audits those that are trained.

    A task that was finished before is left as it is, one that was interrupted goes on after its last whole epoch.  One
    that fails is reported at the end, and the others stand.  Two calls with the same folder share the work: each task
    is done by one of them, and the other waits for it.

    Parameters
    ----------
    config : StudyConfig
    folder : path
        Made if it does not exist.  With a scheduler, every worker must see it under this path.
    workers : int, optional
        Local processes at a time; by default one for each core, or each CUDA device on the backend "cupy".
    scheduler : str, optional
        The address of a Dask scheduler, such as ``tcp://host:8786``, whose workers do the work instead.  What devices
        they see is theirs to say: with GPUs there should be one worker for each.
    quiet : bool, default False
        Whether to say nothing on the way.

    Returns
    -------
    list of Failure
        Empty if all went well.

    Raises
    ------
    StudyError, ValueError
        If the folder holds another study, or the network does not fit the data.
    DataNotFoundError
        If the data set is not here and cannot be fetched.
    OSError
        If the folder cannot be written, or no scheduler answers.
    """
    run.new_network(config, config.temperatures[0], config.seeds[0], load(config.dataset))
    folder = Path(folder).resolve()
    store.open_folder(folder, config)
    for task in config.tasks():
        state(config, folder, *task)  # reads the file: a damaged one is refused before anything runs
    progress = Progress(config, folder, quiet)
    with _executor(config, workers, scheduler) as executor:
        failures = _run_all(executor, run.train, config, folder, config.tasks(), progress)
        whole = {seed for _, seed in config.tasks()} - {failure.seed for failure in failures}
        tasks = [(T, seed) for T, seed in config.tasks() if seed in whole]
        failures += _run_all(executor, run.audit_trained, config, folder, tasks, progress)
    return failures


@contextmanager
def _executor(config: StudyConfig, workers: int | None, scheduler: str | None) -> Iterator[Executor]:
    """Where the work is done; an exception, Ctrl-C among them, ends the work that is under way."""
    if scheduler is not None:
        with dask_executor(scheduler) as executor:
            yield from _ended(executor)
    else:
        devices = _cuda_devices() if config.backend in ("auto", "cupy") else ()
        yield from _ended(Processes(workers or len(devices) or os.cpu_count() or 1, devices))


def _ended(executor: Executor) -> Iterator[Executor]:
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False)
        raise
    executor.shutdown()


def _run_all(
    executor: Executor,
    function: Callable[[StudyConfig, float, int, Path], None],
    config: StudyConfig,
    folder: Path,
    tasks: list[Task],
    progress: Progress,
) -> list[Failure]:
    futures: dict[Future[tuple[str, str] | None], Task] = {
        executor.submit(attempt, function, config, T, seed, folder): (T, seed) for T, seed in tasks
    }
    pending = set(futures)
    while pending:
        progress.show()
        _, pending = wait(pending, timeout=LOOK, return_when=FIRST_COMPLETED)
    progress.show()
    outcomes = {task: _outcome(future) for future, task in futures.items()}
    return [Failure(*task, *outcome) for task, outcome in outcomes.items() if outcome]


def attempt(
    function: Callable[[StudyConfig, float, int, Path], None], config: StudyConfig, T: float, seed: int, folder: Path
) -> tuple[str, str] | None:
    """Runs a task in a worker; an error comes back as (one sentence, traceback), which every executor can carry."""
    try:
        function(config, T, seed, folder)
    except Exception as error:
        return f"{type(error).__name__}: {error}", traceback.format_exc()
    return None


def _outcome(future: Future[tuple[str, str] | None]) -> tuple[str, ...] | None:
    """What `attempt` returned, or that its worker died."""
    error = future.exception()
    return future.result() if error is None else (f"{type(error).__name__}: {error}",)


def _cuda_devices() -> tuple[str, ...]:
    """The CUDA devices that may be used here; none where the backend "cupy" does not run."""
    try:
        backends.get("cupy")
    except backends.BackendError:
        return ()
    import cupy

    count = cupy.cuda.runtime.getDeviceCount()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")  # CUDA numbers them anew, from 0; a worker needs their old names
    return tuple(allowed.split(",")[:count] if allowed else map(str, range(count)))
