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
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="One or more studies' folders.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("report.html"),
    save: Annotated[Path | None, typer.Option("--save", help="Keep the claims in this .json file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write one HTML page: what was run, every claim with its verdict, all figures, the audits."""
    from minirobust.study.claims import judge, write_json
    from minirobust.study.report.page import write_report
    from minirobust.study.store import read_study

    check_output(output, ".html", "--output")
    check_output(save, ".json", "--save")
    studies = [read_study(folder) for folder in folders]
    verdicts = judge(studies)
    # Write files first: a failed print must not lose them.
    write_report(studies, verdicts, output)
    if save is not None:
        write_json(save, verdicts)
    for path in (output, save):
        if path is not None:
            say(context, f"saved in {path}")
    if as_json:
        echo_json([asdict(verdict) for verdict in verdicts])
