"""The tests that students do not see. With as many units as channels, swapped axes give wrong numbers, not an error."""

from minirobust.classroom.exercise import test

KERNELS = ((2, 3), (3, 2), (3, 1))
DILATIONS = (2, 3, 1)


def layer_and_batch(program, draw, kernel, dilation, padding, units=2, samples=3):
    """Return a layer, images of two channels, and a gradient of the shape of y."""
    layer = program.new(
        "Convolution", draw.standard_normal((*kernel, 2, units)), draw.standard_normal(units), dilation, padding
    )
    size = [n + int(draw.integers(2)) for n in (8, 9)]
    out = [n - (padding == "valid") * dilation * (k - 1) for n, k in zip(size, kernel, strict=True)]
    return layer, draw.standard_normal((samples, *size, 2)), draw.standard_normal((samples, *out, units))


@test("forward at any dilation", points=2, section=2)
def forward(program, draw):
    for kernel, dilation in zip(KERNELS, DILATIONS, strict=True):
        layer, x, _ = layer_and_batch(program, draw, kernel, dilation, "valid")
        yield layer.call("forward", x)


@test("forward with a border at any dilation", points=2, section=3)
def border(program, draw):
    for kernel, dilation in zip(KERNELS, (2, 3, 4), strict=True):
        layer, x, _ = layer_and_batch(program, draw, kernel, dilation, "same", units=4)
        yield layer.call("forward", x)


@test("gradient with respect to x at any dilation", points=2, section=4)
def gradient_x(program, draw):
    for kernel, dilation in zip(KERNELS, DILATIONS, strict=True):
        layer, x, grad_y = layer_and_batch(program, draw, kernel, dilation, "valid")
        layer.call("forward", x)
        yield layer.call("backward", grad_y)


@test("gradient with respect to x with borders", points=2, section=4)
def gradient_border(program, draw):
    for kernel, dilation in zip(KERNELS, (1, 3, 2), strict=True):
        layer, x, grad_y = layer_and_batch(program, draw, kernel, dilation, "same", units=4)
        layer.call("forward", x)
        yield layer.call("backward", grad_y)


@test("gradient with respect to weight at any dilation", points=2, section=5)
def gradient_weight(program, draw):
    for kernel, dilation, padding in zip(KERNELS, (2, 3, 1), ("same", "same", "valid"), strict=True):
        layer, x, grad_y = layer_and_batch(program, draw, kernel, dilation, padding)
        layer.call("forward", x)
        layer.call("backward", grad_y)
        yield layer.get("grad_weight")


@test("gradient with respect to bias at any shape", points=1, section=5)
def gradient_bias(program, draw):
    for units in (2, 5):
        layer, x, grad_y = layer_and_batch(program, draw, (2, 3), 2, "valid", units)
        layer.call("forward", x)
        layer.call("backward", grad_y)
        yield layer.get("grad_bias")


@test("two objects and two batches", points=2, section=6)
def two_objects(program, draw):
    layer, first, grad_first = layer_and_batch(program, draw, (2, 2), 2, "same")
    other, _, _ = layer_and_batch(program, draw, (2, 2), 2, "same")
    elsewhere, grad_elsewhere = draw.standard_normal(first.shape), draw.standard_normal(grad_first.shape)
    layer.call("forward", draw.standard_normal(first.shape))
    layer.call("backward", draw.standard_normal(grad_first.shape))
    layer.call("forward", first)
    other.call("forward", elsewhere)
    yield layer.call("backward", grad_first)
    yield layer.get("grad_weight")
    yield layer.get("grad_bias")
    other.call("backward", grad_elsewhere)
    yield other.get("grad_weight")


@test("arguments are left alone", points=1, section=6)
def arguments(program, draw):
    layer, x, grad_y = layer_and_batch(program, draw, (2, 3), 2, "same")
    yield layer.call("forward", x)
    yield float(program.changed)
    yield layer.call("backward", grad_y)
    yield float(program.changed)
