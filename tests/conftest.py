"""Fixtures shared by all tests; above all `backend`, on each of which every test of arithmetic runs."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import strict_backend  # registers the backend "strict"  # noqa: F401

import minirobust as mr
from data_loaders import load_mnist
from minirobust.backend import BackendError

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell script starts what it puts in the background; children would inherit it, and tests interrupt some.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _present():
    """The backends that run here: always the reference and the strict stand-in, CuPy where a GPU answers."""
    names = ["numpy", "strict"]
    try:
        mr.backend.get("cupy")
    except BackendError:
        return names
    return [*names, "cupy"]


@pytest.fixture(params=_present())
def backend(request):
    """Each backend present, in turn."""
    return mr.backend.get(request.param)


@pytest.fixture
def rng():
    return np.random.default_rng(20201)


@pytest.fixture(scope="session")
def digits():
    """The 5,000 real digits that are shipped."""
    return load_mnist(mini=True)


@pytest.fixture(scope="session")
def real_data():
    """The folder with full-size data sets; what needs it is skipped where there is none."""
    folder = os.environ.get("MINIROBUST_DATA")
    if not folder:
        pytest.skip("MINIROBUST_DATA is not set: no full-size data here")
    return Path(folder)
