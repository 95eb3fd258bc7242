"""A whole study: the same numbers wherever its tasks run, and whichever process dies."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from minirobust.study import store
from minirobust.study.execution import sweep
from minirobust.study.execution import task as run
from minirobust.study.execution.progress import Progress
from minirobust.study.execution.sweep import run_study
from minirobust.study.store import StudyError, task_path


@pytest.fixture(scope="module")
def config(config):
    return config.but(epochs=2, audit_samples=10, audit_epsilons=(0.1,), sharpen_ratios=(0.25,))


@pytest.fixture(scope="module")
def one_after_another(config, run_alone, tmp_path_factory):
    """The same study without a sweep."""
    folder = tmp_path_factory.mktemp("expected")
    store.open_folder(folder, config)
    run_alone(folder)
    return folder


@pytest.fixture
def assert_same_studies(assert_same_results):
    def compare(folder, expected):
        assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in expected.iterdir())
        for path in expected.glob("*.h5"):
            assert_same_results(folder / path.name, path)

    return compare


def test_two_processes_give_the_same_results_as_one(config, one_after_another, assert_same_studies, tmp_path, capsys):
    assert run_study(config, tmp_path / "study", workers=2) == []
    assert_same_studies(tmp_path / "study", one_after_another)
    said = capsys.readouterr().err
    assert "T = 1/4" in said
    assert "done" in said


@pytest.mark.slow
def test_two_seeds_in_three_processes_give_the_same_results_as_one(config, run_alone, assert_same_studies, tmp_path):
    config = config.but(seeds=(0, 1), epochs=1)
    store.open_folder(tmp_path / "expected", config)
    run_alone(tmp_path / "expected")
    assert run_study(config, tmp_path / "study", workers=3, quiet=True) == []
    assert_same_studies(tmp_path / "study", tmp_path / "expected")


@pytest.fixture
def run_with(config, tmp_path, monkeypatch):
    """Run a study of two seeds with other functions in place of the two steps of a task, in two threads."""

    def run_with(train, audit_trained):
        two_seeds = config.but(seeds=(0, 1))
        monkeypatch.setattr(run, "train", train)
        monkeypatch.setattr(run, "audit_trained", audit_trained)
        with ThreadPoolExecutor(2) as threads:
            return sweep._run_tasks(threads, two_seeds, tmp_path, Progress(two_seeds, tmp_path, quiet=True))

    return run_with


def test_a_seed_is_audited_while_another_is_still_trained(run_with):
    audited = threading.Event()
    last_training = (2.0, 1)

    def train(config, T, seed, folder):
        if (T, seed) == last_training:
            assert audited.wait(10), "no audit began before the last training had ended"

    assert run_with(train, lambda config, T, seed, folder: audited.set()) == {}


def test_no_network_is_audited_before_all_of_its_seed_are_trained(run_with):
    trained, audited = [], []

    def train(config, T, seed, folder):
        time.sleep(0.05 * T)
        trained.append((T, seed))

    def audit_trained(config, T, seed, folder):
        assert {(0.25, seed), (2.0, seed)} <= set(trained)
        audited.append((T, seed))

    assert run_with(train, audit_trained) == {}
    assert sorted(audited) == sorted(trained) == [(0.25, 0), (0.25, 1), (2.0, 0), (2.0, 1)]


def test_a_failed_training_prevents_the_audits_of_its_seed_only(run_with):
    audited = []

    def train(config, T, seed, folder):
        if (T, seed) == (2.0, 0):
            raise OSError("disk full")

    failures = run_with(train, lambda config, T, seed, folder: audited.append((T, seed)))
    assert [str(failure) for failure in failures.values()] == ["T = 2, seed 0: OSError: disk full"]
    assert sorted(audited) == [(0.25, 1), (2.0, 1)]


def test_a_finished_study_runs_nothing(config, one_after_another, monkeypatch):
    monkeypatch.setattr(sweep, "Processes", lambda workers, devices: ThreadPoolExecutor(workers))
    before = {path: path.read_bytes() for path in one_after_another.iterdir()}
    assert run_study(config, one_after_another, workers=1, quiet=True) == []
    assert {path: path.read_bytes() for path in one_after_another.iterdir()} == before


def test_failed_task_is_reported_and_the_others_are_kept(config, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "Processes", lambda workers, devices: ThreadPoolExecutor(workers))
    folder = tmp_path / "study"
    store.open_folder(folder, config)
    run.train(config.but(batch_size=32), 2.0, 0, folder)
    before = task_path(folder, 2.0, 0).read_bytes()
    (failure,) = run_study(config, folder, workers=1, quiet=True)
    assert (failure.temperature, failure.seed) == (2.0, 0)
    assert "StudyError: study: " in failure.error
    assert "was made with batch_size = 32, expected 64" in str(failure)
    assert "Traceback" in failure.traceback
    assert task_path(folder, 2.0, 0).read_bytes() == before
    # The other one is trained; its audit waits for the network that is missing among its sources.
    record = store.read(task_path(folder, 0.25, 0))
    assert record.final
    assert record.audit is None


def test_study_that_cannot_start_raises_before_anything_runs(config, tmp_path):
    folder = tmp_path / "study"
    with pytest.raises(FileNotFoundError):
        run_study(config.but(dataset=str(tmp_path / "missing.h5")), folder)
    store.open_folder(folder, config)
    with pytest.raises(StudyError, match="was made with epochs = 2, expected 5"):
        run_study(config.but(epochs=5), folder)
    task_path(folder, 0.25, 0).write_bytes(b"no checkpoint")
    for quiet in (False, True):
        with pytest.raises(ValueError, match="another kind of file"):
            run_study(config, folder, quiet=quiet)
    assert task_path(folder, 0.25, 0).read_bytes() == b"no checkpoint"


@pytest.mark.slow
def test_two_studies_in_one_folder_share_the_work(config, one_after_another, assert_same_studies, tmp_path):
    folder = tmp_path / "study"
    store.open_folder(folder, config)
    command = [sys.executable, "-m", "minirobust", "study", "resume", str(folder), "--workers", "2", "--quiet"]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert_same_studies(folder, one_after_another)


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_resuming_gives_the_same_results(
    config, run_alone, assert_same_studies, tmp_path
):
    pty = pytest.importorskip("pty", reason="terminals are POSIX's")
    config = config.but(epochs=40)
    expected, folder = tmp_path / "expected", tmp_path / "study"
    for path in (expected, folder):
        store.open_folder(path, config)
    run_alone(expected)
    pid, terminal = pty.fork()  # the child has the terminal to itself, as a command in a shell has
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "minirobust", "study", "resume", str(folder)])
    while not list(folder.glob("T*.h5")):
        time.sleep(0.02)
    os.write(terminal, b"\x03")
    shown = _until_all_have_left(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert f"continue with `minirobust study resume {folder}`" in " ".join(shown.split())
    assert "Traceback" not in shown
    assert 1 <= min(store.read(path).epoch for path in folder.glob("T*.h5")) < 40
    assert run_study(config, folder, workers=2, quiet=True) == []
    assert_same_studies(folder, expected)


def _until_all_have_left(terminal):
    """What is shown until no process has the terminal any more, which Linux reports as an error."""
    shown = b""
    while True:
        assert select.select([terminal], [], [], 60)[0], "after a minute a process was still there"
        try:
            shown += os.read(terminal, 1 << 16)
        except OSError:
            os.close(terminal)
            return shown.decode()


@pytest.mark.parametrize(
    ("allowed", "devices"), [(None, ("0", "1")), ("5,GPU-8932f937", ("5", "GPU-8932f937")), ("3,2,7", ("3", "2"))]
)
def test_workers_get_the_devices_that_this_process_may_use(allowed, devices, monkeypatch):
    runtime = SimpleNamespace(getDeviceCount=lambda: 2)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    monkeypatch.setattr(sweep.backends, "get", lambda name: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if allowed:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assert sweep._cuda_devices() == devices


def test_a_cluster_that_does_not_answer_is_named(config, tmp_path):
    pytest.importorskip("distributed", reason="needs the extra cluster")
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(OSError, match="tcp://127.0.0.1:1"),
    ):
        run_study(config, tmp_path, scheduler="tcp://127.0.0.1:1", quiet=True)


@pytest.mark.slow
def test_study_on_a_cluster_survives_a_killed_worker(config, one_after_another, assert_same_studies, tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs the extra cluster")
    folder = tmp_path / "study"

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        killed = []

        def kill_one_at_work():
            while not list(folder.glob("T*.h5")):
                time.sleep(0.02)
            pid = next(iter(cluster.workers.values())).pid
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

        killer = threading.Thread(target=kill_one_at_work)
        killer.start()
        assert run_study(config, folder, scheduler=cluster.scheduler_address, quiet=True) == []
        killer.join()
        assert killed
    assert_same_studies(folder, one_after_another)


@pytest.mark.parametrize(("backend", "expected"), [("auto", ("0", "1")), ("cupy", ("0", "1")), ("numpy", ())])
def test_a_study_that_may_run_on_cuda_takes_its_devices(backend, expected, monkeypatch):
    taken = []
    monkeypatch.setattr(sweep, "_cuda_devices", lambda: ("0", "1"))
    monkeypatch.setattr(sweep, "Processes", lambda workers, devices: taken.append(devices) or ThreadPoolExecutor(1))
    with sweep._executor(SimpleNamespace(backend=backend), None, None):
        assert taken == [expected]
