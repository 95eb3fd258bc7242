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


@pytest.fixture(params=["package", "module"])
def other(request, tmp_path):
    """Something else that Python finds under the name data_loaders, and what the sentence should say of it."""
    place = tmp_path / "data_loaders"
    if request.param == "module":
        place = tmp_path / "data_loaders.py"
        place.write_text(f"print({MARK!r})")
        return place
    place.mkdir()
    (place / "__init__.py").write_text(f"print({MARK!r})")
    return place / "__init__.py"


def run(folder, *arguments):
    """Run Python in a folder, where minirobust is installed in one without a data_loaders."""
    site = folder / "site"
    site.mkdir()
    (site / "minirobust").symlink_to(ROOT / "minirobust")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (folder, site, ROOT)))}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_library_works_beside_another_package(other, tmp_path):
    code = """
import sys, minirobust as mr
assert not [name for name in sys.modules if name.startswith("data_loaders")]
print(mr.models.mlp(1.0).output_shape)
"""
    result = run(tmp_path, "-c", code)
    assert (result.returncode, result.stdout, result.stderr) == (0, "(10,)\n", "")


@pytest.mark.parametrize("words", [["train", "digits"], ["info"], ["study", "presets"]])
def test_the_command_says_one_sentence(other, tmp_path, words):
    result = run(tmp_path, "-m", "minirobust", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"minirobust: data_loaders: expected the package that comes with minirobust, found {other}: "
        "rename what was found, or run from another folder\n"
    )


def test_the_installed_script_says_it_too(other, tmp_path):
    result = run(tmp_path, "-c", "import sys; sys.argv[1:] = ['info']; from minirobust.cli import main; main()")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("minirobust: data_loaders: expected the package that comes with minirobust, found")
    assert result.stderr.count("\n") == 1


def test_the_command_explains_itself_beside_another_package(other, tmp_path):
    result = run(tmp_path, "-m", "minirobust", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert MARK not in result.stdout


def test_the_study_raises_an_import_error(other, tmp_path):
    code = """
import minirobust as mr
try:
    mr.study
except ImportError as error:
    print(error.name, error)
"""
    result = run(tmp_path, "-c", code)
    assert result.stdout.startswith("data_loaders data_loaders: expected the package that comes with minirobust, found")
    assert MARK not in result.stdout


def test_a_folder_without_python_files_hides_nothing(tmp_path):
    (tmp_path / "data_loaders").mkdir()
    result = run(tmp_path, "-m", "minirobust", "study", "presets")
    assert (result.returncode, result.stderr) == (0, "")


def test_another_import_error_of_a_command_stays_what_it_is(tmp_path):
    (tmp_path / "typer.py").write_text("")
    result = run(tmp_path, "-m", "minirobust")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_everything_behind_the_door_is_ours():
    for name in data.__all__:
        assert getattr(data, name) is getattr(data_loaders, name)
