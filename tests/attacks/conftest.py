"""Networks for the tests of several attacks."""

import pytest

import minirobust as mr


@pytest.fixture(scope="session")
def trained_on_the_host(digits):
    net = mr.models.mlp(0.25, hidden=48)
    mr.fit(net, mr.Adam(net), digits, epochs=2)
    return net


@pytest.fixture
def trained(trained_on_the_host, backend):
    """A small network that tells digits apart, of its own on the backend."""
    return trained_on_the_host.to(backend)


class Blind(mr.Layer):
    """Passes everything on and no gradient back: gradient masking in its purest form."""

    def forward(self, x):
        return x

    def input_gradient(self, grad_y):
        return self.xp.zeros_like(grad_y)


@pytest.fixture
def blind():
    return Blind()
