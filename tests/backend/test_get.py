"""`backend.get`, `of` and `available`: names, "auto", and one sentence where a backend cannot run."""

import array
import builtins
import importlib.util
import logging
import re
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from strict_backend import StrictBackend

import minirobust as mr
from minirobust.backend import BackendError, NumpyBackend

needs_numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="Numba is not installed")


@pytest.fixture(autouse=True)
def none_made(monkeypatch):
    """No backend is in use yet, and none that a test makes stays."""
    monkeypatch.setattr(mr.backend, "_made", {})


def fake_cupy(monkeypatch, arange):
    """A module `cupy` that does nothing but `arange`."""
    cupy = ModuleType("cupy")
    cupy.__version__ = "13.99"
    cupy.arange = arange
    cupy.ndarray = type("ndarray", (), {})
    runtime = SimpleNamespace(getDeviceProperties=lambda device: {"name": b"Fake GPU"})
    cupy.cuda = SimpleNamespace(runtime=runtime, Device=lambda: SimpleNamespace(id=0))
    monkeypatch.setitem(sys.modules, "cupy", cupy)


def without_a_driver(monkeypatch):
    def arange(size):
        raise RuntimeError(
            "cudaErrorInsufficientDriver: the driver is too old\n  at line 1 of a long trace\n  at line 2"
        )

    fake_cupy(monkeypatch, arange)


def without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)


def without_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)


def test_a_backend_is_found_by_name_and_made_once():
    numpy_backend = mr.backend.get("numpy")
    assert type(numpy_backend) is NumpyBackend
    assert mr.backend.get("numpy") is numpy_backend
    assert numpy_backend.name == "numpy"
    assert repr(numpy_backend) == f"<backend numpy: NumPy {np.__version__} on the CPU, 3 MiB a chunk>"


def test_backend_object_is_returned_unchanged():
    own = NumpyBackend()
    assert mr.backend.get(own) is own


@pytest.mark.parametrize("name", ["torch", "NumPy", "", None, 3])
def test_unknown_name_raises_and_lists_the_known_names(name):
    with pytest.raises(BackendError, match=rf"expected one of 'cupy', 'numba', 'numpy', .*'auto', got {name!r}"):
        mr.backend.get(name)


def test_auto_takes_cupy_if_a_device_works_and_logs_it(monkeypatch, caplog):
    fake_cupy(monkeypatch, lambda size: np.arange(size))
    with caplog.at_level(logging.INFO, "minirobust"):
        assert mr.backend.get("auto").name == "cupy"
    assert caplog.messages == ["auto takes <backend cupy: CuPy 13.99 on Fake GPU, 256 MiB a chunk>"]


@pytest.mark.parametrize(
    ("absent", "reason"), [(without_cupy, "CuPy is not installed"), (without_a_driver, "no CUDA device answers")]
)
def test_auto_falls_back_to_numpy_and_logs_the_reason(absent, reason, monkeypatch, caplog):
    absent(monkeypatch)
    without_numba(monkeypatch)
    with caplog.at_level(logging.INFO, "minirobust"):
        assert mr.backend.get("auto").name == "numpy"
    [message] = caplog.messages
    assert message.startswith("auto takes <backend numpy: NumPy")
    assert reason in message
    assert "Numba is not installed (pip install 'minirobust[fast]')" in message


@needs_numba
def test_auto_takes_numba_without_a_device(monkeypatch, caplog):
    without_cupy(monkeypatch)
    with caplog.at_level(logging.INFO, "minirobust"):
        assert mr.backend.get("auto") is mr.backend.get("numba")
    [message] = caplog.messages
    assert re.match(
        r"auto takes <backend numba: Numba [\d.]+ with NumPy [\d.]+ on the CPU, 8 MiB a chunk>; .*CuPy", message
    )


