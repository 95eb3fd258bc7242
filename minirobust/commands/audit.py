"""`audit`: whether a network's gradient can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from minirobust import masking
from minirobust.attacks.attack import check_epsilon
from minirobust.commands.arguments import (
    AsJson,
    BackendName,
    CheckpointPath,
    Samples,
    TestSet,
    check_output,
    first_images,
    number,
    open_checkpoint,
)
from minirobust.commands.terminal import NO, echo_json, examples, is_quiet, naming, say, show, to_json
from minirobust.saving import atomic
from minirobust.tables import printable

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "audit net.h5 --samples 200",
        "audit net.h5 --source hot.h5 --source cold.h5 --budget full --save audit.json",
    )
)
def audit(
    context: typer.Context,
    checkpoint: CheckpointPath,
    dataset: TestSet = None,
    samples: Samples = 1000,
    epsilon: Annotated[
        list[float] | None,
        typer.Option(
            "--epsilon",
            parser=number,
            metavar="NUMBER",
            help="Largest change of a pixel, also as 8/255; may be repeated (0.01, 0.02, 0.03, 0.05 and 0.1).",
        ),
    ] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option("--source", help="Checkpoint of another network for the same task; may be repeated."),
    ] = None,
    budget: Annotated[
        Literal["quick", "standard", "full"], typer.Option("--budget", help="How much computation to spend.")
    ] = "standard",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of all random draws.")] = 0,
    backend: BackendName = "numpy",
    save: Annotated[Path | None, typer.Option("--save", help="Save all numbers to this .json file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Attack a network in many ways, and decide whether its robustness is real.

    Gradients can be masked, and attacks that follow them then fail. Robustness
    is bounded from above and below for each epsilon; the checks run at the
    largest epsilon.

    Exit code 1 if the gradient is masked, and 0 otherwise, even if FGSM is too
    weak or PGD has not converged.
    """
    check_output(save, ".json", "--save")
    network, recorded = open_checkpoint(checkpoint, backend)
    with naming("--source"):
        sources = [open_checkpoint(path, backend)[0] for path in source or ()]
    with naming("--epsilon"):
        within: dict[str, Any] = {"epsilon": [check_epsilon(network, value) for value in epsilon]} if epsilon else {}
    data, test = first_images(context, dataset, recorded, samples, network.input_shape)
    say(context, f"{checkpoint} on test images of {printable(data.name, keep='')}, {network.backend.describe()}\n")
    report = masking.audit(
        network,
        test.pixels(dtype=network.dtype),
        test.labels,
        sources=sources,
        budget=budget,
        seed=seed,
        progress=not is_quiet(context),
        **within,
    )
    # Write files first: a failed print must not lose them.
    if save is not None:
        with atomic.replacing(save) as temporary:
            temporary.write_text(to_json(report.to_dict()), encoding="utf-8")
    if as_json:
        echo_json(report.to_dict())
    else:
        show(str(report))
    if report.masked:
        raise typer.Exit(NO)
