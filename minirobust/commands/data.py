"""`data`: find, fetch and verify data sets."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from minirobust.commands.arguments import DATASETS, AsJson, dataset_names
from minirobust.commands.terminal import NO, echo, echo_json, examples, say, show
from minirobust.data import CATALOGUE, DataError, DataNotFoundError
from minirobust.data import verify as examine
from minirobust.tables import table

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Find, fetch and verify data sets.")


def place(name: str) -> str | None:
    """Return where a data set is: a path, "shipped", or None."""
    entry = CATALOGUE[name]
    if entry.source is None:
        return "shipped"
    found = entry.find()
    return None if found is None else str(found)


@app.command("list", epilog=examples("data list", "data list --json"))
def list_all(as_json: AsJson = False) -> None:
    """List the known data sets with their size, image shape, licence and location."""
    found = {
        name: {
            "train": entry.train,
            "test": entry.test,
            "shape": entry.shape,
            "licence": entry.licence,
            "where": place(name),
        }
        for name, entry in CATALOGUE.items()
    }
    if as_json:
        echo_json(found)
        return
    rows = [("name", "train", "test", "shape", "licence", "where")]
    for name, entry in CATALOGUE.items():
        shape, where = "x".join(map(str, entry.shape)), found[name]["where"] or "not found"
        rows.append((name, f"{entry.train}", f"{entry.test}", shape, entry.licence, str(where)))
    show(table(rows, left=6))


@app.command(epilog=examples("data fetch mnist fashion-mnist"))
def fetch(
    context: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help=f"{', '.join(CATALOGUE)}.", autocompletion=dataset_names)
    ],
    as_json: AsJson = False,
) -> None:
    """Download data sets that are not on this machine yet into the user's cache folder.

    An interrupted download resumes where it stopped.

    Exit code 1 if a data set cannot be downloaded.
    """
    unknown = [name for name in names if name not in CATALOGUE]
    if unknown:
        raise ValueError(f"NAME: expected {', '.join(CATALOGUE)}, got {unknown[0]!r}")
    found: dict[str, str | None] = {}
    for name in names:
        try:
            CATALOGUE[name].fetch()
        except DataNotFoundError as error:
            echo(str(error), err=True)
            found[name] = None
        else:
            found[name] = place(name)
            say(context, f"{name}: {found[name]}")
    if as_json:
        echo_json(found)
    if None in found.values():
        raise typer.Exit(NO)


@app.command(epilog=examples("data verify mnist", "data verify my-images.h5"))
def verify(
    names: Annotated[list[str], typer.Argument(metavar="DATASET", help=f"{DATASETS}.", autocompletion=dataset_names)],
    as_json: AsJson = False,
) -> None:
    """Load data sets and check their counts, labels and checksums.

    The SHA-256 covers all images and labels; a study records it too. Nothing
    is downloaded.

    Exit code 1 if a data set is missing, damaged or not the expected one.
    """
    unknown = [name for name in names if name not in CATALOGUE and not name.endswith(".h5")]
    if unknown:
        raise ValueError(f"DATASET: expected {DATASETS}, got {unknown[0]!r}")
    found = {name: _examined(name) for name in names}
    if as_json:
        echo_json(found)
    else:
        for name, state in found.items():
            _print_state(name, state)
    if not all(state["sound"] for state in found.values()):
        raise typer.Exit(NO)


def _examined(name: str) -> dict[str, Any]:
    """Return a description of a data set and its faults."""
    try:
        found = examine(name)
    except (DataError, FileNotFoundError) as error:
        return {"sound": False, "dataset": None, "sha256": None, "compared": None, "faults": [str(error)]}
    return {
        "sound": not found.faults,
        "dataset": str(found.dataset),
        "sha256": found.checksum,
        "compared": found.compared,
        "faults": list(found.faults),
    }


def _print_state(name: str, state: dict[str, Any]) -> None:
    if state["dataset"] is None:
        echo(state["faults"][0], err=True)
        return
    echo(f"{name}: {state['dataset']}\n  SHA-256 {state['sha256']}")
    for fault in state["faults"]:
        echo(f"  {fault}", err=True)
    compared = f"compared with {state['compared']}" if state["compared"] else "no known content to compare with"
    show(f"  {compared}: {'sound' if state['sound'] else 'not as it should be'}")
