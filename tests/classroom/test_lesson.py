"""Lessons: their sections, and the notebooks made from them."""

import pytest

from minirobust.classroom.assignment import find_all
from minirobust.classroom.lesson import percent, section

LESSON = "# Title\n\nText.\n\n```python\nx = 1\n```\n\n## 1 One\n\nMore.\n\n```console\n$ ls\n```\n\n## 2 Two\n\nEnd.\n"


def test_notebook_has_a_cell_for_each_part():
    assert percent(LESSON).splitlines() == [
        *("# %% [markdown]", "# # Title", "#", "# Text.", ""),
        *("# %%", "x = 1", ""),
        *("# %% [markdown]", "# ## 1 One", "#", "# More.", "#", "# ```console", "# $ ls", "# ```", "#"),
        *("# ## 2 Two", "#", "# End."),
    ]


def test_section_ends_before_the_next_one():
    assert section(LESSON, 1) == "## 1 One\n\nMore.\n\n```console\n$ ls\n```"
    assert section(LESSON, 2) == "## 2 Two\n\nEnd."
    assert section(LESSON, 3) == ""


@pytest.mark.parametrize("assignment", find_all(), ids=str)
def test_notebook_runs(assignment, monkeypatch):
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("Agg")
    figures = []
    monkeypatch.setattr(plt, "show", lambda: figures.append(len(plt.get_fignums())))
    exec(compile(percent(assignment.lesson), "lesson_notebook.py", "exec"), {})
    plt.close("all")
    assert figures  # there is a picture


@pytest.mark.parametrize("assignment", find_all(), ids=str)
def test_lesson_has_an_exercise_in_the_debugger(assignment):
    assert "$ python -m pdb -c " in assignment.lesson
    assert assignment.file in assignment.lesson
