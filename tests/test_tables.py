"""Tables fit a terminal of 80 columns and lose no text."""

import pytest

from minirobust.tables import table

NUMBERED = [("layer", "shape", "parameters"), ("0 Dense(10)", "(10,)", "7,850"), ("total", "", "7,850")]


def test_columns_are_aligned_under_rules():
    assert table(NUMBERED, left=2, rules=(1, 2)).splitlines() == [
        "layer        shape  parameters",
        "------------------------------",
        "0 Dense(10)  (10,)       7,850",
        "------------------------------",
        "total                    7,850",
    ]


@pytest.mark.parametrize("width", [80, 50])
def test_long_text_wraps_inside_its_column(width):
    sentence = "FGSM is too weak here, because the units of the network are saturated at this temperature"
    lines = table(
        [("check", "finding", "rate"), ("4", sentence, "0.149")], left=2, rules=(1,), width=width
    ).splitlines()
    assert max(map(len, lines)) <= width
    begin = lines[0].index("finding")
    assert " ".join(line[begin : begin + width - 14].split("0.149")[0].strip() for line in lines[2:]) == sentence
    assert all(line[:begin].strip() in ("check", "4", "") for line in lines if "-" not in line)
    assert lines[2].endswith("0.149")


def test_a_word_without_a_space_is_broken():
    path = "/data/" + 40 * "folder/"
    lines = table([("mnist", path)], left=2).splitlines()
    assert max(map(len, lines)) == 80
    assert "".join(line.removeprefix("mnist").strip() for line in lines) == path


def test_square_brackets_are_text():
    assert table([("[red]a[/red]", "0.1 [0.0, 0.2]")], left=2) == "[red]a[/red]  0.1 [0.0, 0.2]"


def test_the_table_does_not_depend_on_the_terminal(monkeypatch):
    before = table(NUMBERED, left=2, rules=(1,))
    for variable, value in {"COLUMNS": "20", "FORCE_COLOR": "1", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(variable, value)
    assert table(NUMBERED, left=2, rules=(1,)) == before
