"""Backpropagation step by step: every number of one forward and one backward pass through a 2-3-2 network.

The numbers are read from the layers after `Network.forward` and `Network.backward`.  The page shows each number with
its formula, in symbols and in numbers, and with the library's code that computes it.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from textwrap import dedent
from typing import Any, SupportsFloat

import numpy as np

from minirobust.backend.numpy_backend import NumpyBackend
from minirobust.layers import Dense, TemperatureSigmoid
from minirobust.losses import SoftmaxCrossEntropy
from minirobust.network import Network

T = 0.5  # not 1, so that the factor 1/T is visible
X, LABEL = (0.6, -0.4), 1
WEIGHTS = (
    [[0.5, -0.3, 0.8], [0.2, 0.7, -0.6]],
    [0.1, 0.0, -0.2],
    [[0.9, -0.4], [-0.7, 0.6], [0.3, 0.5]],
    [0.05, -0.05],
)

Number = dict[str, Any]
Step = dict[str, Any]


@dataclass(frozen=True)
class Passes:
    """Every array of one forward and one backward pass of one sample, as the library computed it."""

    W1: np.ndarray
    b1: np.ndarray
    W2: np.ndarray
    b2: np.ndarray
    net: np.ndarray
    h: np.ndarray
    z: np.ndarray
    p: np.ndarray
    L: np.ndarray
    slope: np.ndarray  # f'(net)
    grad_z: np.ndarray
    grad_weight2: np.ndarray
    grad_bias2: np.ndarray
    grad_h: np.ndarray
    grad_net: np.ndarray
    grad_weight1: np.ndarray
    grad_bias1: np.ndarray
    grad_x: np.ndarray


def run() -> Passes:
    """Run one forward and one backward pass, and collect the arrays of the layers."""
    first, sigmoid, second = Dense(3), TemperatureSigmoid(T), Dense(2)
    network = Network([first, sigmoid, second], (2,), dtype="float64", input_range=(-1, 1))
    network.parameters = np.concatenate([np.ravel(values) for values in WEIGHTS])
    x = np.array([X])
    z = network.forward(x)
    L, grad_z = SoftmaxCrossEntropy().value_and_gradient(z, np.array([LABEL]))
    grad_x = network.backward(grad_z)
    assert grad_x is not None
    grad_h = second.input_gradient(grad_z)
    return Passes(
        W1=first.weight.value,
        b1=first.bias.value,
        W2=second.weight.value,
        b2=second.bias.value,
        net=sigmoid.net[0],
        h=second.x[0],
        z=z[0],
        p=network.predict_proba(x)[0],
        L=L,
        slope=network.backend.sigmoid_derivative(sigmoid.net, T)[0],
        grad_z=grad_z[0],
        grad_weight2=second.weight.grad,
        grad_bias2=second.bias.grad,
        grad_h=grad_h[0],
        grad_net=sigmoid.input_gradient(grad_h)[0],
        grad_weight1=first.weight.grad,
        grad_bias1=first.bias.grad,
        grad_x=grad_x[0],
    )


def steps() -> dict[str, Any]:
    """Return the network, and the steps forward and back in order.

    Returns
    -------
    dict
        ``network``: its input and weights.  ``steps``: for each step, its title, direction, formula, the code that
        computes it, and its numbers, each with a name, a value, and the formula with numbers inserted.
    """
    passes = run()
    shape = {name: getattr(passes, name).tolist() for name in ("W1", "b1", "W2", "b2")}
    return {"network": {"T": T, "x": X, "label": LABEL, **shape}, "steps": [*forward(passes), *back(passes)]}


def forward(a: Passes) -> list[Step]:
    """Return the steps from the input to the loss."""
    dense = [source(Dense, "forward")]
    curve = [source(TemperatureSigmoid, "forward"), source(NumpyBackend, "sigmoid")]
    entropy = [source(NumpyBackend, "softmax_cross_entropy")]
    powers = " + ".join(f"exp({shown(z)})" for z in a.z)
    net = numbers("net", a.net, lambda j: weighted(X, a.W1[:, j], a.b1[j]))
    h = numbers("h", a.h, lambda j: f"1 / (1 + exp(-{factor(a.net[j])} / {T}))")
    z = numbers("z", a.z, lambda k: weighted(a.h, a.W2[:, k], a.b2[k]))
    p = numbers("p", a.p, lambda k: f"exp({shown(a.z[k])}) / ({powers})")
    loss = {"name": "L", "value": float(a.L[0]), "formula": f"-ln {shown(a.p[LABEL])}"}
    return [
        step("Net values of the hidden layer", "forward", "net = x W₁ + b₁", dense, net),
        step("Temperature sigmoid", "forward", "h = 1 / (1 + exp(-net/T))", curve, h),
        step("Logits", "forward", "z = h W₂ + b₂", dense, z),
        step("Softmax and cross entropy", "forward", "p = exp(z) / Σ exp(z),  L = -ln p_y", entropy, [*p, loss]),
    ]


def back(a: Passes) -> list[Step]:
    """Return the steps from the loss to the gradient at the input."""
    dense, entropy = [source(Dense, "input_gradient")], [source(NumpyBackend, "softmax_cross_entropy")]
    weight, bias = ([source(Dense, "parameter_gradients", f"{name}.grad")] for name in ("weight", "bias"))
    curve = [source(TemperatureSigmoid, "input_gradient"), source(NumpyBackend, "sigmoid_derivative")]
    derivative = "∂L/∂net = ∂L/∂h · f'(net),  f' = e / (T (1 + e)²),  e = exp(-|net|/T)"
    at_z = numbers("∂L/∂z", a.grad_z, lambda k: f"{shown(a.p[k])} - {int(k == LABEL)}")
    at_W2 = numbers("∂L/∂W₂", a.grad_weight2, lambda j, k: product(a.h[j], a.grad_z[k]))
    at_b2 = numbers("∂L/∂b₂", a.grad_bias2, lambda k: shown(a.grad_z[k]))
    at_h = numbers("∂L/∂h", a.grad_h, lambda j: weighted(a.grad_z, a.W2[j]))
    at_net = numbers("∂L/∂net", a.grad_net, lambda j: product(a.grad_h[j], a.slope[j]))
    at_W1 = numbers("∂L/∂W₁", a.grad_weight1, lambda i, j: product(X[i], a.grad_net[j]))
    at_b1 = numbers("∂L/∂b₁", a.grad_bias1, lambda j: shown(a.grad_net[j]))
    at_x = numbers("∂L/∂x", a.grad_x, lambda i: weighted(a.grad_net, a.W1[i]))
    return [
        step("Gradient at the logits", "back", "∂L/∂z = p - onehot(y)", entropy, at_z),
        step("Gradient of the weights W₂", "back", "∂L/∂W₂ = hᵀ ∂L/∂z", weight, at_W2),
        step("Gradient of the biases b₂", "back", "∂L/∂b₂ = ∂L/∂z", bias, at_b2),
        step("Back through W₂", "back", "∂L/∂h = ∂L/∂z W₂ᵀ", dense, at_h),
        step("Back through the sigmoid", "back", derivative, curve, at_net),
        step("Gradient of the weights W₁", "back", "∂L/∂W₁ = xᵀ ∂L/∂net", weight, at_W1),
        step("Gradient of the biases b₁", "back", "∂L/∂b₁ = ∂L/∂net", bias, at_b1),
        step("Gradient at the input: all that an attack needs", "back", "∂L/∂x = ∂L/∂net W₁ᵀ", dense, at_x),
    ]


def step(title: str, direction: str, formula: str, sources: list[dict[str, str]], numbers: list[Number]) -> Step:
    """Return one step."""
    return {"title": title, "direction": direction, "formula": formula, "sources": sources, "numbers": numbers}


def numbers(name: str, values: np.ndarray, formula: Callable[..., str]) -> list[Number]:
    """Return the numbers of an array, each with its formula; indices count from 1."""
    found = []
    for place in np.ndindex(values.shape):
        digits = ",".join(str(i + 1) for i in place)
        label = f"{name}[{digits}]" if name[-1] in "₁₂" else f"{name}{digits}"
        found.append({"name": label, "value": float(values[place]), "formula": formula(*place)})
    return found


def shown(value: SupportsFloat) -> str:
    """Return a number with four decimals."""
    return f"{float(value):.4f}"


def factor(value: SupportsFloat) -> str:
    """Return a number, in brackets if it is negative."""
    return f"({shown(value)})" if float(value) < 0 else shown(value)


def product(a: SupportsFloat, b: SupportsFloat) -> str:
    """Return a product in numbers."""
    return f"{factor(a)} · {factor(b)}"


def weighted(
    inputs: Iterable[SupportsFloat], weights: Iterable[SupportsFloat], bias: SupportsFloat | None = None
) -> str:
    """Return a sum of products in numbers."""
    terms = [product(a, b) for a, b in zip(inputs, weights, strict=True)]
    return " + ".join(terms if bias is None else [*terms, factor(bias)])


def source(kind: type, method: str, mark: str = "") -> dict[str, str]:
    """Return a method's code without its docstring, or only the statements that contain `mark`, and its location."""
    lines, first = inspect.getsourcelines(getattr(kind, method))
    statements = ast.parse(dedent("".join(lines))).body[0].body  # type: ignore[attr-defined]
    spans = [(each.lineno - 1, each.end_lineno) for each in statements if not is_text(each)]
    code = [dedent("".join(lines[start:end])) for start, end in spans if mark in "".join(lines[start:end])]
    return {
        "code": "".join(code).rstrip(),
        "where": f"{kind.__name__}.{method}, {kind.__module__.replace('.', '/')}.py:{first}",
    }


def is_text(statement: ast.stmt) -> bool:
    """Return whether a statement is a docstring."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
