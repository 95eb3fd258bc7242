"""The report's verdicts: how many of each there are, a table of all, and each claim with what was measured.

The data set whose verdicts are shown is chosen with radio buttons and style rules, without a script.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from minirobust.study.report.captions import shown_in, words
from minirobust.study.report.markup import Html, element, scrolling_table, table

if TYPE_CHECKING:
    from minirobust.study.claims import Verdict

# The class of a verdict in the style sheet, and its sign, which shows it without colour.
SIGNS = {
    "holds": ("holds", "✓"),
    "does not hold": ("fails", "✗"),
    "survives": ("holds", "✓"),
    "reverses at small ε": ("fails", "✗"),
    "rests on a weak attack": ("fails", "✗"),
    "cannot be told: nothing is left": ("open", "?"),
    "cannot tell here": ("open", "?"),
}
RULINGS = ("holds", "does not hold", "cannot tell here")
COMPARED = "data sets compared"  # the heading of the claims whose data set is "all"


def claims_of(verdicts: Sequence[Verdict], tables: Mapping[str, str]) -> list[Html]:
    """Return the tally, the filter, the table of all verdicts, and every claim.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Claim by claim.
    tables : mapping of str to str
        Where the CSV files of the tidy tables are, relative to the page.
    """
    if not verdicts:
        return [element("p", "No claim was judged.")]
    claims = [list(group) for _, group in groupby(verdicts, lambda verdict: verdict.name)]
    datasets = _datasets(verdicts)
    return [
        _tally(verdicts, datasets),
        _filter(datasets),
        _at_a_glance(claims, datasets),
        *(_claim(claim, datasets, tables) for claim in claims),
    ]


def _datasets(verdicts: Iterable[Verdict]) -> list[str]:
    return list(dict.fromkeys(verdict.dataset for verdict in verdicts))


def _heading(dataset: str) -> str:
    return COMPARED if dataset == "all" else dataset


def _tally(verdicts: Sequence[Verdict], datasets: Sequence[str]) -> Html:
    """Return how many claims have each verdict on each data set, and what stronger attacks leave of those that hold."""
    rows = []
    for dataset in datasets:
        here = [verdict for verdict in verdicts if verdict.dataset == dataset]
        rulings = Counter[str](verdict.verdict for verdict in here)
        survivals = Counter(map(_survival, here))
        left = [element("small", f"{survivals[name]}: {name}") for name in SIGNS if survivals[name]]
        rows.append([_heading(dataset), *(str(rulings[name]) for name in RULINGS), Html("".join(left))])
    head = [f"{SIGNS[name][1]} {name}" for name in RULINGS]
    caption = "How many claims have each verdict"
    return table(caption, ["data set", *head, "of those that hold, under stronger attacks"], rows)


def _survival(verdict: Verdict) -> str | None:
    """Return what stronger attacks leave of a claim that holds."""
    return verdict.survives_verdict if verdict.verdict == "holds" else None


# The filter: an element about some data sets has the class `about`, and `about-0`, `about-1`, ... for each of them.


def _filter(datasets: Sequence[str]) -> Html:
    choices = [("show-every", "every data set"), *((f"show-{i}", _heading(name)) for i, name in enumerate(datasets))]
    buttons = [
        element("label", element("input", type="radio", name="dataset", id=key, **_checked(key)), Html(" "), text)
        for key, text in choices
    ]
    return element("fieldset", element("legend", "Show the verdicts on"), *buttons, class_="filter")


def _checked(key: str) -> dict[str, str]:
    return {"checked": ""} if key == "show-every" else {}


def filter_style(verdicts: Sequence[Verdict]) -> str:
    """Return the rules that hide what is not about the chosen data set."""
    return "".join(
        f"#claims:has(#show-{i}:checked) .about:not(.about-{i}) {{ display: none; }}\n"
        for i in range(len(_datasets(verdicts)))
    )


def _about(shown: Iterable[Verdict], datasets: Sequence[str]) -> str:
    return " ".join(["about", *(f"about-{datasets.index(verdict.dataset)}" for verdict in shown)])


# Claims


def _at_a_glance(claims: Sequence[Sequence[Verdict]], datasets: Sequence[str]) -> Html:
    """Return all verdicts in one table: claims by data sets."""
    columns = [f"about about-{i}" for i in range(len(datasets))]
    heads = [
        element("th", _heading(name), scope="col", class_=about) for name, about in zip(datasets, columns, strict=True)
    ]
    rows = []
    for claim in claims:
        of = {verdict.dataset: verdict for verdict in claim}
        name = element("th", element("a", words(claim[0].name), href=f"#claim-{claim[0].name}"), scope="row")
        cells = [
            element("td", _in_short(of[dataset]) if dataset in of else "–", class_=about)
            for dataset, about in zip(datasets, columns, strict=True)
        ]
        rows.append(element("tr", name, *cells, class_=_about(claim, datasets)))
    caption = "All verdicts; in small print, what stronger attacks leave of them"
    return scrolling_table(caption, element("tr", element("th", "claim", scope="col"), *heads), rows)


def _in_short(verdict: Verdict) -> Html:
    survival = _survival(verdict)
    return Html(_sign(verdict.verdict) + (element("small", f"{SIGNS[survival][1]} {survival}") if survival else ""))


def _sign(verdict: str) -> Html:
    kind, sign = SIGNS[verdict]
    return element("span", f"{sign} {verdict}", class_=f"verdict {kind}")


def _claim(claim: Sequence[Verdict], datasets: Sequence[str], tables: Mapping[str, str]) -> Html:
    heading = element("h3", f"“{claim[0].claim}”")
    asked = list(dict.fromkeys(f"Asked: {verdict.criterion}." for verdict in claim))
    place = f"{_place(claim[0].section)} of the paper."
    section = element("p", f"{place} {asked[0]}" if len(asked) == 1 else place, class_="soft")
    cards = element("ul", *(_card(verdict, len(asked) > 1, datasets) for verdict in claim), class_="cards")
    links = shown_in(claim[0].name, tables)
    name = f"claim-{claim[0].name}"
    return element("article", heading, section, cards, *links, id=name, class_=_about(claim, datasets))


def _place(section: str) -> str:
    return f"Section {section}" if section[0].isdigit() else section.capitalize()


def _card(verdict: Verdict, asked: bool, datasets: Sequence[str]) -> Html:
    """Return a verdict, with its criterion if that is not the same for every data set."""
    head = element("p", element("strong", f"{_heading(verdict.dataset)}: "), _sign(verdict.verdict))
    parts = [head, element("p", verdict.measured)]
    if asked:
        parts.append(element("p", f"Asked: {verdict.criterion}.", class_="soft"))
    if verdict.survives is not None:
        sign = [_sign(verdict.survives_verdict), Html(" ")] if verdict.survives_verdict else []
        parts.append(element("p", element("strong", "Under stronger attacks: "), *sign))
        parts.append(element("ul", *(element("li", line) for line in verdict.survives.splitlines())))
    if verdict.figures:
        parts.append(_numbers(verdict.figures))
    return element("li", *parts, class_=_about([verdict], datasets))


def _numbers(numbers: Mapping[str, float | None]) -> Html:
    rows = (
        element("tr", element("th", name, scope="row"), element("td", _number(value), class_="number"))
        for name, value in numbers.items()
    )
    return element("details", element("summary", "Numbers"), element("table", element("tbody", *rows)))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}".replace("-", "−")
