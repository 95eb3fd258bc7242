"""`trace`: it records what passes through the layers, and finds the layer in which the first NaN appears."""

import numpy as np
import pytest

import minirobust as mr


@pytest.fixture
def net(backend):
    layers = [mr.Dense(5), mr.ReLU(), mr.Dense(3)]
    return mr.Network(layers, input_shape=(4,), backend=backend, dtype="float64", seed=2)


def test_statistics_are_those_of_the_arrays(net, rng):
    x = rng.standard_normal((6, 4))
    to_numpy = net.backend.to_numpy
    with mr.trace(net) as record:
        logits = net.forward(x)
        net.backward(logits)
    assert [(row.layer, row.what) for row in record.rows] == [
        (0, "output"),
        (1, "output"),
        (2, "output"),
        (2, "∂L/∂output"),
        (2, "∂L/∂weight"),
        (2, "∂L/∂bias"),
        (1, "∂L/∂output"),
        (0, "∂L/∂output"),
        (0, "∂L/∂weight"),
        (0, "∂L/∂bias"),
        (0, "∂L/∂input"),
    ]
    row, hidden = record.rows[1], np.maximum(to_numpy(net.hidden(x)), 0)
    assert row.shape == (6, 5)
    expected = (hidden.min(), hidden.max(), hidden.mean(), hidden.std(), (hidden == 0).mean(), 0)
    actual = (row.minimum, row.maximum, row.mean, row.std, row.zeros, row.nonfinite)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)
    assert 0.2 < row.zeros < 0.8
    assert record.origin() is None


def test_layer_that_passes_its_gradient_on_is_recorded(backend, rng):
    net = mr.Network([mr.Dense(5), mr.Dropout(0.5), mr.Dense(3)], input_shape=(4,), backend=backend)
    with mr.trace(net) as record:
        net.backward(net.forward(rng.standard_normal((6, 4))))
    assert [row.layer for row in record.rows if row.what == "∂L/∂output"] == [2, 1, 0]


def test_the_table_has_a_line_for_every_array(net, rng):
    with mr.trace(net) as record:
        for _ in range(2):
            net.forward(rng.standard_normal((6, 4)))
    lines = record.table().splitlines()
    assert lines[0].split() == ["layer", "what", "shape", "min", "max", "mean", "std", "zeros", "non-finite"]
    assert len(lines) == 2 + 3
    assert lines[3].startswith("layer 1, ReLU()")
    assert str(record) == record.table()


def test_trace_leaves_the_network_unchanged(net, rng):
    x = rng.standard_normal((6, 4))
    with mr.trace(net) as record:
        net.predict(x)
        net.input_gradient(x, np.zeros(6, int))
    assert [type(layer) for layer in net.layers] == [mr.Dense, mr.ReLU, mr.Dense]
    assert not any(name in vars(layer) for layer in net.layers for name in ("forward", "input_gradient", "x"))
    seen = len(record.rows)
    net.backward(net.forward(x))
    assert len(record.rows) == seen


def test_gradients_in_training_and_attacks_are_the_true_ones(rng):
    """Not those multiplied by the scale of the way back."""
    net = mr.Network([mr.Dense(5), mr.ReLU(), mr.Dense(3)], input_shape=(4,))
    x, y = rng.random((6, 4)), rng.integers(0, 3, 6)
    expected = abs(net.input_gradient(x, y)).max()
    with mr.trace(net) as record:
        mr.attacks.fgsm(net, x, y)
    assert max(abs(row.maximum) for row in record.rows if row.what == "∂L/∂output") <= 1
    row = next(row for row in record.rows if row.what == "∂L/∂input")
    assert max(abs(row.minimum), abs(row.maximum)) == pytest.approx(expected)
    twin = net.copy()
    with mr.trace(net) as record:
        mr.fit(net, mr.Adam(net), (x, y), epochs=2, progress=False)
    assert max(abs(row.maximum) for row in record.rows if row.what.startswith("∂L/∂")) < 10
    mr.fit(twin, mr.Adam(twin), (x, y), epochs=2, progress=False)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_network_saved_inside_a_trace_can_be_loaded(net, rng, tmp_path):
    x = rng.standard_normal((6, 4))
    with mr.trace(net):
        mr.save(tmp_path / "net.h5", net)
    loaded = mr.load(tmp_path / "net.h5").network
    assert [type(layer) for layer in loaded.layers] == [mr.Dense, mr.ReLU, mr.Dense]
    np.testing.assert_array_equal(loaded.logits(x), net.backend.to_numpy(net.logits(x)))


def test_a_nan_in_a_parameter_is_named(net, rng):
    net.layers[2].weight.value[1, 1] = np.nan
    with mr.trace(net) as record:
        net.forward(rng.standard_normal((6, 4)))
    assert record.origin().startswith("layer 2, Dense(3): output is the first with NaN or infinity")
    assert record.origin().endswith("its parameter weight is not finite either")
    assert record.origin() in str(record)
    assert record.rows[2].nonfinite > 0
    assert np.isfinite(record.rows[2].mean)


@pytest.mark.filterwarnings("ignore:overflow")
def test_an_overflow_is_found_where_it_happens_not_where_it_shows(backend):
    class Exp(mr.Layer):
        def forward(self, x):
            return self.xp.exp(x)

    net = mr.Network([mr.ReLU(), Exp(), mr.Tanh(), mr.Dense(2)], input_shape=(2,), backend=backend)
    with mr.trace(net) as record:
        net.forward(np.array([[1.0, 200.0]]))
    assert record.origin().startswith("layer 1, Exp(): output is the first")
    assert "50.00%" in record.origin()


@pytest.mark.filterwarnings("ignore:invalid value")
def test_layer_whose_gradient_becomes_nan_is_named(net, rng):
    class Breaks(mr.Tanh):
        def input_gradient(self, grad_y):
            return super().input_gradient(grad_y) * np.inf

    net = mr.Network([mr.Dense(5), Breaks(), mr.Dense(3)], input_shape=(4,), backend=net.backend)
    with mr.trace(net) as record:
        net.backward(net.forward(rng.standard_normal((6, 4))))
    assert record.origin().startswith("layer 1, Breaks(): ∂L/∂input is the first")


def test_gradient_that_was_nan_from_the_start_is_named(net, rng):
    with mr.trace(net) as record:
        logits = net.forward(rng.standard_normal((6, 4)))
        with np.errstate(invalid="ignore"):
            net.backward(logits * np.inf)
    assert record.origin().startswith("layer 2, Dense(3): ∂L/∂output is the first")
    assert record.origin().endswith("it came from the loss or the caller")


def test_tracing_twice_at_once_is_refused(net):
    with mr.trace(net), pytest.raises(RuntimeError, match="being traced already"), mr.trace(net):
        pass


def test_only_networks_are_traced():
    with pytest.raises(TypeError, match="expected a Network, got Dense"):
        mr.trace(mr.Dense(2))
