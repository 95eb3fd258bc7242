"""What is measured on processes of their own: imports, the memory of the first example, and a study."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from .timing import ratios, spread, take_turns, timed

ROOT = Path(__file__).resolve().parents[3]


def start_table(rounds: int, epochs: int | None) -> list[list[str]]:
    """Return rows for the seconds of an import and the memory of the first example, which trains for `epochs`."""
    imports = {module: _importing(module) for module in ("numpy", "minirobust")}
    for seconds in imports.values():
        seconds()  # compiles, and fills the disk's cache
    times = take_turns(imports, rounds)
    return [
        ["", "measured", "budget"],
        ["`import numpy`, seconds", spread(times["numpy"]), ""],
        ["`import minirobust`, which imports NumPy, seconds", spread(times["minirobust"]), "≤ 0.3"],
        ["`python examples/mnist_mlp.py`, peak memory, MB", f"{_peak_megabytes(epochs)}", "≤ 400"],
    ]


def _importing(module: str) -> Callable[[], float]:
    code = f"from time import process_time; begin = process_time(); import {module}; print(process_time() - begin)"
    return lambda: float(_output(sys.executable, "-c", code))


def _peak_megabytes(epochs: int | None) -> str:
    # `memory.py` is a small process: on Linux a child's peak begins with that of the process that starts it.
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, ROOT / "examples" / "mnist_mlp.py", "--output", folder]
        if epochs is not None:
            command += ["--epochs", str(epochs)]
        printed = _output(sys.executable, ROOT / "tests" / "benchmarks" / "memory.py", "--", *command)
    return re.search(r"peak resident memory (\d+) MB", printed)[1]


def study_table(rounds: int) -> list[list[str]]:
    """Return rows for the wall-clock time of the study `quick` with one worker and with two."""
    one, two = take_turns({n: timed(lambda n=n: _study(n), perf_counter) for n in (1, 2)}, rounds).values()
    return [
        ["`minirobust study run quick`", "seconds", "ratio to one worker"],
        ["one worker", spread(one, ".3g"), "1"],
        ["two workers", spread(two, ".3g"), spread(ratios(two, one))],
    ]


def _study(workers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        options = ["--output", f"{folder}/quick", "--workers", f"{workers}"]
        _output(sys.executable, "-m", "minirobust", "study", "run", "quick", *options)


def _output(*command: str | Path) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
