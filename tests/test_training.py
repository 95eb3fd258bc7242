"""`fit`: it learns, it repeats itself bit for bit, it names the step at which a number went wrong."""

from contextlib import redirect_stderr
from itertools import islice
from time import perf_counter

import numpy as np
import pytest

import minirobust as mr
from data_loaders import Split
from minirobust import training
from minirobust.losses import evaluate
from minirobust.nonfinite import NonFiniteError


def mlp(backend="numpy", hidden=16, seed=0):
    return mr.models.mlp(0.5, hidden=hidden, backend=backend, seed=seed)


def blobs(rng, samples=300):
    """Three well separated clouds of points."""
    y = rng.integers(0, 3, samples)
    x = rng.standard_normal((samples, 4)) + 6 * np.eye(3, 4)[y]
    return x, y


def dropout_network(backend="numpy", dtype="float32"):
    layers = [mr.Dense(12), mr.TemperatureSigmoid(0.5), mr.Dropout(0.2), mr.Dense(3)]
    return mr.Network(layers, input_shape=(4,), backend=backend, dtype=dtype, seed=1)


@pytest.mark.parametrize("optimizer", [mr.SGD, mr.Momentum, lambda net: mr.Adam(net, lr=0.01)])
def test_training_learns(optimizer, backend, rng):
    x, y = blobs(rng)
    net = dropout_network(backend)
    records = list(mr.fit(net, optimizer(net), (x, y), epochs=8, batch_size=20))
    assert [record.epoch for record in records] == list(range(1, 9))
    assert records[-1].loss < 0.5 * records[0].loss
    assert (backend.to_numpy(net.predict(x)) == y).mean() > 0.95


def test_the_shipped_digits_are_learned(backend, digits):
    net = mlp(backend, hidden=64)
    mr.fit(net, mr.Adam(net, lr=3e-3), digits, epochs=3)
    test = digits.test
    assert (backend.to_numpy(net.predict(test.pixels())) == test.labels).mean() > 0.85


def test_bytes_and_floats_give_the_same_training(backend, digits):
    split = digits.train[:200]

    def parameters(data):
        net = mlp(backend)
        list(mr.fit(net, mr.Adam(net), data, epochs=2))
        return backend.to_numpy(net.parameters)

    np.testing.assert_array_equal(parameters(split), parameters((split.pixels(), split.labels)))


def test_the_same_seed_gives_the_same_weights_bit_for_bit(rng):
    x, y = blobs(rng)

    def parameters(seed):
        net = dropout_network()
        list(mr.fit(net, mr.Adam(net), (x, y), epochs=3, seed=seed))
        return net.parameters.tobytes()

    assert parameters(7) == parameters(7)
    assert parameters(7) != parameters(8)


def test_the_loss_is_the_mean_over_samples_not_over_batches(rng):
    x, y = blobs(rng, 50)
    net = mr.Network([mr.Dense(3)], input_shape=(4,), dtype="float64")
    expected = net.backend.softmax_cross_entropy(net.forward(x), y)[0].mean()
    (record,) = mr.fit(net, mr.SGD(net, lr=1e-12), (x, y), epochs=1, batch_size=32)
    assert record.loss == pytest.approx(expected, rel=1e-9)


def test_every_sample_is_seen_once_an_epoch_in_a_new_order():
    seen = []

    class Records(mr.Flatten):
        def forward(self, x):
            seen.extend(x[:, 0].tolist())
            return super().forward(x)

    x = np.arange(10.0)[:, None] / 10
    net = mr.Network([Records(), mr.Dense(2)], input_shape=(1,), dtype="float64")
    mr.fit(net, mr.SGD(net), (x, np.zeros(10, dtype=int)), epochs=2, batch_size=4)
    first, second = seen[:10], seen[10:]
    assert sorted(first) == sorted(second) == x[:, 0].tolist()
    assert first != second
    assert first != sorted(first)


def test_training_mode_is_on_inside_the_epoch_and_off_between(rng):
    x, y = blobs(rng, 40)
    net = dropout_network()
    modes = []
    for _record in mr.epochs(net, mr.SGD(net), (x, y), epochs=2):
        modes.append(net.training)
    assert modes == [False, False]
    assert net.layers[2].draws == 2


def test_measuring_between_epochs_changes_nothing(rng):
    x, y = blobs(rng)

    def parameters(look):
        net = dropout_network()
        for _record in mr.epochs(net, mr.Adam(net), (x, y), epochs=3):
            if look:
                net.predict(x)
                net.hidden(x)
                net.input_gradient(x, y)
        return net.parameters.tobytes()

    assert parameters(look=True) == parameters(look=False)


