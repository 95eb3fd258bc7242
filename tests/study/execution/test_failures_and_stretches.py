"""A failed audit is reported, and images that are attacked in several runs keep their indices."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

import minirobust as mr
from minirobust.study.execution import sweep
from minirobust.study.execution import task as run
from minirobust.study.execution.progress import Progress
from minirobust.study.execution.workers import WorkerDiedError


def run_with(config, folder, monkeypatch, audit_trained):
    monkeypatch.setattr(run, "train", lambda config, T, seed, folder: None)
    monkeypatch.setattr(run, "audit_trained", audit_trained)
    with ThreadPoolExecutor(1) as threads:
        return sweep._run_tasks(threads, config, folder, Progress(config, folder, quiet=True))


def test_failed_audit_is_a_failure_of_its_task(config, tmp_path, monkeypatch):
    audited = []

    def audit_trained(config, T, seed, folder):
        if T == 0.25:
            raise MemoryError("no room")
        audited.append(T)

    failures = run_with(config, tmp_path, monkeypatch, audit_trained)
    assert [str(failure) for failure in failures.values()] == ["T = 1/4, seed 0: MemoryError: no room"]
    assert "in audit_trained" in failures[0.25, 0].traceback
    assert audited == [2.0]


def test_worker_that_dies_in_an_audit_is_a_failure_of_its_task(config, tmp_path, monkeypatch):
    def attempt(step, *arguments):
        if step is run.audit_trained:
            raise WorkerDiedError("its process died 3 times")

    monkeypatch.setattr(sweep, "attempt", attempt)
    failures = run_with(config, tmp_path, monkeypatch, lambda *arguments: None)
    assert len(failures) == 2
    assert all("its process died 3 times" in str(failure) for failure in failures.values())


@pytest.mark.parametrize("step", [3, 7, 1000])
def test_images_fooled_with_two_pixels_keep_their_numbers(config, digits, monkeypatch, step):
    """Of 20 images every other one falls to exactly two pixels, whatever the stretches in which they are attacked."""
    test = digits.test[:20]
    network = mr.models.mlp(1.0, hidden=2)
    y = test.labels
    start = iter(range(0, 20, step))

    def pixel(network, x, labels, n):
        first = next(start)
        count = np.where((first + np.arange(len(x))) % 2 == 0, 2, 1)
        pixels = np.tile([5, 9], (len(x), 1)) + first + np.arange(len(x))[:, None]
        return SimpleNamespace(count=count, images=1 - x, pixels=pixels, predictions=(labels + 1) % 10)

    monkeypatch.setattr(run, "STEP", step)
    monkeypatch.setattr(run.attacks, "pixel", pixel)
    found = run._pixel_attack(network, config, test, np.ones(20, bool))
    two = np.arange(0, 20, 2)
    np.testing.assert_array_equal(found["two/index"], two)
    np.testing.assert_array_equal(found["two/pixels"], np.transpose([5 + two, 9 + two]))
    np.testing.assert_array_equal(found["two/prediction"], (y[two] + 1) % 10)
    np.testing.assert_array_equal(found["pixel_count"], np.where(np.arange(20) % 2 == 0, 2, 1))
    shown = found["two/index"][found["two/shown"]]
    np.testing.assert_array_equal(found["two/image"], test.images[shown])
    np.testing.assert_array_equal(found["two/adversarial"], 255 - test.images[shown])
    x = test.pixels()
    np.testing.assert_allclose(found["two/before"], network.predict_proba(x[two]).max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found["two/after"], network.predict_proba(1 - x[two]).max(axis=1), rtol=1e-5)
