"""`explore`: a page for changing a trained network's temperature, in the browser or as a single file."""

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
        typer.Argument(metavar="CHECKPOINT", help="A saved network; by default, the one that comes with the package."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port of the server; 0 for any free port.")
    ] = 8765,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write an .html file that works offline, and do not start a server.")
    ] = None,
) -> None:
    """Change a trained network's temperature on a web page, and watch the attacks on it.

    The page shows digits, attacks and certificates at temperatures other than
    the one in training. It is served only to this machine, at an address that
    contains a secret. Press Ctrl-C to stop the server.
    """
    check_output(export, ".html", "--export")
    opened(checkpoint)  # to raise errors here and not in a worker
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
