"""Importing the package is cheap and does not import minirobust."""

import subprocess
import sys


def test_the_import_loads_numpy_and_nothing_heavier() -> None:
    code = "import sys, data_loaders; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "numpy" in loaded
    heavy = {"h5py", "scipy", "pooch", "requests", "rich", "hypothesis", "matplotlib", "minirobust"}
    assert loaded.isdisjoint(heavy)