def test_custom_loss_trains(rng):
    x, y = blobs(rng)
    net = dropout_network()
    list(mr.fit(net, mr.SGD(net), (x, y), epochs=5, loss=mr.Margin()))
    assert (net.predict(x) == y).mean() > 0.9


# Numbers that are none


class Bomb(mr.Flatten):
    """Turns one value into NaN in the training step of that number, in the direction asked for."""

    saved = ("now",)

    def __init__(self, step, where):
        self.step = step
        self.where = where

    def build(self, input_shape):
        self.dummy = mr.Parameter((1,), "zeros")
        return input_shape

    def forward(self, x):
        y = x.copy()
        if self.training:
            self.now = self.random((1,)) is not None and self.draws == self.step
            if self.where == "forward" and self.now:
                y[0, 0] = np.nan
        return y

    def input_gradient(self, grad_y):
        grad_x = grad_y.copy()
        if self.where == "backward" and self.now:
            grad_x[0, 0] = np.inf
        return grad_x

    def parameter_gradients(self, grad_y):
        self.dummy.grad[...] = 0


IN_FORWARD, IN_BACKWARD = ("forward", r"layer 1, Bomb\(.*: output"), ("backward", r"layer 1, Bomb\(.*: ∂L/∂input")


@pytest.mark.parametrize(("where", "what"), [IN_FORWARD, IN_BACKWARD])
def test_nan_or_infinity_is_traced_on_every_backend(where, what, backend, rng):
    assert_traced(101, where, what, backend, rng)


@pytest.mark.parametrize(
    ("step", "where", "what"),
    [
        *((1, *IN_FORWARD), (99, *IN_BACKWARD), (100, *IN_FORWARD)),
        *((100, *IN_BACKWARD), (150, *IN_FORWARD), (215, *IN_BACKWARD)),
    ],
)
def test_nan_or_infinity_is_traced_to_epoch_batch_and_layer(step, where, what, rng):
    assert_traced(step, where, what, mr.backend.get("numpy"), rng)


def assert_traced(step, where, what, backend, rng):
    x, y = blobs(rng, 215)
    net = mr.Network([mr.Dense(5), Bomb(step, where), mr.Tanh(), mr.Dense(3)], input_shape=(4,), backend=backend)
    optimizer = mr.Adam(net)
    with pytest.raises(NonFiniteError, match=f"epoch 1, batch {step}: {what} is the first with NaN or infinity"):
        list(mr.fit(net, optimizer, (x, y), epochs=2, batch_size=1))
    # The network is as it was before the step at fault.
    twin = mr.Network([mr.Dense(5), Bomb(0, where), mr.Tanh(), mr.Dense(3)], input_shape=(4,), backend=backend)
    twin.training = True
    loss, twins_optimizer = mr.SoftmaxCrossEntropy(), mr.Adam(twin)
    for x_, y_ in islice(mr.batches(twin, (x, y), batch_size=1), step - 1):
        _, gradient = evaluate(loss, backend, twin.forward(x_), backend.asarray(y_))
        twin.backward(gradient, input_gradient=False)
        twins_optimizer.step()
    np.testing.assert_array_equal(backend.to_numpy(net.parameters), backend.to_numpy(twin.parameters))
    assert backend.to_numpy(optimizer.t) == step - 1


def test_a_step_that_overflows_is_named(rng):
    x, y = blobs(rng)
    net = mr.Network([mr.Dense(5), mr.ReLU(), mr.Dense(3)], input_shape=(4,))
    with pytest.raises(NonFiniteError, match=r"epoch 1, batch \d+: "):
        list(mr.fit(net, mr.SGD(net, lr=1e38), (x, y), epochs=1))
    assert np.isfinite(net.parameters).all()


def test_parameters_that_overflow_though_the_loss_is_finite_are_named(rng):
    net = mr.Network([mr.Dense(3)], input_shape=(4,))
    x, y = blobs(rng)
    with pytest.raises(NonFiniteError, match=r"epoch 1, batch 1: the optimizer's step overflowed"):
        mr.fit(net, mr.SGD(net, lr=1e38), (100 * x, y), epochs=1, batch_size=len(x), progress=False)
    assert np.isfinite(net.parameters).all()


