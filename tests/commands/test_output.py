"""Results are written and the exit code is right for any names in files and any state of the output streams."""

import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

import minirobust as mr
from data_loaders import Dataset, save_hdf5
from minirobust import cli
from minirobust.commands import terminal as terminal_module
from minirobust.commands.terminal import naming
from minirobust.study.report.markup import element
from minirobust.tables import printable, table

HOSTILE = "\x1b[2J\x9b1A\r\u202egnol\u2028\x00"
QUICK = ("--epsilon", "0.1", "--budget", "quick")
posix = pytest.mark.skipif(os.name != "posix", reason="the shell and devices are those of POSIX")


@pytest.fixture
def hostile(tmp_path, digits):
    """A data set in which every name contains control characters."""
    names = tuple(f"{number}{HOSTILE.strip(chr(0))}\nnetwork  1.000" for number in range(10))
    path = tmp_path / "few.h5"
    save_hdf5(path, Dataset(names[0], digits.train[:64], digits.test[:20], names))
    return path


def is_harmless(text):
    return all(c.isprintable() or c == "\n" for c in text)


# Names


@pytest.mark.parametrize("text", ["plain", "Zoë ε → 字", "two\nlines\tand a tab"])
def test_harmless_text_is_unchanged(text):
    assert printable(text) == text


def test_control_characters_are_escaped_as_repr_does():
    assert f"'{printable(HOSTILE, keep='')}'" == repr(HOSTILE)
    assert printable("a\nb", keep="") == "a\\nb"
    assert printable("\ud800") == "\\ud800"


def test_cells_of_a_table_stay_on_their_line():
    lines = table([("class", "images"), ("a\nb", HOSTILE)]).splitlines()
    assert len(lines) == 2
    assert all(map(is_harmless, lines))


@pytest.mark.parametrize(
    "words",
    [
        ("train", "DATA", "--epochs", 1, "-o", "NET"),
        ("attack", "TRAINED", "--dataset", "DATA"),
        ("audit", "TRAINED", "--dataset", "DATA", "--samples", 10, *QUICK),
        ("data", "verify", "DATA"),
    ],
    ids=lambda words: words[0],
)
def test_names_cannot_write_to_the_terminal(run, hostile, trained, tmp_path, words, tiny_audits):
    paths = {"DATA": hostile, "NET": tmp_path / "net.h5", "TRAINED": trained}
    result = run(*(paths.get(word, word) for word in words))
    assert result.exit_code in (0, 1)
    assert "gnol" in result.stdout
    assert is_harmless(result.stdout.replace("\n", ""))
    assert not any(line.startswith("network  1.000") for line in result.stdout.splitlines())


def test_path_cannot_write_to_the_terminal(run, tmp_path):
    result = run("attack", tmp_path / "\x1b[2J.h5")
    assert result.exit_code == 2
    assert result.stderr == f"minirobust: checkpoint: no file at {tmp_path}/\\x1b[2J.h5\n"


def test_names_are_escaped_in_html_too():
    text = element("p", f"<b>{HOSTILE}</b>\n", title=f'"{HOSTILE}')
    assert is_harmless(text)
    assert "<b>" not in text
    assert text.count("\\x1b[2J") == 2


# Tables


@pytest.mark.parametrize("words", [("data", "list"), ("study", "presets"), ("class", "list")], ids=" ".join)
def test_tables_fit_80_columns(run, words):
    lines = run(*words).stdout.splitlines()
    assert max(map(len, lines)) <= 80


REPORT = """
1   pass     gradient health
2   FLAG     FGSM over ε
3   not run  transfer, which did not pass

verdict: the gradient is masked (check 2): robustness at ε = 0.1 is at most 0.100
"""


def test_outcomes_and_verdicts_are_coloured_on_a_terminal(terminal, monkeypatch):
    monkeypatch.delenv("NO_COLOR")
    with redirect_stdout(terminal):
        terminal_module.show(REPORT)
    shown = terminal.getvalue()
    assert re.sub(r"\x1b\[[\d;]*m", "", shown) == f"{REPORT}\n"
    colours = dict(re.findall(r"\x1b\[([\d;]+)m([^\x1b]*)", shown))
    assert colours["32"] == "1   pass"  # green
    assert re.findall(r"\x1b\[1;31m([^\x1b]*)", shown) == ["2   FLAG", "verdict: the gradient is masked"]  # bold, red


@pytest.mark.parametrize("why", ["a pipe", "NO_COLOR"])
def test_results_are_plain_outside_a_terminal(terminal, why):
    output = terminal if why == "NO_COLOR" else io.StringIO()  # the fixture sets NO_COLOR
    with redirect_stdout(output):
        terminal_module.show(REPORT)
    assert output.getvalue() == f"{REPORT}\n"


