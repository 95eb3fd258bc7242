"""Formatting of results: `printable` text, a `table` with aligned columns for a terminal, and one for a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from io import StringIO

WIDTH = 80
BOX = "\n".join([*4 * [4 * " "], 4 * "-", *3 * [4 * " "]])  # in rich's format: only a rule between rows


def printable(text: str, keep: str = "\n\t") -> str:
    """Return text with control characters escaped, as in `repr`.

    Names of data sets, classes and files come from other people. Printed as they are, they could move the cursor,
    delete lines or reverse the order of letters.

    Parameters
    ----------
    text : str
    keep : str
        Characters to keep. For a name, pass "", because a line break in it would look like a line of our own.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text)


def table(rows: Iterable[Sequence[str]], left: int = 1, rules: Iterable[int] = (), width: int = WIDTH) -> str:
    """Return rows as plain text with aligned columns, and escape control characters in cells.

    Parameters
    ----------
    rows : iterable of sequence of str
        All of the same length.
    left : int, default 1
        Number of columns, starting with the first, that are aligned left; the others are aligned right.
    rules : iterable of int
        The rows that have a horizontal rule above them.
    width : int, default 80
        If a table is wider, text is wrapped in the columns that are aligned left.
    """
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows, rules = list(rows), set(rules)
    grid = Table(box=Box(BOX), show_header=False, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in range(len(rows[0])):
        flush_left = column < left
        grid.add_column(justify="left" if flush_left else "right", overflow="fold", no_wrap=not flush_left)
    for place, row in enumerate(rows):
        cells = (Text(printable(cell, keep="")) for cell in row)
        grid.add_row(*cells, end_section=place + 1 in rules)
    text = StringIO()
    console = Console(file=text, width=width, color_system=None, force_terminal=False, force_jupyter=False)
    console.print(grid)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def html_table(rows: Iterable[Sequence[str]], left: int = 1, rules: Iterable[int] = (), caption: str = "") -> str:
    """Return the same rows as an HTML table for a notebook. It sets no colours, so it fits light and dark pages.

    Parameters
    ----------
    rows, left, rules
        See `table`.
    caption : str
        A sentence above the table.
    """
    rules, lines = set(rules), []
    for place, row in enumerate(rows):
        rule = "; border-top: 1px solid" if place in rules else ""
        styles = (f"text-align: {'left' if column < left else 'right'}{rule}" for column in range(len(row)))
        cells = (
            f'<td style="{style}">{escape(printable(cell, keep=""))}</td>'
            for style, cell in zip(styles, row, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    title = f'<caption style="text-align: left">{escape(printable(caption, keep=""))}</caption>' if caption else ""
    return f'<table style="border-collapse: collapse">{title}{"".join(lines)}</table>'
