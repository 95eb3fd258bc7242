"""The tests that students do not see: six right layers and twelve wrong ones, which the verdict must tell apart."""

import numpy as np

from minirobust.classroom.exercise import test
from minirobust.classroom.oracles import FunctionLayer


def inputs(draw, shape=(3,)):
    """Return x, of which no element is near 0, and a weight."""
    x = draw.uniform(0.2, 0.9, (2, 3)) * draw.choice((-1.0, 1.0), (2, 3))
    return x, draw.uniform(0.5, 1.5, shape)


def elementwise(f, derivative, change_x=lambda g: g, change_weight=lambda g: g):
    """Return y = weight · f(x), whose gradients are changed in the end."""

    def backward(x, weight, grad_y):
        return change_x(grad_y * weight * derivative(x)), change_weight((grad_y * f(x)).sum(axis=0))

    return FunctionLayer(lambda x, weight: weight * f(x), backward)


def dense(change_weight=lambda g: g):
    """Return y = x W, whose gradient with respect to W is changed in the end."""
    return FunctionLayer(
        lambda x, weight: x @ weight, lambda x, weight, grad_y: (grad_y @ weight.T, change_weight(x.T @ grad_y))
    )


def verdicts(program, draw, layers, x, weight):
    """Yield the verdicts of layers in a random order."""
    for place in draw.permutation(len(layers)):
        yield program.call("verdict", layers[place], x, weight)


# A single element errs by a large factor: with any cotangent that a student may draw, the error is more than a percent.


def last_changed(grad):
    grad = grad.copy()
    grad[-1, -1] *= 1e4
    return grad


def second_changed(grad):
    return grad * [1, 1e4, 1]


def last_row_lost(grad):
    grad = grad.copy()
    grad[-1] = 0
    return grad


@test("numeric gradients of any shape", points=3, section=1)
def numeric(program, draw):
    for units in (4, 5):
        layer = FunctionLayer(lambda x, weight: np.tanh(x @ weight) ** 2, None)
        x, weight = inputs(draw, (3, units))
        cotangent = draw.standard_normal((2, units))
        yield from program.call("numeric_gradient", layer, x, weight, cotangent, draw.uniform(0.1, 0.4))


@test("large and small numbers", points=2, section=4)
def sizes(program, draw):
    large = elementwise(lambda x: 1e9 * x**2, lambda x: 2e9 * x)
    nearly = elementwise(lambda x: 1e9 * x**2, lambda x: 2.06e9 * x)
    small = elementwise(lambda x: 1e-9 * x**3, lambda x: 2e-9 * x**2)
    yield from verdicts(program, draw, (large, nearly, small), *inputs(draw))


@test("what depends on the cotangent", points=2, section=2)
def cotangents(program, draw):
    steep = elementwise(lambda x: np.sin(200 * x), lambda x: 200 * np.cos(200 * x))
    missing = FunctionLayer(
        lambda x, weight: weight * np.sin(x),
        lambda x, weight, grad_y: (weight * np.cos(x), (np.sin(x) * grad_y).sum(axis=0)),
    )
    swapped = elementwise(lambda x: x, np.ones_like, lambda grad: grad[::-1])
    yield from verdicts(program, draw, (steep, missing, swapped), *inputs(draw))


@test("kinks", points=2, section=5)
def kinks(program, draw):
    x, weight = inputs(draw)
    x[0] = 0, draw.uniform(-0.9, -0.5), draw.uniform(0.5, 0.9)
    relu = elementwise(lambda x: np.maximum(x, 0), lambda x: x > 0)
    no_slope = elementwise(lambda x: np.where(x > 0, x, 1e4 * x), lambda x: x > 0)
    no_sign = elementwise(lambda x: np.where(x > 0, x, -1e4 * x), lambda x: np.where(x > 0, 1, 1e4))
    yield from verdicts(program, draw, (relu, no_slope, no_sign), x, weight)


@test("parameters", points=2, section=3)
def parameters(program, draw):
    layers = dense(), dense(lambda grad: grad / 2), dense(last_row_lost)
    yield from verdicts(program, draw, layers, *inputs(draw, (3, 4)))


@test("single elements", points=2, section=3)
def elements(program, draw):
    def slope(x):
        return 1 - np.tanh(x) ** 2

    layers = (
        elementwise(np.tanh, slope),
        elementwise(np.tanh, slope, last_changed),
        elementwise(np.tanh, slope, change_weight=second_changed),
    )
    yield from verdicts(program, draw, layers, *inputs(draw))


@test("curves and constants", points=2, section=5)
def curves(program, draw):
    constant = elementwise(np.zeros_like, np.zeros_like)
    no_factor = elementwise(lambda x: 100 + x**2, lambda x: x)
    linear = elementwise(np.exp, lambda x: 1 + x)
    yield from verdicts(program, draw, (constant, no_factor, linear), *inputs(draw))
