"""The tests that students see. The right answers are in visible.json."""

import numpy as np

from minirobust.classroom.exercise import test
from minirobust.classroom.oracles import SmallNetwork

SHAPE = (2, 3, 1)
X = np.array([[0.1, 0.9, 0.5, 0.02, 0.97, 0.4], [0.6, 0.3, 0.99, 0.2, 0.01, 0.8], [0.5, 0.45, 0.05, 0.7, 0.35, 1.0]])
X = X.reshape(3, *SHAPE)
Y = np.array([1, 2, 0])
EVERYWHERE = np.ones_like(X)
MASK = np.array([[1, 0, 1, 1, 1, 0], [1, 1, 0, 0, 1, 1], [1, 0, 1, 1, 0, 1]], "float64").reshape(X.shape)


def network():
    return SmallNetwork(np.random.default_rng(8), SHAPE)


@test("FGSM on all pixels", points=1, section=1)
def fgsm(program, draw):
    yield program.call("fgsm", network(), X, Y, 0.1, EVERYWHERE)


@test("FGSM under a mask", points=1, section=3)
def masked_fgsm(program, draw):
    yield program.call("fgsm", network(), X, Y, 0.1, MASK)


@test("FGVM on all pixels", points=1, section=2)
def fgvm(program, draw):
    yield program.call("fgvm", network(), X, Y, 0.1, EVERYWHERE)


@test("FGVM under a mask", points=1, section=3)
def masked_fgvm(program, draw):
    yield program.call("fgvm", network(), X, Y, 0.1, MASK)
