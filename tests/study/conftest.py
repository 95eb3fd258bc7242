"""A study that is done in a second: 300 real digits, two temperatures."""

import pytest

from data_loaders import Dataset, save_hdf5
from minirobust.study import StudyConfig


@pytest.fixture(scope="session")
def few_digits(digits, tmp_path_factory):
    """A small data set in the project's HDF5 layout."""
    few = Dataset("few digits", digits.train[:300], digits.test[:120], digits.class_names)
    path = tmp_path_factory.mktemp("data") / "few.h5"
    save_hdf5(path, few)
    return path


@pytest.fixture
def config(few_digits):
    return StudyConfig(str(few_digits), "mlp", (0.25, 2.0), epochs=3, pixels=2, train_samples=100, audit_samples=60)
