"""What `import minirobust` brings: the public names, and nothing heavy."""

import subprocess
import sys

import minirobust as mr

HEAVY = ("scipy", "h5py", "matplotlib", "pooch", "requests", "typer", "numba", "cupy", "dask", "torch", "tqdm")


def test_importing_loads_numpy_and_little_else():
    code = "import sys, minirobust, data_loaders; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded
    assert not set(HEAVY) & set(loaded)


def test_every_public_name_is_there():
    assert all(hasattr(mr, name) for name in mr.__all__)


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
