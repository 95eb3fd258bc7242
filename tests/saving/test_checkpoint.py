"""Checkpoints: training resumes exactly, and no damaged file is accepted."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirobust as mr
from data_loaders import load_hdf5
from minirobust.saving import sealed
from minirobust.saving.checkpoint import CheckpointError, check_saveable
from minirobust.saving.sealed import SEAL, VERSION

SAVED = Path(__file__).parents[1] / "saved"


def network(backend="numpy", dtype="float32", seed=9):
    layers = [
        mr.Conv2D(3, (3, 2), padding="same"),
        mr.TemperatureSigmoid(0.5),
        mr.MaxPool2D(2, stride=(2, 1)),
        mr.Flatten(),
        mr.Dropout(0.3),
        mr.Dense(4),
    ]
    return mr.Network(layers, (6, 5, 2), backend=backend, dtype=dtype, seed=seed, input_range=(-1, 1))


@pytest.fixture
def data(rng):
    return rng.random((90, 6, 5, 2)), rng.integers(0, 4, 90)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.h5"


@pytest.mark.parametrize("make", [mr.SGD, mr.Momentum, lambda net: mr.Adam(net, weight_decay=0.01)])
def test_resumed_training_equals_uninterrupted_training(make, data, backend, path):
    whole = network(backend)
    mr.fit(whole, make(whole), data, epochs=4, batch_size=16, seed=5)

    first = network(backend)
    mr.fit(first, make(first), data, epochs=2, batch_size=16, seed=5, checkpoint=path)
    resumed, optimizer, epoch = mr.load(path, backend=backend)
    assert epoch == 2
    records = mr.fit(resumed, optimizer, data, epochs=4, batch_size=16, seed=5, start=epoch)
    assert [record.epoch for record in records] == [3, 4]
    np.testing.assert_array_equal(backend.to_numpy(resumed.parameters), backend.to_numpy(whole.parameters))


def test_load_restores_the_whole_network(path):
    net = network()
    net.layers[4].draws = 17
    mr.save(path, net, epoch=3)
    loaded = mr.load(path)
    assert repr(loaded.network) == repr(net)
    assert loaded.network.layers[4].draws == 17
    assert loaded.optimizer is None
    assert loaded.epoch == 3
    np.testing.assert_array_equal(loaded.network.parameters, net.parameters)


def test_rates_that_are_arrays_are_restored(path, data, backend):
    net = network(backend)
    rates = np.linspace(1e-4, 1e-3, net.parameters.size, dtype="float32")
    optimizer = mr.Adam(net, lr=rates, epsilon=rates / 10)
    mr.fit(net, optimizer, data, epochs=1, checkpoint=path)
    loaded = mr.load(path).optimizer
    for name in ("lr", "epsilon", "m", "v"):
        np.testing.assert_array_equal(getattr(loaded, name), backend.to_numpy(getattr(optimizer, name)))
    assert loaded.t == int(backend.to_numpy(optimizer.t)) > 0


def test_network_crosses_backends_and_dtypes(backend, path, data):
    net = network(backend)
    mr.fit(net, mr.Adam(net), data, epochs=1, checkpoint=path)
    loaded = mr.load(path, backend="numpy", dtype="float64")
    assert loaded.network.dtype == "float64"
    assert loaded.optimizer.m.dtype == "float64"
    np.testing.assert_array_equal(loaded.network.parameters, backend.to_numpy(net.parameters).astype("float64"))
    back = mr.load(path, backend=backend)
    np.testing.assert_array_equal(backend.to_numpy(back.network.parameters), backend.to_numpy(net.parameters))


@pytest.mark.parametrize("lr", [np.float32(0.07), np.float64(0.07), 0.0, 1])
def test_learning_rate_assigned_later_is_saved(path, lr):
    net = network()
    optimizer = mr.Momentum(net, lr=0.5, momentum=0.25)
    optimizer.lr = lr
    mr.save(path, net, optimizer)
    loaded = mr.load(path).optimizer
    assert (loaded.lr, loaded.momentum) == (lr, 0.25)


def test_temperature_assigned_later_is_saved(path, rng):
    net = network()
    net.layers[1].temperature = np.linspace(1, 0.1, 4)[2]
    mr.save(path, net)
    loaded = mr.load(path).network
    assert loaded.layers[1].temperature == net.layers[1].temperature == pytest.approx(0.4)
    x = rng.random((5, 6, 5, 2))
    np.testing.assert_array_equal(loaded.logits(x), net.logits(x))


def test_argument_of_a_custom_layer_assigned_later_is_saved(path, rng):
    net = with_layer(Scale(1.0))
    net.layers[0].factor = np.float32(0.3)
    mr.save(path, net)
    loaded = mr.load(path, classes=[Scale]).network
    assert loaded.layers[0].factor == net.layers[0].factor
    x = rng.random((5, 3))
    np.testing.assert_array_equal(loaded.logits(x), net.logits(x))


# Custom layers and their arguments


class Scale(mr.Layer):
    """y = factor · x; the argument is anything that multiplies an array."""

    def __init__(self, factor=2.0):
        self.factor = factor

    def forward(self, x):
        return (self.factor * x).astype(x.dtype)

    def input_gradient(self, grad_y):
        return (self.factor * grad_y).astype(grad_y.dtype)


class Options(mr.Layer):
    """y = x; the argument can be anything."""

    def __init__(self, value):
        self.value = value

    def forward(self, x):
        return x

    def input_gradient(self, grad_y):
        return grad_y


class Moments(mr.Layer):
    """Normalize each feature with running statistics; subclasses declare them."""

    saved = ("batch_mean", "deviation")

    def __init__(self, momentum=0.5):
        self.momentum = momentum

    def forward(self, x):
        mean, variance = self.statistics()
        if self.training:
            mean[...] = self.momentum * mean + (1 - self.momentum) * x.mean(axis=0)
            variance[...] = self.momentum * variance + (1 - self.momentum) * x.var(axis=0)
        self.deviation = np.sqrt(variance + 1e-5)
        return ((x - mean) / self.deviation).astype(x.dtype)

    def input_gradient(self, grad_y):
        return grad_y / self.deviation


class DeclaredMoments(Moments):
    def build(self, input_shape):
        self.mean, self.variance = mr.Buffer(input_shape, "zeros"), mr.Buffer(input_shape, "ones")
        return input_shape

    def statistics(self):
        return self.mean.value, self.variance.value


class PlainMoments(Moments):
    def build(self, input_shape):
        self.mean, self.variance = np.zeros(input_shape), np.ones(input_shape)
        return input_shape

    def statistics(self):
        return self.mean, self.variance


def with_layer(layer, features=3, **options):
    return mr.Network([layer, mr.Dense(2)], input_shape=(features,), **options)


def test_custom_layer_needs_its_class(path):
    net = with_layer(Scale(3.0))
    mr.save(path, net)
    with pytest.raises(
        mr.CheckpointError, match=r"layer class Scale of the module .*test_checkpoint, got none.*\[Scale\]"
    ):
        mr.load(path)
    loaded = mr.load(path, classes=[Options, Scale]).network
    assert repr(loaded) == repr(net)
    assert type(loaded.layers[0]) is Scale


@pytest.mark.parametrize(
    "value",
    [
        ((1, 1), (2, (2.5, None))),
        "ε",
        True,
        None,
        -0.0,
        5e-324,
        10**30,
        {"a": (1, "b"), "c": {}},
        (),
    ],
    ids=repr,
)
def test_arguments_come_back_as_they_were(path, value):
    mr.save(path, with_layer(Options(value)))
    loaded = mr.load(path, classes=[Options]).network.layers[0].value
    assert repr(loaded) == repr(value)


def test_list_argument_is_a_tuple_before_and_after(path):
    net = with_layer(Options([2.0, [3.0, np.float32(0.5)]]))
    mr.save(path, net)
    loaded = mr.load(path, classes=[Options]).network
    assert loaded.layers[0].value == net.layers[0].value == (2.0, (3.0, 0.5))


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.1, 1 / 3, np.nan, -0.0, 5e-324]),
        np.array([[0.1], [1 / 3]], "float32"),
        np.array([1, -(2**63)]),
        np.array([255, 0], "uint8"),
        np.array([True, False]),
        np.array(0.1, ">f8"),
        np.array([1 + 2j]),
        np.zeros((2, 0)),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_array_argument_comes_back_bit_for_bit(path, array):
    mr.save(path, with_layer(Options(array)))
    loaded = mr.load(path, classes=[Options]).network.layers[0].value
    assert (loaded.dtype, loaded.shape, loaded.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_network_with_an_array_argument_predicts_the_same(path, rng):
    net = with_layer(Scale(np.array([0.5, 0.4, 0.3], "float32")))
    mr.save(path, net)
    x = rng.random((5, 3))
    np.testing.assert_array_equal(mr.load(path, classes=[Scale]).network.logits(x), net.logits(x))


class Pair(tuple):
    pass


@pytest.mark.parametrize(
    "value",
    [
        {0: 2.0},
        {"a": [1]},
        {1, 2},
        len,
        float("nan"),
        float("inf"),
        (1.0, float("nan")),
        1j,
        b"bytes",
        Pair((1, 2)),
        (np.zeros(2), np.zeros(2)),
        np.array(["text"]),
        np.array([object()]),
        np.ma.masked_array([1.0]),
    ],
    ids=lambda value: f"{type(value).__name__} {value!r:.12}",
)
def test_argument_that_a_file_cannot_hold_is_refused(path, value):
    net = with_layer(Options(value))
    with pytest.raises(TypeError, match=r"(?s)the argument 'value' of layer 0, Options\(.* got .*: pass a name or"):
        mr.save(path, net)
    assert not path.exists()


def test_unsaveable_argument_is_refused_before_training(tmp_path):
    net = mr.Network([mr.Dense(2, initializer=lambda generator, shape: np.zeros(shape))], input_shape=(2,))
    with pytest.raises(TypeError, match=r"expected the argument 'initializer' of layer 0, Dense.*got <function"):
        mr.epochs(net, mr.SGD(net), (np.ones((2, 2)), [0, 1]), epochs=1, checkpoint=tmp_path / "net.h5")
    assert not list(tmp_path.iterdir())


class Doubles(Options):
    def __init__(self, value):
        super().__init__(2 * value)


class Fussy(Options):
    def __init__(self, value):
        if not isinstance(value, str):
            raise LookupError("not text")
        self.value = value


def test_constructor_that_changes_its_argument_is_refused(path):
    with pytest.raises(TypeError, match=r"constructor of layer 0, Doubles.* 'value' .* given 6 it keeps 12"):
        mr.save(path, with_layer(Doubles(3)))


def test_layer_that_cannot_be_built_again_is_refused(path):
    net = with_layer(Fussy("text"))
    net.layers[0].value = 5
    with pytest.raises(ValueError, match=r"save: the file could not be loaded: .*LookupError: not text"):
        mr.save(path, net)
    assert not path.exists()


def test_buffers_are_saved_and_copied(path, rng, backend):
    net = with_layer(DeclaredMoments(), backend="numpy")
    x, y = 3 + rng.random((40, 3)), rng.integers(0, 2, 40)
    mr.fit(net, mr.Adam(net), (x, y), epochs=2, checkpoint=path)
    assert (net.buffers != with_layer(DeclaredMoments()).buffers).all()
    loaded = mr.load(path, classes=[DeclaredMoments]).network
    for other in (loaded, net.copy()):
        assert np.abs(other.logits(x) - net.logits(x)).max() == 0
    moved = mr.load(path, backend=backend, dtype="float64", classes=[DeclaredMoments]).network
    np.testing.assert_array_equal(backend.to_numpy(moved.buffers), net.buffers)


@pytest.mark.parametrize("copy", [mr.Network.copy, lambda net: mr.save("never.h5", net)], ids=["copy", "save"])
def test_statistics_that_are_not_declared_are_refused(rng, copy):
    net = with_layer(PlainMoments())
    mr.fit(net, mr.SGD(net), (3 + rng.random((40, 3)), rng.integers(0, 2, 40)), epochs=1)
    with pytest.raises(TypeError, match=r"layer 0, PlainMoments.*the attribute 'mean' would be lost"):
        copy(net)


def test_replaced_parameter_is_refused(path):
    net = network()
    net.layers[5].bias = np.ones(4, "float32")
    with pytest.raises(AttributeError, match="expected bias to be the Parameter that build declared"):
        mr.save(path, net)


@pytest.mark.parametrize("epoch", [-1, 1.5, "3"])
def test_impossible_epoch_is_refused(path, epoch):
    with pytest.raises((TypeError, ValueError), match="epoch|integer"):
        mr.save(path, network(), epoch=epoch)
    assert not path.exists()


def test_epoch_that_is_a_numpy_integer_is_saved(path):
    mr.save(path, network(), epoch=np.int64(3))
    assert mr.load(path).epoch == 3


# Custom optimizers


class Sign(mr.SGD):
    """θ ← θ - lr · sign(u) with a running average u of the gradients."""

    arguments = ("lr", "decay", "skip")

    def __init__(self, network, lr=0.1, decay=0.9, skip=(0,)):
        super().__init__(network, lr)
        self.decay = decay
        self.skip = skip
        self.u = self.average("u")

    def update(self, value, grad):
        self.u *= self.decay
        self.u += grad
        value -= self.rates["lr"] * self.network.xp.sign(self.u)


class Counting(mr.SGD):
    def __init__(self, network, lr=0.1):
        super().__init__(network, lr)
        self.steps = 0
        self.last = network.xp.zeros_like(network.parameters)

    def update(self, value, grad):
        super().update(value, grad)
        self.last[...] = grad


class Rebinding(mr.Momentum):
    def update(self, value, grad):
        self.u = self.momentum * self.u + grad
        value -= self.rates["lr"] * self.u


def test_custom_optimizer_resumes_bit_for_bit(path, data, backend):
    def make(net):
        return Sign(net, decay=0.5, skip=(1, (2,)))

    whole, first = network(backend), network(backend)
    mr.fit(whole, make(whole), data, epochs=4, batch_size=16)
    mr.fit(first, make(first), data, epochs=2, batch_size=16, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"optimizer class Sign of the module .*, got none: .*\[Sign\]"):
        mr.load(path)
    resumed, optimizer, epoch = mr.load(path, backend=backend, classes=[Sign])
    assert (type(optimizer), optimizer.decay, optimizer.skip) == (Sign, 0.5, (1, (2,)))
    mr.fit(resumed, optimizer, data, epochs=4, batch_size=16, start=epoch)
    np.testing.assert_array_equal(backend.to_numpy(resumed.parameters), backend.to_numpy(whole.parameters))


@pytest.mark.parametrize(("make", "attribute"), [(Counting, "last"), (Rebinding, "u")])
def test_optimizer_state_that_is_not_declared_is_refused(path, data, make, attribute):
    net = network()
    optimizer = make(net)
    mr.save(path, net, optimizer)
    mr.fit(net, optimizer, data, epochs=1)
    with pytest.raises(TypeError, match=f"{make.__name__}: the attribute '{attribute}' would be lost"):
        mr.save(path, net, optimizer)


def test_optimizer_argument_that_is_not_stored_is_refused(path):
    class Forgetful(mr.SGD):
        arguments = ("lr", "decay")

        def __init__(self, network, lr=0.1, decay=0.5):
            super().__init__(network, lr)

    net = network()
    with pytest.raises(TypeError, match=r"expected Forgetful to store its argument 'decay' as self\.decay"):
        mr.save(path, net, Forgetful(net))


def test_optimizer_constructor_that_changes_its_argument_is_refused(path):
    class Halving(mr.SGD):
        def __init__(self, network, lr=0.1):
            super().__init__(network, lr / 2)

    net = network()
    with pytest.raises(TypeError, match=r"constructor of Halving\(.* 'lr' as it is, but given 0\.25 it keeps 0\.125"):
        mr.save(path, net, Halving(net, lr=0.5))


def test_optimizer_argument_that_a_file_cannot_hold_is_refused(path):
    net = network()
    with pytest.raises(TypeError, match=r"expected the argument 'skip' of Sign\(.*got <function"):
        mr.save(path, net, Sign(net, skip=lambda step: 0))


def test_optimizer_of_another_network_is_refused(path):
    net = network()
    with pytest.raises(ValueError, match="expected the optimizer of this network"):
        mr.save(path, net.copy(), mr.SGD(net))


# Which class a name means


def leaky(module, slope=0.25):
    """Return a class named ReLU of some module, which is not the library's."""

    class ReLU(mr.Layer):
        saved = ("slopes",)
        is_activation = True

        def forward(self, x):
            self.slopes = np.where(x > 0, 1, slope).astype(x.dtype)
            return x * self.slopes

        def input_gradient(self, grad_y):
            return grad_y * self.slopes

    ReLU.__module__, ReLU.__qualname__ = module, "ReLU"
    return ReLU


