"""`info` and `data`: what this machine has."""

from __future__ import annotations

from typing import Annotated

import typer

from minirobust import backend
from minirobust.commands.arguments import DATASETS, dataset_names
from minirobust.commands.terminal import NO, echo, say
from minirobust.data import CATALOGUE, DataError, DataNotFoundError
from minirobust.data import verify as examine
from minirobust.tables import table


def info() -> None:
    """Show versions, the backends that run here, and where each data set was found."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    echo(f"minirobust {version('minirobust')}, Python {platform.python_version()} on {platform.platform()}\n")
    libraries = []
    for name in ("numpy", "scipy", "h5py", "matplotlib", "distributed"):
        try:
            libraries.append((name, version(name)))
        except PackageNotFoundError:
            libraries.append((name, "not installed"))
    echo(table(libraries, left=2) + "\n")
    backends = []
    for name in backend.BACKENDS:
        try:
            backends.append((name, "runs", backend.get(name).describe()))
        except backend.BackendError as error:
            backends.append((name, "does not run here", str(error).removeprefix(f"backend '{name}': ")))
    echo(table(backends, left=3) + "\n")
    echo(table([(name, _place(name)) for name in CATALOGUE], left=2))


def _place(name: str) -> str:
    entry = CATALOGUE[name]
    return "shipped" if entry.source is None else str(entry.find() or "not found")


def list_all() -> None:
    """List the data sets that have a name: images, shape, licence, and where they lie."""
    rows = [("name", "train", "test", "shape", "licence", "where")]
    for name, entry in CATALOGUE.items():
        shape = "x".join(map(str, entry.shape))
        rows.append((name, str(entry.train), str(entry.test), shape, entry.licence, _place(name)))
    echo(table(rows, left=6))


def fetch(
    context: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help=f"{', '.join(CATALOGUE)}.", autocompletion=dataset_names)
    ],
) -> None:
    """Download data sets that are not here yet into the user's cache folder.

    A download that was cut off goes on where it stopped.

    Exit code 1 if one cannot be had.
    """
    unknown = [name for name in names if name not in CATALOGUE]
    if unknown:
        raise ValueError(f"data set: expected {', '.join(CATALOGUE)}, got {unknown[0]!r}")
    missing = False
    for name in names:
        try:
            say(context, f"{name}: {CATALOGUE[name].fetch() or 'shipped, nothing to fetch'}")
        except DataNotFoundError as error:
            echo(str(error), err=True)
            missing = True
    if missing:
        raise typer.Exit(NO)


def verify(
    names: Annotated[list[str], typer.Argument(metavar="DATASET", help=f"{DATASETS}.", autocompletion=dataset_names)],
) -> None:
    """Load data sets and hold counts, labels and checksums against what they should be.

    The SHA-256 is that of all images and labels, and a study keeps it too.
    Nothing is downloaded.

    Exit code 1 if a data set is missing, damaged or another than it should be.
    """
    unknown = [name for name in names if name not in CATALOGUE and not name.endswith(".h5")]
    if unknown:
        raise ValueError(f"data set: expected {DATASETS}, got {unknown[0]!r}")
    bad = False
    for name in names:
        try:
            found = examine(name)
        except (DataError, FileNotFoundError) as error:
            echo(str(error), err=True)
            bad = True
            continue
        echo(f"{name}: {found.dataset}\n  SHA-256 {found.checksum}")
        for fault in found.faults:
            echo(f"  {fault}", err=True)
        compared = f"compared with {found.compared}" if found.compared else "nothing to compare its content with"
        echo(f"  {compared}: {'not as it should be' if found.faults else 'sound'}")
        bad = bad or bool(found.faults)
    if bad:
        raise typer.Exit(NO)
