"""`table`: rows of text as aligned columns, and `with_bar`, a progress bar: what is shown in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def table(rows: Iterable[Sequence[str]], left: int = 1, rules: Iterable[int] = ()) -> str:
    """Return rows as columns side by side.

    Parameters
    ----------
    rows : iterable of sequence of str
        Of one length.
    left : int, default 1
        How many columns, from the first, are flush left; the others are flush right.
    rules : iterable of int
        The rows above which a horizontal rule stands.
    """
    rows = [tuple(row) for row in rows]
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
    if not shown:
        return items
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(items, desc=text, unit=unit, leave=False, disable=None)
    return bar
