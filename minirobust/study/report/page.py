"""`write_report`: one self-contained HTML page about one or several studies.

Style and figures are inside, there is no script, and nothing is fetched. The page has the verdicts of `claims`, the
figures, the audits, and an account of what was run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from minirobust.measures.regimes import temperature_label
from minirobust.saving import atomic
from minirobust.study.claims.criteria import LEARNED
from minirobust.study.report.audits import audits_of
from minirobust.study.report.captions import figures_of
from minirobust.study.report.markup import Html, element
from minirobust.study.report.runs import commands_of, provenance, runs_of
from minirobust.study.report.selection import dull_columns, too_few_learned
from minirobust.study.report.verdicts import claims_of, filter_style
from minirobust.study.store import Study
from minirobust.study.tidy import KINDS

if TYPE_CHECKING:
    from minirobust.study.claims import Verdict

DOI = "10.1007/978-3-030-61609-0_6"


def write_report(studies: Sequence[Study], verdicts: Sequence[Verdict], path: Path, tables: Path | None = None) -> None:
    """Write `page` to a file, which is replaced as a whole or not at all.

    Parameters
    ----------
    studies : sequence of Study
        Of different data sets. Unfinished ones are shown as far as they are.
    verdicts : sequence of Verdict
        What `claims.judge` returns for them.
    path : Path
        Ends in ``.html``.
    tables : Path, optional
        The folder to which `minirobust study export` wrote CSV files. The page links to those that are there.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    text = page(studies, verdicts, date.today(), {} if tables is None else _links(tables, path.parent))
    with atomic.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _links(tables: Path, folder: Path) -> dict[str, str]:
    """Return the CSV file of each table that is there, as a link from a page in `folder`."""
    files = [(kind, tables / f"{kind}{ending}") for kind in KINDS for ending in (".csv", ".csv.gz")]
    return {kind: quote(Path(os.path.relpath(file, folder)).as_posix()) for kind, file in files if file.exists()}


def page(
    studies: Sequence[Study], verdicts: Sequence[Verdict], written: date, tables: Mapping[str, str] | None = None
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    studies : sequence of Study
    verdicts : sequence of Verdict
        What `claims.judge` returns for them, claim by claim.
    written : date
        The date of the report.
    tables : mapping of str to str, optional
        Where the CSV files of the tidy tables are, relative to the page.

    Returns
    -------
    str
    """
    tables = tables or {}
    title = f"Temperature and robustness: {', '.join(study.title for study in studies)}"
    few = [study for study in studies if too_few_learned(study)]
    shown = [study for study in studies if not too_few_learned(study)]
    judged = [verdict for verdict in verdicts if verdict.dataset not in [study.title for study in few]]
    claims = list(dict.fromkeys(verdict.name for verdict in judged))
    sections = {
        "claims": ("Claims", "The paper's claims, measured", claims_of(judged, tables)),
        "figures": ("Figures", "Figures", figures_of(shown, tables, claims)),
        "audit": ("Audits", "Audits: can the robustness be trusted?", audits_of(shown)),
        "run": ("Runs", "What was run", runs_of(studies)),
        "again": ("Commands", "How to run it again", commands_of(studies)),
    }
    links = [element("li", element("a", short, href=f"#{name}")) for name, (short, _, _) in sections.items()]
    body = element(
        "body",
        element("header", element("h1", title), *_introduction(studies, written), *map(_left_out, few)),
        element("nav", element("ul", *links), aria_label="Contents"),
        element(
            "main",
            *(
                element("section", element("h2", heading), *content, id=name)
                for name, (_, heading, content) in sections.items()
            ),
        ),
    )
    return "<!DOCTYPE html>\n" + element("html", _head(title, judged), body, lang="en") + "\n"


def _head(title: str, verdicts: Sequence[Verdict]) -> Html:
    style = resources.files("minirobust.study.report").joinpath("page.css").read_text(encoding="utf-8")
    return element(
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
        element("style", Html(style + filter_style(verdicts))),
    )


def _introduction(studies: Sequence[Study], written: date) -> list[Html]:
    paper = element("a", f"doi:{DOI}", href=f"https://doi.org/{DOI}")
    return [
        element(
            "p",
            "This page repeats the study of Bečková, Pócoš and Farkaš, ",
            element("cite", "Computational Analysis of Robustness in Neural Network Classifiers"),
            " (ICANN 2020, ",
            paper,
            ").",
        ),
        element("p", provenance(studies, written), class_="soft"),
    ]


def _left_out(study: Study) -> Html:
    """Return the paragraph that stands for a study in which too few networks learned."""
    dull, temperatures = len(dull_columns(study)), len(study.config.temperatures)
    accuracy = {r.temperature: float(r.epochs["test_accuracy"][-1]) for r in study.records if r.epoch}
    best = max(accuracy, key=lambda T: accuracy[T])
    return element(
        "p",
        f"{study.title} is left out of the claims, figures and audits. At {dull} of {temperatures} temperatures the "
        f"networks learned nothing: their accuracy is less than {LEARNED} times chance. The best network, at "
        f"T = {temperature_label(best)}, reaches {accuracy[best]:.2f}.",
    )
