"""The warning that BLAS has more threads than free cores: on simulated machines, and once beside a real program."""

import logging
import os
import re
import subprocess
import sys
import textwrap

import pytest
import threadpoolctl

import minirobust as mr
from minirobust import cores

IDLE, BUSY = (0, 0, 0, 0), (1, 0, 0, 0)
COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
numpy_backend = mr.backend.get("numpy")


class Machine:
    """Linux on four cores as this module sees it; time passes only while it sleeps."""

    def __init__(self, folder):
        self.stat, self.cgroup = folder / "stat", folder / "cgroup"
        self.loads = [IDLE]  # the load of each core during the first look, the second and so on
        self.column = "user"
        self.own_load = 0
        self.time = self.own_time = 0.0
        self.ticks = [dict.fromkeys(COLUMNS, 0) for _ in range(4)]
        self.write()

    def sleep(self, seconds):
        load = self.loads[min(round(self.time / seconds), len(self.loads) - 1)]
        self.time += seconds
        self.own_time += self.own_load * seconds
        for core in range(4):
            self.ticks[core][self.column] += round(load[core] * seconds * os.sysconf("SC_CLK_TCK"))
        self.write()

    def write(self):
        rows = [(f"cpu{core}", *ticks.values()) for core, ticks in enumerate(self.ticks)]
        total = ("cpu", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True)))
        lines = [" ".join(map(str, row)) for row in [total, *rows, ("intr", 12345, 0, 7), ("ctxt", 99)]]
        self.stat.write_text("\n".join(lines) + "\n")

    def limit(self, **files):
        for name, text in files.items():
            path = self.cgroup / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def blas(threads, name="openblas", **more):
    return {"user_api": "blas", "internal_api": name, "num_threads": threads, **more}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine on which nothing else runs, with as many BLAS threads as cores."""
    machine = Machine(tmp_path)
    monkeypatch.setattr(cores, "_looked", False)
    monkeypatch.setattr(cores, "STAT", machine.stat)
    monkeypatch.setattr(cores, "CGROUP", machine.cgroup)
    monkeypatch.setattr(cores, "sleep", machine.sleep)
    monkeypatch.setattr(cores, "perf_counter", lambda: machine.time)
    monkeypatch.setattr(cores, "process_time", lambda: machine.own_time)
    machine.libraries, machine.usable = [blas(4)], {0, 1, 2, 3}
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: machine.libraries)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: machine.usable)
    return machine


@pytest.fixture
def said(caplog):
    """Call the function, and return what it logs."""
    caplog.set_level(logging.WARNING, "minirobust")

    def said(backend=numpy_backend):
        caplog.clear()
        cores.warn_of_busy_cores(backend)
        return caplog.messages

    return said


def test_a_busy_core_is_named_with_the_remedy(machine, said):
    machine.loads = [BUSY]
    assert said() == [
        "BLAS uses 4 threads with only 3 of 4 cores free, which can make it ten times slower: "
        "set OPENBLAS_NUM_THREADS=3 before Python starts"
    ]


def test_the_remedy_is_at_least_one_thread(machine, said):
    machine.loads = [(1, 1, 1, 1)]
    (message,) = said()
    assert "with only 0 of 4 cores free" in message
    assert message.endswith("set OPENBLAS_NUM_THREADS=1 before Python starts")


@pytest.mark.parametrize("load", [IDLE, (0.1, 0.1, 0.1, 0.1)])
def test_idle_machine_gets_no_warning(load, machine, said):
    machine.loads = [load]
    assert said() == []


def test_one_thread_is_not_checked(machine, said):
    machine.loads, machine.libraries = [(1, 1, 1, 1)], [blas(1)]
    assert said() == []
    assert machine.time == 0


def test_fewer_threads_than_cores_leave_room_for_others(machine, said):
    machine.loads, machine.libraries = [BUSY], [blas(3)]
    assert said() == []


def test_cores_are_checked_once_per_process(machine, said):
    assert said() == []
    machine.loads = [BUSY]
    assert said() == []
    assert machine.time == pytest.approx(cores.SECONDS)


def test_short_burst_elsewhere_is_not_a_busy_core(machine, said):
    machine.loads = [BUSY, BUSY, IDLE, BUSY]
    assert said() == []


def test_threads_of_this_process_do_not_count_as_load(machine, said):
    machine.loads, machine.own_load = [BUSY], 1
    assert said() == []


@pytest.mark.parametrize("column", COLUMNS)
def test_only_computing_counts_as_busy(column, machine, said):
    """Not waiting for a disk; a guest's time is in the first two columns as well."""
    machine.loads, machine.column = [BUSY], column
    assert bool(said()) == (column not in ("idle", "iowait", "guest", "guest_nice"))


