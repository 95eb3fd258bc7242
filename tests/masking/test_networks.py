"""Audits of trained networks: honest ones have no flag, those that hide their gradient do."""

import importlib.util
from functools import cache

import audited_networks as make
import pytest

import minirobust as mr

FAST = "numba" if importlib.util.find_spec("numba") else "numpy"
T = {"T = 1/64": 1 / 64, "T = 1": 1, "T = 4": 4, "PGD-trained": 1}
HONEST = (
    "regression",
    "T = 1",
    pytest.param("T = 4", marks=pytest.mark.slow),
    pytest.param("PGD-trained", marks=pytest.mark.slow),
)
# How each network hides its gradient, and the checks that must notice. PGD on the margin sees through large logits.
HIDDEN = {
    "logits × 1000": (make.louder, {1, 3}),
    "8 levels": (lambda network: make.behind(make.Quantize(8), network), {1, 3, 6, 7}),
    "gradient zeroed": (lambda network: make.behind(make.Blind(), network), {1, 3, 6, 7}),
}


@pytest.fixture(scope="session", params=["digits", pytest.param("mnist", marks=pytest.mark.slow)])
def data(request):
    """Return a data set, numbers of hidden units and of epochs, and test samples."""
    if request.param == "digits":
        digits = request.getfixturevalue("digits")
        return digits, 64, 8, digits.test[:150]
    from data_loaders import load_mnist

    mnist = load_mnist(request.getfixturevalue("real_data"))
    return mnist, 256, 1, mnist.test[:1000]


@pytest.fixture(scope="session", params=[0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def seed(request):
    return request.param


@pytest.fixture(scope="session")
def network(data, seed):
    """Return a function that returns a trained network by its name. Each is trained when it is first asked for."""
    train, hidden, epochs, _ = data

    @cache
    def trained(name):
        if name == "regression":
            network = make.softmax_regression(seed).to(FAST)
        else:
            network = mr.models.mlp(T[name], hidden=hidden, seed=seed, backend=FAST)
        if name == "PGD-trained":
            for _ in make.train_adversarially(network, train, max(1, epochs // 3), seed):
                pass
        else:
            mr.fit(network, mr.Adam(network), train, epochs=epochs, seed=seed)
        return network

    return trained


def audit(network, test, seed, sources=()):
    report = mr.audit(network, test.pixels(), test.labels, 0.1, sources, "quick", seed=seed)
    return report, {check.number for check in report.flagged}


@pytest.mark.parametrize("name", HONEST)
def test_honest_network_has_no_flag(name, network, data, seed):
    *_, test = data
    _, flags = audit(network(name), test, seed, [network("T = 1")])
    assert flags == set()


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n == "8 levels" else n for n in HIDDEN])
def test_hidden_gradient_is_flagged(name, network, data, seed):
    """Already on 30 samples."""
    *_, test = data
    hide, least = HIDDEN[name]
    _, flags = audit(hide(network("T = 1")), test[:30], seed, [network("T = 1")])
    assert least <= flags


def test_low_temperature_is_flagged(network, data, seed):
    """One step is much too weak at T = 1/64, more steps find more, and a smoothed gradient finds almost everything."""
    *_, test = data
    report, flags = audit(network("T = 1/64"), test, seed)
    assert {4, 10} <= flags
    assert report.masked
    assert report.robustness["FGSM"].low > report.robustness["worst case"].high + 0.3
    assert report.robustness["worst case"].value < 0.03
