"""The pages with generated tables, and how a table gets there.

A table stands between two lines, ``<!-- benchmark: NAME -->`` and ``<!-- end -->``.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CONTESTS = ("mlp", "cnn", "attacks")
TABLES = ("start", *CONTESTS, "summary", "growth", "study")
# Each page, and its tables from top to bottom.
PAGES = {
    "docs/reference/performance.md": ("summary", "mlp", "cnn", "attacks", "growth", "start", "study"),
    "tests/benchmarks/README.md": ("study",),
}
MARKER = re.compile(r"^<!-- (?:benchmark: (?P<name>.+)|end) -->$", re.MULTILINE)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first row is the heading, with columns of even width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    heading, *others = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    rule = "-|-".join("-" * width for width in widths)
    return "\n".join([f"| {heading} |", f"|-{rule}-|", *(f"| {row} |" for row in others)])


def replaced(page: str, text: str, names: Sequence[str], tables: Mapping[str, str]) -> str:
    """Return the text of a page with new tables between their markers.

    Parameters
    ----------
    page : str
        For the error message.
    text : str
    names : sequence of str
        All tables of the page, from top to bottom.
    tables : mapping of str to str
        The new ones, by name; those of other pages are passed over.

    Raises
    ------
    ValueError
        If a marker is missing, doubled, nested, unknown or out of order.
    """
    markers = list(MARKER.finditer(text))
    found = [marker["name"] or "end" for marker in markers]
    expected = [word for name in names for word in (name, "end")]
    if found != expected:
        raise ValueError(
            f"{page}: expected the markers {', '.join(expected)}, got {', '.join(found) or 'none'}: "
            "put each table between <!-- benchmark: NAME --> and <!-- end -->"
        )
    for begin, end in reversed(list(zip(markers[::2], markers[1::2], strict=True))):
        if begin["name"] in tables:
            text = f"{text[: begin.end()]}\n\n{tables[begin['name']]}\n\n{text[end.start() :]}"
    return text


def rewritten(tables: Mapping[str, str], root: Path = ROOT) -> dict[Path, str]:
    """Return the new text of every page; raises ValueError if the markers of one are wrong."""
    return {
        root / page: replaced(page, (root / page).read_text(encoding="utf-8"), names, tables)
        for page, names in PAGES.items()
    }


def write(tables: Mapping[str, str], root: Path = ROOT) -> None:
    """Write tables into all pages that have them; no page is written if the markers of one are wrong."""
    from minirobust.saving.atomic import (
        replacing,  # imports NumPy, which reads the number of threads when it is imported
    )

    for path, text in rewritten(tables, root).items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
