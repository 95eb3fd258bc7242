"""The tests that students do not see."""

import numpy as np

from minirobust.classroom.exercise import test

TEMPERATURES = (0.15, 0.3, 0.6, 1.7, 2.9)  # none of them is 1, and 1/T is never a number of samples
SHAPES = ((5, 3), (2, 3, 4), (3, 7))


def inputs(draw, shape, temperature):
    return temperature * draw.uniform(-3, 3, shape), draw.standard_normal(shape)


@test("forward at any temperature and shape", points=2, section=1)
def forward(program, draw):
    for shape in SHAPES:
        temperature = float(draw.choice(TEMPERATURES))
        layer = program.new("TemperatureSigmoid", temperature)
        yield layer.call("forward", inputs(draw, shape, temperature)[0])


@test("backward at any temperature and shape", points=3, section=2)
def backward(program, draw):
    for shape in SHAPES:
        temperature = float(draw.choice(TEMPERATURES))
        net, grad_y = inputs(draw, shape, temperature)
        layer = program.new("TemperatureSigmoid", temperature)
        layer.call("forward", net)
        yield layer.call("backward", grad_y)


@test("two objects and two batches", points=2, section=4)
def two_objects(program, draw):
    a, b = (program.new("TemperatureSigmoid", temperature) for temperature in (0.3, 1.7))
    first, second, third = (draw.uniform(-1, 1, (4, 3)) for _ in range(3))
    a.call("forward", first)
    a.call("forward", second)
    b.call("forward", third)
    grad_y = draw.standard_normal((4, 3))
    yield a.call("backward", grad_y)
    yield b.call("backward", grad_y)


@test("gradients in float32 far from zero", points=2, section=3, tolerance=1e-3, each=True)
def float32(program, draw):
    temperature = float(draw.choice(TEMPERATURES))
    sizes = np.concatenate([draw.uniform(0.5, 3, 4), draw.uniform(18, 60, 4)])
    a = np.concatenate([-sizes, sizes]).reshape(4, 4).T  # one kind in each column
    layer = program.new("TemperatureSigmoid", temperature)
    y = layer.call("forward", (temperature * a).astype("float32"))
    grad_net = layer.call("backward", draw.uniform(1, 2, (4, 4)).astype("float32"))
    yield grad_net
    yield float(y.dtype == "float32")
    yield float(grad_net.dtype == "float32")


@test("arguments are left alone", points=1, section=4)
def arguments(program, draw):
    net, grad_y = inputs(draw, (3, 2), 0.6)
    layer = program.new("TemperatureSigmoid", 0.6)
    yield layer.call("forward", net)
    yield float(program.changed)
    yield layer.call("backward", grad_y)
    yield float(program.changed)
