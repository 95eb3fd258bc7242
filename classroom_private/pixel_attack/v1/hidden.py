"""The tests that students do not see."""

import itertools

import numpy as np

from minirobust.classroom.exercise import test
from minirobust.classroom.oracles import CountedNetwork

SQUARE, GREY, WIDE, COLOUR, SMALL = (4, 4, 1), (5, 5, 1), (4, 6, 1), (3, 4, 3), (3, 4, 2)


def inputs(draw, shape, count=8, classes=2):
    """Return a network and images, of which the second and the last one are misclassified."""
    network = CountedNetwork(draw, shape, classes)
    x, y = network.images(draw, count)
    y[[1, -1]] = (y[[1, -1]] + 1) % classes
    return network, x, y


def is_fooled(network, x, y, places):
    """Return for which images the network is fooled by new values of one of these pixels, (N, pixels)."""
    rows, fooled = np.arange(len(x)), np.zeros(len(x), bool)
    for pixel in places.T:
        for values in itertools.product((0, 1), repeat=x.shape[-1]):
            changed = x.copy()
            changed.reshape(len(x), -1, x.shape[-1])[rows, pixel] = values
            fooled |= network.logits(changed).argmax(axis=1) != y
    return fooled


@test("one grey pixel of new images", points=2, section=1)
def one_pixel(program, draw):
    for samples in (24, 32):
        images, count, _ = program.call("pixel_attack", *inputs(draw, SQUARE, samples, 6), 1, 1000)
        yield images
        yield count


@test("two and three grey pixels of new images", points=3, section=2)
def grey(program, draw):
    for shape, pixels in ((GREY, 2), (WIDE, 3)):
        images, count, _ = program.call("pixel_attack", *inputs(draw, shape, 16), pixels, 1000)
        yield images
        yield count


@test("pixels in colour of new images", points=3, section=1)
def colour(program, draw):
    # Several networks, because some are fooled on no image.
    for pixels, classes in ((1, 4), (2, 2)) * 2:
        network, x, y = inputs(draw, SMALL, 100, classes)
        # Prefer images on which it matters whether the channels are averaged with their signs.
        gradient = network.input_gradient(x, y)
        scores = abs(gradient).mean(axis=3).reshape(len(x), -1), abs(gradient.mean(axis=3)).reshape(len(x), -1)
        best, other = (np.sort(np.argsort(-score, axis=1)[:, :pixels], axis=1) for score in scores)
        matters = is_fooled(network, x, y, best) != is_fooled(network, x, y, other)
        chosen = np.argsort(-2 * matters - (best != other).any(axis=1), kind="stable")[:20]
        images, count, _ = program.call("pixel_attack", network, x[chosen], y[chosen], pixels, 1000)
        yield images
        yield count


@test("queries in colour", points=1, section=4)
def colour_queries(program, draw):
    network, x, y = inputs(draw, SMALL, 50)
    # Prefer images of which one pixel has the two largest channels.
    sizes = abs(network.input_gradient(x, y)).reshape(len(x), -1)
    largest = np.argsort(sizes, axis=1)[:, -2:] // SMALL[2]
    chosen = np.argsort(np.ptp(largest, axis=1), kind="stable")[:20]
    x, y = x[chosen], y[chosen]
    images, _, shown = program.call("pixel_attack", network, x, y, 2, 1000)
    yield images
    yield shown
    yield float(network.shown)


@test("queries without a limit", points=1, section=4)
def queries(program, draw):
    for shape, pixels in ((WIDE, 3), (GREY, 3), (WIDE, 2)):
        network, x, y = inputs(draw, shape, 12)
        _, _, shown = program.call("pixel_attack", network, x, y, pixels, 1000)
        yield shown
        yield float(network.shown)


@test("queries within a budget", points=2, section=4)
def budget(program, draw):
    for shape, pixels, most in ((GREY, 3, 4), (WIDE, 3, 7), (COLOUR, 2, 5)):
        network, x, y = inputs(draw, shape, 12)
        images, _, shown = program.call("pixel_attack", network, x, y, pixels, most)
        yield images
        yield shown
        yield float(network.shown)


@test("the images are left alone", points=1, section=4)
def arguments(program, draw):
    images, _, _ = program.call("pixel_attack", *inputs(draw, GREY, classes=4), 2, 1000)
    yield images
    yield float(program.changed)
