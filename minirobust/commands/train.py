"""`train`: one network, saved after every epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from minirobust.commands.arguments import (
    DATASETS,
    AsJson,
    BackendName,
    DType,
    Model,
    dataset_names,
    fresh_model,
    located,
    number,
    open_dataset,
)
from minirobust.commands.terminal import echo_json, examples, is_quiet, naming, say
from minirobust.data import Dataset
from minirobust.network import Network
from minirobust.optimizers import Adam, Optimizer
from minirobust.saving import atomic, sealed
from minirobust.saving.checkpoint import pack, unpack
from minirobust.tables import printable
from minirobust.training import epochs as train_epochs

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "train digits --temperature 1/4 --epochs 10 -o net.h5",
        "train --resume -o net.h5",
        "train --resume -o net.h5 --epochs 20",
        "train my-images.h5 --model cnn --backend auto",
    )
)
def train(
    context: typer.Context,
    dataset: Annotated[
        str | None, typer.Argument(metavar="DATASET", help=f"{DATASETS}.", autocompletion=dataset_names)
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint.")] = Path("network.h5"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume from the checkpoint if it exists, with its options.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing checkpoint.")] = False,
    model: Annotated[Model | None, typer.Option("--model", help="One of the study's two networks (mlp).")] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature", metavar="T", parser=number, help="Temperature of the sigmoids, also as 1/64 (1)."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Total number of epochs (10).")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of weights and shuffling (0).")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--lr", parser=number, metavar="NUMBER", help="Adam's learning rate (0.001).")
    ] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Batch size in training (64).")] = None,
    backend: BackendName = "numpy",
    dtype: Annotated[DType | None, typer.Option("--dtype", help="Dtype of all arrays (float32).")] = None,
    as_json: AsJson = False,
) -> None:
    """Train a network and save it after every epoch.

    After Ctrl-C, the file contains the last complete epoch. Resumed training
    equals uninterrupted training, bit for bit. Resuming takes the options from
    the checkpoint; only the number of epochs may differ.

    Exit code 1 if the numbers overflow.
    """
    if output.exists() and not resume and not overwrite:
        raise FileExistsError(f"--output: {output} exists already: --resume continues from it, --overwrite replaces it")
    with naming("--output"):
        atomic.check_writable(output)
    given: dict[str, Any] = {"model": model, "temperature": temperature, "epochs": epochs, "seed": seed}
    given |= {"learning_rate": learning_rate, "batch_size": batch_size, "dtype": dtype}
    chosen = {name: value for name, value in given.items() if value is not None}
    saved = sealed.read(output) if resume and output.exists() else None
    training = Training(**chosen) if saved is None else recorded(output, saved[0]).checked(output, chosen)
    name = dataset or training.dataset
    if not name:
        raise ValueError(f"DATASET: expected one of {DATASETS}, got none")
    data = open_dataset(name, "DATASET")
    if training.data not in ("", data.checksum()):
        raise ValueError(f"DATASET: expected the images that {output} was trained on, got those of {name}")
    training = replace(training, dataset=located(name), data=data.checksum())
    network, optimizer, done = training.begin(data, backend) if saved is None else unpack(output, *saved, backend)
    assert optimizer is not None, "this command saves one"
    images = f"{len(data.train):,} training and {len(data.test):,} test images"
    say(context, f"{printable(data.name, keep='')}: {images}, {network.backend.describe()}")
    history = []
    if done >= training.epochs:
        say(context, f"{output} already contains {done} epochs")
    else:
        history = run(context, training, network, optimizer, data, done, output)
        say(context, f"saved in {output}")
    if as_json:
        what = asdict(training) | {"checkpoint": str(output), "backend": network.backend.describe()}
        echo_json(what | {"history": history})


@dataclass(frozen=True)
class Training:
    """Everything that determines a trained network, as stored in its checkpoint."""

    dataset: str = ""
    data: str = ""  # its checksum
    model: Model = "mlp"
    temperature: float = 1.0
    epochs: int = 10
    seed: int = 0
    learning_rate: float = 1e-3
    batch_size: int = 64
    dtype: DType = "float32"

    def checked(self, path: Path, chosen: dict[str, Any]) -> Training:
        """Return this training with the chosen number of epochs; raise ValueError if another option differs."""
        for name, value in chosen.items():
            found, option = getattr(self, name), "--lr" if name == "learning_rate" else f"--{name.replace('_', '-')}"
            if name != "epochs" and found != value:
                raise ValueError(
                    f"{option}: {path} was trained with {found}, got {value}: leave the option out to resume"
                )
        return replace(self, epochs=chosen.get("epochs", self.epochs))

    def begin(self, data: Dataset, backend: str) -> tuple[Network, Optimizer, int]:
        """Return a fresh network, its optimizer, and the number of completed epochs."""
        network = fresh_model(
            self.model,
            self.temperature,
            data.train.images.shape[1:],
            classes=len(data.class_names),
            backend=backend,
            dtype=self.dtype,
            seed=self.seed,
        )
        with naming("--lr"):
            return network, Adam(network, lr=self.learning_rate), 0


def recorded(path: Path, description: dict[str, Any]) -> Training:
    """Return the training recorded in a checkpoint of this command."""
    if "trained" not in description:
        raise ValueError(f"--resume: expected a checkpoint of `minirobust train`, got another checkpoint in {path}")
    known = {field.name for field in fields(Training)}
    return Training(**{name: value for name, value in description["trained"].items() if name in known})


def run(
    context: typer.Context,
    training: Training,
    network: Network,
    optimizer: Optimizer,
    data: Dataset,
    done: int,
    output: Path,
) -> list[dict[str, float]]:
    """Train from the epoch after `done`, save after every epoch, and return the history."""
    x, y = data.test.pixels(dtype=training.dtype), data.test.labels
    size, seed, last, history = training.batch_size, training.seed, training.epochs, []
    bar = not is_quiet(context)
    saved = done > 0
    try:
        for epoch in train_epochs(network, optimizer, data, last, size, seed, start=done, progress=bar):
            description, arrays = pack(network, optimizer, epoch.epoch)
            sealed.write(output, description | {"trained": asdict(training)}, arrays)
            saved = True
            accuracy = float((network.backend.to_numpy(network.predict(x)) == y).mean())
            history.append(epoch.to_dict() | {"test_accuracy": accuracy})
            say(
                context,
                f"epoch {epoch.epoch:3}  loss {epoch.loss:.4f}  test accuracy {accuracy:.4f}  {epoch.seconds:.1f} s",
            )
    except KeyboardInterrupt:
        state = f"{output} contains the last complete epoch; use --resume" if saved else "no epoch was completed"
        raise KeyboardInterrupt(f"interrupted: {state}") from None
    return history
