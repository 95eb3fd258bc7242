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


def dlr(logits, y):
    highest = logits.sort(dim=1, descending=True).values
    return margin(logits, y) / (highest[:, 0] - highest[:, 2])


def targeted_dlr(logits, y, target):
    highest = logits.sort(dim=1, descending=True).values
    lead = (logits.gather(1, target[:, None]) - logits.gather(1, y[:, None]))[:, 0]
    return lead / (highest[:, 0] - highest[:, 2:4].mean(dim=1))


def scale_free(logits, y):
    return cross_entropy(logits / logits.std(dim=1, correction=0, keepdim=True), y)


IN_TORCH = [
    (mr.SoftmaxCrossEntropy(), cross_entropy, lambda logits, y, target: -cross_entropy(logits, target)),
    (mr.Margin(), margin, lambda logits, y, target: -margin(logits, target)),
    (mr.DLR(), dlr, targeted_dlr),
    (mr.ScaleFree(), scale_free, lambda logits, y, target: -scale_free(logits, target)),
]


def by_autograd(function, logits, *labels):
    """Values, and the gradient of their sum: each row is its own sample's."""
    logits = torch.tensor(logits, requires_grad=True)
    value = function(logits, *map(torch.tensor, labels))
    return value, torch.autograd.grad(value.sum(), logits)[0]


@pytest.mark.parametrize(
    ("loss", "in_torch", "shape"),
    [
        (loss, function, shape)
        for loss, function, _ in IN_TORCH
        for shape in [(50, 10), (1, 2), (7, 3)]
        if shape[1] >= loss.least_classes
    ],
)
@pytest.mark.parametrize("largest", [0.01, 3, 60, 1000])
def test_value_and_gradient_per_sample_are_those_of_torch(loss, in_torch, shape, largest, backend, rng, assert_agrees):
    logits = rng.uniform(-largest, largest, shape)
    logits[0, :2] = largest, -largest
    y = rng.integers(0, shape[1], shape[0])
    y[0] = 1  # as wrong as can be, so that no gradient is tiny throughout
    ours = loss.value_and_gradient(backend.asarray(logits), backend.asarray(y))
    for name, array, expected in zip(("value", "gradient"), ours, by_autograd(in_torch, logits, y), strict=True):
        assert_agrees(name, array, expected)


@pytest.mark.parametrize(("loss", "in_torch"), [(loss, targeted) for loss, _, targeted in IN_TORCH])
@pytest.mark.parametrize("shape", [(50, 10), (7, 4)])
@pytest.mark.parametrize("largest", [0.01, 3, 60, 1000])
def test_targeted_losses_are_those_of_torch(loss, in_torch, shape, largest, backend, rng, assert_agrees):
    logits, y = rng.uniform(-largest, largest, shape), rng.integers(0, shape[1], shape[0])
    target = (y + rng.integers(1, shape[1], shape[0])) % shape[1]
    ours = loss.value_and_gradient(backend.asarray(logits), y, target)
    for name, array, expected in zip(
        ("value", "gradient"), ours, by_autograd(in_torch, logits, y, target), strict=True
    ):
        assert_agrees(name, array, expected)


def test_dlr_is_that_of_torchattacks(backend, rng, assert_agrees):
    """Theirs is the authors' code, which adds 1e-12 to the denominator."""
    torchattacks = pytest.importorskip("torchattacks")
    logits, y = 3 * rng.standard_normal((200, 10)), rng.integers(0, 10, 200)
    target = (y + rng.integers(1, 10, 200)) % 10
    theirs = torchattacks.APGD.dlr_loss, torchattacks.APGDT.dlr_loss_targeted
    for function, *labels in ((theirs[0], y), (theirs[1], y, target)):
        ours = mr.DLR().value_and_gradient(backend.asarray(logits), *labels)
        value, gradient = by_autograd(lambda z, *given, f=function: f(None, z, *given), logits, *labels)
        assert_agrees("value", ours[0], value)
        assert_agrees("gradient", ours[1], gradient)


@pytest.mark.parametrize("right", [True, False])
def test_a_margin_of_two_thousand_stays_finite_and_exact(right, backend):
    logits, y = backend.asarray(np.array([[1000.0, -1000.0, -1000.0]])), backend.asarray(np.array([0 if right else 1]))
    loss = mr.SoftmaxCrossEntropy()
    value, gradient = (
        backend.to_numpy(a) for a in (loss.value_and_gradient(logits, y)[0], loss.value_and_gradient(logits, y)[1])
    )
    assert value == (0 if right else 2000)
    assert (gradient == ([0, 0, 0] if right else [1, -1, 0])).all()
