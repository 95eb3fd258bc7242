"""`train`: one network, saved after every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from minirobust.commands.arguments import (
    DATASETS,
    BackendName,
    DType,
    Model,
    Temperature,
    dataset_names,
    fresh_model,
    located,
    number,
)
from minirobust.commands.terminal import is_quiet, say
from minirobust.data import Dataset, load
from minirobust.network import Network
from minirobust.optimizers import Adam, Optimizer
from minirobust.saving import atomic, sealed
from minirobust.saving.checkpoint import pack, unpack
from minirobust.tables import printable
from minirobust.training import epochs as train_epochs


def train(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help=f"{DATASETS}.", autocompletion=dataset_names)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint.")] = Path("network.h5"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the checkpoint ends, if there is one; the rest as before.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a checkpoint that is there.")] = False,
    model: Annotated[Model, typer.Option("--model", help="One of the study's two networks.")] = "mlp",
    temperature: Temperature = 1.0,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Number of the last epoch.")] = 10,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of weights and shuffling.")] = 0,
    learning_rate: Annotated[
        float, typer.Option("--lr", parser=number, metavar="NUMBER", help="Adam's learning rate.")
    ] = 1e-3,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1)] = 64,
    backend: BackendName = "numpy",
    dtype: Annotated[DType, typer.Option("--dtype")] = "float32",
) -> None:
    """Train a network and save it after every epoch.

    Ctrl-C leaves the last whole epoch; training resumed from it equals
    training never interrupted, bit for bit.

    Exit code 1 if the numbers overflow.
    """
    if output.exists() and not resume and not overwrite:
        raise FileExistsError(f"train: {output} is there already: --resume goes on with it, --overwrite replaces it")
    atomic.check_writable(output)
    data = load(dataset)
    training = _Training(located(dataset), data.checksum(), model, temperature, seed, learning_rate, batch_size, dtype)
    saved = resume and output.exists()
    network, optimizer, done = training.resume(output, backend) if saved else training.begin(data, backend)
    x, y = data.test.pixels(dtype=dtype), data.test.labels
    images = f"{len(data.train):,} training and {len(y):,} test images"
    say(context, f"{printable(data.name, keep='')}: {images}, {network.backend.describe()}")
    if done >= epochs:
        say(context, f"{output} holds {done} epochs already")
        return
    try:
        bar = not is_quiet(context)
        for epoch in train_epochs(network, optimizer, data, epochs, batch_size, seed, start=done, progress=bar):
            description, arrays = pack(network, optimizer, epoch.epoch)
            saved = True
            sealed.write(output, description | {"trained": vars(training)}, arrays)
            accuracy = (network.backend.to_numpy(network.predict(x)) == y).mean()
            say(
                context,
                f"epoch {epoch.epoch:3}  loss {epoch.loss:.4f}  test accuracy {accuracy:.4f}  {epoch.seconds:.1f} s",
            )
    except KeyboardInterrupt:
        stands = f"{output} holds the last whole epoch, --resume goes on" if saved else "no epoch was finished"
        raise KeyboardInterrupt(f"interrupted: {stands}") from None
    say(context, f"saved in {output}")


@dataclass(frozen=True)
class _Training:
    """What a trained network follows from, as its checkpoint keeps it."""

    dataset: str
    data: str
    model: Model
    temperature: float
    seed: int
    learning_rate: float
    batch_size: int
    dtype: str

    def begin(self, data: Dataset, backend: str) -> tuple[Network, Optimizer, int]:
        """A fresh network."""
        network = fresh_model(
            self.model,
            self.temperature,
            data.train.images.shape[1:],
            classes=len(data.class_names),
            backend=backend,
            dtype=self.dtype,
            seed=self.seed,
        )
        return network, Adam(network, lr=self.learning_rate), 0

    def resume(self, path: Path, backend: str) -> tuple[Network, Optimizer, int]:
        """What `path` holds, if it was trained in the same way; its data may have moved."""
        description, arrays = sealed.read(path)
        if "trained" not in description:
            raise ValueError(f"train: expected a checkpoint of `minirobust train`, got another in {path}")
        for name, found in description["trained"].items():
            if name != "dataset" and found != getattr(self, name):
                raise ValueError(f"train: {path} was made with {name} = {found}, got {getattr(self, name)}")
        network, optimizer, epoch = unpack(path, description, arrays, backend)
        assert optimizer is not None, "this command saves one"
        return network, optimizer, epoch
