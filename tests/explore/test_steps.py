"""Backpropagation step by step, against a version without arrays, and every formula against its number."""

import math
import re
from pathlib import Path

import pytest

import minirobust
from minirobust.explore.steps import LABEL, WEIGHTS, T, X, steps

STEPS = steps()["steps"]
VALUES = {number["name"]: number["value"] for step in STEPS for number in step["numbers"]}


def twin():
    """The loss as a function of input and weights, in plain Python."""

    def loss(x, W1, b1, W2, b2):
        net = [sum(x[i] * W1[i][j] for i in range(2)) + b1[j] for j in range(3)]
        h = [1 / (1 + math.exp(-value / T)) for value in net]
        z = [sum(h[j] * W2[j][k] for j in range(3)) + b2[k] for k in range(2)]
        return math.log(sum(math.exp(value) for value in z)) - z[LABEL]

    return loss


def copy(values):
    return [copy(value) if isinstance(value, list | tuple) else value for value in values]


def slope(argument, *place):
    """The derivative of the loss with respect to one number, by central differences."""

    def at(step):
        arguments = copy([X, *WEIGHTS])
        inner = arguments[argument]
        for i in place[:-1]:
            inner = inner[i]
        inner[place[-1]] += step
        return twin()(*arguments)

    return (at(1e-6) - at(-1e-6)) / 2e-6


def test_loss_equals_an_independent_computation():
    assert VALUES["L"] == pytest.approx(twin()(X, *WEIGHTS), rel=1e-12)


@pytest.mark.parametrize(
    ("argument", "name", "shape"),
    [(1, "∂L/∂W₁", (2, 3)), (2, "∂L/∂b₁", (3,)), (3, "∂L/∂W₂", (3, 2)), (4, "∂L/∂b₂", (2,)), (0, "∂L/∂x", (2,))],
)
def test_every_gradient_is_the_slope_of_the_loss(argument, name, shape):
    for i in range(shape[0]):
        for place in [(i,)] if len(shape) == 1 else [(i, j) for j in range(shape[1])]:
            digits = ",".join(str(k + 1) for k in place)
            label = f"{name}{digits}" if name == "∂L/∂x" else f"{name}[{digits}]"
            assert VALUES[label] == pytest.approx(slope(argument, *place), abs=1e-8)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["title"])
def test_every_formula_gives_its_number(step):
    for number in step["numbers"]:
        text = re.sub(r"-ln (\S+)", r"-log(\1)", number["formula"].replace("·", "*"))
        assert eval(text, {"exp": math.exp, "log": math.log}) == pytest.approx(number["value"], abs=3e-4), number


def test_every_line_of_code_is_in_the_library():
    root = Path(minirobust.__file__).parents[1]
    for step in STEPS:
        for source in step["sources"]:
            assert source["code"]
            file = re.search(r"(\S+\.py):\d+$", source["where"])[1]
            text = (root / file).read_text()
            assert all(line.strip() in text for line in source["code"].splitlines())


def test_forward_comes_before_back_and_the_input_last():
    assert [step["direction"] for step in STEPS] == ["forward"] * 4 + ["back"] * 8
    assert "all that an attack needs" in STEPS[-1]["title"]