def test_only_cores_that_this_process_may_use_count(machine, said):
    machine.usable, machine.libraries, machine.loads = {1, 3}, [blas(2)], [(1, 0, 1, 0)]
    assert cores.core_count() == 2
    assert said() == []
    cores._looked, machine.loads = False, [(0, 0, 0, 1)]
    assert "2 threads with only 1 of 2 cores free" in said()[0]


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({}, 4),
    ],
)
def test_a_container_may_use_less_than_it_sees(files, free, machine, said):
    machine.limit(**files)
    assert cores.core_count() == cores.free_cores({0, 1, 2, 3}) == free
    assert [f"with only {free} of 4 cores free" in message for message in said()] == [True] * (free < 4)


def test_all_cores_count_as_free_if_the_load_is_unknown(machine, said, monkeypatch):
    machine.stat.unlink()
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert said() == []
    assert machine.time == 0
    cores._looked, machine.libraries = False, [blas(8)]
    assert "8 threads with only 4 of 4 cores free" in said()[0]


def test_what_a_device_computes_needs_no_cores(machine, said):
    machine.loads = [BUSY]
    assert said(mr.backend.get("strict")) == []
    assert len(said(numpy_backend)) == 1


@pytest.mark.parametrize(
    ("library", "variable"),
    [
        (blas(4, threading_layer="pthreads"), "OPENBLAS_NUM_THREADS"),
        (blas(4, threading_layer="openmp"), "OMP_NUM_THREADS"),
        (blas(4, "mkl", threading_layer="intel"), "MKL_NUM_THREADS"),
        (blas(4, "blis", threading_layer="pthreads"), "BLIS_NUM_THREADS"),
        (blas(4, "flexiblas"), "FLEXIBLAS_NUM_THREADS"),
    ],
)
def test_the_variable_is_that_of_the_library(library, variable, machine, said):
    machine.loads, machine.libraries = [BUSY], [{"user_api": "openmp", "num_threads": 9}, library, blas(2, "other")]
    assert f"set {variable}=3 before" in said()[0]


@pytest.mark.parametrize("libraries", [[], [blas(None)]])
def test_unknown_blas_gets_no_warning(libraries, machine, said):
    machine.loads, machine.libraries = [BUSY], libraries
    assert said() == []


DOORS = {
    "fit": lambda net, x, y: mr.fit(net, mr.SGD(net), (x, y), epochs=1, progress=False),
    "epochs": lambda net, x, y: mr.epochs(net, mr.SGD(net), (x, y), epochs=1),
    "an attack": lambda net, x, y: mr.attacks.fgsm(net, x, y),
    "the audit": lambda net, x, y: mr.audit(net, x, y, 0.1, budget="quick"),
}


@pytest.mark.parametrize("enter", DOORS.values(), ids=DOORS.keys())
def test_training_attacks_and_audit_warn_once(enter, machine, caplog, rng, tiny_audits):
    machine.loads = [BUSY]
    net = mr.models.mlp(1.0, (3, 3, 1), hidden=4, classes=2, backend="numpy")
    x = rng.random((20, 3, 3, 1))
    for _ in range(2):
        enter(net, x, net.predict(x))
    assert len([message for message in caplog.messages if "BLAS" in message]) == 1


FIT_ON_TWO_CORES = textwrap.dedent("""
    import os, sys
    import numpy as np
    import minirobust as mr

    os.sched_setaffinity(0, map(int, sys.argv[1:]))  # after BLAS has started its threads
    x, y = np.zeros((8, 4)), np.zeros(8, int)
    net = mr.Network([mr.Dense(2)], (4,), backend="numpy")
    for _ in range(2):
        mr.fit(net, mr.SGD(net), (x, y), epochs=1, progress=False)
        mr.attacks.fgsm(net, x, y)
""")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who uses a core")
@pytest.mark.parametrize("threads", [1, 2])
def test_real_program_on_one_of_two_cores_is_detected(threads):
    if len(usable := sorted(os.sched_getaffinity(0))) < 2:
        pytest.skip("needs two cores")
    core = str(usable[0])
    spin = f"import os, time; os.sched_setaffinity(0, [{core}]); end = time.time() + 60\nwhile time.time() < end: pass"
    number = {f"{library}_NUM_THREADS": str(threads) for library in ("OPENBLAS", "MKL", "BLIS", "FLEXIBLAS", "OMP")}
    other = subprocess.Popen([sys.executable, "-c", spin])
    try:
        run = subprocess.run(
            [sys.executable, "-c", FIT_ON_TWO_CORES, core, str(usable[1])],
            env={**os.environ, **number},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        other.kill()
        other.wait()
    sentence = (
        r"BLAS uses 2 threads with only [01] of 2 cores free, which can make it ten times slower: "
        r"set \w+_NUM_THREADS=1 before Python starts\n"
    )
    assert re.fullmatch(sentence if threads == 2 else "", run.stderr)
