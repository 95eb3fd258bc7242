"""A task's file: a checkpoint with results, written completely or not at all."""

import errno
import os
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from complete_records import ENVIRONMENT, complete

import minirobust as mr
from minirobust.saving.sealed import CheckpointError
from minirobust.study import StudyConfig, store
from minirobust.study.config import PRESETS
from minirobust.study.execution import task as run
from minirobust.study.store import StudyError, task_path

CONFIG = StudyConfig("digits", "mlp", (0.5, 2.0), epochs=3, seeds=(0, 1))


def record(T=0.5, seed=0, epochs=2, **rest):
    loss = T + np.arange(epochs)
    robustness = np.broadcast_to((seed + np.arange(epochs) / 10)[:, None, None], (epochs, 5, 10))
    return complete(CONFIG, T, seed, epochs, epochs_loss=loss, epochs_robustness=robustness, **rest)


@pytest.fixture
def net():
    network = mr.models.mlp(0.5, hidden=3)
    return network, mr.Adam(network)


def test_written_results_can_be_read(net, tmp_path):
    path = task_path(tmp_path, 0.5, 0)
    made = record(attacked=True, audited=True)
    made.audit = made.audit | {"verdict": "ε"}
    made.final["gradient"] = np.arange(6.0)
    store.write(path, made, *net)
    found = store.read(path)
    assert (found.config, found.temperature, found.seed, found.environment) == (CONFIG, 0.5, 0, ENVIRONMENT)
    assert (found.epoch, found.audit) == (2, made.audit)
    for group in ("epochs", "timing", "final", "audited"):
        there = getattr(found, group)
        assert there.keys() == getattr(made, group).keys()
        for name, array in getattr(made, group).items():
            np.testing.assert_array_equal(there[name], array)


def test_a_tasks_file_is_a_checkpoint(net, tmp_path):
    path = task_path(tmp_path, 0.5, 0)
    store.write(path, record(), *net)
    network, optimizer, epoch = mr.load(path)
    np.testing.assert_array_equal(network.parameters, net[0].parameters)
    assert (epoch, type(optimizer)) == (2, mr.Adam)


def test_one_flipped_bit_is_reported_with_the_remedy(net, tmp_path):
    path = task_path(tmp_path, 0.5, 0)
    store.write(path, record(), *net)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for read in (store.read, lambda path: store.read_with_network(path, "numpy")):
        with pytest.raises(CheckpointError, match="damaged.*remove the file to start its task again"):
            read(path)


def test_plain_checkpoint_is_not_a_task(net, tmp_path):
    mr.save(tmp_path / "net.h5", net[0])
    with pytest.raises(StudyError, match="expected a task's file, got the checkpoint"):
        store.read(tmp_path / "net.h5")


def test_full_disk_keeps_the_last_complete_file(net, tmp_path, monkeypatch):
    path = task_path(tmp_path, 0.5, 0)
    store.write(path, record(epochs=1), *net)
    before = path.read_bytes()

    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write(path, record(epochs=2), *net)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_disk_that_fills_while_hdf5_writes_is_one_sentence(net, tmp_path):
    resource = pytest.importorskip("resource", reason="limits of a process are POSIX's")
    path = task_path(tmp_path, 0.5, 0)
    store.write(path, record(epochs=1), *net)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))  # the kernel refuses, as it does then
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            store.write(path, record(epochs=2), *net)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value) == f"[Errno {errno.EFBIG}] {os.strerror(errno.EFBIG)}: {str(path)!r}"
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_temperatures_lie_side_by_side_seeds_averaged_and_what_is_missing_is_nan(net, tmp_path):
    store.open_folder(tmp_path, CONFIG)
    for T, seed, epochs in [(0.5, 0, 3), (0.5, 1, 2), (2.0, 1, 1)]:
        store.write(task_path(tmp_path, T, seed), record(T, seed, epochs), *net)
    study = store.read_study(tmp_path)
    assert [(r.temperature, r.seed) for r in study.records] == [(0.5, 0), (0.5, 1), (2.0, 1)]
    np.testing.assert_array_equal(study.series("loss"), [[0.5, 1.5, 2.5], [2.0, np.nan, np.nan]])
    robustness = study.series("robustness")
    assert robustness.shape == (2, 3, 5, 10)
    # Epoch 2 at T = 1/2: seed 0 has 0.1, seed 1 has 1.1; epoch 3 only seed 0.
    np.testing.assert_allclose(robustness[0, :, 0, 0], [0.5, 0.6, 0.2])
    assert np.isnan(study.final("correlation")).all()
    assert [r.seed for r in study.of(2.0)] == [1]


