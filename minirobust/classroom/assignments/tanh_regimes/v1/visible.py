"""The tests that students see. The right answers are in visible.json."""

import numpy as np

from minirobust.classroom.exercise import test

NET = np.array([[-3.1, -0.9, -0.2, 0.1, 0.35, 0.6, 1.2], [2.4, 0.05, -0.45, 1.9, -1.4, 2.8, -2.2]])


@test("r1 at T = 0.3", points=1, section=1)
def r1(program, draw):
    yield program.call("r1", 0.3, 0.05)


@test("r2 at T = 0.3", points=1, section=3)
def r2(program, draw):
    yield program.call("r2", 0.3, 0.0007)


@test("fractions at T = 0.3", points=1, section=4)
def fractions(program, draw):
    yield program.call("fractions", NET, 0.3, 0.05, 0.0007)
