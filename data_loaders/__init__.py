"""Loaders for MNIST, Fashion-MNIST, SVHN, CIFAR-10 and colour digits.

Every loader returns a `Dataset`. ``load_mnist(mini=True)`` and ``load_colour_digits()`` need
neither files nor a network connection; the others search this machine, then download what is
missing. This package does not depend on `minirobust`.

Examples
--------
>>> from data_loaders import load_mnist
>>> load_mnist(mini=True)
Dataset('digits', 4000 train + 1000 test images of 28x28x1, 10 classes)
"""

from data_loaders.catalogue import CATALOGUE, Verification, load, verify
from data_loaders.cifar10 import load_cifar10
from data_loaders.colour_digits import load_colour_digits
from data_loaders.dataset import Dataset, Split
from data_loaders.errors import DataError, DataNotFoundError
from data_loaders.fashion_mnist import load_fashion_mnist
from data_loaders.hdf5 import load_hdf5, save_hdf5
from data_loaders.mnist import load_mnist
from data_loaders.svhn import load_svhn

__all__ = [
    "CATALOGUE",
    "DataError",
    "DataNotFoundError",
    "Dataset",
    "Split",
    "Verification",
    "load",
    "load_cifar10",
    "load_colour_digits",
    "load_fashion_mnist",
    "load_hdf5",
    "load_mnist",
    "load_svhn",
    "save_hdf5",
    "verify",
]
