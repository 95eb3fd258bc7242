"""`gradcheck`: a network's gradients against central differences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from minirobust.commands.arguments import (
    DATASETS,
    BackendName,
    Model,
    Temperature,
    dataset_names,
    first_images,
    fresh_model,
    number,
    open_checkpoint,
)
from minirobust.commands.terminal import NO, examples, show
from minirobust.gradients.check import GradientError
from minirobust.gradients.check import gradcheck as check

app = typer.Typer(add_completion=False)
SHAPES = {"mlp": (28, 28, 1), "cnn": (32, 32, 3)}


@app.command(
    epilog=examples("gradcheck net.h5", "gradcheck --model cnn --temperature 1/8", "gradcheck --dataset digits")
)
def gradcheck(
    context: typer.Context,
    checkpoint: Annotated[
        Path | None, typer.Argument(metavar="CHECKPOINT", help="A network that was saved; a fresh one without it.")
    ] = None,
    model: Annotated[Model, typer.Option("--model", help="The fresh network.")] = "mlp",
    temperature: Temperature = 0.25,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", metavar="DATASET", help=f"{DATASETS}; random images without it.", autocompletion=dataset_names
        ),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="How many images.")] = 2,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many numbers of each tensor are moved.")] = 100,
    step: Annotated[
        float | None,
        typer.Option(
            "--step", parser=number, metavar="NUMBER", help="Of the differences; 1e-7 beside max pooling or ReLU."
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", parser=number, metavar="NUMBER", help="1e-8; 1e-6 beside max pooling or ReLU."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of weights, images and that choice.")] = 0,
    backend: BackendName = "numpy",
) -> None:
    """Compare every gradient of a network with central differences, in float64.

    Exit code 1 if one is wrong; the report says what the pattern of errors suggests.
    """
    network = None if checkpoint is None else open_checkpoint(checkpoint, backend)[0]
    images, expected = None, () if network is None else network.input_shape
    if dataset is not None:
        images = first_images(context, dataset, None, samples, expected)[1].pixels(dtype="float64")
    if network is None:
        shape = SHAPES[model] if images is None else images.shape[1:]
        network = fresh_model(model, temperature, shape, backend=backend, dtype="float64", seed=seed)
    if images is None:
        images = np.random.default_rng(seed).uniform(*network.input_range, (samples, *network.input_shape))
    # Of thousands of pooling windows some are nearly tied.  A step too small to change the winner costs digits.
    kinked = any(layer.has_kinks for layer in network.layers)
    if step is None and kinked:
        step = 1e-7
    if tolerance is None:
        tolerance = 1e-6 if kinked else 1e-8
    try:
        show(str(check(network, images, tolerance=tolerance, step=step, limit=limit, seed=seed)))
    except GradientError as error:
        show(str(error.report))
        raise typer.Exit(NO) from None
