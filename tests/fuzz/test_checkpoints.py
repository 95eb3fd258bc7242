"""Damaged and forged checkpoints, tasks and configurations are read or refused with the documented exception."""

import json
import warnings

import h5py
import numpy as np
import pytest
from complete_records import complete

import minirobust as mr
from minirobust.saving import sealed
from minirobust.saving.sealed import CheckpointError
from minirobust.study import StudyConfig, store
from minirobust.study.store import StudyError, task_path

pytestmark = pytest.mark.fuzz

CONFIG = StudyConfig("digits", "mlp", (0.5,), epochs=2)
VALUES = (
    None,
    True,
    -1,
    0,
    1,
    10**6,
    10**9,
    10**400,
    0.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "Adam",
    [],
    {},
    [1],
    [[]],
)


@pytest.fixture
def network():
    layers = [mr.Conv2D(2, 2, padding="same"), mr.AvgPool2D(2), mr.Flatten(), mr.Dense(3), mr.TemperatureSigmoid(0.5)]
    return mr.Network([*layers, mr.Dense(2)], (4, 4, 1))


def changed(rng, value):
    """Return JSON in which a random part is replaced, removed or repeated."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(sorted(value))
        rest = {other: part for other, part in value.items() if other != name}
        return rest if rng.random() < 0.1 else rest | {name: changed(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = int(rng.integers(len(value)))
        repeated = [changed(rng, value[place])] * int(rng.choice([0, 1, 1, 1, 2, 60]))
        return value[:place] + repeated + value[place + 1 :]
    return VALUES[rng.integers(len(VALUES))]


def forge(rng, path):
    """Change the description or an array of a file, and seal it again."""
    with h5py.File(path, "a") as file:
        if rng.random() < 0.7:
            file.attrs["description"] = json.dumps(changed(rng, json.loads(file.attrs["description"])))
            return
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = str(rng.choice(names))
        array = file[name][...]
        del file[name]
        shape = tuple(rng.choice([*array.shape, 0, 1, 2, 1000], size=rng.integers(4)))
        dtype = rng.choice(["float32", "float64", "int64", "bool", "complex64", "S3"])
        kind = rng.integers(5)
        if kind == 0:
            file.create_dataset(name, shape, dtype)
        elif kind == 1:
            file.create_dataset(name, (*shape, 1), dtype, chunks=True)
        elif kind == 2:
            file[name] = h5py.SoftLink("/")
        elif kind == 3:
            file[name] = np.zeros(np.minimum(shape, 30), dtype)  # the file that is written stays small
        else:
            with np.errstate(invalid="ignore"), warnings.catch_warnings(action="ignore"):
                file[name] = np.full(array.shape, rng.choice([-1, 0, 7, 1e30, np.nan])).astype(dtype)


def read_or_refused(read, path):
    """Return what a file holds, or None if it is refused in one short sentence that names it."""
    try:
        return read(path)
    except (CheckpointError, StudyError) as error:
        refusal = str(error)
    assert str(path) in refusal
    assert len(refusal) < 1_200
    return None


def test_damaged_checkpoint_raises_only_checkpoint_error(fuzz, damaged, network, tmp_path):
    """No damage is ever loaded as other numbers."""
    path = tmp_path / "net.h5"
    mr.save(path, network, mr.Adam(network), epoch=2)
    sound = path.read_bytes()

    def attempt(rng):
        path.write_bytes(damaged(rng, sound))
        found = read_or_refused(mr.load, path)
        if found is not None:
            np.testing.assert_array_equal(found.network.parameters, network.parameters)
            assert found.epoch == 2

    fuzz(attempt)


def test_forged_checkpoint_raises_only_checkpoint_error(fuzz, network, tmp_path):
    path = tmp_path / "net.h5"
    mr.save(path, network, mr.Adam(network), epoch=2)
    sound = path.read_bytes()

    def attempt(rng):
        path.write_bytes(sound)
        forge(rng, path)
        sealed.seal(path)
        found = read_or_refused(mr.load, path)
        assert found is None or found.network.parameters.size < 10**6

    fuzz(attempt)


def test_forged_task_raises_only_documented_errors(fuzz, tmp_path):
    path = task_path(tmp_path, 0.5, 0)
    network = mr.models.mlp(0.5, (2, 2, 1), hidden=1)
    store.open_folder(tmp_path, CONFIG)
    store.write(path, complete(CONFIG, 0.5, 0, 2, attacked=True, audited=True), network, mr.Adam(network))
    sound = path.read_bytes()

    def attempt(rng):
        path.write_bytes(sound)
        forge(rng, path)
        sealed.seal(path)
        read_or_refused(store.read, path)

    fuzz(attempt)


def test_random_configuration_is_read_or_rejected(fuzz, damaged):
    sound = CONFIG.to_toml().encode()

    def attempt(rng):
        try:
            config = StudyConfig.from_toml(damaged(rng, sound).decode("utf-8", errors="replace"))
        except ValueError:
            return
        assert StudyConfig.from_toml(config.to_toml()) == config

    fuzz(attempt)
