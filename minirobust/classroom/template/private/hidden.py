"""The tests that students do not see."""

from minirobust.classroom.exercise import test

SHAPES = (7, (3, 5))


@test("value of any shape", points=2, section=1)
def value(program, draw):
    for shape in SHAPES:
        yield program.call("mean_square", draw.standard_normal(shape))[0]


@test("gradient of any shape", points=2, section=2)
def gradient(program, draw):
    for shape in SHAPES:
        yield program.call("mean_square", draw.standard_normal(shape))[1]


@test("x is left alone", points=1, section=2)
def arguments(program, draw):
    yield program.call("mean_square", draw.standard_normal(4))
    yield float(program.changed)
