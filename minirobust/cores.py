"""`core_count`, and `warn_of_busy_cores`: one warning per process if BLAS has more threads than there are free cores.

The threads of a matrix product wait for one another.  A thread that shares its core with another program delays the
others by milliseconds, while the products of a small network take microseconds.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Collection
from pathlib import Path
from time import perf_counter, process_time, sleep

import numpy as np

from minirobust.backend import Backend

LOOKS = 3  # every look must find too few free cores, because short bursts of other programs do not count
SECONDS = 0.1  # per look
STAT = Path("/proc/stat")
CGROUP = Path("/sys/fs/cgroup")

_log = logging.getLogger("minirobust")
_looked = False


def warn_of_busy_cores(backend: Backend) -> None:
    """Log a warning if BLAS has more threads than there are free cores.

    Only the first call for a backend on the CPU looks; later calls return immediately.
    """
    global _looked
    if _looked or backend.xp is not np:
        return
    _looked = True
    threads, variable = blas_threads()
    if threads == 1:
        return
    cores = usable_cores()
    for _ in range(LOOKS):
        free = free_cores(cores)
        if threads <= free:
            return
    _log.warning(
        "BLAS uses %d threads with only %d of %d cores free, which can make it ten times slower: "
        "set %s=%d before Python starts",
        threads,
        free,
        len(cores),
        variable,
        max(free, 1),
    )


def blas_threads() -> tuple[int, str]:
    """Return how many threads BLAS uses and the environment variable that sets it; one thread if no BLAS is found."""
    from threadpoolctl import threadpool_info  # imported here to keep `import minirobust` fast

    for library in threadpool_info():  # in the order in which they were loaded: NumPy's BLAS comes before SciPy's
        if library["user_api"] == "blas":
            # OpenBLAS built with OpenMP ignores its own variable.
            openmp = library.get("threading_layer") == "openmp"
            return library["num_threads"] or 1, f"{'OMP' if openmp else library['internal_api'].upper()}_NUM_THREADS"
    return 1, ""


def core_count() -> int:
    """Return how many cores this process may use: the number of workers that a command starts by default."""
    return int(min(len(usable_cores()), quota()))


def usable_cores() -> Collection[int]:
    """Return the numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def free_cores(cores: Collection[int]) -> int:
    """Return how many of these cores other processes leave free, but no more than a container may use."""
    return int(min(len(cores) - round(busy_cores(cores)), quota()))


def busy_cores(cores: Collection[int]) -> float:
    """Return how many of these cores other processes keep busy; 0 where `STAT` cannot be read, as outside Linux.

    `os.getloadavg` exists on more systems, but it averages over the last minute: it misses a program that has just
    started, and counts what this process itself did, such as its last training run.
    """
    if not os.access(STAT, os.R_OK):
        return 0.0
    start, before = perf_counter(), others_seconds(cores)
    sleep(SECONDS)
    return max(others_seconds(cores) - before, 0.0) / (perf_counter() - start)


def others_seconds(cores: Collection[int]) -> float:
    """Return how long other processes have kept these cores busy; only differences are meaningful."""
    names, ticks = {f"cpu{core}" for core in cores}, 0
    for line in STAT.read_text().splitlines():
        name, *times = line.split()
        if name in names:
            # user, nice, system, (idle, iowait,) irq, softirq, steal, (guest and guest_nice: parts of user and nice)
            ticks += sum(map(int, times[:3] + times[5:8]))
    return ticks / os.sysconf("SC_CLK_TCK") - process_time()


def quota() -> float:
    """Return how many cores' time a container may use; infinity without a limit."""
    # Version 2 and version 1 of Linux's control groups.
    for files in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        try:
            limit, period = " ".join((CGROUP / file).read_text() for file in files).split()
        except OSError:
            continue
        if limit not in ("max", "-1"):
            return max(int(limit) // int(period), 1)
    return math.inf
