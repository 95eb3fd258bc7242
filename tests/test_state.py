"""Layers declare their state: parameters, buffers, arguments, and what `forward` saves; anything else is an error."""

import copy

import numpy as np
import pytest

import minirobust as mr


class BatchNorm(mr.Layer):
    """Batch normalization over samples; its running statistics are buffers."""

    saved = ("deviation", "normal", "of_batch")

    def __init__(self, momentum=0.9):
        self.momentum = momentum

    def build(self, input_shape):
        self.gamma = mr.Parameter(input_shape, "ones")
        self.beta = mr.Parameter(input_shape, "zeros")
        self.mean = mr.Buffer(input_shape, "zeros")
        self.variance = mr.Buffer(input_shape, "ones")
        return input_shape

    def statistics(self):
        return self.mean.value, self.variance.value

    def forward(self, x):
        mean, variance = self.statistics()
        self.of_batch = self.training
        if self.training:
            batch = x.mean(axis=0), x.var(axis=0)
            mean[...] = self.momentum * mean + (1 - self.momentum) * batch[0]
            variance[...] = self.momentum * variance + (1 - self.momentum) * batch[1]
            mean, variance = batch
        self.deviation = self.xp.sqrt(variance + 1e-5)
        self.normal = ((x - mean) / self.deviation).astype(x.dtype)
        return self.gamma.value * self.normal + self.beta.value

    def input_gradient(self, grad_y):
        g = grad_y * self.gamma.value
        if not self.of_batch:
            return (g / self.deviation).astype(g.dtype)
        return (g - g.mean(axis=0) - self.normal * (g * self.normal).mean(axis=0)) / self.deviation

    def parameter_gradients(self, grad_y):
        self.gamma.grad[...] = (grad_y * self.normal).sum(axis=0)
        self.beta.grad[...] = grad_y.sum(axis=0)


class PlainBatchNorm(BatchNorm):
    """The same with running statistics in plain arrays, which copies and files do not know of."""

    def build(self, input_shape):
        self.gamma = mr.Parameter(input_shape, "ones")
        self.beta = mr.Parameter(input_shape, "zeros")
        self.running_mean, self.running_variance = np.zeros(input_shape), np.ones(input_shape)
        return input_shape

    def statistics(self):
        return self.running_mean, self.running_variance


def network(layer, **settings):
    return mr.Network([mr.Flatten(), mr.Dense(8), layer, mr.ReLU(), mr.Dense(3)], (4, 4, 1), **settings)


@pytest.fixture
def data(rng):
    return rng.random((64, 4, 4, 1)).astype("float32"), rng.integers(0, 3, 64)


def trained(layer, data):
    net = network(layer)
    mr.fit(net, mr.Adam(net, lr=0.01), data, epochs=20, progress=False)
    return net


# Buffers


def test_statistics_in_buffers_are_copied_cast_saved_and_loaded(data, tmp_path):
    net = trained(BatchNorm(), data)
    assert abs(net.layers[2].mean.value).max() > 0.01
    logits = net.logits(data[0])
    mr.save(tmp_path / "net.h5", net)
    for twin in (net.copy(), copy.deepcopy(net), mr.load(tmp_path / "net.h5", classes=[BatchNorm]).network):
        np.testing.assert_array_equal(twin.logits(data[0]), logits)
    double = net.to("numpy", dtype="float64")
    np.testing.assert_array_equal(double.buffers, net.buffers.astype("float64"))
    np.testing.assert_allclose(double.logits(data[0].astype("float64")), logits, rtol=1e-3, atol=1e-5)


def test_a_copy_of_a_buffer_is_independent(data):
    net = trained(BatchNorm(), data)
    twin = net.copy()
    twin.buffers[...] = 0
    assert abs(net.layers[2].mean.value).max() > 0.01


def test_the_audit_sees_a_healthy_gradient(data):
    net = trained(BatchNorm(), data)
    health = mr.audit(net, *data, epsilon=0.05, budget="quick").checks[0]
    assert not health.flagged
    assert health.figures["sign flips"] < 0.01


def test_buffers_are_one_flat_array_of_which_each_is_a_view(backend):
    net = mr.Network([mr.Dense(3), BatchNorm(), mr.Dense(2)], (4,), backend=backend)
    assert net.buffers.shape == (6,)
    net.buffers = np.arange(6.0, dtype="float32")
    np.testing.assert_array_equal(backend.to_numpy(net.layers[1].variance.value), [3, 4, 5])
    assert net.layers[1].parameters == [net.layers[1].gamma, net.layers[1].beta]