def test_a_folder_takes_more_temperatures_and_seeds_but_no_other_study(tmp_path):
    store.open_folder(tmp_path, CONFIG)
    store.open_folder(tmp_path, CONFIG.but(temperatures=(8.0,), seeds=(5,)))
    config = store.read_config(tmp_path)
    assert (config.temperatures, config.seeds) == ((0.5, 2.0, 8.0), (0, 1, 5))
    before = (tmp_path / store.CONFIG).read_bytes()
    with pytest.raises(StudyError, match=r"was made with epochs = 3, expected 4: choose another folder"):
        store.open_folder(tmp_path, CONFIG.but(epochs=4))
    assert (tmp_path / store.CONFIG).read_bytes() == before


def test_folder_of_version_0_1_is_read():
    from data_loaders import load_hdf5

    saved = Path(__file__).parents[1] / "saved"
    data = load_hdf5(saved / "stripes.h5")
    study = store.read_study(saved / "study-0.1")
    (record,) = study.records
    assert (record.config, record.temperature, record.seed, record.epoch) == (study.config, 0.5, 0, 2)
    assert record.environment["data"] == data.checksum()
    np.testing.assert_allclose(record.epochs["linear"] + record.epochs["nonlinear"] + record.epochs["saturated"], 1)

    final, labels = record.final, data.test.labels
    np.testing.assert_array_equal(final["label"], labels)
    wrong = final["prediction"] != labels
    accuracy = [1 - wrong[labels == c].mean() for c in range(3)]
    np.testing.assert_allclose(record.epochs["class_accuracy"][-1], accuracy)
    for c in range(3):
        gradient, confidence = final["gradient"][labels == c], final["confidence"][labels == c]
        np.testing.assert_allclose(final["gradient_median"][c], np.median(gradient))
        np.testing.assert_allclose(final["correlation"][c], np.corrcoef(gradient, confidence)[0, 1])
    assert (np.diff(final["pixel_success"], axis=0) >= 0).all()

    assert (record.audit["masked"], record.audit["samples"]) == (False, 10)
    np.testing.assert_array_equal(record.audited["fooled/clean"], wrong[:10])
    for attack in ("clean", "FGSM", "PGD", "Square"):
        assert (record.audited["fooled/worst case"] >= record.audited[f"fooled/{attack}"]).all()


def test_network_of_version_0_1_predicts_what_its_task_recorded():
    from data_loaders import load_hdf5

    saved = Path(__file__).parents[1] / "saved"
    record, (network, optimizer, epoch) = store.read_with_network(saved / "study-0.1" / "T0.5-seed0.h5", "numpy")
    assert (epoch, optimizer.t) == (2, 2)  # 60 images are one batch
    x = load_hdf5(saved / "stripes.h5").test.pixels()
    np.testing.assert_array_equal(network.predict(x), record.final["prediction"])


def test_each_temperature_has_a_file_of_its_own(tmp_path):
    names = [task_path(tmp_path, T, 3).name for T in (1 / 64, 2.0, 0.1234567, 0.1234568)]
    assert names == ["T0.015625-seed3.h5", "T2-seed3.h5", "T0.1234567-seed3.h5", "T0.1234568-seed3.h5"]


def test_lock_on_a_file_is_exclusive_until_the_block_ends(tmp_path):
    path = tmp_path / "task.h5"
    code = "import sys, time; from pathlib import Path; from minirobust.study.store import held\n"
    code += "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    entered = threading.Event()

    def enter():
        with store.held(path):
            entered.set()

    waiting = threading.Thread(target=enter)
    waiting.start()
    assert not entered.wait(0.3)
    holder.kill()
    assert entered.wait(30)
    waiting.join()
    holder.communicate()


@pytest.mark.parametrize(
    ("dataset", "title"),
    [
        ("cifar10", "CIFAR-10"),
        ("/data/cifar10-50k.h5", "CIFAR-10 (50k)"),
        ("fashion-mnist-small.h5", "Fashion-MNIST (small)"),
        ("my-own.h5", "my-own"),
        ("mnist.h5", "mnist"),
    ],
)
def test_title_of_a_file_names_the_data_set_that_it_is_part_of(dataset, title):
    assert store.Study(PRESETS["quick"].but(dataset=dataset), []).title == title


