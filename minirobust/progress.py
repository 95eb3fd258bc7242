"""`progress_bar` shows progress on a terminal; `counted` does so for chunks of samples.

Only one bar is shown at a time: an attack within an audit, for example, shows none.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from minirobust.tables import printable

if TYPE_CHECKING:
    from rich.progress import Progress

SECONDS = 0.1  # between two drawings
_screen = threading.Lock()  # held by the bar that is on the screen


class Bar:
    """A count of completed work. The text beside the count may change at any time."""

    def __init__(self, text: str) -> None:
        self.text = text

    def advance(self, n: int = 1) -> None:
        """Add `n` to the count."""


class _Drawn(Bar):
    """A bar that a terminal shows."""

    def __init__(self, progress: Progress, total: int, text: str, unit: str) -> None:
        self.progress, self.drawn = progress, monotonic()
        self.task = progress.add_task(printable(text, keep=""), total=total, unit=unit)

    @property
    def text(self) -> str:
        return self.progress.tasks[0].description

    @text.setter
    def text(self, text: str) -> None:
        self.progress.update(self.task, description=printable(text, keep=""), refresh=True)

    def advance(self, n: int = 1) -> None:
        self.progress.advance(self.task, n)
        if monotonic() - self.drawn > SECONDS:
            self.progress.refresh()
            self.drawn = monotonic()


@contextmanager
def progress_bar(total: int, text: str, unit: str = "samples", shown: bool = True) -> Iterator[Bar]:
    """Show a progress bar on standard error, if that is a terminal and shows no other bar.

    Parameters
    ----------
    total : int
        The final count.
    text : str
        What is being done.
    unit : str, default "samples"
        What is counted.
    shown : bool, default True
        Whether to show a bar at all.

    Yields
    ------
    Bar
        Call `Bar.advance` as the work proceeds.
    """
    # Standard error is None if it was closed before Python started.
    if not shown or sys.stderr is None or not sys.stderr.isatty() or not _screen.acquire(blocking=False):
        yield Bar(text)
        return
    try:
        with _columns() as progress:
            progress.console.show_cursor(True)  # for the prompt of a debugger
            yield _Drawn(progress, total, text, unit)
    finally:
        _screen.release()


def counted(chunks: Iterable[slice], samples: int, text: str, shown: bool) -> Iterator[slice]:
    """Yield chunks of `samples` samples, and show a progress bar if requested."""
    with progress_bar(samples, text, shown=shown) as bar:
        for chunk in chunks:
            yield chunk
            bar.advance(chunk.stop - chunk.start)


def _columns() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:,}/{task.total:,} {task.fields[unit]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,  # a drawing thread would overwrite the prompt of a debugger
        transient=True,
        redirect_stdout=False,  # results must not go to standard error
        redirect_stderr=False,
        expand=True,
    )
