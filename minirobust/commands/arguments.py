"""Arguments that several commands share: their typer declarations, and functions that interpret their values."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from minirobust import models
from minirobust.commands.terminal import naming, say
from minirobust.data import CATALOGUE, Dataset, Split, load
from minirobust.layers import TemperatureSigmoid
from minirobust.network import Network
from minirobust.saving import atomic, sealed
from minirobust.saving.checkpoint import unpack

DATASETS = f"{', '.join(CATALOGUE)}, or the path of an .h5 file"


def number(text: str) -> float:
    """Parse a number such as 0.25, 1/4 or 1e-7."""
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"expected a number such as 0.25 or 1/4, got {text!r}") from None


def dataset_names() -> list[str]:
    """Return the names of all data sets, for shell completion."""
    return list(CATALOGUE)


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
CheckpointPath = Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A saved network.")]
TestSet = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="DATASET",
        help=f"{DATASETS}; by default, the data set that the network was trained on.",
        autocompletion=dataset_names,
    ),
]
Samples = Annotated[int, typer.Option("--samples", min=1, help="Number of test images, starting with the first.")]
BackendName = Annotated[Literal["auto", "numpy", "numba", "cupy"], typer.Option("--backend", help="Where to compute.")]
Model = Literal["mlp", "cnn"]
DType = Literal["float32", "float64"]
Temperature = Annotated[
    float, typer.Option("--temperature", metavar="T", parser=number, help="Temperature of the sigmoids, also as 1/64.")
]


# Functions that interpret the values


def fresh_model(model: Model, temperature: float, shape: Sequence[int], **rest: Any) -> Network:
    """Return one of the study's networks, untrained; `rest` is passed on to `models`."""
    check_temperature(temperature)
    return {"mlp": models.mlp, "cnn": models.cnn}[model](temperature, shape, **rest)


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless a sigmoid can have this temperature."""
    with naming("--temperature"):
        TemperatureSigmoid(temperature)


def open_dataset(dataset: str, option: str = "--dataset") -> Dataset:
    """Return the data set named by an option or argument."""
    with naming(option):
        return load(dataset)


def located(dataset: str) -> str:
    """Return a data set's name unchanged, or a path in a form that is valid in any folder."""
    return str(Path(dataset).resolve()) if dataset.endswith(".h5") else dataset


def open_checkpoint(checkpoint: Path, backend: str) -> tuple[Network, str | None]:
    """Return the network of a checkpoint, and the data set it was trained on if the file records it."""
    description, arrays = sealed.read(checkpoint)
    trained = description.get("trained") or description.get("study", {}).get("config", {})
    return unpack(checkpoint, description, arrays, backend).network, trained.get("dataset")


def first_images(
    context: typer.Context, dataset: str | None, recorded: str | None, samples: int, shape: Sequence[int] = ()
) -> tuple[Dataset, Split]:
    """Return the requested data set, else the recorded one, and its first test images.

    If a shape is given, raise ValueError for images of another shape.
    """
    if dataset is None and recorded is None:
        raise ValueError("--dataset: expected a data set, because the checkpoint does not record its own, got none")
    data = load(str(recorded)) if dataset is None else open_dataset(dataset)
    if shape and data.test.images.shape[1:] != shape:
        raise ValueError(f"--dataset: expected images of shape {shape}, got {data.test.images.shape[1:]}")
    if samples > len(data.test):
        say(context, f"--samples {samples:,}: the data set has only {len(data.test):,} test images, which are all used")
    return data, data.test[:samples]


def check_output(path: Path | None, ending: str, option: str) -> None:
    """Raise an error for a file that cannot be written, before any work is done that would be lost."""
    if path is None:
        return
    if path.suffix != ending:
        raise ValueError(f"{option}: expected the name of a {ending} file, got {path}")
    with naming(option):
        atomic.check_writable(path)
