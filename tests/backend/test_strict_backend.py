"""The strict stand-in raises where CuPy raises, and a training step on it copies nothing to the host."""

import math
import operator

import numpy as np
import pytest
from strict_backend import FUNCTIONS, DeviceArray

import minirobust as mr
from minirobust import training

strict = mr.backend.get("strict")


@pytest.fixture
def device():
    return strict.asarray(np.array([1.0, 2.0, 3.0]))


@pytest.fixture
def number():
    return strict.asarray(np.array([2.0])).sum()


# What it refuses


@pytest.mark.parametrize(
    "conversion",
    [np.asarray, np.array, lambda x: np.asarray([x]), list, tuple, sorted, lambda x: [*x], lambda x: 1.0 in x],
    ids=["asarray", "array", "inside a list", "list", "tuple", "sorted", "unpacking", "in"],
)
def test_device_array_is_not_converted_to_numpy_or_python_implicitly(device, conversion):
    with pytest.raises(TypeError, match="implicit transfer from the device"):
        conversion(device)


@pytest.mark.parametrize("conversion", [float, int, bool, math.sqrt, operator.index, lambda x: x.item(), range])
def test_device_scalar_is_not_converted_implicitly(number, conversion):
    assert isinstance(number, DeviceArray)
    with pytest.raises(TypeError, match="implicit transfer from the device"):
        conversion(number)


def test_branching_on_a_device_value_raises(number):
    with pytest.raises(TypeError, match=r"bool\(\)"):
        assert number > 1


@pytest.mark.parametrize("function", [np.exp, np.sum, np.maximum.reduce, np.isfinite, np.concatenate, np.where, np.dot])
def test_numpy_functions_raise_for_device_arrays(device, function):
    arguments = (device, device) if function is np.dot else (device,)
    with pytest.raises(TypeError):
        function(*arguments)


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.lt, operator.eq]


@pytest.mark.parametrize("function", OPERATORS, ids=lambda function: function.__name__)
def test_operators_do_not_mix_host_and_device_arrays(device, function):
    host = np.ones(3)
    for pair in ((device, host), (host, device)):
        with pytest.raises(TypeError, match="host and device arrays mixed"):
            function(*pair)


def test_matmul_in_place_operators_and_assignments_do_not_mix_host_and_device(device):
    host = np.ones(3)
    for function, *arguments in (
        (operator.matmul, device, host),
        (operator.matmul, host, device),
        (operator.iadd, device, host),
        (operator.setitem, device, ..., host),
        (operator.getitem, device, host > 0),
    ):
        with pytest.raises(TypeError, match="host and device arrays mixed"):
            function(*arguments)
    with pytest.raises(TypeError):
        host += device
    with pytest.raises(TypeError, match="implicit transfer from the device"):
        host[...] = device


def test_functions_of_the_array_module_do_not_mix_host_and_device(device):
    for call in (
        lambda: strict.xp.maximum(device, np.ones(3)),
        lambda: strict.xp.exp(np.ones(3)),
        lambda: strict.xp.exp(device, out=np.empty(3)),
        lambda: strict.xp.where(device > 1, device, np.ones(3)),
    ):
        with pytest.raises(TypeError, match="mixed"):
            call()


def test_selection_whose_size_depends_on_the_values_raises(device):
    with pytest.raises(TypeError, match=r"x\[mask\]"):
        device[device > 1]


def test_array_module_has_only_the_listed_functions():
    assert not hasattr(strict.xp, "isfinite")
    assert not hasattr(strict.xp, "concatenate")


def test_every_listed_function_exists_in_cupy():
    cupy = pytest.importorskip("cupy")
    missing = [name for name in FUNCTIONS if not hasattr(cupy, name)]
    assert missing == []
    assert hasattr(cupy.lib.stride_tricks, "sliding_window_view")


# What it allows


def test_device_arithmetic_equals_numpy(device):
    result = (2 * device - 1) / device + strict.xp.exp(-device)
    assert isinstance(result, DeviceArray)
    host = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(strict.to_numpy(result), (2 * host - 1) / host + np.exp(-host))


