"""The optimizers against PyTorch's in float64: the parameters after every one of 50 steps along the same gradients."""

import numpy as np
import pytest

import minirobust as mr

torch = pytest.importorskip("torch")

STEPS = 50
OPTIMIZERS = [
    (mr.SGD, {"lr": 0.3}, torch.optim.SGD, {"lr": 0.3}),
    (mr.Momentum, {"lr": 0.02, "momentum": 0.8}, torch.optim.SGD, {"lr": 0.02, "momentum": 0.8}),
    (mr.Momentum, {}, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (mr.Adam, {}, torch.optim.Adam, {}),
    (
        mr.Adam,
        {"lr": 0.02, "beta1": 0.7, "beta2": 0.95, "epsilon": 1e-3},
        torch.optim.Adam,
        {"lr": 0.02, "betas": (0.7, 0.95), "eps": 1e-3},
    ),
    (
        mr.Adam,
        {"lr": 0.05, "beta1": 0.0, "epsilon": 1e-5, "weight_decay": 0.1},
        torch.optim.Adam,
        {"lr": 0.05, "betas": (0.0, 0.999), "eps": 1e-5, "weight_decay": 0.1},
    ),
]


@pytest.fixture
def network(backend):
    return mr.Network([mr.Dense(7), mr.Tanh(), mr.Dense(3)], (5,), dtype="float64", backend=backend, seed=3)


@pytest.fixture
def gradients(network, rng):
    """One a step, from 1 down to 1e-10 across the parameters: of that size epsilon makes a difference."""
    size = network.parameters.size
    return rng.standard_normal((STEPS, size)) * np.logspace(0, -10, size)


def take_steps(network, optimizer, gradients):
    for gradient in gradients:
        network.gradients[...] = network.backend.asarray(gradient)
        optimizer.step()
        yield network.parameters


@pytest.mark.parametrize(("ours", "settings", "theirs", "their_settings"), OPTIMIZERS)
def test_every_step_is_that_of_torch(
    ours, settings, theirs, their_settings, network, gradients, backend, assert_agrees
):
    start = backend.to_numpy(network.parameters).copy()
    parameters = torch.tensor(start, requires_grad=True)
    optimizer = theirs([parameters], **their_settings)
    steps = take_steps(network, ours(network, **settings), gradients)
    for step, (value, gradient) in enumerate(zip(steps, gradients, strict=True), start=1):
        parameters.grad = torch.tensor(gradient)
        optimizer.step()
        moved = backend.to_numpy(value) - start
        # The parameters are larger than how far they moved: comparing the moves is the stricter test.
        assert_agrees(f"step {step}", backend.asarray(moved), parameters.detach().numpy() - start, tolerance=1e-12)


def test_an_array_of_learning_rates_and_epsilons_is_torchs_groups(network, gradients, rng, backend, assert_agrees):
    size = network.parameters.size
    lr, epsilon = rng.uniform(1e-3, 1e-1, size), 10.0 ** rng.integers(-9, -1, size)
    parameters = [torch.tensor(value, requires_grad=True) for value in backend.to_numpy(network.parameters)]
    groups = [
        {"params": [p], "lr": float(rate), "eps": float(small)}
        for p, rate, small in zip(parameters, lr, epsilon, strict=True)
    ]
    optimizer = torch.optim.Adam(groups)
    *_, last = take_steps(network, mr.Adam(network, lr=lr, epsilon=epsilon), gradients)
    for gradient in gradients:
        for parameter, entry in zip(parameters, gradient, strict=True):
            parameter.grad = torch.tensor(entry)
        optimizer.step()
    assert_agrees("parameters", last, torch.stack(parameters), tolerance=1e-12)
