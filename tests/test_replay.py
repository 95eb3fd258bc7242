"""Steps that a backend records: which are recorded, when they are recorded again, and the same training results.

`Replaying` stands in for a device: its recording runs the step's Python at first, and from then on what it has noted,
so that everything that differs from step to step must be in arrays.  CUDA itself: the tests at the end, on a GPU.
"""

import logging

import numpy as np
import pytest

import minirobust as mr
from minirobust.backend import NumpyBackend

N, BATCH = 150, 16


class Recorded:
    """Counts the steps, and refuses to take more than the arrays know of."""

    def __init__(self, network, step):
        self.network, self.step, self.taken = network, step, 0

    def take(self):
        self.taken += 1
        self.step()


class Replaying(NumpyBackend):
    name = "replaying"

    def __init__(self):
        super().__init__()
        self.recordings = []

    def record(self, network, step):
        self.recordings.append(Recorded(network, step))
        return self.recordings[-1]


@pytest.fixture
def data(rng):
    return rng.random((N, 6), dtype=np.float32), rng.integers(0, 3, N)


def network(backend, *extra, temperature=0.5):
    layers = [mr.Dense(5), mr.TemperatureSigmoid(temperature), *extra, mr.Dense(3)]
    return mr.Network(layers, (6,), backend=backend, seed=1)


class Doubled(mr.SGD):
    """An optimizer of a user's own."""

    def update(self, value, grad):
        super().update(value, 2 * grad)


class Halved(mr.SoftmaxCrossEntropy):
    """A loss of a user's own."""

    def formula(self, backend, logits, y):
        value, gradient = super().formula(backend, logits, y)
        return value / 2, gradient / 2


class Own(mr.Tanh):
    """A layer of a user's own."""


@pytest.mark.parametrize("optimizer", [mr.SGD, mr.Momentum, mr.Adam])
def test_replayed_training_equals_eager_training_bit_for_bit(optimizer, data):
    nets = [network(backend) for backend in ("numpy", Replaying())]
    histories = [mr.fit(net, optimizer(net), data, epochs=3, batch_size=BATCH, progress=False) for net in nets]
    np.testing.assert_array_equal(nets[1].parameters, nets[0].parameters)
    assert [record.loss for record in histories[1]] == [record.loss for record in histories[0]]


