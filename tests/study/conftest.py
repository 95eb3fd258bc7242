"""A study that runs in a second: 300 real digits, two temperatures."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from data_loaders import Dataset, hdf5, save_hdf5
from minirobust.study import StudyConfig, store
from minirobust.study.execution import task


@pytest.fixture(autouse=True, scope="module")
def _without_rehearsal():
    """These tests make their data sets themselves, and a child process for each reading takes a quarter of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdf5, "_rehearse", lambda path: None)
        yield


@pytest.fixture(scope="session")
def few_digits(digits, tmp_path_factory):
    """A small data set in the project's HDF5 layout."""
    few = Dataset("few digits", digits.train[:300], digits.test[:120], digits.class_names)
    path = tmp_path_factory.mktemp("data") / "few.h5"
    save_hdf5(path, few)
    return path


@pytest.fixture(scope="session")
def config(few_digits):
    return StudyConfig(
        str(few_digits),
        "mlp",
        (0.25, 2.0),
        epochs=3,
        pixels=2,
        train_samples=100,
        audit_samples=30,
        audit_epsilons=(0.02, 0.1),
        audit_budget="quick",
        sharpen_ratios=(0.25, 1),
        sharpen_samples=5,
    )


@pytest.fixture(scope="session")
def run_alone():
    """Run a study in this process on one thread, because the number of threads changes the rounding."""

    def run(folder):
        config = store.read_config(folder)
        with threadpool_limits(1):
            for step in (task.train, task.audit_trained):
                for T, seed in config.tasks():
                    step(config, T, seed, folder)

    return run


@pytest.fixture(scope="session")
def assert_same_results():
    """Compare two tasks' files bit for bit, except for seconds, dates and the commit, which may change meanwhile."""

    def compare(path, other):
        (arrays, rest), (other_arrays, other_rest) = _everything_but_times(path), _everything_but_times(other)
        assert rest == other_rest
        assert arrays.keys() == other_arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, other_arrays[name], err_msg=name)

    return compare


def _everything_but_times(path):
    record, (network, optimizer, epoch) = store.read_with_network(path, "numpy")
    groups = ("epochs", "final", "audited")
    arrays = {f"{group}/{name}": array for group in groups for name, array in vars(record)[group].items()}
    arrays |= {"parameters": network.parameters, "m": optimizer.m, "v": optimizer.v}
    environment = {name: value for name, value in record.environment.items() if name not in ("date", "commit")}
    return arrays, (record.audit, environment, epoch, optimizer.t)
