"""The tests that students see. The right answers are in visible.json."""

import numpy as np

from minirobust.classroom.exercise import test

X = (np.arange(288) * 7 % 11 * 5 % 13 - 8.0).reshape(3, 6, 8, 2)
GRAD_Y = np.cos(np.arange(54.0)).reshape(3, 3, 3, 2)


def largest(program, k):
    layer = program.new("KthLargestPool", (3, 4), (2, 3), k)
    return layer, layer.call("forward", X)


def average(program):
    layer = program.new("AveragePool", (3, 4), (2, 3))
    return layer, layer.call("forward", X)


@test("the second largest", points=1, section=3)
def second(program, draw):
    _, y = largest(program, 2)
    yield y


@test("the fifth largest", points=1, section=2)
def fifth(program, draw):
    _, y = largest(program, 5)
    yield y


@test("the gradient of the second largest", points=2, section=4)
def gradient(program, draw):
    layer, _ = largest(program, 2)
    yield layer.call("backward", GRAD_Y)


@test("the mean", points=1, section=5)
def mean(program, draw):
    _, y = average(program)
    yield y


@test("the gradient of the mean", points=1, section=5)
def gradient_mean(program, draw):
    layer, _ = average(program)
    yield layer.call("backward", GRAD_Y)
