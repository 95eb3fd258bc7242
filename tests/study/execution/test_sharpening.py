"""Networks whose temperature is changed after training: the stored results equal those of the library's functions."""

import numpy as np
import pytest

import minirobust as mr
from minirobust.study import StudyConfig
from minirobust.study.execution.sharpening import at_temperature, sharpen


@pytest.fixture(scope="module")
def network(digits):
    network = mr.models.mlp(0.25, hidden=16)
    mr.fit(network, mr.Adam(network), digits, epochs=2, progress=False)
    return network


def test_each_ratio_has_the_results_at_its_temperature(network, digits, tiny_audits):
    x, y = digits.test[:12].pixels(), digits.test[:12].labels
    config = StudyConfig(
        "digits", "mlp", (1.0,), 1, audit_epsilons=(0.02, 0.1), audit_budget="quick", sharpen_ratios=(1 / 16, 1)
    )
    found = sharpen(network, x, y, config, seed=3)
    assert found["ratio"].tolist() == [1 / 16, 1]
    for row, ratio in enumerate(found["ratio"]):
        sharper = network.copy()
        sharper.last_activation.temperature = ratio * 0.25
        np.testing.assert_array_equal(found["correct"][row], sharper.predict(x) == y)
        for place, epsilon in enumerate(config.audit_epsilons):
            np.testing.assert_array_equal(found["fgsm"][row, place], mr.attacks.fgsm(sharper, x, y, epsilon).fooled)
            assert not (found["fooled"] & found["certified"])[row, place].any()
            proven = mr.certify.crown(sharper, x, y, epsilon).certified
            assert proven[found["certified"][row, place]].all()
    assert found["fooled"].shape == found["certified"].shape == (2, 2, 12)


def test_every_sigmoid_changes_and_the_network_itself_does_not():
    network = mr.models.cnn(0.5)
    before = network.parameters.copy()
    sharper = at_temperature(network, 1 / 4)
    changed = [layer.temperature for layer in sharper.layers if isinstance(layer, mr.TemperatureSigmoid)]
    assert changed
    assert set(changed) == {0.125}
    assert {layer.temperature for layer in network.layers if isinstance(layer, mr.TemperatureSigmoid)} == {0.5}
    np.testing.assert_array_equal(sharper.parameters, before)


def test_without_a_certificate_there_is_no_such_field(rng):
    network = mr.Network([Own(), mr.Flatten(), mr.TemperatureSigmoid(1), mr.Dense(3)], (2, 2, 1))
    config = StudyConfig("digits", "mlp", (1.0,), 1, audit_epsilons=(0.1,), audit_budget="quick", sharpen_ratios=(1,))
    assert "certified" not in sharpen(network, rng.random((3, 2, 2, 1), "float32"), np.array([0, 1, 2]), config, 0)


class Own(mr.Layer):
    """Identity, without bounds."""

    def forward(self, x):
        return x

    def input_gradient(self, grad_y):
        return grad_y
