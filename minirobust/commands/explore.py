"""`explore`: a page on which to turn a trained network's temperature, in the browser or in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from minirobust.commands.arguments import check_output
from minirobust.commands.terminal import echo, examples, is_quiet, say
from minirobust.explore.worker import opened

app = typer.Typer(add_completion=False)


@app.command(epilog=examples("explore", "explore net.h5 --port 8000", "explore --export page.html"))
def explore(
    context: typer.Context,
    checkpoint: Annotated[
        Path | None,
        typer.Argument(metavar="CHECKPOINT", help="A network that was saved; the shipped one without it."),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the server; 0 for any free one.")] = 8765,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write one .html file that works offline, and start no server.")
    ] = None,
) -> None:
    """Turn a trained network's temperature on a page, and watch its attacks.

    The page shows digits, attacks and certificates at other temperatures than
    the network was trained at. It is served on this machine alone, at an
    address that holds a secret; Ctrl-C ends it.
    """
    check_output(export, ".html", "--export")
    opened(checkpoint)  # refuse it here, and not in a worker
    if export is not None:
        from minirobust.explore.export import write

        write(checkpoint, export, progress=not is_quiet(context))
        say(context, f"saved in {export}")
        return
    try:
        from minirobust.explore.server import serve
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"explore: expected {error.name} to be installed: python -m pip install 'minirobust[explore]'"
        ) from None
    serve(checkpoint, port, announce=echo)
