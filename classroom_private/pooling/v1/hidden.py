"""The tests that students do not see. Square windows with the same stride in both directions occur, and others."""

from minirobust.classroom.exercise import test

PLANS = (((2, 3), (2, 2), 2), ((3, 2), (2, 1), 3), ((3, 3), (2, 2), 4))  # window, stride, k


def batch(draw, window, stride, equal=True):
    """Return images, most of them negative and many of them equal, and a gradient of the shape of y."""
    size = [w + s + 1 + int(draw.integers(s)) for w, s in zip(window, stride, strict=True)]
    out = [-(-(n - w) // s) + 1 for n, w, s in zip(size, window, stride, strict=True)]
    shape = (3, *size, 2)
    x = draw.integers(-5, 2, shape).astype("float64") if equal else draw.standard_normal(shape) - 0.5
    return x, draw.standard_normal((3, *out, 2))


@test("forward for any k", points=2, section=3)
def forward(program, draw):
    for (window, stride, k), equal in zip(PLANS, (True, False, True), strict=True):
        x, _ = batch(draw, window, stride, equal)
        yield program.new("KthLargestPool", window, stride, k).call("forward", x)


@test("gradient without equal values", points=2, section=4)
def gradient(program, draw):
    for window, stride, k in PLANS:
        x, grad_y = batch(draw, window, stride, equal=False)
        layer = program.new("KthLargestPool", window, stride, k)
        layer.call("forward", x)
        yield layer.call("backward", grad_y)


@test("gradient with equal values", points=2, section=4)
def gradient_equal(program, draw):
    for window, stride, k in PLANS:
        x, grad_y = batch(draw, window, stride)
        layer = program.new("KthLargestPool", window, stride, k)
        layer.call("forward", x)
        yield layer.call("backward", grad_y)


@test("mean for any window", points=1, section=5)
def mean(program, draw):
    for window, stride, _ in PLANS:
        x, _ = batch(draw, window, stride, equal=False)
        yield program.new("AveragePool", window, stride).call("forward", x)


@test("gradient of the mean for any window", points=2, section=5)
def gradient_mean(program, draw):
    for window, stride, _ in PLANS:
        x, grad_y = batch(draw, window, stride)
        layer = program.new("AveragePool", window, stride)
        layer.call("forward", x)
        yield layer.call("backward", grad_y)


@test("windows that fill the image exactly", points=1, section=2)
def exact(program, draw):
    x = draw.standard_normal((2, 7, 5, 3))
    yield program.new("KthLargestPool", (3, 3), (2, 2), 2).call("forward", x)
    yield program.new("AveragePool", (3, 3), (2, 1)).call("forward", x)


@test("two objects and two batches", points=2, section=6)
def two_objects(program, draw):
    window, stride, k = PLANS[2]
    first, grad_first = batch(draw, window, stride)
    plans = (("KthLargestPool", window, stride, k), ("AveragePool", window, stride))
    for plan in plans:
        a, b = program.new(*plan), program.new(*plan)
        a.call("forward", draw.standard_normal(first.shape))
        a.call("forward", first)
        b.call("forward", draw.standard_normal(first.shape))
        yield a.call("backward", grad_first)


@test("arguments are left alone", points=1, section=6)
def arguments(program, draw):
    for plan in (("KthLargestPool", (2, 3), (1, 2), 2), ("AveragePool", (2, 3), (1, 2))):
        x, grad_y = batch(draw, *plan[1:3])
        layer = program.new(*plan)
        yield layer.call("forward", x)
        yield float(program.changed)
        yield layer.call("backward", grad_y)
        yield float(program.changed)
