"""`report`: the study as one HTML page."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from minirobust.commands.arguments import AsJson, check_output
from minirobust.commands.terminal import echo_json, examples, say

app = typer.Typer(add_completion=False)


@app.command(epilog=examples("report results/mnist results/svhn", "report results/mnist --json > claims.json"))
def report(
    context: typer.Context,
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="Folders of one or more studies.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("report.html"),
    save: Annotated[Path | None, typer.Option("--save", help="Save the claims to this .json file.")] = None,
    tables: Annotated[
        Path | None,
        typer.Option("--tables", metavar="DIR", help="Link to the CSV files that `study export` wrote to this folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write an HTML page with the studies' settings, claims and verdicts, figures, and audits."""
    from minirobust.study.claims import judge, write_json
    from minirobust.study.report.page import write_report
    from minirobust.study.store import read_study

    check_output(output, ".html", "--output")
    check_output(save, ".json", "--save")
    studies = [read_study(folder) for folder in folders]
    verdicts = judge(studies)
    # Write files first: a failed print must not lose them.
    write_report(studies, verdicts, output, tables)
    if save is not None:
        write_json(save, verdicts)
    for path in (output, save):
        if path is not None:
            say(context, f"saved in {path}")
    if as_json:
        echo_json([asdict(verdict) for verdict in verdicts])
