"""`state` and `Progress`: how far each task is, according to its file, and how that is shown while a study runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from minirobust.measures.regimes import temperature_label
from minirobust.study import store
from minirobust.study.config import StudyConfig

TENTHS = 10  # plain lines: how many a training gets


@dataclass(frozen=True)
class State:
    """How far one task is.

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
        Of training and measuring, at the pace of the last epochs. NaN before the first epoch.
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

    def __str__(self) -> str:
        left = "" if np.isnan(self.seconds_left) or not self.seconds_left else f"{_time(self.seconds_left)} left"
        figures = "" if np.isnan(self.accuracy) else f"accuracy {self.accuracy:.3f}  FGSM {self.robustness:.3f}"
        T = temperature_label(self.temperature)
        return f"T = {T:<6} seed {self.seed:<3} {self.stage:<22} {figures:<30} {left}".rstrip()


def state(config: StudyConfig, folder: Path, T: float, seed: int) -> State:
    """Return how far a task of a study is.

    Raises
    ------
    StudyError, CheckpointError
        If its file is damaged, or not a study's.
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
    """Show the tasks' states: on a terminal the latest of each, elsewhere a line per tenth of a task's epochs.

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
        self.lines = 0

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
        """Replace the lines that were drawn last."""
        back = f"\x1b[{self.lines}F" if self.lines else ""
        lines = [*map(str, self.states.values())]
        self.stream.write(back + "".join(f"{line}\x1b[K\n" for line in lines))
        self.stream.flush()
        self.lines = len(lines)

    def _say(self) -> None:
        for task, state in self.states.items():
            step = (state.epoch * TENTHS // state.epochs, state.attacked, state.audited)
            if self.said.get(task, (0, False, False)) != step:
                print(state, file=self.stream, flush=True)
            self.said[task] = step
