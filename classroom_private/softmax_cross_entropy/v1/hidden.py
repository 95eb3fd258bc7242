"""The tests that students do not see."""

import numpy as np

from minirobust.classroom.exercise import test

SHAPES = ((5, 3), (2, 7), (4, 5))


def inputs(draw, samples, classes):
    return 2 * draw.standard_normal((samples, classes)), draw.integers(classes, size=samples), draw.uniform(0.1, 0.4)


@test("loss at any shape", points=2, section=2)
def loss(program, draw):
    for shape in SHAPES:
        value, _ = program.call("softmax_cross_entropy", *inputs(draw, *shape))
        yield value


@test("gradient at any shape", points=3, section=3)
def gradient(program, draw):
    for shape in SHAPES:
        _, grad = program.call("softmax_cross_entropy", *inputs(draw, *shape))
        yield grad


@test("samples of very different size", points=2, section=4)
def sizes(program, draw):
    logits, labels, smoothing = inputs(draw, 4, 3)
    logits += np.array([[-3000.0], [0.0], [2000.0], [5.0]])
    yield program.call("softmax_cross_entropy", logits, labels, smoothing)


@test("without smoothing", points=1, section=2)
def no_smoothing(program, draw):
    logits, labels, _ = inputs(draw, 5, 4)
    yield program.call("softmax_cross_entropy", logits, labels, 0.0)


@test("confident samples in float32", points=2, section=4, tolerance=1e-3, each=True)
def confident(program, draw):
    logits, labels, _ = inputs(draw, 5, 4)
    logits[np.arange(5), labels] += draw.uniform(25, 60, 5)
    _, grad = program.call("softmax_cross_entropy", logits.astype("float32"), labels, 0.0)
    yield grad
    yield float(grad.dtype == "float32")


@test("the logits are left alone", points=1, section=4)
def arguments(program, draw):
    yield program.call("softmax_cross_entropy", *inputs(draw, 3, 4))
    yield float(program.changed)
