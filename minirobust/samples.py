"""`batches`, the minibatches of an epoch for a custom training loop, and `Samples`, from which all training draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minirobust.backend import Array
from minirobust.network import Network
from minirobust.validation import check_batch, check_labels, check_seed, own_array, positive_int


def batches(
    network: Network, data: Any, batch_size: int = 64, seed: int = 0, epoch: int = 1
) -> Iterator[tuple[Array, Array]]:
    """Yield the minibatches of one epoch, for a custom training loop.

    The loop computes ``logits = network.forward(x)``, a loss and its gradient, ``network.backward(gradient / len(x))``,
    and calls ``optimizer.step()``.  Set ``network.training = True`` for layers that behave differently in training.

    Parameters
    ----------
    network : Network
    data : Dataset, Split or (x, y)
        See `minirobust.epochs`.
    batch_size : int, default 64
    seed, epoch : int, default 0 and 1
        They determine the shuffling: the batches are those of `fit` in this epoch.

    Yields
    ------
    x : ndarray of shape (n, *input_shape), in the network's dtype and on its backend
    y : ndarray of int, shape (n,)

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong, before the first batch.
    """
    samples = Samples(network, data)
    positive_int("batches", "batch_size", batch_size)
    positive_int("batches", "epoch", epoch)
    _, rows = samples.shuffled(batch_size, check_seed(seed), epoch)
    return map(samples.batch, rows)


class Samples:
    """Training data, copied once to the network's backend; bytes are converted to floats batch by batch.

    Parameters
    ----------
    network : Network
    data : Dataset, Split or (x, y)

    Raises
    ------
    ValueError, TypeError
        If the data does not fit the network.
    """

    def __init__(self, network: Network, data: Any) -> None:
        data = getattr(data, "train", data)
        if hasattr(data, "images") and hasattr(data, "labels"):
            if data.images.shape[1:] != network.input_shape:
                raise ValueError(f"fit: expected images of shape {network.input_shape}, got {data.images.shape[1:]}")
            if not len(data.labels):
                raise ValueError("fit: expected at least one sample, got an empty split")
            x, y = network.backend.asarray(own_array(data.images, "fit: images", network.backend)), data.labels
        else:
            if not isinstance(data, tuple | list) or len(data) != 2:
                raise TypeError(f"fit: expected a Dataset, a Split or (x, y), got {type(data).__name__}")
            x, y = data
            x = check_batch(x, network.input_shape, network.dtype, "fit: x", network.backend)
        network.check_states()
        self.x, self.y = x, check_labels(y, (len(x), *network.output_shape), network.backend)
        self.network = network

    def shuffled(self, batch_size: int, seed: int, epoch: int) -> tuple[Array, list[Array]]:
        """Return the shuffled rows of an epoch, and the rows of each batch."""
        order = self.network.backend.asarray(np.random.default_rng((seed, epoch)).permutation(len(self.y)))
        return order, [order[start : start + batch_size] for start in range(0, len(order), batch_size)]

    def batch(self, rows: Array) -> tuple[Array, Array]:
        """Return the samples and the labels of some rows."""
        x = self.x[rows]
        return (x if x.dtype.kind == "f" else x.astype(self.network.dtype) / 255), self.y[rows]
