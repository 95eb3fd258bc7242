"""Levels of isolation: which one is chosen, and what a child has at each."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minirobust.classroom import probing
from minirobust.classroom.probing import candidates, find_sandbox, works
from minirobust.classroom.program import Student
from minirobust.classroom.sandbox import BWRAP, LIMITS, USER, Sandbox, release

ROOT = Path(__file__).parents[2]
ADD = "import numpy as np\ndef f(x): return np.linalg.norm(x)\ndef u():\n    import os\n    return float(os.getuid())\n"


@pytest.mark.parametrize("level", [BWRAP, USER, LIMITS])
def test_program_runs_at_every_level_that_works(level):
    candidate = Sandbox(level, os.geteuid() == 0)
    if level == USER and not candidate.is_root:
        pytest.skip("only root can start a program as another user")
    if not works(candidate):
        pytest.skip(f"{level} does not work here")
    program = Student(ADD.encode(), candidate)
    assert program.call("f", np.array([3.0, 4.0])) == 5
    assert candidate.level == LIMITS or program.call("u") != 0
    program.close()


ORDINARY = """
import os
from minirobust.classroom.program import Student
from minirobust.classroom.probing import works
from minirobust.classroom.sandbox import Sandbox
source = b'''
import os, time
def f():
    started = 0
    try:
        for started in range(200):
            if os.fork() == 0: time.sleep(60)
    except OSError: pass
    return float(started)
def g(): return float(os.path.exists("/etc/passwd"))
'''
if works(Sandbox("bwrap", False)):
    program = Student(source, Sandbox("bwrap", False), 10.0)
    print(os.getuid(), float(program.call("g")), float(program.call("f")) < 64)
    program.close()
"""


@pytest.mark.slow
def test_bubblewrap_contains_a_child_of_an_ordinary_user():
    if os.geteuid() != 0:
        pytest.skip("the other tests run as an ordinary user already")
    environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{Path(np.__file__).parents[1]}", "OPENBLAS_NUM_THREADS": "1"}
    options = {"user": 65534, "group": 65534, "env": environment, "cwd": "/", "capture_output": True, "text": True}
    for python in (sys._base_executable, "/usr/bin/python3"):  # Root's own may be out of reach.
        with contextlib.suppress(OSError):
            ran = subprocess.run([python, "-B", "-c", ORDINARY], **options)
            break
    else:
        pytest.skip("an ordinary user cannot read this Python")
    if ran.stdout == "":
        pytest.skip(f"an ordinary user cannot use this Python or bubblewrap: {ran.stderr[-200:]}")
    assert ran.stdout == "65534 0.0 True\n"


def test_strongest_level_is_chosen(monkeypatch):
    order = [candidate.level for candidate in candidates()]
    assert order in ([BWRAP, USER, LIMITS], [BWRAP, LIMITS])
    for level in order:
        monkeypatch.setattr(probing, "works", lambda candidate, level=level: candidate.level in (level, LIMITS))
        assert find_sandbox().level == level


def test_bubblewrap_that_is_missing_or_blocked_does_not_work(monkeypatch):
    monkeypatch.setattr(probing.shutil, "which", lambda name: None)
    works.cache_clear()
    assert not works(Sandbox(BWRAP, False))
    monkeypatch.undo()
    monkeypatch.setattr(Sandbox, "command", lambda self, user: ["/bin/false"])
    works.cache_clear()
    assert not works(Sandbox(BWRAP, os.geteuid() == 0))
    works.cache_clear()


def test_limits_alone_are_not_a_barrier():
    assert [Sandbox(level, True).is_barrier for level in (BWRAP, USER, LIMITS)] == [True, True, False]


def test_every_child_of_root_has_its_own_user():
    users = [Sandbox(BWRAP, True).new_user() for _ in range(10)]
    for user in users:
        release(user)
    assert len(set(users)) == 10
    assert min(users) > 60_000
    assert Sandbox(BWRAP, False).new_user() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux isolates children")
def test_two_graders_never_share_a_user():
    script = (
        "from minirobust.classroom import sandbox\n"
        "sandbox._USERS = iter(range(61184, 65520))\n"
        "users = [sandbox.Sandbox(sandbox.USER, True).new_user() for _ in range(20)]\n"
        "print(*users, flush=True)\n"
        "input()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    graders = [subprocess.Popen([sys.executable, "-c", script], **pipes) for _ in range(2)]
    users = [set(grader.stdout.readline().split()) for grader in graders]
    for grader in graders:
        grader.communicate("\n")
    assert len(users[0] | users[1]) == 40
