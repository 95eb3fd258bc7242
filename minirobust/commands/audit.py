"""`audit`: whether a network's gradient can be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from minirobust import masking
from minirobust.commands.arguments import (
    BackendName,
    CheckpointPath,
    Samples,
    TestSet,
    check_output,
    first_images,
    number,
    open_checkpoint,
)
from minirobust.commands.terminal import NO, echo, is_quiet, say
from minirobust.saving import atomic
from minirobust.tables import printable


def audit(
    context: typer.Context,
    checkpoint: CheckpointPath,
    dataset: TestSet = None,
    samples: Samples = 1000,
    epsilon: Annotated[
        float,
        typer.Option("--epsilon", parser=number, metavar="NUMBER", help="Largest change of a pixel, also as 8/255."),
    ] = 0.1,
    source: Annotated[
        list[Path] | None,
        typer.Option("--source", help="Checkpoint of another network for the same task; may be repeated."),
    ] = None,
    budget: Annotated[Literal["quick", "full"], typer.Option("--budget", help="How hard to try.")] = "quick",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of all random draws.")] = 0,
    backend: BackendName = "numpy",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this .json file.")] = None,
) -> None:
    """Attack a network in many ways, and judge whether its robustness is real.

    Gradients can be masked, and attacks that follow them then fail.

    Exit code 1 if the gradient is masked, and 0 otherwise, also where FGSM is
    too weak or PGD has not converged.
    """
    check_output(json_file, ".json")
    network, recorded = open_checkpoint(checkpoint, backend)
    sources = [open_checkpoint(path, backend)[0] for path in source or ()]
    data, test = first_images(dataset, recorded, samples)
    say(context, f"{checkpoint} on test images of {printable(data.name, keep='')}, {network.backend.describe()}\n")
    report = masking.audit(
        network,
        test.pixels(dtype=network.dtype),
        test.labels,
        epsilon,
        sources,
        budget,
        seed=seed,
        progress=not is_quiet(context),
    )
    # Write files first: a failed print must not lose them.
    if json_file is not None:
        with atomic.replacing(json_file) as temporary:
            temporary.write_text(json.dumps(report.to_dict(), indent=1), encoding="utf-8")
    echo(str(report))
    if report.masked:
        raise typer.Exit(NO)
