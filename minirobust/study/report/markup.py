"""HTML as text: elements whose content is escaped, and the two shapes that the report is made of, tables and lists."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from minirobust.tables import printable


class Html(str):
    """Text that is markup already; any other text is escaped, and so are control characters in it."""


VOID = ("img", "meta", "br")


def element(tag: str, *content: str, **attributes: str) -> Html:
    """An HTML element; what it contains is escaped unless it is `Html`, and so are all attributes.

    Of an attribute's name, a trailing underscore falls away and others become hyphens: ``class_``, ``aria_label``.
    """
    pairs = (
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(printable(value))}"' for name, value in attributes.items()
    )
    start = f"<{tag}{''.join(pairs)}>"
    if tag in VOID:
        return Html(start)
    inside = "".join(part if isinstance(part, Html) else html.escape(printable(part), quote=False) for part in content)
    return Html(f"{start}{inside}</{tag}>\n")


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """A table in a box that scrolls if it must; the first cell of each row is its heading."""
    top = element("tr", *(element("th", name, scope="col") for name in head))
    body = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in others))
        for first, *others in rows
    ]
    title = element("caption", element("span", caption))
    grid = element("table", title, element("thead", top), element("tbody", *body))
    return element("div", grid, class_="scroll", tabindex="0", role="region", aria_label=caption)


def entries(texts: Mapping[str, str]) -> Html:
    """Names, and below each what is to be said of it."""
    return element("dl", *(part for name, text in texts.items() for part in (element("dt", name), element("dd", text))))
