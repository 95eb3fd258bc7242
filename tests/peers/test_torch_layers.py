"""Every layer against PyTorch in float64: output, input gradient and parameter gradients for a random cotangent.

PyTorch's images are channels first, ours channels last; the transposes are made here.  Losses, optimizers and whole
training runs are in the files beside this one.
"""

import functools

import numpy as np
import pytest

import minirobust as mr

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402


def channels_first(images):
    return images.permute(0, 3, 1, 2)


def channels_last(images):
    return images.permute(0, 2, 3, 1)


def pair(size):
    return tuple(size) if isinstance(size, tuple) else (size, size)


# What PyTorch computes where we have that layer: functions of the layer's arguments, an input and our parameters.


@functools.singledispatch
def in_torch(layer, x, *parameters):
    raise NotImplementedError(f"no counterpart of {layer!r}")


@in_torch.register
def _(layer: mr.Dense, x, weight, bias):
    return functional.linear(x, weight.T, bias)


@in_torch.register
def _(layer: mr.Conv2D, x, weight, bias):
    x = channels_first(x)
    padding = layer.padding
    if padding == "same":
        # PyTorch's own "same" takes no strides.  This is TensorFlow's, as its documentation states it.
        x, padding = functional.pad(x, tensorflow_same(x.shape[2:], pair(layer.kernel_size), pair(layer.stride))), 0
    elif padding == "valid":
        padding = 0
    # (height, width, channels, filters) → (filters, channels, height, width)
    return channels_last(functional.conv2d(x, weight.permute(3, 2, 0, 1), bias, stride=layer.stride, padding=padding))


