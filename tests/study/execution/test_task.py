"""One task: its numbers against the library's attacks and measures, and the same result after any interruption."""

import os
import random
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

import minirobust as mr
from data_loaders import load_hdf5
from minirobust import backend as backends
from minirobust.study import store
from minirobust.study.execution import task as run
from minirobust.study.execution.workers import ONE_THREAD
from minirobust.study.store import task_path


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    """A task that is done, its network, and its test images."""
    folder = tmp_path_factory.mktemp("trained")
    store.open_folder(folder, config)
    run.train(config, 0.25, 0, folder)
    path = task_path(folder, 0.25, 0)
    test = load_hdf5(config.dataset).test
    return store.read(path), mr.load(path).network, test.pixels(), test.labels


def test_last_row_of_epochs_equals_the_librarys_functions(trained, config):
    record, net, x, y = trained
    last = {name: series[-1] for name, series in record.epochs.items()}
    assert record.epoch == config.epochs
    train = load_hdf5(config.dataset).train[:100]
    assert last["train_accuracy"] == np.mean(net.predict(train.pixels()) == train.labels)
    assert last["test_accuracy"] == np.mean(net.predict(x) == y)
    np.testing.assert_allclose(
        [last[name] for name in ("linear", "nonlinear", "saturated")], mr.regimes.fractions(net.hidden(x), 0.25)
    )
    for row, epsilon in zip(last["robustness"], config.epsilons, strict=True):
        fooled = mr.attacks.fgsm(net, x, y, epsilon).fooled
        np.testing.assert_array_equal(row, mr.robustness.by_class(fooled, y))
    np.testing.assert_array_equal(last["class_accuracy"], mr.robustness.by_class(net.predict(x) != y, y))
    G, p = mr.saliency.magnitude(net, x, y), net.predict_proba(x)[np.arange(len(y)), y]
    np.testing.assert_allclose(last["gradient_median"], [np.median(G[y == c]) for c in range(10)], rtol=1e-6)
    np.testing.assert_allclose(last["gradient_mean"], G.mean(), rtol=1e-5)
    np.testing.assert_allclose(last["confidence"], [p[y == c].mean() for c in range(10)], rtol=1e-5)
    # f' in the closed form of the definition, and the tenth of the values nearest 0, where it is steepest.
    e = np.exp(-abs(net.hidden(x).astype("float64").ravel()) / 0.25)
    slope = np.sort(e / (0.25 * (1 + e) ** 2))[::-1]
    np.testing.assert_allclose(last["slope_mean"], slope.mean(), rtol=1e-5)
    np.testing.assert_allclose(last["slope_share"], slope[: len(slope) // 10].sum() / slope.sum(), rtol=1e-5)


def test_times_are_measured(config, tmp_path):
    config = config.but(epochs=1, audit_samples=10, audit_epsilons=(0.1,), sharpen_ratios=(0.25,))
    store.open_folder(tmp_path, config)
    began = time.perf_counter()
    run.train(config, 0.25, 0, tmp_path)
    run.audit_trained(config, 0.25, 0, tmp_path)
    took = time.perf_counter() - began
    timing = store.read(task_path(tmp_path, 0.25, 0)).timing
    assert set(timing) == {"training", "evaluation", "final", "audit"}
    assert all((seconds > 0).all() for seconds in timing.values())
    assert sum(seconds.sum() for seconds in timing.values()) < took


def test_the_loss_is_that_of_training(trained, config):
    record, _, _, _ = trained
    data = load_hdf5(config.dataset)
    net = mr.models.mlp(0.25)
    losses = [epoch.loss for epoch in mr.fit(net, mr.Adam(net, lr=1e-3), data, epochs=3)]
    np.testing.assert_array_equal(record.epochs["loss"], losses)


def test_final_results_equal_the_librarys_functions(trained, config):
    record, net, x, y = trained
    final = record.final
    G, p = mr.saliency.magnitude(net, x, y), net.predict_proba(x)[np.arange(len(y)), y]
    np.testing.assert_array_equal(final["prediction"], net.predict(x))
    np.testing.assert_allclose(final["gradient"], G, rtol=1e-6)
    np.testing.assert_allclose(final["confidence"], p, rtol=1e-6)
    for row, epsilon in zip(final["fgvm_robustness"], config.epsilons, strict=True):
        fooled = mr.attacks.fgvm(net, x, y, epsilon).fooled
        np.testing.assert_array_equal(row, mr.robustness.by_class(fooled, y))
    medians, correlations, p_values = mr.saliency.by_class(G, p, y)
    for name, expected in (("gradient_median", medians), ("correlation", correlations), ("p_value", p_values)):
        np.testing.assert_allclose(final[name], expected, rtol=1e-4)
    np.testing.assert_array_equal(final["ugly/image"], load_hdf5(config.dataset).test.images[np.argsort(-G)[:10]])
    attack = mr.attacks.pixel(net, x, y, pixels=2)
    for n in (0, 1):
        fooled = attack.fooled_at[n]
        np.testing.assert_array_equal(final["pixel_success"][n], 1 - mr.robustness.by_class(fooled, y))
        of_correct = mr.robustness.by_class_of_correct(fooled, attack.clean_correct, y)
        np.testing.assert_array_equal(final["pixel_success_of_correct"][n], 1 - of_correct)


def test_two_pixel_adversarials_are_stored_with_their_predictions(trained):
    record, net, x, y = trained
    final = {name.removeprefix("two/"): a for name, a in record.final.items() if name.startswith("two/")}
    index = final["index"]
    assert len(index) > 0
    np.testing.assert_array_equal(index, np.flatnonzero(record.final["pixel_count"] == 2))
    np.testing.assert_allclose(final["before"], net.predict_proba(x[index]).max(axis=1), rtol=1e-6)
    assert (net.predict(x[index]) == y[index]).all()
    assert (final["prediction"] != y[index]).all()
    assert (np.diff(final["after"][final["shown"]]) <= 0).all()
    shown = final["shown"]
    changed = (final["image"] != final["adversarial"]).reshape(len(shown), -1)
    for row, pixels in zip(changed, final["pixels"][shown], strict=True):
        assert set(np.flatnonzero(row)) <= set(pixels)
    np.testing.assert_allclose(
        net.predict_proba(final["adversarial"].astype("float32") / 255).max(axis=1), final["after"][shown], rtol=1e-5
    )


def test_measuring_is_the_same_on_every_backend(config, backend, few_digits):
    data = load_hdf5(few_digits)
    net = mr.models.mlp(0.25, seed=3)
    expected = run.measure(net, config, 0.25, data)
    for name, value in run.measure(net.to(backend), config, 0.25, data).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, err_msg=name)
    expected = run.attack(net, config, data.test)
    for name, value in run.attack(net.to(backend), config, data.test).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, err_msg=name)


