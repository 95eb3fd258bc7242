"""Colour digits: the shipped MNIST digits as 32 x 32 colour images, for convolutional networks.

CIFAR-10 and SVHN must be downloaded; these images are computed, so they are available on every
machine. Neither colour nor position depends on the class, so a network has to learn the shapes. A
digit is always brighter than its background: with both polarities mixed, a sigmoid network stays at
chance level for ten epochs. All arithmetic is done in integers, so the same seed gives the same
bytes on every machine.
"""

import numpy as np
from numpy.typing import NDArray

from data_loaders.dataset import Dataset, Split
from data_loaders.mnist import load_mnist

__all__ = ["load_colour_digits"]

SIZE = 32
CONTRAST = 120
"""Minimum difference in luminance, out of 255, between a digit and its background."""
DARK = 160
"""Every channel of a background colour is below this value."""
TEXTURE = 20
"""Maximum difference, out of 255, between the background's texture and its colour."""
_CANDIDATES = 128
"""Pairs of colours drawn per image; one in ten has enough contrast, so every image gets such a pair."""


def load_colour_digits(seed: int = 0) -> Dataset:
    """Make a colour data set of 4,000 training and 1,000 test images from the shipped digits.

    Every image is one digit of ``load_mnist(mini=True)``, in the same order, drawn in a random
    colour on a darker, textured background, shifted by up to two pixels.

    Parameters
    ----------
    seed : int
        Seed of the colours, textures and shifts; the digits are always the same.

    Returns
    -------
    Dataset
        Images of shape (N, 32, 32, 3), uint8.
    """
    digits = load_mnist(mini=True)
    rng = np.random.default_rng(seed)
    return Dataset(
        "colour-digits",
        Split(_paint(digits.train.images, rng), digits.train.labels),
        Split(_paint(digits.test.images, rng), digits.test.labels),
        digits.class_names,
        f"{digits.source}, coloured with seed {seed}",
    )


def _paint(digits: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blend each digit's colour with its background, weighted by MNIST's pixel values."""
    colours, grounds = _contrasting_colours(len(digits), rng)
    background = grounds[:, None, None, :] + _texture(len(digits), rng)
    # No value below exceeds 255 * 255 + 127, which fits into uint16.
    background = background.clip(0, 255).astype(np.uint16)
    ink = _shifted(digits, rng).astype(np.uint16)
    blend = ink * colours[:, None, None, :].astype(np.uint16)
    blend += (255 - ink) * background
    return ((blend + 127) // 255).astype(np.uint8)


def _contrasting_colours(count: int, rng: np.random.Generator) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Draw bright colours and dark ones, each of shape (count, 3), far enough apart."""
    bright = rng.integers(0, 256, (count, _CANDIDATES, 3), dtype=np.int16)
    dark = rng.integers(0, DARK, (count, _CANDIDATES, 3), dtype=np.int16)
    # Luminance by ITU-R BT.601, in 256ths.
    contrast = (bright - dark) @ np.array([77, 150, 29], dtype=np.int32) // 256
    # argmax returns the first maximum, so this is the first candidate with enough contrast.
    first = np.arange(count), (contrast >= CONTRAST).argmax(axis=1)
    return bright[first], dark[first]


def _texture(count: int, rng: np.random.Generator) -> NDArray[np.int16]:
    """Draw soft shades of shape (count, SIZE, SIZE, 1): a coarse random grid, interpolated."""
    step = SIZE // 4
    grid = rng.integers(-TEXTURE, TEXTURE + 1, (count, 5, 5, 1), dtype=np.int16)
    low, weight = np.divmod(np.arange(SIZE, dtype=np.int16), np.int16(step))
    across = weight[:, None]
    rows = grid[:, low] * (step - weight)[:, None, None] + grid[:, low + 1] * weight[:, None, None]
    shades = rows[:, :, low] * (step - across) + rows[:, :, low + 1] * across
    return shades // np.int16(step * step)


def _shifted(digits: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Place each digit at a random position on a canvas of shape (SIZE, SIZE, 1)."""
    height, width = digits.shape[1:3]
    canvas = np.zeros((len(digits), SIZE, SIZE, 1), np.uint8)
    tops = rng.integers(0, SIZE - height + 1, len(digits))
    lefts = rng.integers(0, SIZE - width + 1, len(digits))
    for image, digit, top, left in zip(canvas, digits, tops, lefts, strict=True):
        image[top : top + height, left : left + width] = digit
    return canvas
