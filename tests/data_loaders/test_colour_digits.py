"""The colour digits are the shipped digits, the same on every machine, and can be learnt."""

import hashlib

import numpy as np

from data_loaders import Dataset, Split, load_colour_digits, load_mnist


def test_there_are_as_many_as_shipped_digits(colour_digits: Dataset) -> None:
    mini = load_mnist(mini=True)
    assert colour_digits.name == "colour-digits"
    assert colour_digits.train.images.shape == (4000, 32, 32, 3)
    assert colour_digits.test.images.shape == (1000, 32, 32, 3)
    assert np.array_equal(colour_digits.train.labels, mini.train.labels)
    assert np.array_equal(colour_digits.test.labels, mini.test.labels)


def test_the_seed_decides_everything(colour_digits: Dataset) -> None:
    again, other = load_colour_digits(), load_colour_digits(seed=1)
    assert np.array_equal(colour_digits.train.images, again.train.images)
    assert np.array_equal(colour_digits.test.images, again.test.images)
    assert not np.array_equal(colour_digits.train.images, other.train.images)


def test_seed_zero_gives_the_same_bytes_on_every_machine(colour_digits: Dataset) -> None:
    digest = hashlib.sha256(colour_digits.train.images.tobytes())
    digest.update(colour_digits.test.images.tobytes())
    assert digest.hexdigest() == ("e95fc8dc84ef63b36f3c9458d6e9cbcf292351dbfcfe80d35cc01986b1927dfe")


def test_digit_is_brighter_than_its_background(colour_digits: Dataset) -> None:
    grey = luminance(colour_digits.train)
    corners = grey[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean(axis=1)
    # Ink is not full everywhere, but somewhere in every digit it nearly is.
    assert (grey.max(axis=(1, 2)) - corners).min() > 60


def test_colour_does_not_reveal_the_class(colour_digits: Dataset) -> None:
    images, labels = colour_digits.train.images, colour_digits.train.labels
    background = images[:, 0, :].mean(axis=1)
    means = np.array([background[labels == digit].mean(axis=0) for digit in range(10)])
    # 400 images per class with a standard deviation of about 70: four standard errors are 14.
    assert abs(means - background.mean(axis=0)).max() < 14


def test_the_nearest_neighbour_finds_most_digits(colour_digits: Dataset) -> None:
    known, asked = ink(colour_digits.train), ink(colour_digits.test)
    distances = (known**2).sum(axis=1) - 2 * asked @ known.T
    found = colour_digits.train.labels[distances.argmin(axis=1)]
    assert (found == colour_digits.test.labels).mean() > 0.7


def luminance(split: Split) -> np.ndarray:
    return split.images @ np.array([0.299, 0.587, 0.114], np.float32)


def ink(split: Split) -> np.ndarray:
    grey = luminance(split)
    grey -= np.median(grey[:, 0, :], axis=1)[:, None, None]
    return (grey / grey.max(axis=(1, 2), keepdims=True)).reshape(len(split), -1)
