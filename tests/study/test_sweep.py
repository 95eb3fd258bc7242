"""A whole study: the same numbers wherever its tasks run, and whoever dies on the way."""

import os
import signal
import threading
import time

import pytest

from minirobust.study import run, store
from minirobust.study.store import StudyError, task_path
from minirobust.study.sweep import run_study


@pytest.fixture(scope="module")
def config(config):
    return config.but(audit_samples=20)


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


def test_two_processes_give_what_one_gives(config, one_after_another, assert_same_studies, tmp_path, capsys):
    assert run_study(config, tmp_path / "study", workers=2) == []
    assert_same_studies(tmp_path / "study", one_after_another)
    said = capsys.readouterr().err
    assert "T = 1/4" in said
    assert "done" in said


def test_a_finished_study_runs_nothing(config, one_after_another):
    before = {path: path.read_bytes() for path in one_after_another.iterdir()}
    assert run_study(config, one_after_another, workers=2, quiet=True) == []
    assert {path: path.read_bytes() for path in one_after_another.iterdir()} == before


def test_a_task_that_fails_is_reported_and_the_others_stand(config, tmp_path):
    folder = tmp_path / "study"
    store.open_folder(folder, config)
    run.train(config.but(batch_size=32), 2.0, 0, folder)
    before = task_path(folder, 2.0, 0).read_bytes()
    (failure,) = run_study(config, folder, workers=2, quiet=True)
    assert (failure.temperature, failure.seed) == (2.0, 0)
    assert "StudyError: study: " in failure.error
    assert "was made with batch_size = 32, expected 64" in str(failure)
    assert "Traceback" in failure.traceback
    assert task_path(folder, 2.0, 0).read_bytes() == before
    # The other one is trained; its audit waits for the network that is missing among its sources.
    record = store.read(task_path(folder, 0.25, 0))
    assert record.final
    assert record.audit is None


def test_what_cannot_begin_is_refused_before_anything_runs(config, tmp_path):
    folder = tmp_path / "study"
    with pytest.raises(FileNotFoundError):
        run_study(config.but(dataset=str(tmp_path / "missing.h5")), folder)
    store.open_folder(folder, config)
    with pytest.raises(StudyError, match="was made with epochs = 3, expected 5"):
        run_study(config.but(epochs=5), folder)
    task_path(folder, 0.25, 0).write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="another kind of file"):
        run_study(config, folder)
    assert task_path(folder, 0.25, 0).read_bytes() == b"no checkpoint"


def test_a_cluster_that_does_not_answer_is_named(config, tmp_path):
    pytest.importorskip("distributed", reason="needs the extra cluster")
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(OSError, match="tcp://127.0.0.1:1"),
    ):
        run_study(config, tmp_path, scheduler="tcp://127.0.0.1:1", quiet=True)


def test_on_a_cluster_a_worker_is_killed_and_the_study_ends_the_same(
    config, one_after_another, assert_same_studies, tmp_path
):
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