def test_a_class_without_test_images_is_nan_and_stops_nothing(config, few_digits, tmp_path):
    from data_loaders import Dataset, save_hdf5

    data = load_hdf5(few_digits)
    seven = data.test.labels != 7
    path = tmp_path / "without.h5"
    save_hdf5(path, Dataset("without 7", data.train, data.test[np.flatnonzero(seven)], data.class_names))
    run.train(config.but(dataset=str(path), epochs=1), 2.0, 0, tmp_path)
    record = store.read(task_path(tmp_path, 2.0, 0))
    for series in (record.epochs["class_accuracy"][0], record.epochs["robustness"][0, 0], record.final["p_value"]):
        assert np.isnan(series).tolist() == [c == 7 for c in range(10)]


def test_a_finished_task_is_left_alone(config, tmp_path):
    run.train(config, 2.0, 0, tmp_path)
    path = task_path(tmp_path, 2.0, 0)
    before = path.read_bytes()
    run.train(config, 2.0, 0, tmp_path)
    assert path.read_bytes() == before


def test_a_file_of_another_configuration_is_refused_and_left_alone(config, tmp_path):
    run.train(config.but(epochs=1), 2.0, 0, tmp_path)
    path = task_path(tmp_path, 2.0, 0)
    before = path.read_bytes()
    with pytest.raises(store.StudyError, match="was made with batch_size = 64, expected 32"):
        run.train(config.but(epochs=1, batch_size=32), 2.0, 0, tmp_path)
    assert path.read_bytes() == before


def test_the_stored_environment_has_the_date(trained):
    record, *_ = trained
    today = datetime.now(UTC).date()
    assert date.fromisoformat(record.environment["date"]) in (today, today - timedelta(days=1))


