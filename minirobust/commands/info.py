"""`info`: versions, backends and data sets on this machine."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from platform import platform, python_version
from typing import Any

import typer

from minirobust import backend
from minirobust.commands.arguments import AsJson
from minirobust.commands.data import place
from minirobust.commands.terminal import echo, echo_json, show
from minirobust.data import CATALOGUE
from minirobust.tables import table

app = typer.Typer(add_completion=False)
LIBRARIES = ("numpy", "scipy", "h5py", "matplotlib", "numba", "distributed")


@app.command()
def info(as_json: AsJson = False) -> None:
    """Show versions, the backends that work here, and where each data set was found."""
    libraries = {name: _installed(name) for name in LIBRARIES}
    backends = {name: _device(name) for name in backend.BACKENDS}
    datasets = {name: place(name) for name in CATALOGUE}
    if as_json:
        here: dict[str, Any] = {"minirobust": version("minirobust"), "python": python_version(), "platform": platform()}
        echo_json(here | {"libraries": libraries, "backends": backends, "datasets": datasets})
        return
    echo(f"minirobust {version('minirobust')}, Python {python_version()} on {platform()}\n")
    show(table([(name, found or "not installed") for name, found in libraries.items()], left=2) + "\n")
    runs = {True: "runs", False: "does not run here"}
    show(table([(name, runs[found["runs"]], found["what"]) for name, found in backends.items()], left=3) + "\n")
    show(table([(name, found or "not found") for name, found in datasets.items()], left=2))


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device(name: str) -> dict[str, Any]:
    """Return whether a backend runs, with its device or the reason why it does not."""
    try:
        return {"runs": True, "what": backend.get(name).describe()}
    except backend.BackendError as error:
        return {"runs": False, "what": str(error).removeprefix(f"backend '{name}': ")}
