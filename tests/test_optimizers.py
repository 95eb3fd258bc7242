"""Optimizers: against the papers' algorithms written out for one number, and their arguments."""

import math

import numpy as np
import pytest

import minirobust as mr


def network(backend="numpy", size=7, dtype="float64"):
    """A network with `size` parameters, all zero."""
    net = mr.Network([mr.Dense(1)], input_shape=(size - 1,), backend=backend, dtype=dtype)
    net.parameters = np.zeros(size, dtype)
    return net


def adam_twin(value, gradients, lr, beta1, beta2, epsilon):
    """Algorithm 1 of Kingma & Ba (2015) for one number, line by line; returns θ, m and v."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        value = value - lr * m_hat / (math.sqrt(v_hat) + epsilon)
    return value, m, v


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("per_parameter", [False, True], ids=["numbers", "arrays"])
def test_adam_is_the_papers_algorithm_step_by_step(backend, dtype, tolerance, per_parameter, rng):
    size, steps, beta1, beta2 = 7, 12, 0.8, 0.95
    start = rng.standard_normal(size).astype(dtype)
    gradients = (rng.standard_normal((steps, size)) * 10.0 ** rng.integers(-6, 3, size)).astype(dtype)
    lr, epsilon = rng.uniform(0.01, 0.5, size).astype(dtype), rng.uniform(1e-8, 1e-2, size).astype(dtype)
    if not per_parameter:
        lr, epsilon = np.full_like(lr, lr[0]), np.full_like(epsilon, epsilon[0])
    net = network(backend, size, dtype)
    net.parameters = start
    rates = (lr, epsilon) if per_parameter else (float(lr[0]), float(epsilon[0]))
    adam = mr.Adam(net, lr=rates[0], beta1=beta1, beta2=beta2, epsilon=rates[1])
    for t in range(1, steps + 1):
        net.gradients = gradients[t - 1]
        adam.step()
        np.testing.assert_array_equal(backend.to_numpy(net.gradients), gradients[t - 1])
        if t not in (1, 2, steps):
            continue
        columns = zip(start, gradients[:t].T, lr, epsilon, strict=True)
        twins = [adam_twin(float(s), g.tolist(), float(a), beta1, beta2, float(b)) for s, g, a, b in columns]
        # m and v add up terms of both signs and many sizes: the largest of them measures the rounding error.
        largest = np.abs(gradients).max(axis=0).astype("float64")
        arrays = net.parameters, adam.m, adam.v
        for got, expected, scale in zip(arrays, np.transpose(twins), (2, largest, largest**2), strict=True):
            assert got.dtype == dtype
            np.testing.assert_array_less(np.abs(backend.to_numpy(got) - expected), tolerance * scale)


def test_the_first_step_of_adam_is_the_learning_rate_whatever_the_gradients_size(backend):
    net = network(backend, 3)
    net.gradients = np.array([1e-4, -1.0, 1e4])
    mr.Adam(net, lr=0.01, epsilon=1e-12).step()
    np.testing.assert_allclose(backend.to_numpy(net.parameters), [-0.01, 0.01, -0.01], rtol=1e-7)


def test_steps_do_not_depend_on_the_block_size(rng, monkeypatch):
    size = 1000
    gradients = rng.standard_normal((3, size))
    lr = rng.uniform(0.01, 0.1, size)

    def parameters():
        net = network(size=size)
        adam = mr.Adam(net, lr=lr)
        for gradient in gradients:
            net.gradients = gradient
            adam.step()
        return net.parameters

    whole = parameters()
    monkeypatch.setattr("minirobust.optimizers.BLOCK", 7)
    np.testing.assert_array_equal(parameters(), whole)


def test_momentum_adds_up_gradients(backend):
    net = network(backend, 2)
    momentum = mr.Momentum(net, lr=0.5, momentum=0.25)
    for _ in range(3):
        net.gradients = np.array([1.0, -2.0])
        momentum.step()
    # u = 1, 1.25, 1.3125
    np.testing.assert_allclose(backend.to_numpy(net.parameters), -0.5 * 3.5625 * np.array([1.0, -2.0]), rtol=1e-12)


def test_weight_decay_adds_to_the_gradient(backend):
    net = network(backend, 2)
    net.parameters = np.array([2.0, -4.0])
    net.gradients = np.array([0.0, 0.0])
    adam = mr.Adam(net, weight_decay=0.5)
    adam.step()
    np.testing.assert_allclose(backend.to_numpy(adam.m), 0.1 * 0.5 * np.array([2.0, -4.0]), rtol=1e-12)


# Arguments


@pytest.mark.parametrize("kind", [mr.SGD, mr.Momentum, mr.Adam])
def test_an_assigned_learning_rate_is_used_from_the_next_step(kind, backend):
    net = network(backend, 3)
    optimizer = kind(net, lr=0.5)
    net.gradients = np.ones(3)
    optimizer.lr = 0
    optimizer.step()
    assert not backend.to_numpy(net.parameters).any()
    optimizer.lr = 0.25
    optimizer.step()
    assert (backend.to_numpy(net.parameters) < -0.1).all()


def test_learning_rate_can_change_between_array_and_number(backend):
    net = network(backend, 3)
    sgd = mr.SGD(net, lr=0.5)
    net.gradients = np.ones(3)
    sgd.lr = np.array([0.0, 1.0, 2.0])
    sgd.step()
    np.testing.assert_array_equal(backend.to_numpy(net.parameters), [0, -1, -2])
    sgd.lr = 1
    sgd.step()
    np.testing.assert_array_equal(backend.to_numpy(net.parameters), [-1, -2, -3])


def test_the_rate_that_the_arithmetic_reads_is_written_in_place(backend):
    """A step recorded on a device reads the same array every time."""
    sgd = mr.SGD(network(backend), lr=0.5)
    held = sgd.rates["lr"]
    sgd.lr = 0.25
    assert sgd.rates["lr"] is held
    assert backend.to_numpy(held) == 0.25
    counter = sgd.t
    sgd.step()
    assert sgd.t is counter
    assert backend.to_numpy(counter) == 1


def test_a_numpy_number_becomes_a_python_number():
    sgd = mr.SGD(network(dtype="float32"))
    for number in (np.float32(0.07), np.float64(0.07), np.array(0.07)):
        sgd.lr = number
        assert type(sgd.lr) is float
    assert sgd.rates["lr"].dtype == "float32"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lr", -1, r"Adam: expected lr in \[0, inf\), got -1"),
        ("lr", np.nan, "lr"),
        ("lr", "1", "lr"),
        ("lr", np.full(7, -1.0), r"lr to be a number of at least 0, or an array of such numbers of shape \(7,\)"),
        ("lr", np.full(7, np.inf), "lr"),
        ("epsilon", 0, r"epsilon in \(0, inf\), got 0"),
        ("epsilon", np.zeros(7), "epsilon to be a number above 0"),
        ("beta1", 1, r"beta1 in \[0, 1\), got 1"),
        ("beta2", -0.1, "beta2"),
        ("weight_decay", -1, "weight_decay"),
    ],
)
def test_a_wrong_value_is_refused_when_it_is_assigned(name, value, message):
    adam = mr.Adam(network())
    before = getattr(adam, name)
    with pytest.raises(ValueError, match=message):
        setattr(adam, name, value)
    assert getattr(adam, name) == before


def test_a_custom_optimizer_needs_update():
    with pytest.raises(NotImplementedError, match=r"Optimizer has no update\(value, grad\)"):
        mr.optimizers.Optimizer(network()).step()


def test_state_goes_to_another_optimizer_and_training_continues(backend, rng):
    gradients = rng.standard_normal((6, 7))

    def step(adam, rows):
        for gradient in gradients[rows]:
            adam.network.gradients = gradient
            adam.step()

    whole, first, second = (mr.Adam(network(backend)) for _ in range(3))
    step(whole, slice(6))
    step(first, slice(3))
    second.network.parameters = first.network.parameters
    second.load_state(first.state())
    step(second, slice(3, 6))
    np.testing.assert_array_equal(
        backend.to_numpy(second.network.parameters), backend.to_numpy(whole.network.parameters)
    )
    assert repr(second).endswith("t=6)")
