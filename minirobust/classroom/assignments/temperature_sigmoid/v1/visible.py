"""The tests that students see. The right answers are in visible.json."""

import numpy as np

from minirobust.classroom.exercise import test
from minirobust.classroom.proxy import StudentLayer

LAYER = StudentLayer("TemperatureSigmoid", (4,), {"temperature": 0.3})

NET = np.array([[-0.5, 0.1, 0.25], [1.0, -0.1, 0.3]])
GRAD_Y = np.array([[1.0, -2.0, 0.5], [0.25, 1.5, -1.0]])


@test("forward at T = 1/4", points=1, section=1)
def forward(program, draw):
    layer = program.new("TemperatureSigmoid", 0.25)
    yield layer.call("forward", NET)


@test("backward at T = 1/4", points=2, section=2)
def backward(program, draw):
    layer = program.new("TemperatureSigmoid", 0.25)
    layer.call("forward", NET)
    yield layer.call("backward", GRAD_Y)


@test("forward far from zero, without overflow", points=1, section=3)
def far_from_zero(program, draw):
    layer = program.new("TemperatureSigmoid", 0.25)
    yield layer.call("forward", np.array([[-4000.0, -20.0, 20.0, 4000.0]]))
    yield float(any("overflow" in warning for warning in program.warnings))
