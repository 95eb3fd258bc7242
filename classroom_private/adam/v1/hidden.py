"""The tests that students do not see."""

import numpy as np

from minirobust.classroom.exercise import test
from minirobust.classroom.oracles import DigitsModel, small_digits

SHAPES = ((3, 4), (7,), (2, 3, 2))


def constants(draw, decay):
    """Return a learning rate, two betas, an epsilon of the size of the gradients, and a decay."""
    return draw.uniform(0.01, 0.1), draw.uniform(0.6, 0.9), draw.uniform(0.9, 0.98), draw.uniform(0.01, 0.1), decay


@test("steps of any shape", points=3, section=1)
def steps(program, draw):
    for shape in SHAPES:
        adam = program.new("Adam", *constants(draw, 0.0))
        value = draw.standard_normal(shape)
        for _ in range(4):
            value = adam.call("step", value, draw.standard_normal(shape))
        yield value


@test("steps with decay", points=2, section=4)
def decay(program, draw):
    for shape in SHAPES:
        adam = program.new("Adam", *constants(draw, draw.uniform(0.1, 0.5)))
        value = draw.standard_normal(shape)
        for _ in range(3):
            value = adam.call("step", value, draw.standard_normal(shape))
        yield value


@test("parameters without a gradient", points=1, section=3)
def no_gradient(program, draw):
    adam = program.new("Adam", *constants(draw, 0.2))
    value = draw.standard_normal(6)
    for _ in range(3):
        value = adam.call("step", value, draw.standard_normal(6) * [1, 0, 1, 0, 0, 1])
    yield value


@test("two objects", points=2, section=5)
def two_objects(program, draw):
    plan = constants(draw, 0.1)
    a, b = program.new("Adam", *plan), program.new("Adam", *plan)
    first, second = draw.standard_normal((2, 5))
    for _ in range(3):
        first = a.call("step", first, draw.standard_normal(5))
        second = b.call("step", second, draw.standard_normal(5))
    yield first
    yield second


@test("training on other digits", points=4, section=6, tolerance=1e-7)
def training(program, draw):
    for epochs, size in ((2, 9), (3, 16)):
        x, y = small_digits()
        chosen = draw.permutation(len(x))[:42]
        orders = np.array([draw.permutation(42) for _ in range(epochs)])
        value = 0.3 * draw.standard_normal((49, 10))
        rate, decay = draw.uniform(0.01, 0.05), draw.uniform(0.1, 0.3)
        yield program.call("train", DigitsModel(), value, x[chosen], y[chosen], orders, size, rate, decay)


@test("arguments are left alone", points=1, section=5)
def arguments(program, draw):
    adam = program.new("Adam", *constants(draw, 0.1))
    yield adam.call("step", draw.standard_normal(5), draw.standard_normal(5))
    yield float(program.changed)
