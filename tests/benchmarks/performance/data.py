"""The images, labels and parameters that all contenders of a contest get."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

import minirobust as mr
from data_loaders import DataNotFoundError, load_mnist

BATCH = 64


@dataclass(frozen=True)
class Work:
    """What all contenders of a contest get, as NumPy arrays.

    Attributes
    ----------
    model : {"mlp", "cnn"}
        A network of `minirobust.models` at temperature 1.
    data : str
        What the images are.
    x : ndarray of float32, shape (N, H, W, C)
    y : ndarray of int64, shape (N,)
    parameters : list of ndarray
        Weight and bias of each layer as minirobust has them: (in, out), or (height, width, in, out) in a convolution.
    """

    model: str
    data: str
    x: np.ndarray
    y: np.ndarray
    parameters: list[np.ndarray]

    @property
    def flat(self) -> np.ndarray:
        """The images as rows, (N, H·W·C)."""
        return self.x.reshape(len(self.x), -1)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Return the rows of each minibatch of an epoch, as `minirobust.fit` draws them, so that losses must agree."""
        order = np.random.default_rng((0, epoch)).permutation(len(self.y))
        return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


class Data:
    """All works; each number of images is divided by `shrink`, but at least 128."""

    def __init__(self, shrink: int = 1) -> None:
        self.shrink = shrink

    def size(self, images: int) -> int:
        return max(images // self.shrink, 128)

    def mlp_training(self) -> Work:
        """Return the initial network and training images."""
        return Work("mlp", self.digits.name, *self._train, _arrays(mr.models.mlp(1.0)))

    def mlp_test(self, images: int) -> Work:
        """Return the network after an epoch of training, and test images."""
        return Work("mlp", self.digits.name, *_taken(self.digits.test, self.size(images)), self._trained)

    def cnn(self, images: int) -> Work:
        """Return the initial network and random pixels, hardly two of which are equal in a pooling window."""
        rng, count = np.random.default_rng(0), self.size(images)
        x, y = rng.random((count, 32, 32, 3), dtype=np.float32), rng.integers(0, 10, count)
        return Work("cnn", "random pixels", x, y, _arrays(mr.models.cnn(1.0)))

    @cached_property
    def digits(self):
        """MNIST if it is found, else the 5,000 digits of the package, which are repeated."""
        try:
            return load_mnist(download=False)
        except DataNotFoundError:
            return load_mnist(mini=True)

    @cached_property
    def _train(self) -> tuple[np.ndarray, np.ndarray]:
        return _taken(self.digits.train, self.size(60_000))

    @cached_property
    def _trained(self) -> list[np.ndarray]:
        network = mr.models.mlp(1.0)
        mr.fit(network, mr.Adam(network), self._train, epochs=1, progress=False)
        return _arrays(network)


def _taken(split, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first images and labels of a split, again from its start if there are not as many."""
    rows = np.arange(count) % len(split)
    return split.pixels(rows), split.labels[rows]


def _arrays(network: mr.Network) -> list[np.ndarray]:
    return [parameter.value.copy() for layer in network.layers for parameter in layer.parameters]
