"""The tests that students see. The right answers are in visible.json."""

import numpy as np

from minirobust.classroom.exercise import Wrong, test
from minirobust.classroom.oracles import DigitsModel, small_digits

VALUE = np.array([[0.5, -1.5, 2.0], [0.25, 3.0, -0.75]])
GRADIENTS = np.array([[[0.3, -2.0, 0.0], [1.0, 0.02, -0.5]], [[-0.1, -1.0, 0.0], [4.0, 0.01, 0.2]]])


def steps(program, count, decay):
    adam = program.new("Adam", 0.05, 0.8, 0.95, 1e-3, decay)
    value = VALUE
    for number in range(count):
        value = adam.call("step", value, GRADIENTS[number % 2])
    return value


@test("the first step", points=1, section=2)
def first(program, draw):
    yield steps(program, 1, 0.0)


@test("a second object", points=1, section=5)
def second_object(program, draw):
    one, two = steps(program, 1, 0.0), steps(program, 1, 0.0)
    if np.shape(one) == np.shape(two) and not np.array_equal(one, two):
        raise Wrong("a new object begins with the averages of an earlier one: keep them in self", "shared state")
    yield two


@test("three steps", points=1, section=1)
def three(program, draw):
    yield steps(program, 3, 0.0)


@test("three steps with decay", points=1, section=4)
def decay(program, draw):
    yield steps(program, 3, 0.3)


@test("training on digits", points=2, section=6)
def training(program, draw):
    x, y = (array[:50] for array in small_digits())
    orders = np.array([np.arange(50) * 7 % 50, np.arange(50) * 13 % 50, np.arange(50)[::-1]])
    value, losses = program.call("train", DigitsModel(), np.zeros((49, 10)), x, y, orders, 12, 0.02, 0.1)
    yield value[::8]
    yield losses
