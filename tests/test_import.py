"""`import minirobust` provides the public names and imports nothing heavy."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import minirobust as mr

HEAVY = ("scipy", "h5py", "matplotlib", "pooch", "requests", "typer", "rich", "threadpoolctl")
HEAVY += ("numba", "cupy", "dask", "torch")


def test_importing_loads_numpy_and_little_else():
    code = "import sys, minirobust, data_loaders; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded
    assert not set(HEAVY) & set(loaded)


def test_importing_loads_no_data_loaders_and_no_study():
    code = "import sys, minirobust; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "minirobust.models" in loaded
    assert not [name for name in loaded if name.startswith(("data_loaders", "minirobust.study"))]


def test_every_public_name_is_there():
    assert all(hasattr(mr, name) for name in mr.__all__)


def test_completion_offers_public_names_only():
    assert set(dir(mr)) == {*mr.__all__, "__version__"}
    assert set(dir(mr.plots)) == set(mr.plots.__all__)
    assert all(callable(getattr(mr.plots, name)) for name in mr.plots.__all__)


def test_the_version_is_that_of_the_installed_package():
    assert mr.__version__ == version("minirobust")


def test_the_study_is_imported_when_it_is_used():
    code = """
import minirobust as mr
assert "study" in dir(mr) and "study" not in vars(mr)
assert mr.study.PRESETS["quick"].dataset == "digits"
assert mr.study is vars(mr)["study"]
from minirobust import *
assert study is mr.study
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="module 'minirobust' has no attribute 'studies'"):
        _ = mr.studies


def test_public_classes_and_functions_are_documented():
    undocumented = [
        f"{name}.{member}"
        for name in mr.__all__
        for member, value in vars(getattr(mr, name)).items()
        if callable(value)
        and value.__module__.startswith("minirobust")
        and not member.startswith("_")
        and value.__doc__ is None
        # The three methods of a layer are described once, at Layer.
        and member not in ("build", "forward", "input_gradient", "parameter_gradients")
    ]
    assert undocumented == []
