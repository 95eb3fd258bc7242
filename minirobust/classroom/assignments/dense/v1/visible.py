"""The tests that students see. The right answers are in visible.json."""

import numpy as np

from minirobust.classroom.exercise import test
from minirobust.classroom.proxy import StudentLayer

LAYER = StudentLayer("Dense", (3,), parameters={"weight": (2, 3), "bias": (2,)})

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-2.0, 1.0, 0.1], [0.3, 0.7, -1.2]])
WEIGHT = np.array([[1.0, 0.5, -0.5], [-1.5, 2.0, 0.25]])
BIAS = np.array([0.4, -0.6])
GRAD_Y = np.array([[1.0, -2.0], [0.5, 0.25], [1.5, -1.0], [-0.8, 0.6]])


@test("forward", points=1, section=1)
def forward(program, draw):
    layer = program.new("Dense", WEIGHT, BIAS)
    yield layer.call("forward", X)


@test("gradient with respect to x", points=1, section=2)
def gradient_x(program, draw):
    layer = program.new("Dense", WEIGHT, BIAS)
    layer.call("forward", X)
    yield layer.call("backward", GRAD_Y)


@test("gradient with respect to weight", points=1, section=3)
def gradient_weight(program, draw):
    layer = program.new("Dense", WEIGHT, BIAS)
    layer.call("forward", X)
    layer.call("backward", GRAD_Y)
    yield layer.get("grad_weight")


@test("gradient with respect to bias", points=1, section=3)
def gradient_bias(program, draw):
    layer = program.new("Dense", WEIGHT, BIAS)
    layer.call("forward", X)
    layer.call("backward", GRAD_Y)
    yield layer.get("grad_bias")
