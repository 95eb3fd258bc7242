"""`Processes`: a process answers many calls, and a process that dies is replaced without affecting the others."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from minirobust.study.execution.workers import Processes, WorkerDiedError, dask_executor

# What processes run must be importable there: functions of this file, which pytest imports under another name, are not.
CODE = textwrap.dedent("""
    import os, signal, struct, sys, time
    from pathlib import Path

    def where():
        return os.getpid(), os.environ["OPENBLAS_NUM_THREADS"], os.environ.get("CUDA_VISIBLE_DEVICES")

    def wait_and_tell_where(seconds):
        time.sleep(seconds)
        return where()

    def die_once(mark):
        if not Path(mark).exists():
            Path(mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "survived"

    def die():
        os._exit(3)

    def die_once_in_the_midst_of_the_answer(mark):
        if not Path(mark).exists():
            Path(mark).touch()
            pipe = sys._getframe(1).f_locals["pipe"]
            os.write(pipe.fileno(), struct.pack("!i", 1000) + b"of 1,000 bytes a few")
            os._exit(1)
        return "survived"

    def wait(seconds, value):
        time.sleep(seconds)
        return value

    def announce_and_wait(mark):
        Path(mark).write_text(str(os.getpid()))
        time.sleep(60)
""")


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """The module above, importable here and in the processes."""
    (tmp_path / "calls_of_a_test.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import calls_of_a_test

    yield calls_of_a_test
    del sys.modules["calls_of_a_test"]


def gone(pid):
    """Whether a process ends within ten seconds."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def written(mark):
    """What a process wrote, as soon as it did."""
    for _ in range(600):
        if mark.exists() and mark.read_text():
            return mark.read_text()
        time.sleep(0.05)
    raise AssertionError(f"nothing was written to {mark}")


def test_calls_run_in_other_processes_on_one_thread_each(calls, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with Processes(2) as executor:
        waiting = executor.submit(calls.wait_and_tell_where, 1.0)  # keeps the first process busy
        first, threads, device = executor.submit(calls.where).result()
        second, *_ = waiting.result()
    assert len({first, second, os.getpid()}) == 3
    assert (threads, device) == ("1", os.environ.get("CUDA_VISIBLE_DEVICES"))
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_a_process_answers_one_call_after_another_and_is_replaced_when_it_was_killed(calls):
    with Processes(1) as executor:
        ((first, *_),) = {executor.submit(calls.where).result() for _ in range(3)}
        os.kill(first, signal.SIGKILL)
        second, *_ = executor.submit(calls.where).result()
    assert second != first


@pytest.mark.parametrize("wait", [True, False])
def test_shutdown_ends_idle_processes_and_takes_no_more_calls(calls, wait):
    executor = Processes(1)
    pid, *_ = executor.submit(calls.where).result()
    executor.shutdown(wait=wait)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(calls.where)
    assert gone(pid)


def test_each_worker_gets_its_own_device_and_returns_it(calls):
    with Processes(2, devices=["4", "7"]) as executor:
        devices = [future.result()[2] for future in [executor.submit(calls.where) for _ in range(5)]]
    assert set(devices) <= {"4", "7"}


def test_call_of_a_killed_process_restarts_and_others_continue(calls, tmp_path, caplog):
    with caplog.at_level(logging.WARNING), Processes(2) as executor:
        other = executor.submit(calls.wait, 1.0, "untouched")
        assert executor.submit(calls.die_once, str(tmp_path / "mark")).result() == "survived"
        assert other.result() == "untouched"
    assert "a worker died (exit code -9) in attempt 1 of 3" in caplog.text


def test_incomplete_answer_is_ignored(calls, tmp_path):
    with Processes(1) as executor:
        assert executor.submit(calls.die_once_in_the_midst_of_the_answer, str(tmp_path / "mark")).result() == "survived"


def test_call_that_always_kills_its_process_fails(calls):
    with Processes(1) as executor:
        dying, next_in_line = executor.submit(calls.die), executor.submit(calls.wait, 0, "done")
        with pytest.raises(WorkerDiedError, match="its process died 3 times"):
            dying.result()
        assert next_in_line.result() == "done"


def test_shutdown_without_waiting_ends_every_process_and_starts_none(calls, tmp_path):
    executor = Processes(1)
    running = executor.submit(calls.announce_and_wait, str(tmp_path / "first"))
    waiting = executor.submit(calls.announce_and_wait, str(tmp_path / "second"))
    pid = int(written(tmp_path / "first"))
    executor.shutdown(wait=False)
    assert gone(pid)
    assert isinstance(running.exception(), WorkerDiedError)
    assert waiting.cancelled()
    assert not (tmp_path / "second").exists()


def test_processes_end_when_their_parent_is_killed(calls, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(f"""
            import sys
            sys.path.insert(0, {str(tmp_path)!r})
            import calls_of_a_test
            from minirobust.study.execution.workers import Processes
            if __name__ == "__main__":
                Processes(1).submit(calls_of_a_test.announce_and_wait, {str(tmp_path / "mark")!r}).result()
        """)
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    pid = int(written(tmp_path / "mark"))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert gone(pid)


SCHEDULER = """
import asyncio
from distributed import Scheduler, Worker

async def main():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address=None) as scheduler:
        async with Worker(scheduler.address, nthreads=1, dashboard=False):
            print(scheduler.address, flush=True)
            await asyncio.sleep(60)

asyncio.run(main())
"""


def test_scheduler_that_is_lost_is_one_sentence(caplog):
    pytest.importorskip("distributed", reason="needs the extra cluster")
    scheduler = subprocess.Popen([sys.executable, "-c", SCHEDULER], stdout=subprocess.PIPE, text=True)
    address = scheduler.stdout.readline().strip()

    def lose_it():
        with dask_executor(address) as executor:
            waiting = executor.submit(time.sleep, 30)
            scheduler.kill()
            waiting.exception(timeout=60)

    with pytest.raises(ConnectionError, match=f"lost the Dask scheduler at {address}: start it again"):
        lose_it()
    scheduler.communicate()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# After the end


def test_workers_are_not_started_after_shutdown(calls, tmp_path):
    executor = Processes(1)
    executor.shutdown(wait=False)
    with pytest.raises(WorkerDiedError, match="the work was interrupted"):
        executor._run(calls.announce_and_wait, (str(tmp_path / "mark"),))
    assert not (tmp_path / "mark").exists()
    assert executor.workers[0].process is None
