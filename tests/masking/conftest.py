"""Small trained networks that several tests audit."""

import pytest

import minirobust as mr


def trained_for(epochs, network, digits):
    mr.fit(network, mr.Adam(network), digits, epochs=epochs)
    return network


@pytest.fixture(scope="session")
def trained_on_the_host(digits):
    return trained_for(2, mr.models.mlp(0.25, hidden=48), digits)


@pytest.fixture
def trained(trained_on_the_host, backend):
    """The same network on each backend."""
    return trained_on_the_host.to(backend)


@pytest.fixture(scope="session")
def sources(digits):
    """Two other networks for the same task."""
    return [trained_for(3, mr.models.mlp(T, hidden=16), digits) for T in (0.1, 1)]


@pytest.fixture(scope="session")
def few(digits):
    return digits.test[:60].pixels(), digits.test[:60].labels
