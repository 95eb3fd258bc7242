"""`state` and `Progress`: the progress of each task, according to its file, and its display on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from minirobust.measures.regimes import temperature_label
from minirobust.study import store
from minirobust.study.config import StudyConfig
from minirobust.tables import table

if TYPE_CHECKING:
    from rich.live import Live

TENTHS = 10  # number of lines for each training without a terminal


@dataclass(frozen=True)
class State:
    """The progress of one task.

    Attributes
    ----------
    temperature : float
    seed : int
    epoch, epochs : int
        Finished epochs, and all epochs.
    attacked, audited : bool
    accuracy, robustness : float
        On the test set after the last epoch, and against FGSM at the main ε. NaN before the first epoch.
    seconds_left : float
        Time for the rest of training and measuring, at the pace of the last epochs. NaN before the first epoch.
    """

    temperature: float
    seed: int
    epoch: int
    epochs: int
    attacked: bool
    audited: bool
    accuracy: float
    robustness: float
    seconds_left: float

    @property
    def stage(self) -> str:
        """What the task is doing, in a word or two."""
        if self.audited:
            return "done"
        if self.attacked:
            return "trained, not audited"
        if self.epoch == self.epochs:
            return "pixel attack"
        return f"epoch {self.epoch} of {self.epochs}" if self.epoch else "not begun"

    @property
    def time_left(self) -> str:
        """The remaining time in words; empty if it is unknown or zero."""
        return "" if np.isnan(self.seconds_left) or not self.seconds_left else _time(self.seconds_left)

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes and the stage as a dictionary."""
        return asdict(self) | {"stage": self.stage}

    def __str__(self) -> str:
        figures = "" if np.isnan(self.accuracy) else f"accuracy {self.accuracy:.3f}  FGSM {self.robustness:.3f}"
        T, left = temperature_label(self.temperature), f"{self.time_left} left" if self.time_left else ""
        return f"T = {T:<6} seed {self.seed:<3} {self.stage:<22} {figures:<30} {left}".rstrip()


def states_table(states: Iterable[State]) -> str:
    """Return a table with a row for each task."""
    rows = [("T", "seed", "state", "accuracy", "FGSM", "time left")]
    for state in states:
        accuracy, fgsm = ("" if np.isnan(rate) else f"{rate:.3f}" for rate in (state.accuracy, state.robustness))
        rows.append(
            (temperature_label(state.temperature), f"{state.seed}", state.stage, accuracy, fgsm, state.time_left)
        )
    return table(rows, left=3)


def state(config: StudyConfig, folder: Path, T: float, seed: int) -> State:
    """Return the progress of a task.

    Parameters
    ----------
    config : StudyConfig
    folder : Path
    T : float
    seed : int

    Returns
    -------
    State

    Raises
    ------
    StudyError, CheckpointError
        If its file is damaged, or does not belong to a study.
    """
    path = store.task_path(folder, T, seed)
    if not path.exists():
        return State(T, seed, 0, config.epochs, False, False, np.nan, np.nan, np.nan)
    record = store.read(path)
    pace = (record.timing["training"] + record.timing["evaluation"])[-5:].mean()
    return State(
        T,
        seed,
        record.epoch,
        config.epochs,
        bool(record.final),
        record.audit is not None,
        float(record.epochs["test_accuracy"][-1]),
        float(np.nanmean(record.epochs["robustness"][-1, config.main])),
        float(pace * (config.epochs - record.epoch)),
    )


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class Progress:
    """Show the states of all tasks: a table on a terminal, elsewhere one line per tenth of a task's epochs.

    This is a context manager; the table remains visible at the end.

    Parameters
    ----------
    config : StudyConfig
    folder : Path
    quiet : bool
        Whether to show nothing.
    stream : text stream, optional
        By default, standard error.
    """

    def __init__(self, config: StudyConfig, folder: Path, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.config, self.folder = config, folder
        self.stream = stream or sys.stderr
        self.quiet = quiet or self.stream is None  # None if the error stream was closed before Python started
        self.changed: dict[tuple[float, int], float] = {}  # when each file was last written
        self.states: dict[tuple[float, int], State] = {}
        self.said: dict[tuple[float, int], tuple[int, bool, bool]] = {}
        self.live: Live | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.stop()

    def show(self) -> None:
        """Read the files that changed since the last call, and show what is new."""
        if self.quiet:
            return
        self._look()
        if self.stream.isatty():
            self._draw()
        else:
            self._say()

    def _look(self) -> None:
        for task in self.config.tasks():
            path = store.task_path(self.folder, *task)
            written = path.stat().st_mtime if path.exists() else 0.0
            if self.changed.get(task) != written:
                self.changed[task] = written
                self.states[task] = state(self.config, self.folder, *task)

    def _draw(self) -> None:
        """Replace the table that was drawn last."""
        if self.live is None:
            from rich.console import Console
            from rich.live import Live

            # No drawing thread, and no redirection of output: see `minirobust.progress`.
            console = Console(file=self.stream, highlight=False, markup=False)
            self.live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self.live.start()
        self.live.update(states_table(self.states.values()), refresh=True)

    def _say(self) -> None:
        for task, state in self.states.items():
            step = (state.epoch * TENTHS // state.epochs, state.attacked, state.audited)
            if self.said.get(task, (0, False, False)) != step:
                print(state, file=self.stream, flush=True)
            self.said[task] = step
