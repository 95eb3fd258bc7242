"""`study` and `report` pass on the right configuration and folders; the study itself is replaced by a stub."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from importlib import import_module
from types import ModuleType, SimpleNamespace

import pytest

from minirobust.commands import study
from minirobust.study import PRESETS, StudyConfig, store
from minirobust.study.config import parse
from minirobust.study.execution import sweep
from minirobust.study.execution.sweep import Failure


def stand_in(monkeypatch, name, **functions):
    """Put a module of these functions in the place of `minirobust.study.name`."""
    module = ModuleType(f"minirobust.study.{name}")
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    room, _, last = module.__name__.rpartition(".")
    monkeypatch.setattr(import_module(room), last, module, raising=False)


@pytest.fixture
def runs(monkeypatch):
    """What `sweep.run_study` was called with; the tasks in `fail` fail."""
    calls = SimpleNamespace(made=[], fail=[])

    def run_study(config, folder, **options):
        calls.made.append((config, folder, options))
        return calls.fail

    stand_in(monkeypatch, "execution.sweep", run_study=run_study)
    return calls


@pytest.fixture
def folder(tmp_path):
    """A study that has not begun."""
    store.open_folder(tmp_path / "st", PRESETS["quick"])
    return tmp_path / "st"


def test_preset_runs_unchanged(run, runs, tmp_path):
    result = run("study", "run", "quick", "--output", tmp_path / "st")
    assert result.exit_code == 0
    ((config, folder, options),) = runs.made
    assert (config, folder) == (PRESETS["quick"], tmp_path / "st")
    assert options == {"workers": None, "scheduler": None, "quiet": False}


def test_workers_scheduler_and_quiet_are_passed_on(run, runs, tmp_path):
    run("study", "run", "quick", "-o", tmp_path, "--workers", 3, "--scheduler", "tcp://host:8786", "--quiet")
    assert runs.made[0][2] == {"workers": 3, "scheduler": "tcp://host:8786", "quiet": True}


OTHERS = {
    "dataset": "colour-digits",
    "model": "cnn",
    "temperatures": "1/64,0.5,16",
    "epochs": "7",
    "seeds": "3,1",
    "batch_size": "32",
    "learning_rate": "1/100",
    "epsilon": "0.3",
    "epsilons": "0.1,0.3",
    "delta1": "0.04",
    "delta2": "0.0004",
    "pixels": "2",
    "train_samples": "99",
    "audit_samples": "98",
    "audit_epsilons": "0.05",
    "audit_budget": "full",
    "sharpen_ratios": "1/3,3",
    "sharpen_samples": "7",
    "backend": "auto",
    "dtype": "float64",
}


def test_every_field_has_an_option(run, runs, tmp_path):
    assert list(OTHERS) == [field.name for field in fields(StudyConfig)]
    options = [word for name, text in OTHERS.items() for word in (f"--{name.replace('_', '-')}", text)]
    assert run("study", "run", "mnist", "-o", tmp_path, *options).exit_code == 0
    config = runs.made[0][0]
    assert config == PRESETS["mnist"].but(**{name: parse(name, text) for name, text in OTHERS.items()})
    assert config.temperatures == (0.015625, 0.5, 16.0)
    assert config.learning_rate == 0.01
    assert all(getattr(config, name) != getattr(PRESETS["mnist"], name) for name in OTHERS)


def test_changing_one_field_keeps_the_others(run, runs, tmp_path):
    run("study", "run", "svhn", "-o", tmp_path, "--epochs", 2)
    assert runs.made[0][0] == PRESETS["svhn"].but(epochs=2)


def test_preset_printed_as_toml_runs_like_the_preset(run, runs, tmp_path):
    text = run("study", "presets", "cifar10").stdout
    (tmp_path / "mine.toml").write_text(text)
    run("study", "run", tmp_path / "mine.toml", "-o", tmp_path / "st", "--seeds", "0,1")
    assert runs.made[0][0] == PRESETS["cifar10"].but(seeds=[0, 1])


def test_path_of_a_data_file_works_from_every_folder(run, runs, few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("study", "run", "quick", "-o", "st", "--dataset", few.name)
    assert runs.made[0][0].dataset == str(few)


def test_failed_tasks_are_named_and_exit_with_1(run, runs, tmp_path):
    runs.fail = [Failure(2.0, 3, "no space left", "Traceback of 3"), Failure(4.0, 5, "worker died")]
    result = run("study", "run", "quick", "-o", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == "".join(f"minirobust: {failure}\n" for failure in runs.fail)
    assert f"`minirobust study resume {tmp_path}`" in result.stdout
    assert "Traceback of 3" in run("study", "run", "quick", "-o", tmp_path, "--debug").stderr


def test_interruption_says_how_to_continue(run, monkeypatch, folder):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    stand_in(monkeypatch, "execution.sweep", run_study=interrupted)
    result = run("study", "resume", folder)
    assert result.exit_code == 130
    assert f"continue with `minirobust study resume {folder}`" in result.stderr


def test_study_runs_on_every_available_backend(run, few, tmp_path, monkeypatch, tiny_audits):
    # In threads: the processes have their own tests.
    monkeypatch.setattr(sweep, "Processes", lambda workers, devices: ThreadPoolExecutor(workers))
    options = ["--temperatures", "1/4", "--epochs", 1, "--audit-samples", 10, "--sharpen-ratios", "1/4"]
    options += ["--backend", "auto", "-q"]
    result = run("study", "run", "quick", "-o", tmp_path / "st", "--dataset", few, *options)
    assert (result.exit_code, result.stderr) == (0, "")
    result = run("study", "status", tmp_path / "st")
    assert result.stdout.split()[:5] == ["T", "seed", "state", "accuracy", "FGSM"]
    assert result.stdout.splitlines()[1].split()[:3] == ["1/4", "0", "done"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["quik"], "expected mnist, fashion-mnist, svhn, cifar10, quick or the path of a .toml file, got 'quik'"),
        (["no.toml"], "no.toml: No such file or directory"),
        (["quick", "--dataset", "mnits"], "expected dataset to be mnist, "),
        (["quick", "--dataset", "no.h5"], "no.h5, which does not exist"),
        (["quick", "--model", "rnn"], "expected model to be mlp or cnn, got 'rnn'"),
        (["quick", "--temperatures", "0,1"], "temperature"),
        (["quick", "--temperatures", "hot"], "expected temperatures to be numbers, got 'hot'"),
        (["quick", "--temperatures", "1000"], "1000"),
        (["quick", "--epsilon", "2"], "expected epsilon in (0, 1], got 2.0"),
        (["quick", "--epsilon", "0.15"], "the main epsilon 0.15 among them"),
        (["quick", "--epochs", "1.5"], "expected epochs to be a number, got '1.5'"),
        (["quick", "--epochs", "1,2"], "expected epochs to be one number, got '1,2'"),
        (["quick", "--backend", "tpu"], "expected backend to be auto or "),
        (["quick", "--audit-budget", "huge"], "expected audit_budget to be quick or standard or full, got 'huge'"),
        (["quick", "--nope", "1"], "--nope"),  # in the words of the installed version of click
        (["quick", "--workers", "0"], "--workers"),
    ],
)
def test_wrong_options_are_rejected_before_anything_runs(run, runs, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    result = run("study", "run", *words, "-o", "st")
    assert result.exit_code == 2
    assert message in result.stderr
    assert runs.made == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [("epochs = ", "mine.toml: "), ("epoch = 3", "mine.toml: study: expected the fields dataset, "), ("", "dataset")],
)
def test_a_wrong_toml_file_is_named(run, runs, tmp_path, text, message):
    (tmp_path / "mine.toml").write_text(text)
    result = run("study", "run", tmp_path / "mine.toml", "-o", tmp_path / "st")
    assert result.exit_code == 2
    assert message in result.stderr
    assert runs.made == []


def test_output_is_required(run, runs):
    result = run("study", "run", "quick")
    assert result.exit_code == 2
    assert "--output" in result.stderr


def test_resume_uses_the_configuration_in_the_folder(run, runs, folder):
    assert run("study", "resume", folder, "--workers", 2).exit_code == 0
    assert runs.made == [(PRESETS["quick"], folder, {"workers": 2, "scheduler": None, "quiet": False})]


def test_status_has_a_line_per_task_and_exits_with_0(run, folder):
    result = run("study", "status", folder, "--quiet")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["T", "1/64", "1", "16"]
    found = json.loads(run("study", "status", folder, "--json").stdout)
    assert [(task["temperature"], task["stage"], task["accuracy"]) for task in found["tasks"]] == [
        (T, "not begun", None) for T in (1 / 64, 1.0, 16.0)
    ]
    assert result.stdout.count("not begun") == 3


def test_status_names_every_damaged_file_and_shows_the_others(run, folder):
    for T in (1 / 64, 16.0):
        store.task_path(folder, T, 0).write_bytes(b"no checkpoint")
    result = run("study", "status", folder)
    assert result.exit_code == 2
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [["1", "0", "not", "begun"]]
    for name in ("T0.015625-seed0.h5", "T16-seed0.h5"):
        assert f"{folder / name}: expected " in result.stderr


def test_presets_are_listed(run):
    lines = run("study", "presets").stdout.splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "] == ["preset", *PRESETS]
    assert "1/64, 1, 16" in lines[-1]
    assert run("study", "presets", "nope").exit_code == 2


def test_study_without_results_draws_the_figures_that_need_none(run, folder, tmp_path):
    result = run("study", "figures", folder, "--output", tmp_path / "new/drawn")
    assert result.exit_code == 0
    drawn = [tmp_path / "new/drawn" / f"figure-02-sigmoids.{form}" for form in ("png", "svg")]
    assert result.stdout.split() == list(map(str, drawn))
    assert all(path.stat().st_size > 0 for path in drawn)
    assert "figure-03-learning-curves is left out" in result.stderr


def test_report_writes_a_page_and_on_request_json(run, folder, tmp_path):
    result = run("report", folder, "-o", tmp_path / "page.html", "--save", tmp_path / "claims.json", "--json")
    assert result.exit_code == 0
    assert "<title>" in (tmp_path / "page.html").read_text()
    claims = json.loads((tmp_path / "claims.json").read_text())
    assert {claim["verdict"] for claim in claims} == {"cannot tell here"}
    assert json.loads(result.stdout) == claims
    assert run("report", folder, "-o", tmp_path / "page.pdf").exit_code == 2
    assert run("report", folder, "-o", tmp_path / "no/page.html").exit_code == 2
    assert run("report", folder, folder, "-o", tmp_path / "page.html").exit_code == 2  # one data set twice


def test_report_links_to_the_exported_tables(run, folder, tmp_path):
    run("study", "export", folder, "--csv", tmp_path / "tables", "--table", "epochs")
    result = run("report", folder, "-o", tmp_path / "page.html", "--tables", tmp_path / "tables")
    assert "None" not in result.stdout  # no JSON was saved
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'href="tables/epochs.csv"' in page
    assert "checks.csv" not in page


@pytest.mark.parametrize("words", [("study", "resume"), ("study", "status"), ("study", "figures"), ("report",)])
def test_folder_without_a_study_is_named(run, runs, monkeypatch, tmp_path, words):
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "nowhere"):
        result = run(*words, folder)
        assert result.exit_code == 2
        assert str(folder) in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert study.preset_names() == list(PRESETS)


def test_help_shows_the_configuration_in_a_separate_panel(run):
    text = run("study", "run", "--help").stdout
    own, panel = text.split("Fields of the configuration")
    assert "--output" in own
    assert all(f"--{field.name.replace('_', '-')}" in panel for field in fields(StudyConfig))
