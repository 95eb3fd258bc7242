"""Temperature is initial scale and learning rate in disguise: a test of the whole stack, bit for bit.

A sigmoid at temperature T with weights W and biases b before it computes what one at T = 1 does with W/T and b/T.
Under Adam, whose step ignores the gradient's scale (epsilon apart), training at T with learning rate a equals training
at 1 with a/T and epsilon·T on those weights and biases.  For T a power of two no scaling rounds, so the two runs are
equal to the last bit.  At another T rounding alone drives them apart, and there is nothing to test.
"""

import numpy as np
import pytest

import minirobust as mr
from data_loaders import Dataset

LR, EPSILON = 1e-3, 1e-8


def before_sigmoids(network):
    """For each of the network's parameters, whether it belongs to a layer that feeds a sigmoid."""
    mask = np.zeros(network.parameters.size, dtype=bool)
    start = 0
    for layer, above in zip(network.layers, network.layers[1:], strict=False):
        size = sum(parameter.value.size for parameter in layer.parameters)
        mask[start : start + size] = isinstance(above, mr.TemperatureSigmoid)
        start += size
    return mask


def twins(model, temperature, **settings):
    """A network at T, one at T = 1 that computes the same, and by how much the parameters of the first are larger."""
    network, twin = model(temperature, **settings), model(1, **settings)
    factor = np.where(before_sigmoids(network), temperature, 1.0)
    assert 0 < (factor != 1).sum() < factor.size
    twin.parameters /= twin.backend.asarray(factor.astype(twin.dtype))
    return network, twin, factor


def trained(network, lr, epsilon, data, epochs):
    """Trains, and returns on the host what there is to compare: losses, parameters, logits."""
    optimizer = mr.Adam(network, lr=lr, epsilon=epsilon)
    losses = [record.loss for record in mr.fit(network, optimizer, data, epochs=epochs)]
    logits = network.forward(data.test.pixels(slice(20), dtype=network.dtype))
    return losses, network.backend.to_numpy(network.parameters), network.backend.to_numpy(logits)


def assert_runs_are_equal(network, twin, factor, data, epochs):
    start = network.backend.to_numpy(network.parameters).copy()
    # Arrays in both runs: one number for all parameters may be rounded elsewhere than an array of it.
    ones = np.ones(factor.size)
    losses, parameters, logits = trained(network, LR * ones, EPSILON * ones, data, epochs)
    twin_losses, twin_parameters, twin_logits = trained(twin, LR / factor, EPSILON * factor, data, epochs)
    assert np.array_equal(twin_parameters * factor.astype(twin.dtype), parameters)
    assert np.array_equal(twin_logits, logits)
    assert twin_losses == losses
    # Two networks that stood still would be equal too.
    assert (parameters != start).mean() > 0.5
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("temperature", [1 / 64, 1 / 4, 4])
def test_training_the_mlp_at_t_equals_training_it_at_one(temperature, dtype, digits, backend):
    few = Dataset(digits.name, digits.train[:640], digits.test, digits.class_names)
    network, twin, factor = twins(mr.models.mlp, temperature, hidden=32, dtype=dtype, backend=backend)
    assert_runs_are_equal(network, twin, factor, few, epochs=4)  # 40 steps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equivalence_holds_for_every_sigmoid_of_the_cnn(dtype, backend, colour_digits):
    few = Dataset(colour_digits.name, colour_digits.train[:16], colour_digits.test, colour_digits.class_names)
    network, twin, factor = twins(mr.models.cnn, 1 / 4, dtype=dtype, backend=backend)
    assert_runs_are_equal(network, twin, factor, few, epochs=4)  # 4 steps
