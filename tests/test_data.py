"""Another package called data_loaders stops the commands with one sentence, and does not disturb the library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import data_loaders
import minirobust as mr
from minirobust import data

ROOT = Path(mr.__file__).parents[1]
MARK = "the other package ran"


@pytest.fixture
def package(tmp_path):
    """Another package called data_loaders, by its file that runs."""
    (tmp_path / "data_loaders").mkdir()
    file = tmp_path / "data_loaders" / "__init__.py"
    file.write_text(f"print({MARK!r})")
    return file


@pytest.fixture
def module(tmp_path):
    """A module called data_loaders."""
    file = tmp_path / "data_loaders.py"
    file.write_text(f"print({MARK!r})")
    return file


def run(folder, *arguments):
    """Run Python in a folder, where minirobust is installed in one without a data_loaders."""
    site = folder / "site"
    site.mkdir()
    (site / "minirobust").symlink_to(ROOT / "minirobust")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (folder, site, ROOT)))}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_library_works_beside_another_package_until_the_study_is_used(package, tmp_path):
    code = """
import sys, minirobust as mr
assert not [name for name in sys.modules if name.startswith("data_loaders")]
print(mr.models.mlp(1.0).output_shape)
try:
    mr.study
except ImportError as error:
    print(error.name, error)
"""
    result = run(tmp_path, "-c", code)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(
        "(10,)\ndata_loaders data_loaders: expected the package that comes with minirobust, found"
    )
    assert MARK not in result.stdout


@pytest.mark.parametrize(
    ("other", "words"), [("package", ["train", "digits"]), ("package", ["study", "presets"]), ("module", ["info"])]
)
def test_command_prints_one_sentence(other, words, tmp_path, request):
    other = request.getfixturevalue(other)
    result = run(tmp_path, "-m", "minirobust", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"minirobust: data_loaders: expected the package that comes with minirobust, found {other}: "
        "rename that package, or run from another folder\n"
    )


def test_installed_script_prints_the_same_sentence(package, tmp_path):
    result = run(tmp_path, "-c", "import sys; sys.argv[1:] = ['info']; from minirobust.cli import main; main()")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("minirobust: data_loaders: expected the package that comes with minirobust, found")
    assert result.stderr.count("\n") == 1


def test_help_works_beside_another_package(package, tmp_path):
    result = run(tmp_path, "-m", "minirobust", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert MARK not in result.stdout


def test_folder_without_python_files_is_not_mistaken_for_the_package(tmp_path):
    (tmp_path / "data_loaders").mkdir()
    result = run(tmp_path, "-m", "minirobust", "study", "presets")
    assert (result.returncode, result.stderr) == (0, "")


def test_other_import_errors_are_not_changed(tmp_path):
    (tmp_path / "typer.py").write_text("")
    result = run(tmp_path, "-m", "minirobust")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_data_module_uses_the_projects_own_package():
    for name in data.__all__:
        assert getattr(data, name) is getattr(data_loaders, name)
