"""The tests that students see. The right answers are in visible.json."""

import numpy as np

from minirobust.classroom.exercise import test
from minirobust.classroom.oracles import FunctionLayer

X = np.array([[0.5, -1.2, 0.3], [-0.4, 0.8, 1.5]])
WEIGHT = np.array([[0.7, -0.2, 1.1, 0.4], [0.3, 0.9, -0.6, -1.3], [-0.8, 0.5, 0.2, 1.6]])
COTANGENT = np.array([[1.0, -2.0, 0.5, 0.3], [0.7, 1.5, -1.0, -0.4]])


def tanh_layer(factor):
    """Return y = tanh(x W), whose gradient with respect to x is multiplied by a factor."""

    def backward(x, weight, grad_y):
        grad = grad_y * (1 - np.tanh(x @ weight) ** 2)
        return factor * grad @ weight.T, x.T @ grad

    return FunctionLayer(lambda x, weight: np.tanh(x @ weight), backward)


@test("numeric gradient with respect to x, with a large step", points=1, section=1)
def numeric_x(program, draw):
    grad_x, _ = program.call("numeric_gradient", tanh_layer(1), X, WEIGHT, COTANGENT, 0.25)
    yield grad_x


@test("numeric gradient with respect to weight", points=1, section=3)
def numeric_weight(program, draw):
    _, grad_weight = program.call("numeric_gradient", tanh_layer(1), X, WEIGHT, COTANGENT, 0.25)
    yield grad_weight


@test("a right layer and a wrong one", points=1, section=4)
def verdict(program, draw):
    yield program.call("verdict", tanh_layer(1), X, WEIGHT)
    yield program.call("verdict", tanh_layer(1.1), X, WEIGHT)
