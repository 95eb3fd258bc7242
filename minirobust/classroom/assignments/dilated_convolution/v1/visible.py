"""The tests that students see. The right answers are in visible.json."""

import numpy as np

from minirobust.classroom.exercise import test

X = np.sin(np.arange(240.0)).reshape(4, 5, 6, 2)
WEIGHT = np.cos(np.arange(36.0)).reshape(3, 2, 2, 3)
BIAS = np.array([0.4, -0.6, 0.9])


def convolution(program, dilation, padding):
    layer = program.new("Convolution", WEIGHT, BIAS, dilation, padding)
    return layer, layer.call("forward", X)


def gradient(*shape):
    return np.cos(0.7 * np.arange(np.prod(shape))).reshape(shape)


@test("forward without a border", points=1, section=1)
def forward(program, draw):
    _, y = convolution(program, 2, "valid")
    yield y


@test("forward with a border", points=1, section=3)
def border(program, draw):
    _, y = convolution(program, 3, "same")
    yield y


@test("gradient with respect to x", points=1, section=4)
def gradient_x(program, draw):
    layer, _ = convolution(program, 2, "valid")
    yield layer.call("backward", gradient(4, 1, 4, 3))


@test("gradient with respect to x, with a border", points=1, section=4)
def gradient_border(program, draw):
    layer, _ = convolution(program, 1, "same")
    yield layer.call("backward", gradient(4, 5, 6, 3))


@test("gradient with respect to weight", points=1, section=5)
def gradient_weight(program, draw):
    layer, _ = convolution(program, 2, "same")
    layer.call("backward", gradient(4, 5, 6, 3))
    yield layer.get("grad_weight")


@test("gradient with respect to bias", points=1, section=5)
def gradient_bias(program, draw):
    layer, _ = convolution(program, 2, "same")
    layer.call("backward", gradient(4, 5, 6, 3))
    yield layer.get("grad_bias")