@needs_numba
def test_numpy_arrays_belong_to_the_reference_even_if_numba_was_made_first():
    mr.backend.get("numba")
    assert mr.backend.of(np.zeros(3)).name == "numpy"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ImportError("Numba needs NumPy 2.1 or less"), "Numba needs NumPy 2.1 or less"),
        (RuntimeError("cannot cache function: no locator available\nfor file"), "cannot cache function: no locator"),
    ],
    ids=["wrong NumPy", "nowhere to write"],
)
def test_numba_that_does_not_work_is_one_sentence_with_the_reason(error, reason, monkeypatch):
    def fail(name, *args, **kwargs):
        if name == "numba":
            raise error
        return real(name, *args, **kwargs)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(BackendError, match=rf"^backend 'numba': Numba does not work here \({reason}[^\n]*\)$"):
        mr.backend.get("numba")


def test_auto_is_the_default(monkeypatch):
    without_cupy(monkeypatch)
    without_numba(monkeypatch)
    assert mr.backend.get() is mr.backend.get("numpy")


def test_cupy_not_installed_is_one_sentence_that_says_how_to_install_it(monkeypatch):
    without_cupy(monkeypatch)
    with pytest.raises(BackendError) as caught:
        mr.backend.get("cupy")
    assert str(caught.value) == (
        "backend 'cupy': CuPy is not installed (pip install 'minirobust[cuda13]' or 'minirobust[cuda12]')"
    )
    assert caught.value.__suppress_context__


def test_a_missing_driver_is_one_sentence_and_not_a_stack_of_errors(monkeypatch):
    without_a_driver(monkeypatch)
    with pytest.raises(BackendError) as caught:
        mr.backend.get("cupy")
    assert str(caught.value) == (
        "backend 'cupy': no CUDA device answers (cudaErrorInsufficientDriver: the driver is too old)"
    )
    assert caught.value.__suppress_context__


def test_an_error_without_a_message_is_named_by_its_type(monkeypatch):
    def arange(size):
        raise MemoryError

    fake_cupy(monkeypatch, arange)
    with pytest.raises(BackendError, match=r"no CUDA device answers \(MemoryError\)$"):
        mr.backend.get("cupy")


def test_device_that_computes_wrong_results_is_rejected(monkeypatch):
    fake_cupy(monkeypatch, lambda size: np.zeros(size))
    with pytest.raises(BackendError, match="the device computed a wrong sum"):
        mr.backend.get("cupy")


def test_a_backend_that_failed_is_tried_again(monkeypatch):
    without_a_driver(monkeypatch)
    with pytest.raises(BackendError):
        mr.backend.get("cupy")
    fake_cupy(monkeypatch, lambda size: np.arange(size))
    assert mr.backend.get("cupy").name == "cupy"


def test_available_describes_every_backend_or_says_why_it_does_not_run(monkeypatch):
    without_a_driver(monkeypatch)
    found = mr.backend.available()
    assert list(found) == list(mr.backend.BACKENDS)
    assert found["numpy"] == f"NumPy {np.__version__} on the CPU"
    assert found["cupy"].startswith("backend 'cupy': no CUDA device answers")


def test_of_finds_the_backend_of_an_array():
    assert mr.backend.of(np.zeros(3)) is mr.backend.get("numpy")
    strict = mr.backend.get("strict")
    assert mr.backend.of(strict.asarray([1.0])) is strict


def test_array_of_an_unused_backend_raises():
    foreign = StrictBackend().asarray([1.0])
    with pytest.raises(TypeError, match=r"backends in use \(numpy\), got strict_backend\.DeviceArray"):
        mr.backend.of(foreign)


def test_foreign_array_raises_and_names_its_type():
    with pytest.raises(TypeError, match=r"expected an array of one of the backends in use .*, got array\.array"):
        mr.backend.of(array.array("d", [1.0]))
    with pytest.raises(TypeError, match=r"expected a NumPy array or one of the backend 'numpy', got array\.array"):
        mr.backend.get("numpy").asarray(array.array("d", [1.0]))


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_torch_tensor_raises_and_says_how_to_convert_it():
    import torch

    tensor = torch.zeros(3)
    with pytest.raises(TypeError, match=r"backends in use .*, got torch\.Tensor"):
        mr.backend.of(tensor)
    with pytest.raises(TypeError, match=r"got torch\.Tensor: convert it first \(.*\.numpy\(\)"):
        mr.backend.get("numpy").asarray(tensor)


def test_importing_minirobust_imports_neither_cupy_nor_numba():
    code = "import sys, minirobust; print([name for name in ('cupy', 'numba') if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"