def test_a_loss_that_overflows_is_named(rng):
    class Infinite(mr.SoftmaxCrossEntropy):
        def value_and_gradient(self, logits, y, target=None):
            value, gradient = super().value_and_gradient(logits, y)
            return value * np.float32(np.inf), gradient

    net = mr.Network([mr.Dense(3)], input_shape=(4,))
    with pytest.raises(NonFiniteError, match="epoch 1, batch 1: the loss is inf"):
        mr.fit(net, mr.SGD(net), blobs(rng), epochs=1, loss=Infinite(), progress=False)


def test_loss_is_not_read_from_the_device_at_every_step(rng):
    x, y = blobs(rng, 2000)
    strict = mr.backend.get("strict")
    net = dropout_network("strict")
    epochs = mr.epochs(net, mr.Adam(net), (x, y), epochs=1, batch_size=10)
    before = strict.transfers
    next(epochs)
    assert strict.transfers - before <= 200 / training.WATCH + 1


# The history


def test_fit_trains_and_returns_the_history(rng):
    x, y = blobs(rng)
    net, twin = dropout_network(), dropout_network()
    begin = perf_counter()
    history = mr.fit(net, mr.Adam(net), (x, y), epochs=3)
    by_hand = list(mr.epochs(twin, mr.Adam(twin), (x, y), epochs=3))
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    assert [record.epoch for record in history] == [1, 2, 3]
    assert [record.loss for record in history] == [record.loss for record in by_hand]
    assert history[0].to_dict() == {"epoch": 1, "loss": history[0].loss, "seconds": history[0].seconds}
    assert all(0 < record.seconds < perf_counter() - begin for record in history)


def test_a_history_is_a_table_for_pandas(rng):
    pandas = pytest.importorskip("pandas")
    net = dropout_network()
    history = mr.fit(net, mr.SGD(net), blobs(rng), epochs=2)
    table = pandas.DataFrame(history)
    assert list(table.columns) == ["epoch", "loss", "seconds"]
    assert table.loss.tolist() == [record.loss for record in history]


def test_fit_shows_a_bar_unless_told_otherwise(rng, terminal):
    net = dropout_network()
    data = x, _ = blobs(rng)
    with redirect_stderr(terminal):
        mr.fit(net, mr.SGD(net), data, epochs=2)
    shown = terminal.getvalue()
    assert "epoch 1 " in shown
    assert "epoch 2 " in shown
    assert shown.count(f"{len(x)}/{len(x)} samples") >= 2
    with redirect_stderr(terminal):
        mr.fit(net, mr.SGD(net), data, epochs=1, progress=False)
        list(mr.epochs(net, mr.SGD(net), data, epochs=1))
    assert terminal.getvalue() == shown


def test_learning_rate_can_change_between_epochs(rng):
    net = dropout_network()
    sgd = mr.SGD(net, lr=0.1)
    losses = []
    for record in mr.epochs(net, sgd, blobs(rng), epochs=4):
        sgd.lr = 0 if record.epoch == 2 else sgd.lr
        losses.append(net.parameters.copy())
    assert (losses[0] != losses[1]).any()
    np.testing.assert_array_equal(losses[1], losses[3])


# Minibatches for a custom loop


@pytest.mark.parametrize("source", ["pairs", "digits"])
def test_written_out_loop_equals_fit(source, backend, rng, digits):
    x, y = digits.train.pixels(slice(500)), digits.train.labels[:500]
    data = (x, y) if source == "pairs" else digits.train[:500]
    net, twin = (mlp(backend) for _ in range(2))
    adam, loss = mr.Adam(net), mr.SoftmaxCrossEntropy()
    for epoch in (1, 2):
        for images, labels in mr.batches(net, data, batch_size=64, seed=5, epoch=epoch):
            _, gradient = loss.value_and_gradient(net.forward(images), labels)
            net.backward(gradient / len(images))
            adam.step()
    mr.fit(twin, mr.Adam(twin), data, epochs=2, batch_size=64, seed=5, progress=False)
    parameters, expected = map(backend.to_numpy, (net.parameters, twin.parameters))
    if backend.name == "numba":  # a loss that is given NumPy arrays alone is computed by the reference
        np.testing.assert_allclose(parameters, expected, rtol=0, atol=1e-6)
    else:
        np.testing.assert_array_equal(parameters, expected)


def test_batches_cover_every_sample_once_in_another_order_each_epoch(rng):
    x, y = np.arange(10.0)[:, None], np.arange(10) % 2
    net = mr.Network([mr.Dense(2)], (1,), dtype="float64")

    def seen(**options):
        return [images[:, 0].tolist() for images, _ in mr.batches(net, (x, y), batch_size=4, **options)]

    first = seen()
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(number for batch in first for number in batch) == x[:, 0].tolist()
    assert first == seen(seed=0, epoch=1) != seen(epoch=2)
    assert seen(seed=1) != first


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"epoch": 0}, {"seed": -1}])
def test_wrong_arguments_of_batches_are_refused_at_once(options, rng):
    with pytest.raises(ValueError, match=next(iter(options))):
        mr.batches(dropout_network(), blobs(rng), **options)