def test_buffers_do_not_change_the_weights_that_are_drawn():
    with_buffers, without = (mr.Network([mr.Dense(3), layer, mr.Dense(2)], (4,)) for layer in (BatchNorm(), mr.Tanh()))
    np.testing.assert_array_equal(with_buffers.layers[2].weight.value, without.layers[2].weight.value)


def test_evaluation_leaves_buffers_as_they_are(data):
    net = network(BatchNorm())
    net.training = True
    before = net.buffers.copy()
    net.predict(data[0])
    mr.attacks.fgsm(net, *data)
    np.testing.assert_array_equal(net.buffers, before)
    assert net.training


# What is not declared


def test_statistics_in_plain_arrays_are_refused_by_everything_that_would_lose_them(data, tmp_path):
    net = trained(PlainBatchNorm(), data)
    lost = r"layer 2, PlainBatchNorm\(\): the attribute 'running_mean' would be lost.* has another value"
    for call in (
        net.copy,
        lambda: copy.deepcopy(net),
        lambda: net.to("numpy", dtype="float64"),
        lambda: mr.save(tmp_path / "net.h5", net),
        lambda: mr.gradcheck(net, data[0][:4]),
        lambda: mr.audit(net, *data, 0.1, budget="quick"),
    ):
        with pytest.raises((TypeError, ValueError), match=lost):
            call()
    assert not (tmp_path / "net.h5").exists()


def test_an_attribute_that_forward_stores_without_declaring_it_is_named(rng):
    class Forgetful(mr.Tanh):
        def forward(self, x):
            self.kept = x
            return super().forward(x)

    net = mr.Network([Forgetful(), mr.Dense(2)], (3,))
    net.predict(rng.random((4, 3)))
    net.copy()  # a prediction leaves nothing on the network
    net.forward(rng.random((4, 3)))
    with pytest.raises(TypeError, match=r"layer 0, Forgetful\(\): the attribute 'kept' .* does not have it: .*`saved`"):
        net.copy()


def test_constants_that_build_computes_are_not_state(rng):
    class Window(mr.Layer):
        def build(self, input_shape):
            self.window = self.xp.asarray(np.hanning(input_shape[0] + 2)[1:-1].astype(self.dtype))
            return input_shape

        def forward(self, x):
            return x * self.window

        def input_gradient(self, grad_y):
            return grad_y * self.window

    net = mr.Network([Window(), mr.Dense(2)], (5,))
    x = rng.random((3, 5)).astype("float32")
    np.testing.assert_array_equal(net.copy().logits(x), net.logits(x))
    np.testing.assert_allclose(net.to("numpy", "float64").logits(x.astype("d")), net.logits(x), rtol=1e-4, atol=1e-6)
    assert mr.gradcheck(net, x).ok


def test_every_built_in_layer_can_be_copied_after_a_forward_and_backward_pass(backend, rng):
    layers = [
        *(mr.Conv2D(2, 3, padding="same"), mr.ReLU(), mr.MaxPool2D(2), mr.AvgPool2D(2), mr.Flatten(), mr.Dense(4)),
        *(mr.Tanh(), mr.Dropout(0.5), mr.TemperatureSigmoid(0.5), mr.Dense(3), mr.Softmax()),
    ]
    net = mr.Network(layers, (8, 8, 1), backend=backend)
    net.training = True
    net.backward(net.forward(rng.random((2, 8, 8, 1))))
    net.copy()
    assert all(layer.saved for layer in layers if not isinstance(layer, mr.AvgPool2D | mr.Flatten))


# Rebinding


def test_an_array_in_place_of_a_parameter_is_refused_at_the_next_call(rng):
    net = mr.Network([mr.Dense(3)], (2,))
    weight = net.layers[0].weight
    net.layers[0].weight = np.ones((2, 3))
    x, y = rng.random((4, 2)), np.zeros(4, int)
    for call in (
        lambda: net.forward(x),
        lambda: net.predict(x),
        lambda: mr.attacks.fgsm(net, x, y),
        net.copy,
        lambda: mr.fit(net, mr.SGD(net), (x, y), epochs=1),
    ):
        with pytest.raises(AttributeError, match=r"layer 0, Dense\(3\): expected weight to be .*\.weight\.value\["):
            call()
    net.layers[0].weight = weight
    net.predict(x)


