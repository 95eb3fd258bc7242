"""The two packages: what they contain, their size, and that the source passes its tests where it is unpacked."""

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MiB = 1 << 20

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the source distribution and the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def source(built, tmp_path_factory):
    """The unpacked source distribution."""
    (path,) = built.glob("*.tar.gz")
    assert path.stat().st_size < 20 * MiB
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


def of_git(*folders):
    """Return the files of these folders that git knows."""
    listed = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no clone")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def test_wheel_contains_exactly_the_two_packages(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"minirobust", "data_loaders"}
    assert set(of_git("minirobust", "data_loaders")) <= names
    assert not [name for name in names if name.endswith((".pyc", ".nbi", ".nbc")) or "classroom_private" in name]
    assert sum(info.file_size for info in wheel.infolist()) < 8 * MiB


def test_metadata_of_the_wheel_match_pyproject_and_pictures_are_embedded(wheel):
    """Its pictures are inside, and it says what pyproject.toml says."""
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = message_from_string(wheel.read(name).decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (metadata["Name"], metadata["Version"]) == (project["name"], project["version"])
    assert metadata["Requires-Python"] == project["requires-python"]
    required = {entry.partition(";")[0].strip() for entry in metadata.get_all("Requires-Dist") if "extra" not in entry}
    assert required == set(project["dependencies"])
    assert set(metadata.get_all("Provides-Extra")) == set(project["optional-dependencies"])
    text = metadata.get_payload()
    assert text.startswith("# minirobust")
    assert "](docs/images/" not in text
    assert text.count("](data:image/png;base64,") == (ROOT / "README.md").read_text().count(".png)")


def test_the_source_has_tests_examples_and_documentation(source):
    for name in of_git("tests", "examples", "docs", "classroom_private", "minirobust", "data_loaders"):
        assert (source / name).is_file(), name
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff"):
        assert (source / name).is_file(), name


def test_unpacked_source_passes_its_tests(source):
    """A few of them here; all of them, with the lowest versions allowed, in `.ci/run`."""
    code = "import pathlib, minirobust; print(pathlib.Path(minirobust.__file__).parents[1])"
    environment = os.environ | {"PYTHONPATH": str(source)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, cwd=source, capture_output=True, text=True)
    assert Path(found.stdout.strip()) == source
    some = [
        "tests/test_network.py",
        "tests/test_losses.py",
        "tests/masking/test_report.py",
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *some]
    done = subprocess.run(command, env=environment, cwd=source, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