def test_json_has_null_for_nan():
    text = terminal_module.to_json({"a": float("nan"), "b": [1.5, float("inf")], "c": "ε\x1b"})
    assert json.loads(text) == {"a": None, "b": [1.5, None], "c": "ε\x1b"}
    assert text.isascii()


def test_error_begins_with_the_option():
    with pytest.raises(ValueError, match=r"^--epsilon: expected epsilon in \[0, 1\], got 2$"), naming("--epsilon"):
        raise ValueError("attack: expected epsilon in [0, 1], got 2")
    with pytest.raises(FileNotFoundError, match="^.Errno 2. No such file"), naming("--source"):
        Path("/no/such/file").read_text()


# Files are written before anything is printed


def call(monkeypatch, words, stdout):
    """Run the command in this process with another standard output, and return the exit code."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["minirobust", *map(str, words)])
        patch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as end:
            cli.main()
    return end.value.code


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_audit_is_printed_in_every_encoding(monkeypatch, trained, tmp_path, encoding, tiny_audits):
    output = io.TextIOWrapper(io.BytesIO(), encoding)
    words = ("audit", trained, "--dataset", "digits", "--samples", 10, *QUICK, "--save", tmp_path / "a.json", "-q")
    assert call(monkeypatch, words, output) in (0, 1)
    output.seek(0)
    printed = output.read()
    letter = "ε" if encoding == "utf-8" else "eps"
    assert f"audit of 10 samples at {letter} = 0.1" in printed
    assert f"robustness at {letter} = 0.1 is at least" in printed
    assert json.loads((tmp_path / "a.json").read_text("utf-8"))["samples"] == 10


def test_text_without_a_plain_form_is_escaped():
    with pytest.MonkeyPatch.context() as patch:
        output = io.TextIOWrapper(io.BytesIO(), "ascii")
        patch.setattr(sys, "stdout", output)
        terminal_module.degrade_output()
        terminal_module.echo("ε ≤ 字")
    output.seek(0)
    assert output.read() == "eps <= \\u5b57\n"
    assert all(form.isascii() for form in terminal_module.PLAIN.values())


@posix
@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["audit", "TRAINED", "--dataset", "digits", "--samples", "10", *QUICK, "--save", "FILE"], "a.json"),
        (["attack", "TRAINED", "--dataset", "digits", "--samples", "10", "--save", "FILE"], "a.npz"),
    ],
    ids=["audit", "attack"],
)
def test_file_is_written_even_if_printing_fails(run, monkeypatch, trained, tmp_path, words, file, tiny_audits):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(terminal_module, "print", full, raising=False)
    monkeypatch.setattr(terminal_module, "_discard", lambda stream: None)
    paths = {"TRAINED": trained, "FILE": tmp_path / file}
    result = run(*(paths.get(word, word) for word in words), "-q")
    assert result.exit_code != 0
    if file.endswith(".json"):
        assert json.loads((tmp_path / file).read_text("utf-8"))["samples"] == 10
    else:
        assert np.load(tmp_path / file)["images"].shape == (10, 28, 28, 1)


# What becomes of the output


def shell(line, **options):
    """Run a line of the shell in which `minirobust` is the command."""
    line = line.replace("minirobust", f"{sys.executable} -m minirobust")
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, **options)


@posix
def test_masked_gradient_exits_with_1_even_if_the_reader_is_gone(tmp_path):
    network = mr.models.mlp(1 / 64, hidden=4)
    network.layers[1].weight.value[...] *= 1e6
    mr.save(tmp_path / "net.h5", network)
    result = shell(
        f"minirobust audit net.h5 --dataset digits --samples 10 {' '.join(QUICK)} --save a.json -q | true; "
        "echo ${PIPESTATUS[0]}",
        cwd=tmp_path,
    )
    assert (result.stdout, result.stderr) == ("1\n", "")
    assert (tmp_path / "a.json").exists()


@posix
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("minirobust data list 2>&-", 0, True),
        ("minirobust data list >&-", 0, False),
        ("minirobust data list >&- 2>&-", 0, False),
        ("minirobust attack no.h5 2>&-", 2, False),
        ("minirobust attack no.h5 2>&1 >&- | true; exit ${PIPESTATUS[0]}", 2, False),
        ("minirobust train digits --epochs 1 --batch-size 4000 -o net.h5 2>&-", 0, True),
    ],
)
def test_closed_streams_do_not_change_the_exit_code(tmp_path, line, code, said):
    result = shell(line, cwd=tmp_path)
    assert (result.returncode, result.stderr, bool(result.stdout)) == (code, "", said)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device /dev/full")
def test_full_disk_is_one_sentence(tmp_path):
    result = shell("minirobust data list > /dev/full", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (2, "minirobust: [Errno 28] No space left on device\n")
