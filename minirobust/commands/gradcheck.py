"""`gradcheck`: compare a network's gradients with central differences."""

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
        Path | None, typer.Argument(metavar="CHECKPOINT", help="A saved network; by default, a fresh one.")
    ] = None,
    model: Annotated[Model, typer.Option("--model", help="Kind of fresh network.")] = "mlp",
    temperature: Temperature = 0.25,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", metavar="DATASET", help=f"{DATASETS}; by default, random images.", autocompletion=dataset_names
        ),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Number of images.")] = 2,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Maximum number of elements to check in each tensor.")
    ] = 100,
    step: Annotated[
        float | None,
        typer.Option(
            "--step", parser=number, metavar="NUMBER", help="Step of the differences; 1e-7 with max pooling or ReLU."
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", parser=number, metavar="NUMBER", help="1e-8; 1e-6 with max pooling or ReLU."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of weights, images and elements.")] = 0,
    backend: BackendName = "numpy",
) -> None:
    """Compare every gradient of a network with central differences, in float64.

    Exit code 1 if a gradient is wrong; the report then names the probable cause.
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
    # Among thousands of pooling windows, some are nearly tied.  A step too small to change the maximum costs accuracy.
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
