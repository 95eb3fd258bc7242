"""The processes: a cancelled job is dropped, and whichever way the server ends, no process is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from explore_command import command
from typer.testing import CliRunner

import minirobust as mr
from minirobust.cli import app
from minirobust.explore.worker import opened

posix = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it reads /proc, which only Linux has")


@pytest.fixture
def worker():
    command = [sys.executable, "-m", "minirobust.explore.worker", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def send(process, *messages):
    process.stdin.write("".join(json.dumps(message) + "\n" for message in messages))
    process.stdin.flush()


def job(number, task, **arguments):
    return {"number": number, "task": task, "arguments": arguments}


def test_a_cancelled_job_is_dropped_and_the_next_is_answered(worker):
    send(worker, *(job(n, "strongest", t=n - 6, e=1) for n in range(6)), *({"cancel": n} for n in range(6)))
    send(worker, job(6, "units", t=0))
    lines = []
    while not lines or lines[-1] != {"number": 6, "end": True}:
        lines.append(json.loads(worker.stdout.readline()))
    assert [line["number"] for line in lines if "answer" in line] in ([6], [0, 6])  # the first may have been done
    assert {line["number"] for line in lines if "end" in line} == set(range(7))


def test_a_job_that_was_cancelled_before_its_turn_is_not_computed(worker):
    send(worker, job(0, "strongest", t=-6, e=1), job(1, "units", t=0), {"cancel": 1}, {"cancel": 0})
    lines = []
    while not lines or lines[-1] != {"number": 1, "end": True}:
        lines.append(json.loads(worker.stdout.readline()))
    assert not [line for line in lines if "answer" in line and line["number"] == 1]


def test_a_mistake_in_one_job_leaves_the_worker_alive(worker):
    send(worker, job(0, "units", t="x"), job(1, "units", t=0))
    first, second = (json.loads(worker.stdout.readline()) for _ in range(2))
    assert "TypeError" in first["error"]
    assert second["answer"]["temperature"] == "1"


def test_a_worker_ends_when_its_input_does_even_while_it_computes(worker):
    send(worker, *(job(n, "certificate", t=n - 6, e=1) for n in range(10)))
    worker.stdin.close()
    begin = time.monotonic()
    assert worker.wait(timeout=20) == 0
    assert time.monotonic() - begin < 20


def test_worker_ends_silently_if_its_reader_is_gone():
    command = [sys.executable, "-m", "minirobust.explore.worker", "0"]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **streams) as process:
        process.stdout.close()
        send(process, job(0, "units", t=0))
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == ""


def children(parent):
    """The processes of a process, from /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@posix
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, -signal.SIGTERM),
        (signal.SIGINT, 130),
        pytest.param(signal.SIGHUP, -signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.slow),
    ],
    ids=["SIGTERM", "Ctrl-C", "SIGHUP", "SIGKILL"],
)
def test_no_process_is_left_behind(number, code):
    with command() as (process, address):
        assert address.startswith("http://127.0.0.1:")
        wait_until(lambda: len(children(process.pid)) == 2)
        workers = children(process.pid)
        process.send_signal(number)
        assert process.wait(timeout=20) == code
        wait_until(lambda: not any(map(is_alive, workers)))


@posix
def test_a_closed_terminal_leaves_no_process_behind():
    pytest.importorskip("uvicorn")
    main, terminal = os.openpty()
    process = subprocess.Popen(
        # setsid makes the terminal that of the session, so that closing it hangs up.
        ["setsid", "--ctty", "--wait", sys.executable, "-m", "minirobust", "explore", "--port", "0"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # it is ignored below nohup
    )
    os.close(terminal)
    try:
        assert b"http://127.0.0.1:" in os.read(main, 1000)
        servers = children(process.pid) or [process.pid]
        wait_until(lambda: len(children(servers[0])) == 2)
        workers = children(servers[0])
        os.close(main)
        wait_until(lambda: not any(map(is_alive, [*servers, *workers])))
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nothing.h5"], "no file at nothing.h5"),
        ([__file__], "minirobust: "),
        (["--port", "70000"], "65535"),
        (["--export", "page.txt"], "expected the name of a .html file"),
    ],
)
def test_wrong_usage_is_one_sentence(words, sentence):
    done = CliRunner().invoke(app, ["explore", *words])
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_network_that_the_page_cannot_show_is_refused(tmp_path):
    for network, reason in (
        (mr.models.cnn(1.0), r"expected a network from \(28, 28, 1\) to \(10,\), got \(32, 32, 3\)"),
        (mr.Network([mr.Flatten(), mr.Dense(8), mr.ReLU(), mr.Dense(10)], (28, 28, 1)), "TemperatureSigmoid as last"),
    ):
        mr.save(tmp_path / "net.h5", network)
        with pytest.raises(ValueError, match=reason):
            opened(tmp_path / "net.h5")


def test_a_port_that_is_taken_is_named():
    import socket

    pytest.importorskip("starlette", reason="the page needs the extra explore")
    from minirobust.explore.server import serve

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ValueError, match="--port: expected a free port"):
            serve(None, other.getsockname()[1], announce=print)
