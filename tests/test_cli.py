"""The command as a whole: every command explains itself, every error is a sentence with an exit code."""

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from typing import get_args, get_type_hints

import pytest
import typer
from typer.models import OptionInfo
from typer.testing import CliRunner

import minirobust as mr
from minirobust import backend, cli, masking
from minirobust.commands import arguments, attack

program = typer.main.get_command(cli.app)


def commands(group=program, *names):
    """Every command with its full name."""
    for name, command in group.commands.items():
        command = command.load() if isinstance(command, cli.Later) else command
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield (*names, name), command


ALL = dict(commands())


def run(*words):
    return CliRunner().invoke(cli.app, list(words))


def started(*words, **options):
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "minirobust", *words], capture_output=True, text=True, timeout=120, **options
    )


def test_the_commands_are_those_that_are_documented():
    assert {" ".join(names) for names in ALL} == {
        "info",
        "data list",
        "data fetch",
        "data verify",
        "train",
        "attack",
        "audit",
        "explore",
        "gradcheck",
        "class list",
        "class start",
        "class lesson",
        "class check",
        "class grade",
        "class results",
        "class similar",
        "class export",
        "class new",
        "class validate",
        "study run",
        "study resume",
        "study status",
        "study export",
        "study figures",
        "study presets",
        "report",
    }


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_every_command_has_help(names):
    result = run(*names, "--help")
    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    assert " ".join(ALL[names].help.splitlines()[0].split()) in words
    for parameter in ALL[names].params:
        assert (parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar) in words


def examples():
    """Every example of every --help."""
    for command in [program, *ALL.values()]:
        yield from re.findall(r"\$ minirobust (.*)", command.epilog or "")


@pytest.mark.parametrize("example", sorted(set(examples())))
def test_every_example_names_what_exists(example):
    words = shlex.split(example.partition(">")[0])
    names = next(tuple(words[:n]) for n in (1, 2) if tuple(words[:n]) in ALL)
    known = {option for parameter in ALL[names].params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_help_groups_the_commands_and_lists_the_exit_codes():
    text = run("--help").stdout
    assert all(panel in text for panel in ("This machine", "One network", "The study"))
    told = re.findall(r"[:;] (\d+) ", " ".join(text.split()))
    assert [int(code) for code in told] == [0, cli.NO, cli.UNUSABLE, cli.FAULT, cli.INTERRUPTED]


@pytest.mark.parametrize(
    "words", [["nope"], ["train"], ["train", "digits", "--nope"], ["attack", "x.h5", "nope"], ["data"], []]
)
def test_wrong_usage_exits_with_2(words):
    assert run(*words).exit_code == 2


def test_an_error_is_one_sentence_on_the_error_stream():
    result = run("attack", "no-such-file.h5")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "minirobust: checkpoint: no file at no-such-file.h5\n"


@pytest.mark.parametrize("words", [("--debug", "attack", "no.h5"), ("attack", "no.h5", "--debug")])
def test_debug_shows_a_traceback(words):
    result = run(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert "sealed.py" in result.stderr
    assert result.stderr.endswith("\nminirobust: checkpoint: no file at no.h5\n")


def test_an_error_of_the_system_names_the_file(tmp_path):
    assert run("attack", str(tmp_path)).stderr == f"minirobust: {tmp_path}: Is a directory\n"


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyboardInterrupt("interrupted: two of three"), 130, "interrupted: two of three"),
        (backend.BackendError("backend 'cupy': no device"), 2, "backend 'cupy': no device"),
        (ModuleNotFoundError("No module named 'dask'"), 2, "No module named 'dask'"),
        (mr.NonFiniteError("epoch 1, batch 2"), 1, "epoch 1, batch 2"),
        (OSError(28, "No space left on device", "/x/net.h5"), 2, "/x/net.h5: No space left on device"),
    ],
)
def test_every_kind_of_error_has_its_exit_code(monkeypatch, error, code, sentence):
    def fail(name):
        raise error

    monkeypatch.setattr("minirobust.commands.data.place", fail)
    result = run("data", "list")
    assert (result.exit_code, result.stderr) == (code, f"minirobust: {sentence}\n")