@pytest.mark.parametrize("name", ["value", "grad"])
def test_another_array_in_a_parameter_is_refused(name):
    parameter = mr.Network([mr.Dense(3)], (2,)).layers[0].weight
    with pytest.raises(AttributeError, match=f"Parameter 'weight': {name} is a view .*write into it with .{name}"):
        setattr(parameter, name, np.ones((2, 3)))
    parameter.value += 1
    parameter.grad *= 2


@pytest.mark.parametrize("name", ["parameters", "gradients"])
def test_assigning_to_a_flat_array_writes_through(name, backend):
    net = mr.Network([mr.Dense(3)], (2,), backend=backend)
    before = getattr(net, name)
    setattr(net, name, np.arange(9.0, dtype="float32"))
    assert getattr(net, name) is before
    view = net.layers[0].bias.value if name == "parameters" else net.layers[0].bias.grad
    np.testing.assert_array_equal(backend.to_numpy(view), [6, 7, 8])
    for wrong in (np.zeros(8, "float32"), np.zeros((9, 1), "float32"), 0.5):
        with pytest.raises(ValueError, match=rf"{name}: expected an array of shape \(9,\), got shape"):
            setattr(net, name, wrong)


# Arguments


@pytest.mark.parametrize(
    ("layer", "name", "wrong", "right"),
    [
        (mr.TemperatureSigmoid(1), "temperature", [-1, 0, np.nan, "1", None], np.float64(0.5)),
        (mr.Dropout(0.5), "rate", [1.0, -0.1, np.inf], np.float32(0.25)),
    ],
)
def test_an_argument_is_checked_and_normalized_when_it_is_assigned(layer, name, wrong, right, rng):
    net = mr.Network([layer, mr.Dense(2)], (3,))
    before = getattr(layer, name)
    for value in wrong:
        with pytest.raises(ValueError, match=f"{type(layer).__name__}: expected {name} in "):
            setattr(layer, name, value)
    assert getattr(layer, name) == before
    setattr(layer, name, right)
    assert type(getattr(layer, name)) is float
    net.training = True
    assert net.forward(rng.random((2, 3))).dtype == "float32"
    assert f"{float(right)}" in repr(net)
    assert getattr(net.copy().layers[0], name) == right


@pytest.mark.parametrize(
    ("layer", "shape", "name", "value"),
    [
        (mr.Dense(3), (2,), "units", 4),
        (mr.Dense(3), (2,), "initializer", "zeros"),
        (mr.Conv2D(2, 3), (5, 5, 1), "filters", 3),
        (mr.Conv2D(2, 3), (5, 5, 1), "padding", "same"),
        (mr.Conv2D(2, 3), (5, 5, 1), "stride", (2, 2)),
        (mr.MaxPool2D(2), (5, 5, 1), "window", 3),
        (mr.AvgPool2D(2), (5, 5, 1), "stride", 1),
    ],
)
def test_an_argument_that_determines_shapes_is_fixed_once_they_exist(layer, shape, name, value):
    unbuilt = layer.fresh()
    setattr(unbuilt, name, value)
    assert getattr(unbuilt, name) == value
    mr.Network([layer], shape)
    with pytest.raises(
        AttributeError, match=rf"layer 0, .*: {name} determines the shapes of arrays that exist already"
    ):
        setattr(layer, name, value)
    setattr(layer, name, getattr(layer, name))


def test_sequences_become_tuples_and_numpy_numbers_python_numbers():
    conv = mr.Conv2D(np.int64(2), [3, np.int32(3)])
    assert (conv.filters, conv.kernel_size) == (2, (3, 3))
    assert type(conv.filters) is int
    assert repr(conv) == "Conv2D(2, (3, 3))"


class Scale(mr.Layer):
    """Multiplies by anything that it is given."""

    def __init__(self, by, shift=None):
        self.by, self.shift = by, shift

    def factor(self, x):
        by = self.by
        while isinstance(by, tuple):
            by = by[0]
        return self.xp.asarray(by).astype(x.dtype) if by is not None else 1

    def forward(self, x):
        return x * self.factor(x)

    def input_gradient(self, grad_y):
        return grad_y * self.factor(grad_y)


