"""A study that is done in a second: 300 real digits, two temperatures."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from data_loaders import Dataset, save_hdf5
from minirobust.study import StudyConfig, store
from minirobust.study.execution.workers import ONE_THREAD


@pytest.fixture(autouse=True)
def _without_rehearsal(trusted_files):
    """These tests make their data sets themselves, and a child process for each reading takes a quarter of a second."""


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


ONE_AFTER_ANOTHER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from minirobust.study import store
    from minirobust.study.execution import task as run

    folder = Path(sys.argv[1])
    config = store.read_config(folder)
    for step in (run.train, run.audit_trained):
        for T, seed in config.tasks():
            step(config, T, seed, folder)
""")


@pytest.fixture(scope="session")
def begin_alone():
    """Begins what a study's folder asks for in one process, on one thread: another number of them rounds otherwise."""

    def begin(folder):
        command = [sys.executable, "-c", ONE_AFTER_ANOTHER, str(folder)]
        return subprocess.Popen(command, env=os.environ | ONE_THREAD)

    return begin


@pytest.fixture(scope="session")
def run_alone(begin_alone):
    """The same, to its end."""

    def run(folder):
        assert begin_alone(folder).wait() == 0

    return run


@pytest.fixture(scope="session")
def assert_same_results():
    """Compares two tasks' files bit for bit, but for the seconds that were taken."""

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
    return arrays, (record.audit, record.environment, epoch, optimizer.t)