def git(folder, *words):
    subprocess.run(["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_that_of_the_checkout_and_of_no_folder_above(tmp_path):
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    clean = run._commit(tmp_path)["commit"]
    assert re.fullmatch("[0-9a-f]{40}", clean)
    (tmp_path / "code.py").write_text("2")
    assert run._commit(tmp_path) == {"commit": f"{clean}-dirty"}
    (tmp_path / "site-packages").mkdir()
    assert run._commit(tmp_path / "site-packages") == {}


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    assert run._commit(tmp_path) == {}  # an empty folder is no repository
    monkeypatch.setenv("PATH", "")
    assert run._commit(tmp_path) == {}


def test_the_stored_environment_describes_the_backend(trained):
    record, net, _, _ = trained
    assert record.environment["backend"] == repr(net.backend) == repr(backends.get("numpy"))


class OtherBackend(backends.NumpyBackend):
    """A backend that "auto" prefers."""

    name = "other"


@pytest.fixture
def begun(config, tmp_path, monkeypatch):
    """A task that "auto" began on this machine's backend, and that continues where "auto" takes another one."""
    config = config.but(epochs=1, backend="auto")
    run.train(config, 2.0, 0, tmp_path)
    monkeypatch.setattr(backends, "BACKENDS", {"other": OtherBackend} | backends.BACKENDS)
    monkeypatch.setitem(backends._made, "other", OtherBackend())
    return config, task_path(tmp_path, 2.0, 0)


def change(path, **changes):
    record, (network, optimizer, _) = store.read_with_network(path, "numpy")
    vars(record).update(changes)
    store.write(path, record, network, optimizer)


@pytest.mark.parametrize("step", [run.train, run.audit_trained])
def test_a_task_is_not_continued_on_another_backend(begun, step):
    config, path = begun
    if step is run.train:
        change(path, final={})  # without its last attacks, the training is not complete
    before, began_on = path.read_bytes(), store.read(path).environment["backend"]
    with pytest.raises(store.StudyError) as error:
        step(config, 2.0, 0, path.parent)
    assert f"{path} was begun on {began_on}, but auto takes {OtherBackend()} here" in str(error.value)
    assert path.read_bytes() == before


def test_trained_task_is_kept_if_auto_takes_another_backend(begun):
    config, path = begun
    before = path.read_bytes()
    run.train(config, 2.0, 0, path.parent)
    assert path.read_bytes() == before


def test_a_task_is_continued_on_another_version_of_its_backend(config, tmp_path):
    run.train(config, 2.0, 0, tmp_path)
    path = task_path(tmp_path, 2.0, 0)
    change(path, final={}, environment=store.read(path).environment | {"backend": "<backend numpy: NumPy 0.9>"})
    run.train(config, 2.0, 0, tmp_path)
    assert store.read(path).final


def test_the_sources_of_an_audit_are_all_trained_networks_of_the_folder(config, tmp_path, monkeypatch):
    """Those of earlier calls count, those under way do not."""
    for temperatures in ((0.25, 2.0), (0.5, 1.0)):
        store.open_folder(tmp_path, config.but(temperatures=temperatures))
    for T in (0.25, 0.5, 1.0, 2.0):
        run.train(config.but(epochs=1), T, 0, tmp_path)
    record, (network, optimizer, _) = store.read_with_network(task_path(tmp_path, 1.0, 0), "numpy")
    record.final = {}
    store.write(task_path(tmp_path, 1.0, 0), record, network, optimizer)

    def watch(network, *arguments, sources, **options):
        raise InterruptedError([source.layers[2].temperature for source in sources])

    monkeypatch.setattr(run, "audit", watch)
    with pytest.raises(InterruptedError, match=re.escape("[0.25, 2.0]")):
        run.audit_trained(config.but(epochs=1, temperatures=(0.5,)), 0.5, 0, tmp_path)


ONE_TASK = """
import sys
from pathlib import Path
from minirobust.study import store
from minirobust.study.execution import task

folder = Path(sys.argv[1])
config = store.read_config(folder)
print("begun", flush=True)
for step in (task.train, task.audit_trained):
    step(config, 0.25, 0, folder)
"""


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_task_killed_at_random_moments_gives_the_same_results(kills, config, run_alone, assert_same_results, tmp_path):
    config = config.but(temperatures=(0.25,), audit_samples=10, audit_epsilons=(0.1,), sharpen_ratios=(0.25,))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        store.open_folder(folder, config)
    began = time.monotonic()
    run_alone(whole)
    took = time.monotonic() - began

    moments = random.Random(kills)
    for _ in range(kills):
        command = [sys.executable, "-c", ONE_TASK, str(killed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | ONE_THREAD)
        process.stdout.readline()  # once it has imported what it needs
        time.sleep(moments.uniform(0.2, 1.2) * took)
        process.kill()
        process.communicate()
        for path in killed.glob("*.h5"):  # at any moment whole
            assert store.read(path).epoch >= 1
        if (
            process.returncode == 0 or moments.random() < 0.3
        ):  # done: start again, so that each kill hits a running task
            for path in killed.glob("*.h5"):
                path.unlink()
    run_alone(killed)
    assert sorted(path.name for path in killed.iterdir()) == sorted(path.name for path in whole.iterdir())
    for path in whole.glob("*.h5"):
        assert_same_results(path, killed / path.name)
