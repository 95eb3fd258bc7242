"""The study's two networks, in one place (Bečková, Pócoš & Farkaš, 2020, section 2)."""

from __future__ import annotations

from collections.abc import Sequence

from minirobust.backend import Backend
from minirobust.layers import Conv2D, Dense, Flatten, MaxPool2D, TemperatureSigmoid
from minirobust.network import Network


def mlp(
    temperature: float,
    input_shape: Sequence[int] = (28, 28, 1),
    *,
    hidden: int = 256,
    classes: int = 10,
    backend: str | Backend = "numpy",
    dtype: str = "float32",
    seed: int = 0,
) -> Network:
    """Return the study's network for MNIST and Fashion-MNIST: 784 - 256 temperature sigmoid - 10 logits.

    Parameters
    ----------
    temperature : float
        T > 0 of the sigmoid; the study uses 1/64, 1/32, ..., 16.
    input_shape : sequence of int, default (28, 28, 1)
    hidden, classes : int, default 256 and 10
    backend, dtype, seed
        As for `Network`.

    Returns
    -------
    Network

    Examples
    --------
    >>> [str(layer) for layer in mlp(temperature=1 / 4).layers]
    ['layer 0, Flatten()', 'layer 1, Dense(256)', 'layer 2, TemperatureSigmoid(0.25)', 'layer 3, Dense(10)']
    """
    layers = [Flatten(), Dense(hidden), TemperatureSigmoid(temperature), Dense(classes)]
    return Network(layers, input_shape, backend=backend, dtype=dtype, seed=seed)


def cnn(
    temperature: float,
    input_shape: Sequence[int] = (32, 32, 3),
    *,
    classes: int = 10,
    backend: str | Backend = "numpy",
    dtype: str = "float32",
    seed: int = 0,
) -> Network:
    """Return a network for SVHN and CIFAR-10: two convolutions with pooling, one hidden layer, 10 logits.

    This is a stand-in, because the study shows its network only in a figure (Fig. 1), without a description.  On
    CIFAR-10 its accuracy is 0.63 where the study's is 0.65, and it learns at each of its temperatures, 1/8 to 8.

    Parameters
    ----------
    temperature : float
        T > 0 of all three sigmoids.
    input_shape : sequence of int, default (32, 32, 3)
    classes : int, default 10
    backend, dtype, seed
        As for `Network`.

    Returns
    -------
    Network
    """
    layers = [
        Conv2D(16, 5),
        TemperatureSigmoid(temperature),
        MaxPool2D(2),
        Conv2D(32, 5),
        TemperatureSigmoid(temperature),
        MaxPool2D(2),
        Flatten(),
        Dense(128),
        TemperatureSigmoid(temperature),
        Dense(classes),
    ]
    return Network(layers, input_shape, backend=backend, dtype=dtype, seed=seed)
