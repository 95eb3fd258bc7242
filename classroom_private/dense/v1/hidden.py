"""The tests that students do not see. With a square weight, a forgotten transpose gives wrong numbers, not an error."""

from minirobust.classroom.exercise import test

SQUARE = ((5, 3), (2, 4))  # samples, features and units


def layer_and_batch(program, draw, samples, features, units):
    layer = program.new("Dense", draw.standard_normal((units, features)), draw.standard_normal(units))
    return layer, draw.standard_normal((samples, features)), draw.standard_normal((samples, units))


@test("forward with a square weight", points=2, section=1)
def forward(program, draw):
    for samples, size in SQUARE:
        layer, x, _ = layer_and_batch(program, draw, samples, size, size)
        yield layer.call("forward", x)


@test("gradient with respect to x with a square weight", points=2, section=2)
def gradient_x(program, draw):
    for samples, size in SQUARE:
        layer, x, grad_y = layer_and_batch(program, draw, samples, size, size)
        layer.call("forward", x)
        yield layer.call("backward", grad_y)


@test("gradient with respect to weight, square", points=2, section=3)
def gradient_weight(program, draw):
    for samples, size in SQUARE:
        layer, x, grad_y = layer_and_batch(program, draw, samples, size, size)
        layer.call("forward", x)
        layer.call("backward", grad_y)
        yield layer.get("grad_weight")


@test("gradient with respect to bias with a square weight", points=1, section=3)
def gradient_bias(program, draw):
    for samples, size in SQUARE:
        layer, x, grad_y = layer_and_batch(program, draw, samples, size, size)
        layer.call("forward", x)
        layer.call("backward", grad_y)
        yield layer.get("grad_bias")


@test("all at any shape", points=1, section=1)
def any_shape(program, draw):
    for shape in ((5, 3, 2), (2, 4, 7), (1, 6, 3)):
        layer, x, grad_y = layer_and_batch(program, draw, *shape)
        yield layer.call("forward", x)
        yield layer.call("backward", grad_y)
        yield layer.get("grad_weight")
        yield layer.get("grad_bias")


@test("two objects and two batches", points=2, section=4)
def two_objects(program, draw):
    layer, first, grad_first = layer_and_batch(program, draw, 5, 3, 3)
    other, elsewhere, grad_elsewhere = layer_and_batch(program, draw, 5, 3, 3)
    layer.call("forward", first)
    layer.call("backward", grad_first)
    layer.call("forward", draw.standard_normal((5, 3)))
    other.call("forward", elsewhere)
    yield layer.call("backward", draw.standard_normal((5, 3)))
    yield layer.get("grad_weight")
    yield layer.get("grad_bias")
    other.call("backward", grad_elsewhere)
    yield other.get("grad_weight")
    yield other.get("grad_bias")


@test("float32 stays float32", points=0.5, section=4, tolerance=1e-4)
def float32(program, draw):
    weight, bias, x, grad_y = (draw.uniform(1, 2, shape).astype("float32") for shape in ((3, 3), 3, (5, 3), (5, 3)))
    layer = program.new("Dense", weight, bias)
    y = layer.call("forward", x)
    grad_x = layer.call("backward", grad_y)
    yield y
    yield grad_x
    yield float(y.dtype == "float32")
    yield float(grad_x.dtype == "float32")


@test("arguments are left alone", points=0.5, section=4)
def arguments(program, draw):
    layer, x, grad_y = layer_and_batch(program, draw, 5, 3, 3)
    yield layer.call("forward", x)
    yield float(program.changed)
    yield layer.call("backward", grad_y)
    yield float(program.changed)
