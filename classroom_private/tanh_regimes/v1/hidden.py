"""The tests that students do not see."""

from minirobust.classroom.exercise import Wrong, test

TEMPERATURES = (0.11, 0.23, 0.45, 1.7, 3.1)  # 1 is not among them


def answer(program, *call):
    """Return what a call returns, or the text "ValueError" if it raises one."""
    try:
        return program.call(*call)
    except Wrong as wrong:
        if wrong.mistake != "raised ValueError":
            raise
    except ValueError:  # the model's own
        pass
    return "ValueError"


@test("r1 at any temperature", points=3, section=1)
def r1(program, draw):
    for temperature in TEMPERATURES:
        yield program.call("r1", temperature, draw.uniform(0.02, 0.2))


@test("r2 at any temperature", points=3, section=3)
def r2(program, draw):
    for temperature in TEMPERATURES:
        yield program.call("r2", temperature, draw.uniform(0.0005, 0.005))


@test("fractions of many values", points=3, section=4)
def fractions(program, draw):
    for temperature, shape in zip(TEMPERATURES, ((40, 6), (90,), (7, 3, 8), (51, 4), (2, 99)), strict=True):
        net = temperature * (draw.uniform(-5, 5, shape) + 0.5)
        yield program.call("fractions", net, temperature, draw.uniform(0.04, 0.08), draw.uniform(0.003, 0.006))


@test("a slope that is nowhere reached", points=1, section=3)
def nowhere(program, draw):
    yield answer(program, "r2", 3.1, draw.uniform(0.1, 0.2))
    yield answer(program, "r2", 3.1, draw.uniform(0.35, 0.6))
    yield answer(program, "r2", 2.0, 0.5)


@test("saturated before nonlinear", points=2, section=4)
def nothing_between(program, draw):
    net = draw.uniform(-5, 5, (20, 6))
    yield answer(program, "fractions", net, 1.7, draw.uniform(0.04, 0.08), draw.uniform(0.003, 0.006))
    yield answer(program, "fractions", net, 1.7, draw.uniform(0.1, 0.2), draw.uniform(0.45, 0.55))
