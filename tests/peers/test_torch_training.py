"""Training against PyTorch in float64: from the same weights, on the same batches, Adam ends at the same weights.

Both networks of `minirobust.models` (the MLP with fewer hidden units), on real digits.  A low temperature multiplies
every rounding error on its way through the network, so there the runs part sooner.
"""

import functools

import pytest

import minirobust as mr

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def exact_sigmoid(x):
    """What torch.sigmoid computes, but with a derivative that is exact in the tails.

    torch.sigmoid's is y (1 - y), where 1 - y keeps few digits or none once y is nearly 1; Adam makes full steps of such
    small gradients.  At T = 1/8 that alone drives the CNN 3.5e-9 apart in 100 steps; with this one it is 7e-13.
    """
    return functional.logsigmoid(x).exp()


def mlp_in_torch(x, temperature, weight1, bias1, weight2, bias2, sigmoid=torch.sigmoid):
    hidden = sigmoid((x.flatten(1) @ weight1 + bias1) / temperature)
    return hidden @ weight2 + bias2


def cnn_in_torch(x, temperature, *parameters, sigmoid=torch.sigmoid):
    x = x.permute(0, 3, 1, 2)
    for weight, bias in (parameters[0:2], parameters[2:4]):
        x = functional.conv2d(x, weight.permute(3, 2, 0, 1), bias)
        x = functional.max_pool2d(sigmoid(x / temperature), 2)
    return mlp_in_torch(x.permute(0, 2, 3, 1), temperature, *parameters[4:], sigmoid=sigmoid)


def train_both(network, in_torch, temperature, split, batch_size, steps, rng):
    """Trains both from the network's weights; returns the names and tensors of ours and the tensors of theirs."""
    parameters = [parameter for layer in network.layers for parameter in layer.parameters]
    theirs = [torch.tensor(network.backend.to_numpy(p.value), requires_grad=True) for p in parameters]
    their_optimizer = torch.optim.Adam(theirs)
    optimizer, loss = mr.Adam(network), mr.SoftmaxCrossEntropy()
    for _ in range(steps):
        rows = rng.choice(len(split), batch_size, replace=False)
        x, y = split.pixels(rows, dtype="float64"), split.labels[rows]
        logits = network.forward(x)
        network.backward(loss.value_and_gradient(logits, network.backend.asarray(y))[1] / len(x), input_gradient=False)
        optimizer.step()

        their_optimizer.zero_grad()
        functional.cross_entropy(in_torch(torch.tensor(x), temperature, *theirs), torch.tensor(y)).backward()
        their_optimizer.step()
    ours = {f"layer {layer.index}, {p.name}": p.value for layer in network.layers for p in layer.parameters}
    return ours, theirs


@pytest.mark.parametrize(("temperature", "steps"), [(1 / 64, 10), (1 / 8, 100), (1, 100), (4, 100)])
def test_the_mlp_ends_at_the_weights_of_torch(temperature, steps, digits, backend, rng, assert_agrees):
    network = mr.models.mlp(temperature, hidden=32, dtype="float64", backend=backend)
    ours, theirs = train_both(network, mlp_in_torch, temperature, digits.train, 64, steps, rng)
    for (name, value), other in zip(ours.items(), theirs, strict=True):
        assert_agrees(name, value, other)


@pytest.mark.parametrize(
    ("temperature", "sigmoid"),
    [
        (1 / 8, exact_sigmoid),
        pytest.param(1 / 4, torch.sigmoid, marks=pytest.mark.slow),
        pytest.param(1, torch.sigmoid, marks=pytest.mark.slow),
    ],
)
def test_the_cnn_ends_at_the_weights_of_torch(temperature, sigmoid, colour_digits, backend, rng, assert_agrees):
    network = mr.models.cnn(temperature, dtype="float64", backend=backend)
    in_torch = functools.partial(cnn_in_torch, sigmoid=sigmoid)
    ours, theirs = train_both(network, in_torch, temperature, colour_digits.train, 8, 40, rng)
    for (name, value), other in zip(ours.items(), theirs, strict=True):
        assert_agrees(name, value, other)
