"""The network that the page opens by default, and its digits: the first 20 test images of each class of MNIST.

These two commands make the file from the full MNIST data:

    minirobust train mnist --temperature 1 --epochs 30 -o mnist.h5
    python -m minirobust.explore.shipped mnist.h5
"""

from __future__ import annotations

import sys
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from minirobust import models
from minirobust.network import Network
from minirobust.saving import atomic
from minirobust.saving.checkpoint import load

NAME = "mnist-T1.npz"
OF_EACH_CLASS = 20


def network() -> Network:
    """Return the shipped network, trained on MNIST at T = 1; its weights were rounded to float16."""
    trained = models.mlp(1.0)
    trained.parameters = _read("parameters").astype("float32")
    return trained


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 200 test images of MNIST, float32 of shape (200, 28, 28, 1), and their labels 0, 1, ..., 9, 0, 1, ..."""
    return _read("images").astype("float32") / 255, _read("labels")


def _read(name: str) -> np.ndarray:
    with as_file(files("minirobust.explore") / "network" / NAME) as path, np.load(path) as archive:
        return archive[name]


def make(checkpoint: Path, path: Path) -> None:
    """Write the shipped file from a checkpoint of `models.mlp` at T = 1 that was trained on MNIST."""
    from minirobust.data import load as load_data

    test = load_data("mnist").test
    rows = np.array([np.flatnonzero(test.labels == c)[:OF_EACH_CLASS] for c in range(10)]).T.ravel()
    parameters = load(checkpoint).network.parameters.astype("float16")
    with atomic.replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, parameters=parameters, images=test.images[rows], labels=test.labels[rows])


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(__file__).parent / "network" / NAME)