def stack(*activations):
    layers = [mr.Dense(8), *(kind() for kind in activations), mr.Dense(2)]
    return mr.Network(layers, input_shape=(3,))


def kinds(net):
    return [type(layer) for layer in net.layers[1:-1]]


def test_custom_class_is_not_mistaken_for_a_built_in(path, rng):
    mine = leaky("notebook")
    net = stack(mine, mr.ReLU)
    mr.save(path, net)
    for others in ([], [mr.ReLU], [Scale]):
        with pytest.raises(CheckpointError, match="expected the layer class ReLU of the module notebook, got none"):
            mr.load(path, classes=others)
    loaded = mr.load(path, classes=[mine]).network
    assert kinds(loaded) == [mine, mr.ReLU]
    x = rng.standard_normal((9, 3))
    np.testing.assert_array_equal(loaded.logits(x), net.logits(x))


def test_custom_class_does_not_replace_a_built_in(path):
    mr.save(path, stack(mr.ReLU))
    assert kinds(mr.load(path, classes=[leaky("notebook")]).network) == [mr.ReLU]


def test_class_is_found_by_module_then_by_name_alone(path):
    script, package, other = leaky("__main__"), leaky("package"), leaky("other")
    mr.save(path, stack(script))
    assert kinds(mr.load(path, classes=[package]).network) == [package]
    assert kinds(mr.load(path, classes=[package, script]).network) == [script]
    with pytest.raises(CheckpointError, match=r"of the module __main__, got package:ReLU and other:ReLU"):
        mr.load(path, classes=[package, other])