def test_every_full_batch_but_the_first_is_replayed_by_one_recording(data):
    net = network(backend := Replaying())
    mr.fit(net, mr.Adam(net), data, epochs=3, batch_size=BATCH, progress=False)
    (recording,) = backend.recordings
    assert recording.taken == 3 * (N // BATCH) - 1


@pytest.mark.parametrize(("name", "value"), [("beta1", 0.5), ("weight_decay", 0.1)])
def test_changed_hyperparameter_is_recorded_again(name, value, data):
    nets = [network(backend) for backend in ("numpy", Replaying())]
    for net in nets:
        optimizer = mr.Adam(net)
        for record in mr.epochs(net, optimizer, data, epochs=3, batch_size=BATCH):
            if record.epoch == 1:
                setattr(optimizer, name, value)
    assert len(nets[1].backend.recordings) == 2
    np.testing.assert_array_equal(nets[1].parameters, nets[0].parameters)


def test_changed_temperature_is_recorded_again(data):
    nets = [network(backend) for backend in ("numpy", Replaying())]
    for net in nets:
        for _ in mr.epochs(net, mr.Adam(net), data, epochs=2, batch_size=BATCH):
            net.layers[1].temperature = 2
    assert len(nets[1].backend.recordings) == 2
    np.testing.assert_array_equal(nets[1].parameters, nets[0].parameters)


def test_a_changed_learning_rate_is_an_array_and_needs_no_new_recording(data):
    nets = [network(backend) for backend in ("numpy", Replaying())]
    for net in nets:
        optimizer = mr.SGD(net)
        for record in mr.epochs(net, optimizer, data, epochs=3, batch_size=BATCH):
            optimizer.lr = 0.1 / record.epoch
    np.testing.assert_array_equal(nets[1].parameters, nets[0].parameters)


@pytest.mark.parametrize(
    ("extra", "optimizer", "loss", "named"),
    [
        ([Own()], mr.SGD, None, "Own"),
        ([], Doubled, None, "Doubled"),
        ([], mr.SGD, Halved(), "Halved"),
        ([mr.Dropout(0.5)], mr.SGD, None, "Dropout"),
    ],
    ids=["layer", "optimizer", "loss", "random layer"],
)
def test_unrecordable_steps_are_trained_eagerly_and_the_reason_is_logged(extra, optimizer, loss, named, data, caplog):
    nets = [network(backend, *(layer.fresh() for layer in extra)) for backend in ("numpy", Replaying())]
    with caplog.at_level(logging.INFO, "minirobust"):
        for net in nets:
            mr.fit(net, optimizer(net), data, epochs=2, batch_size=BATCH, loss=loss, progress=False)
    assert not nets[1].backend.recordings
    (message,) = caplog.messages
    assert named in message
    np.testing.assert_array_equal(nets[1].parameters, nets[0].parameters)


def test_a_loss_that_becomes_nan_in_a_replay_leaves_the_network_before_the_step_at_fault(data):
    x, y = data
    x = np.repeat(x, 20, axis=0)
    x[::700] = 3e38
    nets = [mr.Network([mr.Dense(3)], (6,), backend=backend) for backend in ("numpy", Replaying())]
    for net in nets:
        with pytest.raises(mr.NonFiniteError, match="epoch 1, batch"):
            mr.fit(net, mr.SGD(net), (x, np.repeat(y, 20)), epochs=1, batch_size=BATCH, progress=False)
    np.testing.assert_array_equal(nets[1].parameters, nets[0].parameters)


def test_a_batch_as_large_as_the_data_is_trained_on(data):
    nets = [network(backend) for backend in ("numpy", Replaying())]
    for net in nets:
        mr.fit(net, mr.SGD(net), data, epochs=3, batch_size=N, progress=False)
    np.testing.assert_array_equal(nets[1].parameters, nets[0].parameters)


# On a GPU


@pytest.fixture
def cupy():
    try:
        return mr.backend.get("cupy")
    except mr.backend.BackendError as error:
        pytest.skip(str(error))


def eager(backend):
    """The same backend, which records nothing."""
    twin = type(backend)()
    twin.record = None
    return twin


NETWORKS = {
    "mlp": (lambda backend, dtype: mr.models.mlp(0.5, input_shape=(8, 8, 1), backend=backend, dtype=dtype)),
    "cnn": (lambda backend, dtype: mr.models.cnn(0.5, input_shape=(16, 16, 1), backend=backend, dtype=dtype)),
    "pooling": (
        lambda backend, dtype: mr.Network(
            [mr.Conv2D(4, 3), mr.Tanh(), mr.AvgPool2D(2), mr.Flatten(), mr.Dense(7), mr.ReLU(), mr.Dense(10)],
            (8, 8, 1),
            backend=backend,
            dtype=dtype,
        )
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("optimizer", [mr.SGD, mr.Momentum, mr.Adam])
def test_on_cupy_a_graph_trains_as_the_same_steps_one_by_one(cupy, kind, dtype, optimizer, rng):
    nets = [NETWORKS[kind](backend, dtype) for backend in (eager(cupy), cupy)]
    data = rng.random((1_000, *nets[0].input_shape)).astype(dtype), rng.integers(0, 10, 1_000)
    histories = [mr.fit(net, optimizer(net), data, epochs=3, progress=False) for net in nets]
    values = [net.backend.to_numpy(net.parameters) for net in nets]
    scale = np.abs(values[0]).max()
    assert np.abs(values[1] - values[0]).max() <= 1e-6 * scale * (10 if optimizer is mr.Adam else 1)
    np.testing.assert_allclose([r.loss for r in histories[1]], [r.loss for r in histories[0]], rtol=1e-6)


def test_on_cupy_the_step_is_recorded_and_other_memory_is_left_alone(cupy, rng):
    data = rng.random((1_000, 6), dtype=np.float32), rng.integers(0, 3, 1_000)
    net = network(cupy)
    kept = []
    for _ in mr.epochs(net, mr.Adam(net), data, epochs=4):
        copy = net.parameters.copy()
        kept.append((copy, cupy.to_numpy(copy)))
    for on_device, then in kept:
        np.testing.assert_array_equal(cupy.to_numpy(on_device), then)
    assert len({then.tobytes() for _, then in kept}) == 4
