"""What is shown on a terminal: `printable` text, a `table` of aligned columns, and `with_bar`, a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


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


def table(rows: Iterable[Sequence[str]], left: int = 1, rules: Iterable[int] = ()) -> str:
    """Return rows as columns side by side, with control characters in cells escaped.

    Parameters
    ----------
    rows : iterable of sequence of str
        Of one length.
    left : int, default 1
        How many columns, from the first, are flush left; the others are flush right.
    rules : iterable of int
        The rows above which a horizontal rule stands.
    """
    rows = [tuple(printable(cell, keep="") for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = enumerate(zip(row, widths, strict=True))
        line = "  ".join(cell.ljust(w) if column < left else cell.rjust(w) for column, (cell, w) in cells)
        lines.append(line.rstrip())
    rule = "-" * max(map(len, lines))
    for place in sorted(rules, reverse=True):
        lines.insert(place, rule)
    return "\n".join(lines)


def with_bar(items: Sequence[T], text: str, unit: str, shown: bool = True) -> Iterable[T]:
    """Return `items`, on request behind a progress bar, which only a terminal shows."""
    if not shown or sys.stderr is None:  # None if the error stream was closed before Python started
        return items
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(items, desc=text, unit=unit, leave=False, disable=None)
    return bar
