"""The tests that students see. The right answers are in visible.json."""

import numpy as np

from minirobust.classroom.exercise import test

LOGITS = np.array([[1.0, -0.5, 2.0, 0.3], [0.2, 0.1, -1.0, 1.5], [-2.0, 0.4, 0.6, 0.9]])
LABELS = np.array([2, 0, 1])


@test("loss", points=1, section=2)
def loss(program, draw):
    value, _ = program.call("softmax_cross_entropy", LOGITS, LABELS, 0.2)
    yield value


@test("gradient", points=2, section=3)
def gradient(program, draw):
    _, grad = program.call("softmax_cross_entropy", LOGITS, LABELS, 0.2)
    yield grad


@test("large logits", points=1, section=4)
def large(program, draw):
    yield program.call("softmax_cross_entropy", 700 * LOGITS, LABELS, 0.2)
