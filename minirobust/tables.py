"""How results look: `printable` text, a `table` of aligned columns for a terminal, and one for a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from io import StringIO

WIDTH = 80
BOX = "\n".join([*4 * [4 * " "], 4 * "-", *3 * [4 * " "]])  # as rich takes it: nothing but a rule between rows


def printable(text: str, keep: str = "\n\t") -> str:
    """Return text in which control characters are escaped, as `repr` escapes them.

    Names of data sets, classes and files come from other people. Written raw, they could move the cursor, delete lines
    or reverse the order of letters.

    Parameters
    ----------
    text : str
    keep : str
        Characters that stay. For a name, pass "": a line break in it would look like a line of ours.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text)


def table(rows: Iterable[Sequence[str]], left: int = 1, rules: Iterable[int] = (), width: int = WIDTH) -> str:
    """Return rows as columns side by side, as plain text with control characters in cells escaped.

    Parameters
    ----------
    rows : iterable of sequence of str
        Of one length.
    left : int, default 1
        How many columns, from the first, are flush left; the others are flush right.
    rules : iterable of int
        The rows above which a horizontal rule stands.
    width : int, default 80
        A wider table has longer lines wrapped within the columns that are flush left.
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
    """Return the same rows as an HTML table, for a notebook. It sets no colours, and so fits light and dark pages.

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