def test_class_is_not_used_for_two_names(path):
    script, package, other = leaky("__main__"), leaky("package"), leaky("other")
    mr.save(path, stack(script, package))
    for too_few in ([package], [other]):
        with pytest.raises(CheckpointError, match="expected the layer class ReLU of the module __main__, got none"):
            mr.load(path, classes=too_few)
    assert kinds(mr.load(path, classes=[package, other]).network) == [other, package]


def test_two_classes_of_one_name_are_refused(path):
    mild, steep = leaky("notebook", 0.1), leaky("notebook", 0.5)
    with pytest.raises(ValueError, match="expected one class of each name, got two called notebook:ReLU"):
        mr.save(path, stack(mild, steep))
    mr.save(path, stack(mild, mild))
    with pytest.raises(ValueError, match="expected one class of each name, got two called notebook:ReLU"):
        mr.load(path, classes=[mild, steep])


@pytest.mark.parametrize("classes", [Scale, [Scale(1.0)], ["Scale"], [dict]])
def test_classes_must_be_a_sequence_of_classes(path, classes):
    mr.save(path, network())
    with pytest.raises(TypeError, match="classes: expected"):
        mr.load(path, classes=classes)


def test_class_of_a_script_is_found_in_another(tmp_path):
    (tmp_path / "layers.py").write_text(
        textwrap.dedent(
            """
            import sys, numpy as np, minirobust as mr
            class ReLU(mr.Layer):
                def forward(self, x): return np.where(x > 0, x, x / 4)
            if __name__ == "__main__":
                mr.save(sys.argv[1], mr.Network([ReLU(), mr.Dense(2)], (3,)))
            """
        )
    )
    code = (
        "import sys, numpy as np, minirobust as mr\n"
        "from layers import ReLU\n"
        "net = mr.load(sys.argv[1], classes=[ReLU]).network\n"
        "assert type(net.layers[0]) is ReLU"
    )
    (tmp_path / "use.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for script in ("layers.py", "use.py"):
        subprocess.run([sys.executable, str(tmp_path / script), str(tmp_path / "net.h5")], check=True, env=environment)


# Files of version 0.1


def test_checkpoint_of_version_0_1_is_loaded():
    expected = np.load(SAVED / "checkpoint-0.1.npz")
    net, optimizer, epoch = mr.load(SAVED / "checkpoint-0.1.h5")
    assert (epoch, optimizer.t, [layer.draws for layer in net.layers]) == (2, 18, [0, 0, 0, 0, 18, 0])
    assert (type(optimizer), optimizer.lr, optimizer.weight_decay) == (mr.Adam, 0.01, 1e-4)
    np.testing.assert_array_equal(net.parameters, expected["parameters"])
    np.testing.assert_array_equal(optimizer.m, expected["m"])
    np.testing.assert_array_equal(optimizer.v, expected["v"])
    x = load_hdf5(SAVED / "stripes.h5").test.pixels()
    np.testing.assert_allclose(net.logits(x), expected["logits"], rtol=1e-6)


def test_checkpoint_of_version_0_1_is_saved_again(path):
    loaded = mr.load(SAVED / "checkpoint-0.1.h5")
    mr.save(path, *loaded)
    again = mr.load(path)
    assert (repr(again.network), repr(again.optimizer)) == (repr(loaded.network), repr(loaded.optimizer))
    np.testing.assert_array_equal(again.network.parameters, loaded.network.parameters)
    np.testing.assert_array_equal(again.optimizer.v, loaded.optimizer.v)


def test_untrained_optimizer_of_version_0_1_is_loaded(path):
    with described(SAVED / "checkpoint-0.1.h5", path, version=1) as description:
        description["optimizer"][2] = 0
    with forged(path, path, version=1) as file:
        del file["optimizer"]
    optimizer = mr.load(path).optimizer
    assert (optimizer.t, optimizer.lr, optimizer.m.any()) == (0, 0.01, False)


def test_study_task_of_version_0_1_is_loaded():
    net, optimizer, epoch = mr.load(SAVED / "study-0.1" / "T0.5-seed0.h5")
    assert (net.layers[2].temperature, optimizer.t, epoch) == (0.5, 2, 2)


def test_class_passed_for_a_file_of_version_0_1_replaces_a_built_in():
    first, second = (type("Dropout", (mr.Dropout,), {"__module__": module}) for module in ("first", "second"))
    net = mr.load(SAVED / "checkpoint-0.1.h5", classes=[first]).network
    assert type(net.layers[4]) is first
    with pytest.raises(CheckpointError, match="expected the layer class Dropout, got first:Dropout and second:Dropout"):
        mr.load(SAVED / "checkpoint-0.1.h5", classes=[first, second])


def test_custom_class_in_a_file_of_version_0_1(path):
    with forged(SAVED / "checkpoint-0.1.h5", path, version=1) as file:
        file.attrs["description"] = file.attrs["description"].replace('"Dropout"', '"Noise"')
    with pytest.raises(CheckpointError, match=r"expected the layer class Noise, got none: .*classes=\[Noise\]"):
        mr.load(path)
    noise = type("Noise", (mr.Dropout,), {})
    assert type(mr.load(path, classes=[noise]).network.layers[4]) is noise


# A file is replaced as a whole or left as it is


def test_failed_save_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    path = tmp_path / "net.h5"
    mr.save(path, network())
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(OSError, match="No space left"):
        mr.save(path, network(dtype="float64"))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["missing/net.h5", "."])
