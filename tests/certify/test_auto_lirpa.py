"""Bounds against auto_LiRPA, the reference implementation of CROWN and α-CROWN, in float64."""

import numpy as np
import pytest
from certified_networks import network, samples

import minirobust as mr
from minirobust import certify

torch = pytest.importorskip("torch")
auto_LiRPA = pytest.importorskip("auto_LiRPA")  # noqa: N816

pytestmark = pytest.mark.filterwarnings("ignore")  # of PyTorch, about auto_LiRPA
EPSILON = 0.05


@pytest.fixture
def double():
    """auto_LiRPA mixes dtypes unless float64 is the default."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Scaled(torch.nn.Module):
    """The temperature sigmoid."""

    def __init__(self, temperature):
        super().__init__()
        self.temperature = temperature

    def forward(self, x):
        return torch.sigmoid(x * (1 / self.temperature))


def in_torch(net):
    modules = []
    for layer in net.layers:
        if isinstance(layer, mr.Dense):
            linear = torch.nn.Linear(*layer.weight.shape)
            linear.weight.data, linear.bias.data = (
                torch.tensor(layer.weight.value.T.copy()),
                torch.tensor(layer.bias.value.copy()),
            )
            modules.append(linear)
        elif isinstance(layer, mr.TemperatureSigmoid):
            modules.append(Scaled(layer.temperature))
        else:
            modules.append({mr.Tanh: torch.nn.Tanh, mr.ReLU: torch.nn.ReLU}[type(layer)]())
    return torch.nn.Sequential(*modules)


def their_margin(net, x, y, method):
    bounded = auto_LiRPA.BoundedModule(in_torch(net), torch.tensor(x))
    box = auto_LiRPA.PerturbationLpNorm(
        x_L=torch.tensor((x - EPSILON).clip(-1, 1)), x_U=torch.tensor((x + EPSILON).clip(-1, 1))
    )
    C = torch.tensor(np.array([[np.eye(3)[label] - np.eye(3)[j] for j in range(3) if j != label] for label in y]))
    lower, _ = bounded.compute_bounds(x=(auto_LiRPA.BoundedTensor(torch.tensor(x), box),), C=C, method=method)
    return lower.detach().numpy().min(axis=1)


@pytest.fixture(params=[("sigmoid", 1 / 4), ("sigmoid", 4.0), ("two sigmoids", 1.0), ("tanh", 1.0)], ids=str)
def case(request, double):
    name, temperature = request.param
    net = network(name, 31, temperature, scale=1.0)
    return name, net, *samples(net, 31, 6)


def test_ibp_equals_auto_lirpa(case):
    _, net, x, y = case
    np.testing.assert_allclose(certify.ibp(net, x, y, EPSILON).margin, their_margin(net, x, y, "IBP"), rtol=1e-9)


def test_crown_is_close_to_auto_lirpa(case):
    _, net, x, y = case
    ibp, theirs = certify.ibp(net, x, y, EPSILON).margin, their_margin(net, x, y, "CROWN")
    ours = certify.crown(net, x, y, EPSILON).margin
    # They choose other tangents.  What counts is how much of the way from the box's bound is gone.
    assert (ours - ibp >= 0.9 * (theirs - ibp)).all()


@pytest.mark.slow
def test_alpha_crown_is_at_least_as_high_as_auto_lirpa(case):
    name, net, x, y = case
    crown = certify.crown(net, x, y, EPSILON).margin
    ours, theirs = certify.alpha_crown(net, x, y, EPSILON).margin, their_margin(net, x, y, "CROWN-Optimized")
    if name == "sigmoid":  # one hidden layer: the problem is concave, and both find its maximum
        np.testing.assert_allclose(ours, theirs, atol=5e-3)
    else:  # they optimize the hidden layers' intervals too
        assert (ours >= theirs - 0.2 * (theirs - crown).clip(0) - 0.05).all()