def test_asarray_and_to_numpy_copy_and_copies_to_the_host_are_counted():
    host = np.ones(3)
    moved = strict.asarray(host)
    host[:] = 5
    before = strict.transfers
    back = strict.to_numpy(moved)
    np.testing.assert_array_equal(back, np.ones(3))
    back[:] = 7
    np.testing.assert_array_equal(strict.to_numpy(moved), np.ones(3))
    assert strict.transfers == before + 2
    assert strict.asarray(moved) is moved


# What training moves


def networks(dtype="float32"):
    return [
        mr.models.mlp(0.25, (12, 12, 1), hidden=16, backend=strict, dtype=dtype),
        mr.models.cnn(0.5, (16, 16, 1), backend=strict, dtype=dtype),
        mr.Network(
            [mr.Conv2D(3, 3, padding="same"), mr.ReLU(), mr.AvgPool2D(2), mr.Flatten(), mr.Dropout(0.3), mr.Dense(10)],
            (8, 8, 1),
            backend=strict,
        ),
    ]


def samples(net, count, rng):
    x = strict.asarray(rng.random((count, *net.input_shape)).astype(net.dtype))
    return x, strict.asarray(rng.integers(0, 10, count))


@pytest.fixture
def transfers(monkeypatch):
    """Counts from 0."""
    monkeypatch.setattr(strict, "transfers", 0)
    return lambda: strict.transfers


@pytest.mark.parametrize("net", networks(), ids=["mlp", "cnn", "dropout"])
@pytest.mark.parametrize("optimizer", [mr.SGD, mr.Momentum, mr.Adam])
def test_training_step_copies_nothing_to_the_host(net, optimizer, transfers, rng):
    x, y = samples(net, 6, rng)
    step = optimizer(net, lr=0.01)
    net.training = True
    loss = mr.SoftmaxCrossEntropy()
    before = net.parameters.copy()
    for _ in range(3):
        logits = net.forward(x)
        value, gradient = loss.value_and_gradient(logits, y)
        net.backward(gradient / len(x), input_gradient=False)
        step.step()
    assert transfers() == 0
    assert isinstance(value, DeviceArray)
    assert (strict.to_numpy(net.parameters) != strict.to_numpy(before)).any()


@pytest.mark.parametrize("net", networks(), ids=["mlp", "cnn", "dropout"])
def test_input_gradients_and_probabilities_copy_nothing_to_the_host(net, transfers, rng):
    x, y = samples(net, 6, rng)
    for loss in (mr.SoftmaxCrossEntropy(), mr.Margin()):
        assert isinstance(net.input_gradient(x, y, loss=loss), DeviceArray)
    assert isinstance(net.predict_proba(x), DeviceArray)
    assert transfers() == 0


@pytest.mark.parametrize("net", networks(), ids=["mlp", "cnn", "dropout"])
def test_prediction_reads_the_device_once(net, transfers, rng, pass_together):
    pass_together(net, 2)
    assert isinstance(net.predict(samples(net, 6, rng)[0]), DeviceArray)
    assert transfers() == 1


def epoch_transfers(steps, transfers, rng):
    net = mr.models.mlp(0.25, (3, 3, 1), hidden=4, backend=strict)
    data = samples(net, 2 * steps, rng)
    before = transfers()
    [record] = mr.fit(net, mr.Adam(net), data, epochs=1, batch_size=2)
    assert math.isfinite(record.loss)
    return transfers() - before


def test_epoch_reads_the_loss_a_few_times_for_any_number_of_steps(transfers, rng):
    counts = [epoch_transfers(steps, transfers, rng) for steps in (1, 7, training.WATCH)]
    assert counts == [2, 2, 2]  # once whether it is finite, once for the record


def test_longer_epoch_reads_the_loss_once_per_interval(transfers, rng, monkeypatch):
    monkeypatch.setattr(training, "WATCH", 10)
    assert epoch_transfers(35, transfers, rng) == 4 + 1
