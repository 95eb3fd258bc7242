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
    fresh_model,
    number,
    open_checkpoint,
)
from minirobust.commands.terminal import NO, echo
from minirobust.data import load
from minirobust.gradients.check import GradientError
from minirobust.gradients.check import gradcheck as check
from minirobust.layers import MaxPool2D, ReLU

SHAPES = {"mlp": (28, 28, 1), "cnn": (32, 32, 3)}


def gradcheck(
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
    images = None if dataset is None else load(dataset).test[:samples].pixels(dtype="float64")
    if checkpoint is not None:
        network, _ = open_checkpoint(checkpoint, backend)
    else:
        shape = SHAPES[model] if images is None else images.shape[1:]
        network = fresh_model(model, temperature, shape, backend=backend, dtype="float64", seed=seed)
    if images is None:
        images = np.random.default_rng(seed).uniform(*network.input_range, (samples, *network.input_shape))
    # Of thousands of pooling windows some are nearly tied.  A step too small to change the winner costs digits.
    kinked = any(isinstance(layer, MaxPool2D | ReLU) for layer in network.layers)
    if step is None and kinked:
        step = 1e-7
    if tolerance is None:
        tolerance = 1e-6 if kinked else 1e-8
    try:
        echo(str(check(network, images, tolerance=tolerance, step=step, limit=limit, seed=seed)))
    except GradientError as error:
        echo(str(error.report))
        raise typer.Exit(NO) from None