def tensorflow_same(image, kernel, stride):
    """Borders in the order of torch's pad: left, right, top, bottom."""
    borders = []
    for n, k, s in reversed(list(zip(image, kernel, stride, strict=True))):
        total = max(k - s, 0) if n % s == 0 else max(k - n % s, 0)
        borders += [total // 2, total - total // 2]
    return borders


@in_torch.register
def _(layer: mr.MaxPool2D, x):
    return channels_last(functional.max_pool2d(channels_first(x), layer.window, layer.stride, layer.padding))


@in_torch.register
def _(layer: mr.AvgPool2D, x):
    return channels_last(functional.avg_pool2d(channels_first(x), layer.window, layer.stride))


@in_torch.register
def _(layer: mr.TemperatureSigmoid, x):
    return torch.sigmoid(x / layer.temperature)


@in_torch.register
def _(layer: mr.ReLU, x):
    return torch.relu(x)


@in_torch.register
def _(layer: mr.Tanh, x):
    return torch.tanh(x)


@in_torch.register
def _(layer: mr.Softmax, x):
    return torch.softmax(x, dim=1)


@in_torch.register
def _(layer: mr.Flatten, x):
    return x.flatten(start_dim=1)


@in_torch.register
def _(layer: mr.Dropout, x):
    return functional.dropout(x, layer.rate, training=False)


CASES = [
    (mr.Dense(5), (3, 4)),
    (mr.Dense(1), (1, 1)),
    (mr.Dense(10), (64, 300)),
    (mr.Conv2D(3, 3), (2, 5, 6, 2)),
    (mr.Conv2D(1, 1), (1, 1, 1, 1)),
    (mr.Conv2D(4, (2, 5)), (1, 9, 6, 1)),
    (mr.Conv2D(2, 3, stride=2), (3, 6, 8, 1)),
    (mr.Conv2D(2, (2, 4), stride=3, padding=(1, 2)), (1, 7, 5, 1)),
    (mr.Conv2D(2, 3, stride=(1, 4), padding=2), (2, 4, 9, 3)),
    (mr.Conv2D(3, 3, padding="same"), (2, 4, 7, 2)),
    (mr.Conv2D(3, (4, 2), padding="same"), (2, 4, 7, 2)),  # an even kernel: the odd pixel of border is at the end
    (mr.Conv2D(3, (3, 2), stride=(2, 1), padding="same"), (2, 6, 5, 2)),
    (mr.Conv2D(2, 5, stride=(3, 2), padding="same"), (1, 7, 6, 1)),
    (mr.Conv2D(2, 1, stride=3, padding="same"), (2, 8, 7, 3)),  # a stride beyond the kernel: no border at all
    (mr.Conv2D(6, 5), (5, 20, 21, 8)),  # more patches than one piece holds
    (mr.MaxPool2D(2), (2, 5, 7, 3)),
    (mr.MaxPool2D(2), (1, 2, 2, 1)),
    (mr.MaxPool2D(3, stride=2, padding=1), (2, 6, 7, 2)),
    (mr.MaxPool2D((3, 2), stride=1, padding=(1, 0)), (1, 4, 5, 1)),
    (mr.MaxPool2D((2, 3), stride=(3, 4)), (2, 9, 10, 2)),  # a stride beyond the window: pixels that no window sees
    (mr.MaxPool2D((4, 2), stride=(1, 2), padding=(2, 1)), (3, 5, 4, 1)),
    (mr.AvgPool2D(2), (2, 5, 7, 3)),
    (mr.AvgPool2D((3, 2), stride=(1, 2)), (1, 4, 5, 1)),
    (mr.AvgPool2D((2, 3), stride=(3, 4)), (2, 9, 10, 2)),
    (mr.TemperatureSigmoid(1 / 64), (3, 40)),
    (mr.TemperatureSigmoid(0.3), (2, 3, 2, 2)),
    (mr.TemperatureSigmoid(16), (1, 7)),
    (mr.ReLU(), (3, 40)),
    (mr.Tanh(), (2, 3, 2, 1)),
    (mr.Softmax(), (3, 4)),
    (mr.Softmax(), (1, 2)),
    (mr.Flatten(), (2, 3, 4, 2)),
    (mr.Flatten(), (1, 5)),
    (mr.Dropout(0.4), (3, 8)),
]


def through_both(layer, x, backend, rng):
    """The same input, parameters and cotangent through the layer and through its counterpart.

    Returns two dictionaries of the same names: output, input gradient, and every parameter's gradient.
    """
    layer = type(layer)(**layer.arguments())
    network = mr.Network([layer], x.shape[1:], dtype="float64", backend=backend)
    # Random biases too: they start at zero, which would hide that one is left out.
    network.parameters[...] = backend.asarray(rng.standard_normal(network.parameters.size))
    output = network.forward(x)
    cotangent = rng.standard_normal(tuple(output.shape))
    ours = {"output": output, "input gradient": network.backward(cotangent)}
    ours |= {parameter.name: parameter.grad for parameter in layer.parameters}

    x = torch.tensor(x, requires_grad=True)
    parameters = [torch.tensor(backend.to_numpy(p.value), requires_grad=True) for p in layer.parameters]
    output = in_torch(layer, x, *parameters)
    gradients = torch.autograd.grad(output, [x, *parameters], torch.tensor(cotangent))
    return ours, dict(zip(ours, [output, *gradients], strict=True))


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=repr)
def test_a_layer_and_its_gradients_are_those_of_torch(layer, shape, backend, rng, assert_agrees):
    x = 3 * getattr(layer, "temperature", 1) * rng.standard_normal(shape)
    ours, theirs = through_both(layer, x, backend, rng)
    for name, value in ours.items():
        assert_agrees(name, value, theirs[name])


def test_every_layer_has_a_case():
    layers = {value for value in vars(mr).values() if isinstance(value, type) and issubclass(value, mr.Layer)}
    assert layers - {mr.Layer} == {type(layer) for layer, _ in CASES}


@pytest.mark.parametrize("layer", [mr.MaxPool2D(2), mr.MaxPool2D(3, stride=1, padding=1)], ids=repr)
def test_torch_and_minirobust_choose_the_same_maximum_among_equal_values(layer, backend, rng, assert_agrees):
    x = rng.integers(0, 2, (3, 6, 7, 2)).astype(np.float64)
    ours, theirs = through_both(layer, x, backend, rng)
    for name, value in ours.items():
        assert_agrees(name, value, theirs[name])
