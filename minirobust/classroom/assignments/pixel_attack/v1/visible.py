"""The tests that students see. The right answers are in visible.json."""

import numpy as np

from minirobust.classroom.exercise import test
from minirobust.classroom.oracles import CountedNetwork


def inputs(seed, shape, count, classes):
    """Return a network and images, of which the last one is misclassified."""
    draw = np.random.default_rng(seed)
    network = CountedNetwork(draw, shape, classes)
    x, y = network.images(draw, count)
    y[-1] = (y[-1] + 1) % classes
    return network, x, y


@test("one grey pixel", points=1, section=1)
def one_pixel(program, draw):
    images, count, _ = program.call("pixel_attack", *inputs(1, (4, 5, 1), 9, 4), 1, 1000)
    yield images
    yield count


@test("three grey pixels", points=1, section=2)
def three_pixels(program, draw):
    images, count, _ = program.call("pixel_attack", *inputs(2, (4, 5, 1), 7, 2), 3, 1000)
    yield images
    yield count


@test("two pixels in colour", points=1, section=1)
def colour(program, draw):
    images, count, _ = program.call("pixel_attack", *inputs(3, (3, 5, 2), 7, 2), 2, 1000)
    yield images
    yield count


@test("queries", points=1, section=4)
def queries(program, draw):
    network, x, y = inputs(4, (4, 5, 1), 7, 2)
    _, _, shown = program.call("pixel_attack", network, x, y, 3, 5)
    yield shown
    yield float(network.shown)