@pytest.mark.parametrize(
    "by", [np.arange(1.0, 4), np.float64(2), [2.0, [3.0, 4.0]], ((2.0, (1,)), None), None, 2, np.ones(3, "float32")]
)
def test_arguments_of_any_kind_are_shown_copied_and_saved(by, rng, tmp_path):
    net = mr.Network([Scale(by), mr.Dense(2)], (3,))
    x = rng.random((4, 3)).astype("float32")
    logits = net.logits(x)
    assert "Scale(" in repr(net)
    with pytest.raises(ValueError, match=r"layer 0, Scale\("):
        net.forward(np.ones((2, 5)))
    np.testing.assert_array_equal(net.copy().logits(x), logits)
    assert mr.gradcheck(net, x).ok
    mr.save(tmp_path / "net.h5", net)
    loaded = mr.load(tmp_path / "net.h5", classes=[Scale]).network
    np.testing.assert_array_equal(loaded.logits(x), logits)
    assert type(loaded.layers[0].by) is type(net.layers[0].by)
    np.testing.assert_equal(loaded.layers[0].by, net.layers[0].by)


def test_an_array_argument_is_the_layers_own_and_cannot_change(rng):
    by = np.array([1.0, 2.0, 3.0])
    net = mr.Network([Scale(by)], (3,))
    by[0] = 100
    np.testing.assert_array_equal(net.logits(np.ones((1, 3), "float32")), [[1, 2, 3]])
    with pytest.raises(ValueError, match="read-only"):
        net.layers[0].by[0] = 5


def test_an_array_equal_to_the_default_is_not_shown():
    class Defaults(mr.Layer):
        def __init__(self, table=np.ones(3), more=((1, 2), None)):  # noqa: B008
            self.table, self.more = table, more

    assert repr(Defaults()) == "Defaults()"
    assert repr(Defaults(np.zeros(3))) == "Defaults(table=array([0., 0., 0.]))"
    assert repr(Defaults(np.zeros(30))) == "Defaults(table=<float64 array of shape (30,)>)"


def test_arguments_of_new_are_kept_as_those_of_init():
    class Times(mr.Layer):
        def __new__(cls, factor):
            layer = super().__new__(cls)
            layer.factor = factor
            return layer

        def forward(self, x):
            return self.factor * x

        def input_gradient(self, grad_y):
            return self.factor * grad_y

    net = mr.Network([Times(3)], (2,)).copy()
    assert (repr(net.layers[0]), net.layers[0].arguments()) == ("Times(3)", {"factor": 3})


@pytest.mark.parametrize("constructor", ["*sizes", "**sizes"])
def test_a_constructor_whose_arguments_have_no_names_is_refused_at_construction(constructor):
    namespace = {"mr": mr}
    exec(f"class Star(mr.Layer):\n    def __init__(self, {constructor}):\n        self.sizes = sizes", namespace)
    with pytest.raises(TypeError, match="Star: expected a constructor with named arguments, got .*sizes"):
        mr.Network([namespace["Star"]()], (3,))


# Errors of a custom layer are its own


def test_typo_in_a_custom_layer_raises_its_own_error(rng):
    class Typo(mr.Tanh):
        def input_gradient(self, grad_y):
            return grad_y * self.y_saved

    net = mr.Network([Typo(), mr.Dense(2)], (3,))
    x = rng.random((4, 3))
    net.forward(x)
    for call in (lambda: net.backward(np.ones((4, 2))), lambda: net.input_gradient(x, [0, 1, 0, 1])):
        with pytest.raises(AttributeError, match="'Typo' object has no attribute 'y_saved'"):
            call()


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        (lambda x: x[:, :1], ValueError, r"expected forward to return an array \(N, 3\) .* got \(4, 1\)"),
        (lambda x: x.sum(axis=0, keepdims=True), ValueError, r".* got \(1, 3\)"),
        (lambda x: x[:, 0], ValueError, r".* got \(4,\)"),
        (
            lambda x: x.astype("float64"),
            ValueError,
            r".* in float32, as declared by build, got \(4, 3\) in float64: .*\.astype\(x\.dtype\)",
        ),
        (lambda x: None, TypeError, r"expected forward to return an array .* got NoneType"),
    ],
)
def test_an_output_that_is_not_what_build_promised_is_refused_wherever_it_appears(output, error, message, rng):
    class Promise(mr.Layer):
        def forward(self, x):
            return output(x)

        def input_gradient(self, grad_y):
            return grad_y

    net = mr.Network([mr.Dense(3), Promise()], (2,))
    x, y = rng.random((4, 2)), np.zeros(4, int)
    for call in (net.forward, net.predict, lambda x: net.input_gradient(x, y), lambda x: mr.attacks.fgsm(net, x, y)):
        with pytest.raises(error, match=r"layer 1, Promise\(\): " + message):
            call(x)