def test_a_data_set_given_by_a_path_may_move(tmp_path):
    store.open_folder(tmp_path, CONFIG.but(dataset="here/few.h5"))
    store.open_folder(tmp_path, CONFIG.but(dataset="there/few.h5"))
    with pytest.raises(StudyError, match=r"dataset = few.h5, expected many.h5"):
        store.open_folder(tmp_path, CONFIG.but(dataset="there/many.h5"))


def test_folder_without_a_study_raises(tmp_path):
    with pytest.raises(StudyError, match=r"contains no study.toml"):
        store.read_study(tmp_path)
    (tmp_path / store.CONFIG).write_text("epochs = many")
    with pytest.raises(StudyError, match="cannot be read"):
        store.read_study(tmp_path)


def test_a_read_only_folder_is_refused_before_anything_runs(config, tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / store.CONFIG).write_text(config.to_toml())
    for folder in (begun, tmp_path):
        folder.chmod(0o555)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("this user may write everywhere")
    for folder in (begun, tmp_path / "new"):
        with pytest.raises(PermissionError):
            store.open_folder(folder, config)
    for folder in (tmp_path, begun):
        folder.chmod(0o755)


def test_other_data_of_the_same_name_are_refused(config, few_digits, tmp_path):
    from data_loaders import Dataset, load_hdf5, save_hdf5

    data = load_hdf5(few_digits)
    run.train(config.but(epochs=1), 2.0, 0, tmp_path)
    other = tmp_path / "other" / "few.h5"
    other.parent.mkdir()
    save_hdf5(other, Dataset(data.name, data.train[:299], data.test, data.class_names))
    before = task_path(tmp_path, 2.0, 0).read_bytes()
    with pytest.raises(StudyError, match="made with data that differ"):
        run.train(config.but(epochs=1, dataset=str(other)), 2.0, 0, tmp_path)
    assert task_path(tmp_path, 2.0, 0).read_bytes() == before


OTHER = {
    "dataset": "mnist",
    "model": "cnn",
    "epochs": 4,
    "batch_size": 32,
    "learning_rate": 0.002,
    "epsilon": 0.2,
    "epsilons": (0.1, 0.2),
    "delta1": 0.04,
    "delta2": 0.0004,
    "pixels": 2,
    "train_samples": 9_999,
    "audit_samples": 999,
    "audit_epsilons": (0.05, 0.1),
    "audit_budget": "full",
    "sharpen_ratios": (0.5,),
    "sharpen_samples": 99,
    "backend": "auto",
    "dtype": "float64",
}


@pytest.mark.parametrize("name", [field.name for field in fields(StudyConfig) if field.name not in store.OF_THE_STUDY])
def test_every_field_of_the_configuration_is_compared(tmp_path, name):
    other = CONFIG.but(**{name: OTHER[name]})
    with pytest.raises(StudyError, match=rf"was made with {name} = "):
        store.check_same(tmp_path / "T1.h5", other, CONFIG)


def test_lock_that_is_a_link_is_refused_and_its_target_stays(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".task.h5.lock").symlink_to(victim)
    with pytest.raises(OSError, match=r"task\.h5\.lock"), store.held(tmp_path / "task.h5"):
        raise AssertionError("the lock was taken")
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_configuration_that_is_no_regular_file_is_refused(tmp_path, make):
    make(tmp_path / store.CONFIG)
    with pytest.raises(StudyError, match="to be a regular file, got a folder, device, pipe or socket"):
        store.read_study(tmp_path)


def test_task_begun_on_another_backend_is_refused():
    here = mr.backend.get("numpy")
    store.check_backend(Path("T1.h5"), record(), here)
    other = record()
    other.environment = {"backend": "<backend numba: Numba>", "data": "abc"}
    with pytest.raises(StudyError, match="was begun on <backend numba: Numba>, but auto takes <backend numpy"):
        store.check_backend(Path("T1.h5"), other, here)


def test_main_epsilon_has_a_place():
    assert CONFIG.main == 2
    assert CONFIG.epsilons[2] == CONFIG.epsilon