def test_save_to_an_impossible_path_raises(tmp_path, where):
    with pytest.raises(OSError, match="expected"):
        mr.save(tmp_path / where, network())
    with pytest.raises(OSError, match="expected"):
        check_saveable(network(), None, tmp_path / where)


def test_interrupted_training_keeps_the_last_complete_epoch(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, numpy as np, minirobust as mr
            rng = np.random.default_rng(0)
            x, y = rng.random((2000, 20)), rng.integers(0, 3, 2000)
            net = mr.Network([mr.Dense(30), mr.Tanh(), mr.Dropout(0.1), mr.Dense(3)], (20,), seed=1)
            for record in mr.epochs(net, mr.Adam(net), (x, y), epochs=10**6, batch_size=8, checkpoint=sys.argv[1]):
                print(record.epoch, flush=True)
            """
        )
    )
    path = tmp_path / "net.h5"
    process = subprocess.Popen(
        [sys.executable, str(script), str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for expected in range(1, 4):
        assert int(process.stdout.readline()) == expected
    process.send_signal(signal.SIGINT)
    rest, error = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in error
    last = max([3, *map(int, rest.split())])
    resumed, optimizer, epoch = mr.load(path)
    assert epoch in (last, last + 1)  # an epoch may be saved and not yet printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.h5", "run.py"]

    rng = np.random.default_rng(0)
    data = rng.random((2000, 20)), rng.integers(0, 3, 2000)
    whole = mr.Network([mr.Dense(30), mr.Tanh(), mr.Dropout(0.1), mr.Dense(3)], (20,), seed=1)
    mr.fit(whole, mr.Adam(whole), data, epochs=epoch + 1, batch_size=8)
    mr.fit(resumed, optimizer, data, epochs=epoch + 1, batch_size=8, start=epoch)
    np.testing.assert_array_equal(resumed.parameters, whole.parameters)


def test_ctrl_c_during_save_takes_effect_after_the_file_is_written(tmp_path, monkeypatch):
    create = h5py.Group.create_dataset

    def interrupted(*args, **kwargs):
        signal.raise_signal(signal.SIGINT)
        return create(*args, **kwargs)

    monkeypatch.setattr(h5py.Group, "create_dataset", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        mr.save(tmp_path / "net.h5", network(), epoch=5)
    assert signal.getsignal(signal.SIGINT) is handler
    assert mr.load(tmp_path / "net.h5").epoch == 5
    assert [path.name for path in tmp_path.iterdir()] == ["net.h5"]


def test_save_works_in_another_thread(tmp_path):
    thread = threading.Thread(target=mr.save, args=(tmp_path / "net.h5", network()))
    thread.start()
    thread.join()
    assert mr.load(tmp_path / "net.h5").epoch == 0


def test_concurrent_saves_all_succeed(tmp_path):
    path, nets = tmp_path / "net.h5", [network(seed=seed) for seed in range(4)]

    def save(writer):
        for epoch in range(12):
            mr.save(path, nets[writer], mr.Adam(nets[writer]), epoch=epoch)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(save, range(4)))
    loaded = mr.load(path)
    assert loaded.epoch == 11
    np.testing.assert_array_equal(loaded.network.parameters, nets[loaded.network.seed].parameters)
    assert os.listdir(tmp_path) == ["net.h5"]


def test_save_removes_the_leftovers_of_a_killed_process(tmp_path):
    (tmp_path / ".net.h5.part").write_bytes(b"half a checkpoint")
    mr.save(tmp_path / "net.h5", network())
    assert [path.name for path in tmp_path.iterdir()] == ["net.h5"]


def test_new_file_has_default_permissions(tmp_path):
    mr.save(tmp_path / "net.h5", network())
    (tmp_path / "other").write_text("")
    assert (tmp_path / "net.h5").stat().st_mode == (tmp_path / "other").stat().st_mode


# Foreign, damaged and forged files


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "net.h5"
    net = network()
    mr.save(path, net, mr.Adam(net))
    return path


def test_missing_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file at .*net\.h5"):
        mr.load(tmp_path / "net.h5")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n", b"minirobust checkpoint", b"\xff" * 600])
def test_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "net.h5").write_bytes(content)
    with pytest.raises(CheckpointError, match="expected a minirobust checkpoint, got another kind of file"):
        mr.load(tmp_path / "net.h5")


def test_hdf5_file_of_another_kind_is_refused(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(CheckpointError, match="expected a minirobust checkpoint, got another kind of file"):
        mr.load(tmp_path / "net.h5")


@pytest.mark.parametrize(
    ("version", "message"),
    [(b"0", "expected version 1 to 2, got 0"), (b"3", "expected version 2 or older, got 3: update minirobust")],
)
def test_unknown_version_is_refused(tmp_path, whole_file, version, message):
    path, start = tmp_path / "net.h5", b"minirobust checkpoint "
    path.write_bytes(whole_file.read_bytes().replace(start + b"2 ", start + version + b" ", 1))
    with pytest.raises(CheckpointError, match=message):
        mr.load(path)


def test_other_programs_read_it_as_hdf5(whole_file):
    with h5py.File(whole_file) as file:
        np.testing.assert_array_equal(file["parameters"], mr.load(whole_file).network.parameters)


@given(share=st.floats(0, 0.999))
@settings(deadline=None, max_examples=30)
def test_truncated_file_is_refused(tmp_path_factory, whole_file, share):
    path = tmp_path_factory.mktemp("cut") / "net.h5"
    content = whole_file.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError):
        mr.load(path)


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(deadline=None, max_examples=100)
def test_flipped_bit_is_detected(tmp_path_factory, whole_file, place, bit):
    path = tmp_path_factory.mktemp("flip") / "net.h5"
    content = bytearray(whole_file.read_bytes())
    # The bits between the end of the first line and the end of its block mean nothing.
    position = int(place * len(content))
    content[position] ^= 1 << bit
    path.write_bytes(content)
    if content.index(b"\n") < position < SEAL:
        mr.load(path)
    else:
        with pytest.raises(CheckpointError):
            mr.load(path)


@contextlib.contextmanager
def forged(original, path, version=VERSION):
    """Copy a file, let the block change it, and seal it again as a forger would."""
    path.write_bytes(original.read_bytes())
    with h5py.File(path, "a") as file:
        yield file
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed, "VERSION", version)
        sealed.seal(path)


@contextlib.contextmanager
def described(original, path, version=VERSION):
    """Copy a file, and let the block change its description."""
    with forged(original, path, version) as file:
        description = json.loads(file.attrs["description"])
        yield description
        file.attrs["description"] = json.dumps(description)


@pytest.mark.parametrize("name", ["parameters", "buffers", "optimizer/m", "optimizer/lr"])
@pytest.mark.parametrize("array", [np.zeros(3), np.zeros(()), np.zeros((1, 5)), np.array([b"text"])], ids=repr)
def test_array_of_another_shape_or_type_is_refused(path, whole_file, name, array):
    with forged(whole_file, path) as file:
        if name in file:
            del file[name]
        file[name] = array
    with pytest.raises(CheckpointError, match=f"{path}: (expected {name}|cannot be rebuilt)"):
        mr.load(path)


@pytest.mark.parametrize("kind", ["int64", "complex128"])
def test_parameters_that_are_not_floats_are_refused(path, whole_file, kind):
    with forged(whole_file, path) as file:
        size = file["parameters"].size
        del file["parameters"]
        file["parameters"] = np.ones(size).astype(kind)
    with pytest.raises(CheckpointError, match="expected parameters to be floats of shape"):
        mr.load(path)


@pytest.mark.parametrize("name", ["parameters", "optimizer/m"])
def test_missing_array_is_refused(path, whole_file, name):
    with forged(whole_file, path) as file:
        del file[name]
    with pytest.raises(CheckpointError):
        mr.load(path)


@pytest.mark.parametrize(
    ("known", "forgery", "message"),
    [
        ('"Flatten"', '"Network"', "expected the layer class Network, got none"),
        ('"Flatten"', '"Layer"', "expected the layer class Layer, got none"),
        ('"Flatten"', '"Adam"', "expected the layer class Adam, got none"),
        ('"Flatten"', '"os:system"', "expected the layer class system of the module os, got none"),
        ('"Adam"', '"Optimizer"', "expected the optimizer class Optimizer, got none"),
        ('"Adam"', '"Dense"', "expected the optimizer class Dense, got none"),
        ('"Adam"', '"SGD"', "cannot be rebuilt: TypeError"),
        ('"units": 4', '"units": "4"', "cannot be rebuilt: ValueError: Dense: expected units"),
        ('"units": 4', '"units": 5', "expected parameters to be floats of shape"),
        ('"units": 4', '"unit": 4', "cannot be rebuilt: TypeError"),
        ('"units": 4', '"units": 1000000000000000000', "expected at most 67,108,864 numbers as output"),
        ("[", "<", "cannot be read: JSONDecodeError"),
    ],
)
def test_forged_description_is_refused(path, whole_file, known, forgery, message):
    with forged(whole_file, path) as file:
        assert known in file.attrs["description"]
        file.attrs["description"] = file.attrs["description"].replace(known, forgery)
    with pytest.raises(CheckpointError, match=message):
        mr.load(path)


ENTRIES = ["version", "layers", "draws", "input_shape", "dtype", "seed", "input_range", "epoch", "optimizer"]


@pytest.mark.parametrize("entry", [name for name in ENTRIES if name not in ("version", "optimizer")])
def test_missing_entry_is_refused(path, whole_file, entry):
    with described(whole_file, path) as description:
        del description[entry]
    with pytest.raises(CheckpointError, match=f"checkpoint .*net.h5: cannot be rebuilt: KeyError: '{entry}'"):
        mr.load(path)


def test_description_that_is_a_list_is_refused(path, whole_file):
    with forged(whole_file, path) as file:
        file.attrs["description"] = "[1, 2]"
    with pytest.raises(CheckpointError, match="expected a JSON object as its description, got a list"):
        mr.load(path)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("epoch", -1),
        ("epoch", 1.5),
        ("epoch", "2"),
        ("draws", [0, 0, 0, 0, -1, 0]),
        ("draws", [0, 0, 0, 0, "7", 0]),
        ("draws", [0]),
        ("seed", -1),
        ("input_range", [1, 0]),
        ("dtype", "float16"),
        ("layers", [["Dense"]]),
        ("layers", [["Dense", [4]]]),
        ("layers", [[["Dense"], {"units": 4}]]),
        ("optimizer", ["Adam", {}, -1]),
        ("optimizer", ["Adam", {}, 10**30]),
        ("optimizer", ["Adam", {"lr": -1.0}, 0]),
        ("optimizer", ["Adam", {"network": None}, 0]),
    ],
)
def test_forged_entry_is_refused(path, whole_file, entry, value):
    with described(whole_file, path) as description:
        description[entry] = value
    with pytest.raises(CheckpointError):
        mr.load(path)


# No numbers in between, which would ask for gigabytes.
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 50) | st.integers(10**18) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(entry=st.sampled_from(ENTRIES), value=json_values)
@settings(deadline=None, max_examples=40)
def test_load_raises_nothing_but_checkpoint_error(tmp_path_factory, whole_file, entry, value):
    path = tmp_path_factory.mktemp("forged") / "net.h5"
    with described(whole_file, path) as description:
        description[entry] = value
    with contextlib.suppress(CheckpointError):
        mr.load(path)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"backend": "abacus"}, mr.backend.BackendError), ({"dtype": "float16"}, ValueError)],
)
def test_wrong_argument_of_load_is_not_blamed_on_the_file(whole_file, arguments, error):
    with pytest.raises(error) as caught:
        mr.load(whole_file, **arguments)
    assert not isinstance(caught.value, CheckpointError)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_save_to_a_read_only_folder_raises(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root can write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        mr.save(tmp_path / "net.h5", network())
