"""`write_report`: one HTML page about one or several studies, which needs nothing but itself.

No script, no font, no picture is fetched: style and figures are inside. The page has the verdicts of `claims`, the
figures, the audits, and an account of what was run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from minirobust.saving import atomic
from minirobust.study.report.audits import audits_of
from minirobust.study.report.captions import figures_of
from minirobust.study.report.markup import Html, element, table
from minirobust.study.report.runs import commands_of, runs_of
from minirobust.study.store import Study

if TYPE_CHECKING:
    from minirobust.study.claims import Verdict

PAPER = (
    "Bečková, Pócoš & Farkaš: Computational Analysis of Robustness in Neural Network Classifiers, ICANN 2020, "
    "doi 10.1007/978-3-030-61609-0_6"
)
# A verdict's class in the style sheet and its sign, which tells it without colour.
SIGNS = {
    "holds": ("holds", "✓"),
    "does not hold": ("fails", "✗"),
    "survives": ("holds", "✓"),
    "reverses at small ε": ("fails", "✗"),
    "rests on a weak attack": ("fails", "✗"),
    "cannot be told: nothing is left": ("open", "?"),
    "cannot tell here": ("open", "?"),
}


def write_report(studies: Sequence[Study], verdicts: Sequence[Verdict], path: Path) -> None:
    """Write `page` to a file, which is replaced as a whole or not at all.

    Parameters
    ----------
    studies : sequence of Study
        Of different data sets; what is unfinished is shown as far as it is.
    verdicts : sequence of Verdict
        What `claims.judge` says of them.
    path : Path
        Ends in ``.html``.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    text = page(studies, verdicts)
    with atomic.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def page(studies: Sequence[Study], verdicts: Sequence[Verdict]) -> str:
    """The report as HTML.

    Parameters
    ----------
    studies : sequence of Study
    verdicts : sequence of Verdict
        What `claims.judge` says of them, claim by claim.

    Returns
    -------
    str
    """
    title = f"Temperature and robustness: {', '.join(study.title for study in studies)}"
    style = resources.files("minirobust.study.report").joinpath("page.css").read_text(encoding="utf-8")
    sections = {
        "claims": ("The paper's claims, measured", _claims(verdicts)),
        "figures": ("Figures", figures_of(studies)),
        "audit": ("Audit: can the robustness be trusted?", audits_of(studies)),
        "run": ("What was run", runs_of(studies)),
        "again": ("How to run it again", commands_of(studies)),
    }
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # Nothing is fetched, and nothing could be.
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        ),
        element("title", title),
        element("style", Html(style)),
    )
    links = [element("li", element("a", heading, href=f"#{name}")) for name, (heading, _) in sections.items()]
    body = element(
        "body",
        element("header", element("h1", title), element("p", f"The study of {PAPER}, run again.", class_="soft")),
        element("nav", element("ul", *links), aria_label="Contents"),
        element(
            "main",
            *(
                element("section", element("h2", heading), *content, id=name)
                for name, (heading, content) in sections.items()
            ),
        ),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def _sign(verdict: str) -> Html:
    kind, sign = SIGNS[verdict]
    return element("span", f"{sign} {verdict}", class_=f"verdict {kind}")


# Claims


def _claims(verdicts: Sequence[Verdict]) -> list[Html]:
    claims = [list(group) for _, group in groupby(verdicts, lambda verdict: verdict.name)]
    if not claims:
        return [element("p", "No claim was judged.")]
    return [_at_a_glance(claims), *(_claim(claim) for claim in claims)]


def _at_a_glance(claims: Sequence[Sequence[Verdict]]) -> Html:
    """All verdicts in one table: claims by data sets."""
    datasets = list(dict.fromkeys(verdict.dataset for claim in claims for verdict in claim))
    rows = []
    for claim in claims:
        of = {verdict.dataset: verdict for verdict in claim}
        cells = [_in_short(of[dataset]) if dataset in of else Html("–") for dataset in datasets]
        rows.append([element("a", claim[0].name.replace("-", " "), href=f"#claim-{claim[0].name}"), *cells])
    return table(
        "All verdicts at a glance; in small print, what stronger attacks leave of them", ["claim", *datasets], rows
    )


def _in_short(verdict: Verdict) -> Html:
    survival = verdict.survives_verdict if verdict.verdict == "holds" else None
    return Html(_sign(verdict.verdict) + (element("small", f"{SIGNS[survival][1]} {survival}") if survival else ""))


def _claim(claim: Sequence[Verdict]) -> Html:
    heading = element("h3", f"“{claim[0].claim}”")
    asked = list(dict.fromkeys(f"Asked: {verdict.criterion}." for verdict in claim))
    place = f"{_place(claim[0].section)} of the paper."
    section = element("p", f"{place} {asked[0]}" if len(asked) == 1 else place, class_="soft")
    cards = element("ul", *(_card(verdict, len(asked) > 1) for verdict in claim), class_="cards")
    return element("article", heading, section, cards, id=f"claim-{claim[0].name}")


def _place(section: str) -> str:
    return f"Section {section}" if section[0].isdigit() else section.capitalize()


def _card(verdict: Verdict, asked: bool) -> Html:
    """Return a verdict, with its criterion where that differs from one data set to the next."""
    head = element("p", element("strong", f"{verdict.dataset}: "), _sign(verdict.verdict))
    parts = [head, element("p", verdict.measured)]
    if asked:
        parts.append(element("p", f"Asked: {verdict.criterion}.", class_="soft"))
    if verdict.survives is not None:
        sign = [_sign(verdict.survives_verdict), Html(" ")] if verdict.survives_verdict else []
        parts.append(element("p", element("strong", "Under stronger attacks: "), *sign, verdict.survives))
    if verdict.figures:
        parts.append(_numbers(verdict.figures))
    return element("li", *parts)


def _numbers(numbers: Mapping[str, float | None]) -> Html:
    rows = (
        element("tr", element("th", name, scope="row"), element("td", _number(value), class_="number"))
        for name, value in numbers.items()
    )
    return element("details", element("summary", "Numbers"), element("table", element("tbody", *rows)))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}".replace("-", "−")
