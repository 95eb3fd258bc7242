"""`info` and `data` list what is installed; missing or damaged data give exit code 1."""

import json
import re

import numpy as np
import pytest

from data_loaders import CATALOGUE, Dataset, Split, load, save_hdf5
from minirobust import backend


def test_info_shows_versions_backends_and_locations(run, nowhere):
    result = run("info")
    assert result.exit_code == 0
    assert re.search(r"^minirobust \d\S*, Python 3\.\d+\.\d+ on ", result.stdout)
    assert re.search(rf"^numpy +{re.escape(np.__version__)}$", result.stdout, re.MULTILINE)
    assert re.search(r"^numpy +runs +NumPy \S+ on the CPU$", result.stdout, re.MULTILINE)
    assert re.search(r"^digits +shipped$", result.stdout, re.MULTILINE)
    for name in nowhere:
        assert re.search(rf"^{name} +not found$", result.stdout, re.MULTILINE)


def test_info_says_why_a_backend_does_not_run(run, monkeypatch):
    def fail():
        raise backend.BackendError("backend 'cupy': no CUDA device answers")

    monkeypatch.setitem(backend.BACKENDS, "cupy", fail)
    monkeypatch.delitem(backend._made, "cupy", raising=False)
    assert re.search(r"^cupy +does not run here +no CUDA device answers$", run("info").stdout, re.MULTILINE)


def test_list_shows_counts_shape_licence_and_location(run, nowhere):
    lines = {line.split()[0]: line for line in run("data", "list").stdout.splitlines() if line[0] != " "}
    assert lines.keys() == {"name", *CATALOGUE}
    assert lines["svhn"].split()[1:4] == ["73257", "26032", "32x32x3"]
    assert "non-commercial" in lines["svhn"]
    for name in nowhere:
        assert lines[name].endswith("not found")
    found = json.loads(run("data", "list", "--json").stdout)
    assert list(found) == list(CATALOGUE)
    svhn = {"train": 73257, "test": 26032, "shape": [32, 32, 3], "licence": CATALOGUE["svhn"].licence, "where": None}
    assert found["svhn"] == svhn
    assert found["digits"]["where"] == "shipped"


def test_info_prints_json(run, nowhere):
    found = json.loads(run("info", "--json").stdout)
    assert found["libraries"]["numpy"] == np.__version__
    assert found["backends"]["numpy"] == {"runs": True, "what": backend.get("numpy").describe()}
    assert [found["datasets"][name] for name in (*nowhere, "digits")] == [*len(nowhere) * [None], "shipped"]


def test_fetch_downloads_missing_files(run, nowhere, tmp_path, monkeypatch):
    def deliver(files, addresses, folder):
        folder.mkdir(parents=True)
        for file in files:
            (folder / file.name).write_bytes(b"")

    monkeypatch.setattr("data_loaders.search.download_files", deliver)
    assert run("data", "list").stdout.count(str(tmp_path)) == 0
    result = run("data", "fetch", "svhn", "digits")
    assert result.exit_code == 0
    assert result.stdout == f"svhn: {tmp_path}/cache/svhn\ndigits: shipped\n"
    assert json.loads(run("data", "list", "--json").stdout)["svhn"]["where"] == f"{tmp_path}/cache/svhn"


def test_fetch_continues_after_a_failure_and_exits_with_1(run, nowhere):
    result = run("data", "fetch", "svhn", "cifar10", "digits")
    assert result.exit_code == 1
    assert result.stdout == "digits: shipped\n"
    assert result.stderr.count("was not found. Looked in:") == 2
    as_json = run("data", "fetch", "svhn", "digits", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, {"svhn": None, "digits": "shipped"})
    assert "no network" in result.stderr


def test_fetch_rejects_an_unknown_name_before_downloading(run, nowhere):
    result = run("data", "fetch", "svhn", "mnits")
    assert result.exit_code == 2
    assert result.stderr.startswith("minirobust: NAME: expected mnist, ")


def test_verify_prints_the_checksum_that_a_study_keeps(run, few):
    result = run("data", "verify", "digits", few)
    assert result.exit_code == 0
    for name in ("digits", few):
        assert f"SHA-256 {load(name).checksum()}\n" in result.stdout
    assert result.stdout.count(": sound\n") == 2
    found = json.loads(run("data", "verify", "digits", few, "--json").stdout)
    assert found["digits"]["sha256"] == load("digits").checksum()
    assert [(state["sound"], state["faults"]) for state in found.values()] == [(True, []), (True, [])]


def test_verify_continues_after_missing_data_and_exits_with_1(run, nowhere, few):
    result = run("data", "verify", "svhn", "no.h5", few)
    assert result.exit_code == 1
    assert "SVHN was not found" in result.stderr
    assert "no.h5: expected an HDF5 file, found none" in result.stderr
    assert result.stdout.startswith(f"{few}: Dataset('few', 200 train + 50 test images of 28x28x1")


def test_verify_names_the_fault(run, few, digits, tmp_path):
    few.write_bytes(few.read_bytes()[:-50])
    result = run("data", "verify", few)
    assert result.exit_code == 1
    assert str(few) in result.stderr
    empty = Split(digits.test.images[:0], digits.test.labels[:0])
    save_hdf5(tmp_path / "empty.h5", Dataset("empty", digits.train[:9], empty, digits.class_names))
    result = run("data", "verify", tmp_path / "empty.h5")
    assert result.exit_code == 1
    assert "test: expected at least one image, got none" in result.stderr
    assert "not as it should be" in result.stdout
    result = run("data", "verify", tmp_path / "empty.h5", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)[f"{tmp_path}/empty.h5"]["faults"] == [
        "test: expected at least one image, got none"
    ]


def test_verify_rejects_an_unknown_name_before_reading(run):
    result = run("data", "verify", "digits", "mnits")
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize("command", ["fetch", "verify"])
def test_at_least_one_name_is_required(run, command):
    assert run("data", command).exit_code == 2
