"""`attack`: one attack on one network, class by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from minirobust import attacks
from minirobust.attacks import Attack, PixelAttack
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
from minirobust.commands.terminal import echo_json, examples, is_quiet, naming, say, show
from minirobust.measures import robustness as r
from minirobust.network import Network
from minirobust.saving import atomic
from minirobust.tables import printable, table

AttackName = Literal[
    "fgsm", "fgvm", "pgd", "apgd", "noise", "square", "pixel", "brute-force-pixel", "greedy-pixel", "transfer"
]
app = typer.Typer(add_completion=False)
ATTACK = "Options of some attacks"  # panel of --help


def _own(option: str, text: str, least: int | None = None, **rest: Any) -> Any:
    return typer.Option(option, help=text, rich_help_panel=ATTACK, min=least, **rest)


@app.command(
    epilog=examples(
        "attack net.h5",
        "attack net.h5 pgd --epsilon 8/255 --steps 100 --samples 200",
        "attack net.h5 pixel --pixels 2 --save fooled.npz",
        "attack net.h5 transfer --source other.h5",
    )
)
def attack(
    context: typer.Context,
    checkpoint: CheckpointPath,
    name: Annotated[
        AttackName,
        typer.Argument(
            metavar="ATTACK",
            help="fgsm, fgvm, pgd, apgd, noise, square, pixel, brute-force-pixel, greedy-pixel or transfer.",
        ),
    ] = "fgsm",
    dataset: TestSet = None,
    samples: Samples = 1000,
    save: Annotated[
        Path | None, typer.Option("--save", help="Save images, predictions and labels to this .npz file.")
    ] = None,
    backend: BackendName = "numpy",
    epsilon: Annotated[
        float | None,
        _own("--epsilon", "Largest change of a pixel (0.1), also as 8/255.", parser=number, metavar="NUMBER"),
    ] = None,
    steps: Annotated[int | None, _own("--steps", "Steps of pgd and transfer (40), and of apgd (100).", least=1)] = None,
    starts: Annotated[int | None, _own("--starts", "Starts of pgd and transfer (2), and of apgd (1).", least=1)] = None,
    draws: Annotated[int | None, _own("--draws", "Draws of noise (1).", least=1)] = None,
    queries: Annotated[int | None, _own("--queries", "Queries of square (1000).", least=1)] = None,
    pixels: Annotated[
        int | None, _own("--pixels", "Pixels that pixel or greedy-pixel may change (3).", least=1)
    ] = None,
    shortlist: Annotated[
        int | None, _own("--shortlist", "Pixels that greedy-pixel tries each time (all).", least=1)
    ] = None,
    seed: Annotated[int | None, _own("--seed", "Seed of random draws (0).", least=0)] = None,
    source: Annotated[
        Path | None, _own("--source", "Checkpoint on which the PGD of transfer makes its images.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Attack a network on test images and print the robustness of each class.

    Robustness is the share of images that are classified correctly after the
    attack. As in the study, images that were misclassified before the attack
    count as not robust; the column "of correct" leaves them out. The row
    "network" is the mean over classes.
    """
    own = {"epsilon": epsilon, "steps": steps, "starts": starts, "draws": draws, "queries": queries}
    own |= {"pixels": pixels, "shortlist": shortlist, "seed": seed}
    own = {option: value for option, value in own.items() if value is not None}
    run = _prepared(name, own, source, backend, progress=not is_quiet(context))
    check_output(save, ".npz", "--save")
    network, recorded = open_checkpoint(checkpoint, backend)
    if epsilon is not None:
        with naming("--epsilon"):
            check_epsilon(network, epsilon)
    data, test = first_images(context, dataset, recorded, samples, network.input_shape)
    made = run(network, test.pixels(dtype=network.dtype), test.labels)
    correct = network.backend.to_numpy(made.clean_correct)
    measured = _robustness(data.class_names, network.backend.to_numpy(made.fooled), correct, test.labels)
    # Write files first: a failed print must not lose them.
    if save is not None:
        _save_attack(save, name, made, correct, test.labels, network)
    allowed = _allowed(made)
    say(
        context,
        f"{name} on {len(test):,} test images of {printable(data.name, keep='')}, "
        f"{', '.join(f'{what} = {value:g}' for what, value in allowed.items())}, {network.backend.describe()}",
    )
    if as_json:
        what = {"attack": name, "checkpoint": str(checkpoint), "dataset": data.name, "samples": len(test), **allowed}
        effort = {"queries": made.queries, "gradients": made.gradients, "seconds": made.seconds}
        echo_json(what | {"backend": network.backend.describe()} | effort | measured)
    else:
        show(_table(measured))
    if save is not None:
        say(context, f"saved in {save}")


def _allowed(made: Attack) -> dict[str, float]:
    """Return what the attack was allowed to change: every pixel by at most ε, or a number of pixels to any value."""
    if isinstance(made, PixelAttack):
        return {"pixels": len(made.fooled_at)}
    return {"epsilon": float(made.epsilon)}


def _prepared(
    name: str, own: dict[str, Any], source: Path | None, backend: str, progress: bool
) -> Callable[[Network, Any, Any], Attack]:
    """Return the attack with its options; raise ValueError for options that it does not have."""
    function = attacks.pgd if name == "transfer" else getattr(attacks, name.replace("-", "_"))
    takes = signature(function).parameters
    for option in own:
        if option not in takes:
            raise ValueError(f"--{option}: {name} has no such option")
    if (name == "transfer") != (source is not None):
        raise ValueError("--source: expected a checkpoint for transfer, and none for other attacks")
    if "progress" in takes:
        own = own | {"progress": progress}
    run = partial(function, **own)
    if source is None:
        return run
    with naming("--source"):
        other, _ = open_checkpoint(source, backend)
    return lambda network, x, y: attacks.transfer(other, network, x, y, run)


def _robustness(names: Sequence[str], fooled: Any, correct: Any, labels: Any) -> dict[str, Any]:
    """Return accuracy, robustness, and robustness of initially correct images, by class and for the network."""
    classes = len(names)
    by_class = zip(
        names,
        np.bincount(labels, minlength=classes).tolist(),
        r.by_class(~correct, labels, classes).tolist(),
        r.by_class(fooled, labels, classes).tolist(),
        r.by_class_of_correct(fooled, correct, labels, classes).tolist(),
        strict=True,
    )
    network = (
        len(labels),
        r.network_robustness(~correct, labels, classes),
        r.network_robustness(fooled, labels, classes),
        r.network_robustness_of_correct(fooled, correct, labels, classes),
    )
    keys = ("class", "images", "accuracy", "robustness", "of_correct")
    whole = dict(zip(keys[1:], network, strict=True))
    return {"classes": [dict(zip(keys, row, strict=True)) for row in by_class], "network": whole}


def _table(measured: dict[str, Any]) -> str:
    rows = [("class", "images", "accuracy", "robustness", "of correct")]
    for row in (*measured["classes"], {"class": "network"} | measured["network"]):
        name, images, *shares = row.values()
        rows.append(
            (name, f"{images:,}", *("-" if share != share else f"{share:.3f}" for share in shares))
        )  # NaN: no images
    return table(rows)


def _save_attack(path: Path, name: str, made: Attack, correct: Any, labels: Any, network: Network) -> None:
    """Save everything as plain arrays: ``np.load(path)["images"]``."""
    to_numpy = network.backend.to_numpy
    changed: dict[str, Any] = _allowed(made)
    with atomic.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            attack=np.array(name),
            **changed,
            images=to_numpy(made.images),
            predictions=to_numpy(made.predictions),
            clean_correct=correct,
            labels=labels,
        )
