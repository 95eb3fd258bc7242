"""A task's file with a missing or wrong field is named in one sentence; no command reports it as a bug."""

import json
import re
import shlex
import shutil

import h5py
import numpy as np
import pytest
from complete_records import AUDIT, complete
from typer.testing import CliRunner

import minirobust as mr
from minirobust.cli import app
from minirobust.saving import sealed
from minirobust.study import StudyConfig, config, store
from minirobust.study.fields import AXES, INDICES, OPTIONAL, FieldError, check_fields
from minirobust.study.store import GROUPS, StudyError, task_path

CONFIG = StudyConfig("digits", "mlp", (0.5, 2.0), epochs=2)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Two finished tasks."""
    folder = tmp_path_factory.mktemp("original") / "st"
    store.open_folder(folder, CONFIG)
    network = mr.models.mlp(0.5, (2, 2, 1), hidden=1)
    for T in CONFIG.temperatures:
        record = complete(CONFIG, T, 0, 2, attacked=True, audited=True)
        store.write(task_path(folder, T, 0), record, network, mr.Adam(network))
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "st")


@pytest.fixture
def path(folder):
    return task_path(folder, 0.5, 0)


@pytest.fixture
def arrays():
    """Return the results of a finished task under the names of its file."""
    record = complete(CONFIG, 0.5, 0, 2, attacked=True, audited=True)
    return {prefix + name: array for group, prefix in GROUPS.items() for name, array in getattr(record, group).items()}


@pytest.fixture
def forge(path, arrays):
    """Change the results and the description in a task's file; then seal it again."""

    def forge(change):
        after = dict(arrays)
        with h5py.File(path, "a") as file:
            description = json.loads(file.attrs["description"])
            change(after, description)
            for name, before in arrays.items():
                if after.get(name) is not before:
                    del file[name]
                    if name in after:
                        file[name] = after[name]
            file.attrs["description"] = json.dumps(description)
        sealed.seal(path)

    return forge


def refused(path, *words):
    """Assert that reading a file ends in one sentence that names it and contains these words."""
    with pytest.raises(StudyError) as caught:
        store.read(path)
    message = str(caught.value)
    assert message.startswith(f"study: {path}: ")
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message


def test_a_complete_file_is_read(path):
    assert store.read(path).epoch == 2


def refused_of(arrays, message):
    """Assert that these results of a finished task are refused with such a message."""
    with pytest.raises(FieldError, match=re.escape(message)):
        check_fields(CONFIG, arrays, AUDIT)


def test_arrays_of_a_finished_task_are_complete(arrays):
    check_fields(CONFIG, arrays, AUDIT)


@pytest.mark.parametrize("name", [n for n in AXES if n not in (*OPTIONAL, "timing/final", "timing/audit")])
def test_missing_array_is_named(arrays, name):
    del arrays[name]
    refused_of(arrays, f"expected the field {name}, found none")


MISSHAPEN = [lambda a: a[None], lambda a: np.zeros((*a.shape, 7)), lambda a: a.astype(complex)]


@pytest.mark.parametrize("change", MISSHAPEN, ids=["axis in front", "axis behind", "complex"])
@pytest.mark.parametrize("name", AXES)
def test_misshapen_array_is_named(arrays, name, change):
    arrays[name] = change(arrays[name])
    refused_of(arrays, "numbers of shape")


@pytest.mark.parametrize("name", [name for name, axes in AXES.items() if not set(axes) <= set("MSUa")])
def test_array_that_does_not_fit_the_others_is_refused(arrays, name):
    arrays[name] = np.concatenate([arrays[name]] * 2)
    refused_of(arrays, "numbers of shape")


@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("value", [-1, 10**6, 0.5])
def test_index_that_points_nowhere_is_refused(arrays, name, value):
    arrays[name] = np.full(arrays[name].shape, value)
    refused_of(arrays, f"expected {name} to be whole numbers from 0 to")