# Misuse: refused at once, not at the first epoch


def test_undeclared_state_raises_at_the_first_step(rng, tmp_path):
    steps = []

    class Counts(mr.Flatten):
        def forward(self, x):
            steps.append(len(x))
            self.last = x
            return super().forward(x)

    net = mr.Network([Counts(), mr.Dense(3)], (4,))
    with pytest.raises(TypeError, match=r"layer 0, Counts\(\): the attribute 'last' would be lost"):
        mr.fit(net, mr.SGD(net), blobs(rng), epochs=1, batch_size=10, checkpoint=tmp_path / "net.h5")
    assert len(steps) == 1
    assert not (tmp_path / "net.h5").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs"),
        ({"epochs": 2.5}, ValueError, "epochs"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"seed": -1}, ValueError, "seed"),
        ({"start": 3}, ValueError, "expected start from 0 to epochs = 2, got 3"),
        ({"data": (np.ones((3, 5)), np.zeros(3, int))}, ValueError, r"fit: x: expected shape \(N, 4\), got \(3, 5\)"),
        ({"data": (np.ones((3, 4)), np.zeros(2, int))}, ValueError, r"labels: expected shape \(3,\)"),
        ({"data": (np.ones((3, 4)), np.full(3, 3))}, ValueError, "expected classes 0 to 2, got 3"),
        ({"data": (np.ones((3, 4), int), np.zeros(3, int))}, TypeError, "divide by 255"),
        ({"data": (np.full((3, 4), np.nan), np.zeros(3, int))}, ValueError, "finite"),
        ({"data": (np.ones((0, 4)), np.zeros(0, int))}, ValueError, "empty batch"),
        ({"data": np.ones((3, 4))}, TypeError, r"expected a Dataset, a Split or \(x, y\)"),
        ({"checkpoint": "no/such/folder/net.h5"}, FileNotFoundError, "expected an existing folder"),
    ],
)
def test_wrong_arguments_raise(arguments, error, message):
    net = dropout_network()
    arguments = {"data": (np.ones((3, 4)), np.zeros(3, int)), "epochs": 2, **arguments}
    with pytest.raises(error, match=message):
        mr.fit(net, mr.SGD(net), **arguments)


def test_images_of_another_size_raise(digits):
    net = mr.models.mlp(1, (32, 32, 3), hidden=2)
    with pytest.raises(ValueError, match=r"expected images of shape \(32, 32, 3\), got \(28, 28, 1\)"):
        mr.fit(net, mr.SGD(net), digits, epochs=1)


def test_empty_split_raises(digits):
    net = mlp()
    with pytest.raises(ValueError, match="expected at least one sample, got an empty split"):
        mr.fit(net, mr.SGD(net), digits.train[:0], epochs=1)


def test_labels_beyond_the_networks_classes_raise():
    images = np.zeros((4, 2, 2, 1), dtype="uint8")
    net = mr.Network([mr.Flatten(), mr.Dense(3)], input_shape=(2, 2, 1))
    with pytest.raises(ValueError, match="expected classes 0 to 2, got 7"):
        mr.fit(net, mr.SGD(net), Split(images, np.array([0, 1, 7, 2])), epochs=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda net: mr.SGD(net, lr=-1), r"SGD: expected lr in \[0, inf\), got -1"),
        (lambda net: mr.Adam(net, lr=-1), "lr"),
        (lambda net: mr.Adam(net, beta1=1), r"beta1 in \[0, 1\), got 1"),
        (lambda net: mr.Adam(net, epsilon=0), "epsilon"),
        (lambda net: mr.Adam(net, weight_decay=-1), "weight_decay"),
        (
            lambda net: mr.Adam(net, lr=np.ones(3)),
            r"array of such numbers of shape \(99,\), got an array of shape \(3,\)",
        ),
        (lambda net: mr.Momentum(net, momentum=1.5), "momentum"),
    ],
)
def test_wrong_hyperparameters_raise(make, message):
    with pytest.raises(ValueError, match=message):
        make(dropout_network())


def test_optimizer_without_a_network_raises():
    with pytest.raises(TypeError, match="Adam: expected a Network, got list"):
        mr.Adam([])
