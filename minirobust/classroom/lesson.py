"""Lessons: Markdown pages, and the same page as a notebook in the percent format."""

from __future__ import annotations

import re

BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^## (?P<number>\d+) (?P<title>.*)$", re.MULTILINE)


def percent(lesson: str) -> str:
    """Return a lesson as a Python file whose cells begin with ``# %%``; its code blocks run in order."""
    cells, end = [], 0
    for block in BLOCK.finditer(lesson):
        cells += [_text(lesson[end : block.start()]), f"# %%\n{block['code']}"]
        end = block.end()
    return "\n".join(filter(None, [*cells, _text(lesson[end:])]))


def section(lesson: str, number: int) -> str:
    """Return one section of a lesson, or "" if it does not exist."""
    starts = [*SECTION.finditer(lesson)]
    for found, following in zip(starts, [*starts[1:], None], strict=True):
        if int(found["number"]) == number:
            return lesson[found.start() : following.start() if following else None].strip()
    return ""


def _text(text: str) -> str:
    lines = text.strip().splitlines()
    return "\n".join(["# %% [markdown]", *(f"# {line}".rstrip() for line in lines), ""]) if lines else ""
