"""HTML as text: elements with escaped content, and the tables and lists that the report is made of."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from minirobust.tables import printable


class Html(str):
    """Text that is already markup. Any other text is escaped, control characters included."""


VOID = ("img", "meta", "br", "input")
INLINE = ("a", "cite", "code")  # a line break behind one would be a space before the full stop


def element(tag: str, *content: str, **attributes: str) -> Html:
    """Return an HTML element. Its content is escaped unless it is `Html`; its attributes always are.

    In the name of an attribute a trailing underscore is dropped, and others become hyphens: ``class_``, ``aria_label``.
    """
    pairs = (
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(printable(value))}"' for name, value in attributes.items()
    )
    start = f"<{tag}{''.join(pairs)}>"
    if tag in VOID:
        return Html(start)
    inside = "".join(part if isinstance(part, Html) else html.escape(printable(part), quote=False) for part in content)
    return Html(f"{start}{inside}</{tag}>{'' if tag in INLINE else chr(10)}")


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """Return a table in a box that scrolls if need be; the first cell of each row is its heading."""
    top = element("tr", *(element("th", name, scope="col") for name in head))
    body = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in others))
        for first, *others in rows
    ]
    return scrolling_table(caption, top, body)


def scrolling_table(caption: str, top: Html, body: Iterable[Html]) -> Html:
    """Return a table of finished rows, in a box that scrolls if need be."""
    title = element("caption", element("span", caption))
    grid = element("table", title, element("thead", top), element("tbody", *body))
    return element("div", grid, class_="scroll", tabindex="0", role="region", aria_label=caption)


def entries(texts: Mapping[str, str]) -> Html:
    """Return names with a text below each."""
    return element("dl", *(part for name, text in texts.items() for part in (element("dt", name), element("dd", text))))