def test_bug_exits_with_3_and_shows_a_traceback(monkeypatch, capsys):
    def fail(name):
        raise RuntimeError("cannot be")

    monkeypatch.setattr("minirobust.commands.data.place", fail)
    monkeypatch.setattr(sys, "argv", ["minirobust", "data", "list"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 3
    error = capsys.readouterr().err
    assert "in fail" in error
    assert error.endswith("minirobust: this is a bug in minirobust, not in your input\n")


def test_python_m_minirobust_runs_the_command():
    result = started("--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"minirobust {version('minirobust')}\n"
    assert started("nope").returncode == 2


def loaded(code):
    """The modules that a program has imported at its end."""
    code = f"import sys\n{code}\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.fixture(scope="module")
def of_the_library():
    """The modules that the library imports."""
    return loaded("import minirobust")


@pytest.mark.parametrize("words", [["--help"], ["class", "--help"]], ids=" ".join)
def test_help_imports_no_command_but_the_one_explained(words, of_the_library):
    code = f"from typer.testing import CliRunner; import minirobust.cli as c; CliRunner().invoke(c.app, {words})"
    imported = loaded(code) - of_the_library
    assert "typer" in imported
    assert not {"scipy", "h5py", "matplotlib", "pooch", "dask", "data_loaders", "minirobust.study"} & imported
    expected = {"minirobust.commands", "minirobust.commands.terminal"}
    expected |= {"minirobust.commands.classroom"} if "class" in words else set()
    assert {name for name in imported if name.startswith("minirobust.commands")} == expected


def test_list_of_commands_has_the_first_line_of_each_help():
    for later in cli.COMMANDS:
        assert later.help == later.load().help.partition("\n\n")[0].replace("\n", " ")


def test_the_shell_completes_names():
    environment = os.environ | {
        "_MINIROBUST_COMPLETE": "complete_bash",
        "COMP_WORDS": "minirobust data fetch s",
        "COMP_CWORD": "3",
    }
    code = "import sys; sys.argv = ['minirobust']; from minirobust.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert "svhn" in result.stdout.split()


def test_reader_that_stops_early_causes_no_message():
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "minirobust", "data", "list"], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, "")


def callbacks():
    """The functions behind all commands."""
    for later in cli.COMMANDS:
        app = sys.modules[f"minirobust.commands.{later.module}"].app
        yield from (command.callback for command in app.registered_commands)


def test_every_option_error_names_the_option():
    """Some versions of typer take the `metavar` of an option without a name for its name."""
    unnamed = [
        f"{function.__name__}: {name}"
        for function in callbacks()
        for name, hint in get_type_hints(function, include_extras=True).items()
        for found in getattr(hint, "__metadata__", ())
        # typer takes the first name for the default until it sees that the default is elsewhere.
        if isinstance(found, OptionInfo) and not str(found.default).startswith("--")
    ]
    assert unnamed == []


@pytest.mark.parametrize("words", [[], ["attack"], ["study"], ["study", "run"]])
def test_help_has_a_short_form(words):
    assert run(*words, "-h").stdout == run(*words, "--help").stdout


@pytest.mark.parametrize("command", ["attack", "audit"])
def test_invalid_number_is_rejected(command):
    refused = run(command, "x.h5", "--epsilon", "8/0")
    assert refused.exit_code == 2
    assert "expected a number such as 0.25" in refused.stderr
    assert "--epsilon" in refused.stderr


def test_choices_are_those_of_the_library():
    from minirobust.study.config import MODELS

    assert set(get_args(arguments.Model)) == set(MODELS)
    assert set(get_args(get_args(arguments.BackendName)[0])) == {"auto", *backend.BACKENDS} - {"strict"}
    exported = {name for name in mr.attacks.__all__ if name[0].islower()}
    helpers = {"annealed", "averaged", "differences", "expectation", "smoothed", "minimal_epsilon", "voting"}
    assert set(get_args(attack.AttackName)) == {name.replace("_", "-") for name in exported - helpers}
    (budget,) = (p for p in ALL[("audit",)].params if p.name == "budget")
    assert run("audit", "x.h5", "--budget", "nope").exit_code == 2
    assert all(choice in run("audit", "--help").stdout for choice in masking.BUDGETS)
    assert budget.default == "standard"
