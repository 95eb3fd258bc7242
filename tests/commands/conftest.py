"""Fixtures for the tests of commands: a way to run a command, and a network to run it on."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import minirobust as mr
from data_loaders import CATALOGUE, Dataset, save_hdf5
from minirobust.cli import app


@pytest.fixture(autouse=True)
def _without_rehearsal(trusted_files):
    """These tests make their data sets themselves, and a child process for each reading takes a quarter of a second."""


@pytest.fixture(autouse=True)
def _shipped_data(monkeypatch, request):
    """Load the shipped data sets once."""
    for name, fixture in {"digits": "digits", "colour-digits": "colour_digits"}.items():
        entry = replace(CATALOGUE[name], load=partial(request.getfixturevalue, fixture))
        monkeypatch.setitem(CATALOGUE, name, entry)


@pytest.fixture
def run():
    """Runs `minirobust` with these arguments and returns exit code, stdout and stderr."""
    runner = CliRunner()

    def run_command(*arguments):
        return runner.invoke(app, [str(argument) for argument in arguments])

    return run_command


@pytest.fixture
def context():
    """What a command is handed when it is called as a function, so that it runs on a backend that has no name there."""
    root = SimpleNamespace(params={"quiet": False, "debug": False})
    return SimpleNamespace(find_root=lambda: root, params={})


@pytest.fixture(scope="session")
def trained(tmp_path_factory, digits):
    """A checkpoint of the library's own, which does not say what it was trained on."""
    network = mr.models.mlp(0.25, hidden=32)
    optimizer = mr.Adam(network, lr=3e-3)
    list(mr.fit(network, optimizer, digits, epochs=2))
    path = tmp_path_factory.mktemp("trained") / "net.h5"
    mr.save(path, network, optimizer, epoch=2)
    return path


@pytest.fixture
def few(tmp_path, digits):
    """A small data set in a file of the project's layout."""
    path = tmp_path / "few.h5"
    save_hdf5(path, Dataset("few", digits.train[:200], digits.test[:50], digits.class_names))
    return path


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A machine without data sets and without a network."""
    from data_loaders import CATALOGUE, search

    def refuse(files, addresses, folder):
        raise search.DownloadError([f"{address}: no network" for address in addresses])

    monkeypatch.delenv("MINIROBUST_DATA", raising=False)
    monkeypatch.setattr(search, "_cache_folder", lambda source: tmp_path / "cache" / source.folder)
    monkeypatch.setattr(search, "download_files", refuse)
    return [name for name, entry in CATALOGUE.items() if entry.source and not entry.source.system_folders]
