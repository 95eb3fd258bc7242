"""`gradcheck`: a network's gradients against central differences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy
import typer

from data_loaders import load
from minirobust.commands.arguments import (
    DATASETS,
    BackendName,
    Model,
    Temperature,
    dataset_names,
    fresh_model,
    open_checkpoint,
)
from minirobust.commands.terminal import NO
from minirobust.gradient_check import GradientError
from minirobust.gradient_check import gradcheck as check

SHAPES = {"mlp": (28, 28, 1), "cnn": (32, 32, 3)}


def gradcheck(
    checkpoint: Annotated[
        Path | None, typer.Argument(metavar="[CHECKPOINT]", help="A network that was saved; a fresh one without it.")
    ] = None,
    model: Annotated[Model, typer.Option(help="The fresh network.")] = "mlp",
    temperature: Temperature = 0.25,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="DATASET", help=f"{DATASETS}; random images without it.", autocompletion=dataset_names),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many images.")] = 4,
    limit: Annotated[int, typer.Option(min=1, help="How many numbers of each tensor are moved.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, images and that choice.")] = 0,
    backend: BackendName = "numpy",
) -> None:
    """Compare every gradient of a network with central differences, in float64.

    Exit code 1 if one is wrong; the report says what the pattern of errors suggests.
    """
    images = None if dataset is None else load(dataset).test[:samples].pixels(dtype="float64")
    if checkpoint is not None:
        network, _ = open_checkpoint(checkpoint, backend)
    else:
        shape = SHAPES[model] if images is None else images.shape[1:]
        network = fresh_model(model, temperature, shape, backend=backend, dtype="float64", seed=seed)
    if images is None:
        images = numpy.random.default_rng(seed).uniform(*network.input_range, (samples, *network.input_shape))
    try:
        typer.echo(str(check(network, images, limit=limit, seed=seed)))
    except GradientError as error:
        typer.echo(str(error.report))
        raise typer.Exit(NO) from None
