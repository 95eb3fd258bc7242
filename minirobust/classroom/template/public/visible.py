"""The tests that students see. The right answers are in visible.json."""

import numpy as np

from minirobust.classroom.exercise import test

X = np.array([1.0, -2.0, 0.5])


@test("value", points=1, section=1)
def value(program, draw):
    yield program.call("mean_square", X)[0]


@test("gradient", points=1, section=2)
def gradient(program, draw):
    yield program.call("mean_square", X)[1]
