"""Fixtures shared by all tests, above all `backend`: every test of arithmetic runs on each backend."""

import gc
import io
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

# For the tests and the processes that they start: the same rounding everywhere, and no warning on a busy machine.
# BLAS reads it when NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Where Python is told to keep no bytecode, each process that a test starts would compile the whole package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import hypothesis
import numpy as np
import pytest
import strict_backend  # registers the backend "strict"  # noqa: F401

import minirobust as mr
from data_loaders import hdf5, load_colour_digits, load_mnist
from minirobust import masking, progress
from minirobust.backend import BackendError
from minirobust.masking import evidence
from minirobust.stack import Evaluation

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell script starts what it puts in the background; children would inherit it, and tests interrupt some.
    signal.signal(signal.SIGINT, signal.default_int_handler)


# How long an example takes depends on what else the machine does. Each run draws other examples.
hypothesis.settings.register_profile("suite", deadline=None, max_examples=30)
hypothesis.settings.load_profile("suite")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep the garbage collector away from what collection creates, since that lives to the end; run it less often."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(10_000)


@pytest.hookimpl(tryfirst=True)  # before -m leaves any out
def pytest_collection_modifyitems(items):
    """Refuse ids with memory addresses: they differ between the processes of pytest-xdist."""
    unstable = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if unstable:
        raise pytest.UsageError(f"{unstable[0]}: expected an id without a memory address: name the case with ids=")


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config, log):
    """Give each worker a stretch of neighbouring tests, which share networks that a fixture trains once.

    The default deals tests out in turn, so that every worker trains every network. With this one, a worker that has
    finished takes half of what another has left.
    """
    if config.option.dist != "load":  # what -n alone asks for
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def _runs(name):
    try:
        mr.backend.get(name)
    except BackendError:
        return False
    return True


# The reference and the strict stand-in always; Numba where it is installed, CuPy where a GPU answers.
PRESENT = ["numpy", "strict", *filter(_runs, ("numba", "cupy"))]


@pytest.fixture(params=PRESENT)
def backend(request):
    """Each backend present, in turn."""
    return mr.backend.get(request.param)


@pytest.fixture
def pass_together(monkeypatch):
    """Lets a number of samples, given with their network, pass through it in one chunk."""

    def allow(network, samples):
        monkeypatch.setattr(network.backend, "chunk_bytes", samples * Evaluation(network).sample_bytes)

    return allow


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns, without colour, for `redirect_stderr`; it shows every step of a progress bar."""
    for variable, value in {"TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(progress, "SECONDS", 0)
    return Terminal()


@pytest.fixture
def rng():
    return np.random.default_rng(20201)


@pytest.fixture(scope="session")
def digits():
    """The 5,000 real digits that are shipped."""
    return load_mnist(mini=True)


@pytest.fixture(scope="session")
def colour_digits():
    """The same digits in colour, which take a quarter of a second to paint."""
    return load_colour_digits()


@pytest.fixture
def trusted_files(monkeypatch):
    """Read HDF5 files without a rehearsal in a child process: the tests that ask for this wrote them themselves."""
    monkeypatch.setattr(hdf5, "_rehearse", lambda path: None)


@pytest.fixture(scope="session")
def tiny():
    """A budget of an audit for tests in which it does not matter how much the attacks find."""
    return replace(masking.BUDGETS["quick"], steps=3, queries=10, draws=2)


@pytest.fixture
def tiny_audits(tiny, monkeypatch):
    """Give every audit of the budget "quick" the budget `tiny`, even if gradients are zero."""
    monkeypatch.setitem(masking.BUDGETS, "quick", tiny)
    monkeypatch.setattr(evidence, "LEAST_QUERIES", tiny.queries)


@pytest.fixture(scope="session")
def real_data():
    """The folder with full-size data sets; what needs it is skipped where there is none."""
    folder = os.environ.get("MINIROBUST_DATA")
    if not folder:
        pytest.skip("MINIROBUST_DATA is not set: no full-size data here")
    return Path(folder)


@pytest.fixture(scope="module")
def one_torch_thread():
    """PyTorch's threads and NumPy's wait for each other in busy loops: on a loaded machine that takes minutes."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, Playwright's own or the system's."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: there is no browser")
    with sync_api.sync_playwright() as driver:
        own = Path(driver.chromium.executable_path)
        others = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
        found = own if own.exists() else next(filter(None, others), None)
        if found is None:
            pytest.skip("no Chromium here: playwright install --with-deps chromium, or apt-get install chromium")
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()
