"""The losses against PyTorch in float64, from ordinary logits to ones of a thousand.

float32 is not compared here: PyTorch's gradient of confident samples is wrong in it (see test_float32.py).
"""

import numpy as np
import pytest

import minirobust as mr

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402


def cross_entropy(logits, y):
    return functional.cross_entropy(logits, y, reduction="none")


def margin(logits, y):
    rivals = logits.scatter(1, y[:, None], -torch.inf)
    return rivals.max(dim=1).values - logits.gather(1, y[:, None])[:, 0]


@pytest.mark.parametrize(
    ("loss", "in_torch"),
    [(mr.SoftmaxCrossEntropy(), cross_entropy), (mr.Margin(), margin)],
    ids=["cross entropy", "margin"],
)
@pytest.mark.parametrize("shape", [(50, 10), (1, 2), (7, 3)])
@pytest.mark.parametrize("largest", [0.01, 3, 60, 1000])
def test_value_and_gradient_per_sample_are_those_of_torch(loss, in_torch, shape, largest, backend, rng, assert_agrees):
    logits = rng.uniform(-largest, largest, shape)
    logits[0, :2] = largest, -largest
    y = rng.integers(0, shape[1], shape[0])
    y[0] = 1  # as wrong as can be, so that no gradient is tiny throughout
    on_backend = backend.asarray(logits), backend.asarray(y)
    theirs = torch.tensor(logits, requires_grad=True)
    value = in_torch(theirs, torch.tensor(y))
    (gradient,) = torch.autograd.grad(value.sum(), theirs)  # a sum, so each row is its own sample's gradient
    assert_agrees("value", loss.value_and_gradient(*on_backend)[0], value)
    assert_agrees("gradient", loss.value_and_gradient(*on_backend)[1], gradient)


@pytest.mark.parametrize("right", [True, False])
def test_a_margin_of_two_thousand_stays_finite_and_exact(right, backend):
    logits, y = backend.asarray(np.array([[1000.0, -1000.0, -1000.0]])), backend.asarray(np.array([0 if right else 1]))
    loss = mr.SoftmaxCrossEntropy()
    value, gradient = (
        backend.to_numpy(a) for a in (loss.value_and_gradient(logits, y)[0], loss.value_and_gradient(logits, y)[1])
    )
    assert value == (0 if right else 2000)
    assert (gradient == ([0, 0, 0] if right else [1, -1, 0])).all()