def test_more_epochs_than_the_study_has_are_refused(arrays):
    for name, axes in AXES.items():
        if axes.startswith("E"):
            arrays[name] = np.concatenate([arrays[name]] * 2)
    refused_of(arrays, "expected epochs/loss of 1 to 2 epochs, got 4")


@pytest.mark.parametrize("name", ["epochs/loss", "final/two/pixels", "audit/pixel_samples", "sharpened/correct"])
def test_file_with_a_misshapen_array_is_refused(path, name, forge):
    forge(lambda arrays, description: arrays.update({name: arrays[name][None]}))
    refused(path, f"expected {name} to be numbers of shape")


def test_file_without_an_array_is_refused(path, forge):
    forge(lambda arrays, description: arrays.pop("final/label"))
    refused(path, "expected the field final/label, found none")


@pytest.mark.parametrize("field", ["config", "temperature", "seed", "environment", "audit"])
def test_missing_field_is_named(path, field, forge):
    forge(lambda arrays, description: description["study"].pop(field))
    refused(path, f"expected the field study/{field}, found none")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": "0.5"}, "study/temperature"),
        ({"temperature": 10**400}, "study/temperature"),
        ({"temperature": float("inf")}, "study/temperature"),
        ({"temperature": -1.0}, "study/temperature"),
        ({"seed": 0.5}, "study/seed"),
        ({"seed": -3}, "study/seed"),
        ({"config": []}, "study/config"),
        ({"config": {"dataset": "digits"}}, "study/config"),
        ({"environment": None}, "study/environment"),
        ({"environment": {"backend": 1}}, "study/environment"),
        ({"environment": {"backend": "numpy"}}, "study/environment/data"),
        ({"audit": []}, "audit"),
        ({"audit": {"verdict": "x"}}, "audit/samples"),
        ({"audit": {"verdict": "x", "samples": True, "robustness": {}, "checks": []}}, "audit/samples"),
        ({"audit": {"verdict": "x", "samples": 1, "robustness": {"FGSM": {}}, "checks": []}}, "audit/robustness/FGSM"),
        ({"audit": {"verdict": "x", "samples": 1, "robustness": {}, "checks": [{"number": 1}]}}, "audit/checks/0/name"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_field_of_another_kind_is_named(path, change, words, forge):
    forge(lambda arrays, description: description["study"].update(change))
    refused(path, words)


def test_study_that_is_no_object_is_refused(path, forge):
    forge(lambda arrays, description: description.update(study=[1]))
    refused(path, "study")


@pytest.mark.parametrize(
    ("change", "got"), [({"temperature": 2.0}, "T = 2 and seed 0"), ({"seed": 7}, "T = 0.5 and seed 7")]
)
def test_file_that_claims_another_task_is_refused(path, change, got, forge):
    forge(lambda arrays, description: description["study"].update(change))
    refused(path, f"expected the task that its name says, got {got}")


COMMANDS = [("study", "status"), ("report",), ("study", "figures"), ("study", "run"), ("study", "resume")]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_end_with_2_and_the_other_tasks_stand(folder, path, words, tmp_path, monkeypatch, forge):
    monkeypatch.chdir(tmp_path)
    other = task_path(folder, 2.0, 0)
    before = other.read_bytes()
    forge(lambda arrays, description: arrays.pop("epochs/test_accuracy"))
    arguments = [*shlex.split(config.words(CONFIG)), "-o"] if words == ("study", "run") else []
    result = CliRunner().invoke(app, [*words, *arguments, str(folder)])
    assert result.exit_code == 2
    assert f"minirobust: study: {path}: expected the field epochs/test_accuracy, found none" in result.stderr
    assert "Traceback" not in result.stderr
    if words == ("study", "status"):
        assert "\n2 " in result.stdout
    assert other.read_bytes() == before


def test_file_of_another_configuration_is_refused_in_a_report(folder, path, forge):
    def lengthen(arrays, description):
        description["study"]["config"]["epochs"] = 99

    forge(lengthen)
    with pytest.raises(StudyError, match="was made with epochs = 99, expected 2"):
        store.read_study(folder)
