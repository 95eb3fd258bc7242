"""The network: sizes, memory, the forward and the backward pass, copies."""

import copy
import pickle

import numpy as np
import pytest

import minirobust as mr

LOSS = mr.SoftmaxCrossEntropy()


@pytest.fixture
def net(backend):
    return mr.Network(
        [mr.Flatten(), mr.Dense(7), mr.TemperatureSigmoid(0.25), mr.Dropout(0.3), mr.Dense(3)],
        input_shape=(4, 5, 1),
        backend=backend,
        dtype="float64",
        seed=3,
    )


@pytest.fixture
def x(rng):
    return rng.random((6, 4, 5, 1))


@pytest.fixture
def y():
    return np.array([0, 1, 2, 2, 1, 0])


def state(net):
    """Everything that attacks and predictions must leave alone."""
    to_numpy = net.backend.to_numpy
    draws = [layer.draws for layer in net.layers]
    return to_numpy(net.parameters).tobytes(), to_numpy(net.gradients).tobytes(), draws, net.training


# Building


def test_sizes_are_inferred(net):
    assert [layer.output_shape for layer in net.layers] == [(20,), (7,), (7,), (7,), (3,)]
    assert net.output_shape == (3,)
    assert net.parameters.size == 20 * 7 + 7 + 7 * 3 + 3


def test_all_parameters_are_views_into_one_array(net):
    to_numpy = net.backend.to_numpy
    net.parameters[...] = net.backend.asarray(np.arange(float(net.parameters.size)))
    net.gradients[...] = net.backend.asarray(-np.arange(float(net.parameters.size)))
    values = [to_numpy(p.value).ravel() for layer in net.layers for p in layer.parameters]
    grads = [to_numpy(p.grad).ravel() for layer in net.layers for p in layer.parameters]
    np.testing.assert_array_equal(np.concatenate(values), np.arange(net.parameters.size))
    np.testing.assert_array_equal(np.concatenate(grads), -np.arange(net.parameters.size))
    net.layers[1].weight.value[0, 0] = 99.0
    assert to_numpy(net.parameters)[0] == 99


def test_parameter_cannot_be_separated_from_the_optimizer(net):
    weight = net.layers[1].weight
    with pytest.raises(AttributeError, match=r"write into it with \.value\[\.\.\.\] = new"):
        weight.value = weight.value * 2
    weight.value *= 2  # in place is in place


def test_weights_are_the_same_on_every_backend_and_in_every_dtype(backend):
    def parameters(backend, dtype):
        net = mr.models.mlp(1, (3, 3, 1), hidden=4, backend=backend, dtype=dtype, seed=5)
        return net.backend.to_numpy(net.parameters)

    exact = parameters("numpy", "float64")
    np.testing.assert_array_equal(parameters(backend, "float64"), exact)
    np.testing.assert_array_equal(parameters(backend, "float32"), exact.astype("float32"))


def test_seeds_are_explicit():
    def parameters(seed):
        return mr.models.mlp(1, seed=seed).parameters

    np.testing.assert_array_equal(parameters(1), parameters(1))
    assert not np.array_equal(parameters(1), parameters(2))


def test_two_layers_of_one_size_start_differently():
    net = mr.Network([mr.Dense(5), mr.Dense(5)], input_shape=(5,))
    assert not np.array_equal(net.layers[0].weight.value, net.layers[1].weight.value)


def test_repr_is_the_constructor_call():
    net = mr.Network([mr.Conv2D(2, (3, 2), padding="same"), mr.Flatten(), mr.Dense(3)], (5, 5, 1), seed=4)
    twin = eval(repr(net), {name: getattr(mr, name) for name in mr.__all__})
    np.testing.assert_array_equal(twin.parameters, net.parameters)
    assert repr(twin) == repr(net)
    assert "Conv2D(2, (3, 2), padding='same')" in repr(net)


def test_layers_keep_their_constructors_arguments():
    layer = mr.MaxPool2D(3, padding=1)
    mr.Network([layer], input_shape=(5, 5, 1))
    assert layer.arguments() == {"window": 3, "stride": None, "padding": 1}


def test_summary_lists_every_layer_and_adds_up():
    lines = mr.models.mlp(0.25).summary().splitlines()
    assert lines[0].split() == ["layer", "output", "shape", "parameters"]
    assert "1 Dense(256)" in lines[4]
    assert "200,960" in lines[4]
    assert lines[-1].split() == ["total", "203,530"]


def test_networks_of_the_study_have_the_documented_layers():
    assert mr.models.mlp(1).parameters.size == 784 * 256 + 256 + 256 * 10 + 10
    cnn = mr.models.cnn(1)
    assert [layer.output_shape for layer in cnn.layers if isinstance(layer, mr.MaxPool2D)] == [(14, 14, 16), (5, 5, 32)]
    assert cnn.output_shape == (10,)


# Forward and back


def test_outputs_stay_on_the_backend(net, x, y):
    logits = net.forward(x)
    outputs = [logits, net.backward(logits), net.predict(x), net.predict_proba(x), net.hidden(x)]
    outputs.append(net.input_gradient(x, y))
    assert all(net.backend.owns(output) for output in outputs)


def test_gradients_are_overwritten_not_accumulated(net, x):
    to_numpy = net.backend.to_numpy
    logits = net.forward(x)
    first = to_numpy(net.backward(logits)), to_numpy(net.gradients).copy()
    second = to_numpy(net.backward(logits)), to_numpy(net.gradients).copy()
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_training_skips_the_input_gradient_and_finds_the_same_parameter_gradients(net, x, monkeypatch):
    to_numpy = net.backend.to_numpy
    logits = net.forward(x)
    net.backward(logits)
    expected = to_numpy(net.gradients).copy()
    net.gradients[...] = 0
    for layer in net.layers[:2]:
        monkeypatch.setattr(type(layer), "input_gradient", lambda self, grad_y: pytest.fail("not needed"))
    net.layers[4].__class__ = type("Top", (mr.Dense,), {"input_gradient": lambda self, g: g @ self.weight.value.T})
    assert net.backward(logits, input_gradient=False) is None
    np.testing.assert_array_equal(to_numpy(net.gradients), expected)


def test_the_input_gradient_is_that_of_the_summed_loss_for_every_sample(net, x, y):
    to_numpy = net.backend.to_numpy
    whole = to_numpy(net.input_gradient(x, y))
    assert whole.shape == x.shape
    for i in range(len(x)):
        np.testing.assert_allclose(
            to_numpy(net.input_gradient(x[i : i + 1], y[i : i + 1])), whole[i : i + 1], rtol=1e-12
        )
    net.forward(x)
    through_backward = net.backward(LOSS.value_and_gradient(net.forward(x), y)[1])
    np.testing.assert_allclose(whole, to_numpy(through_backward), rtol=1e-12)


def test_logits_come_with_the_input_gradient(net, x, y, pass_together):
    to_numpy = net.backend.to_numpy
    expected = to_numpy(net.logits(x)), to_numpy(net.input_gradient(x, y, mr.Margin()))
    for array, other in zip(net.logits_and_input_gradient(x, y, mr.Margin()), expected, strict=True):
        np.testing.assert_array_equal(to_numpy(array), other)
    pass_together(net, 3)
    for array, other in zip(net.logits_and_input_gradient(x, y, mr.Margin()), expected, strict=True):
        np.testing.assert_allclose(to_numpy(array), other, rtol=1e-12)


def test_the_input_gradient_computes_no_parameter_gradient(net, x, y, monkeypatch):
    monkeypatch.setattr(mr.Dense, "parameter_gradients", lambda self, grad_y: pytest.fail("not needed"))
    net.input_gradient(x, y)


def test_input_gradient_uses_the_given_loss(net, x, y):
    margin = net.backend.to_numpy(net.input_gradient(x, y, loss=mr.Margin()))
    cross_entropy = net.backend.to_numpy(net.input_gradient(x, y))
    assert not np.allclose(margin, cross_entropy)


def test_results_do_not_depend_on_the_chunk_size(net, rng, pass_together):
    x, y = rng.random((11, 4, 5, 1)), rng.integers(0, 3, 11)
    to_numpy = net.backend.to_numpy

    def everything():
        return [to_numpy(a) for a in (net.predict(x), net.predict_proba(x), net.hidden(x), net.input_gradient(x, y))]

    whole = everything()
    pass_together(net, 4)
    for a, b in zip(everything(), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_predictions_and_gradients_leave_the_network_unchanged(net, x, y):
    before = state(net)
    net.training = True
    for call in (net.predict, net.predict_proba, net.hidden, lambda x: net.input_gradient(x, y)):
        call(x)
        assert net.training
        with pytest.raises(RuntimeError, match="backward before forward"):
            net.backward(np.ones((6, 3)))
    net.training = False
    assert state(net) == before
    assert not any(hasattr(layer, name) for layer in net.layers for name in ("x", "net", "scale"))


def test_the_mode_survives_a_loss_that_fails(net, x, y):
    class Fails:
        def value_and_gradient(self, logits, y, target=None):
            raise ZeroDivisionError

    net.training = True
    with pytest.raises(ZeroDivisionError):
        net.input_gradient(x, y, loss=Fails())
    assert net.training
    assert not hasattr(net.layers[1], "x")


def test_forward_can_start_in_the_middle(net, x):
    to_numpy = net.backend.to_numpy
    hidden = net.hidden(x)
    assert hidden.shape == (6, 7)
    np.testing.assert_allclose(to_numpy(net.forward(hidden, start=2)), to_numpy(net.forward(x)), rtol=1e-12)


@pytest.mark.parametrize("middle", [0, 1, 3, 5])
def test_any_range_of_layers_can_be_evaluated(net, x, middle):
    """Layer by layer by hand; and two stretches make the whole."""
    to_numpy = net.backend.to_numpy
    by_hand = net.check_input(x)
    for layer in net.layers[:middle]:
        by_hand = layer.forward(by_hand)
    below = net.copy().evaluate(x, stop=middle)
    np.testing.assert_array_equal(to_numpy(below), to_numpy(by_hand))
    if middle < len(net.layers):
        np.testing.assert_array_equal(to_numpy(net.evaluate(below, start=middle)), to_numpy(net.logits(x)))


@pytest.mark.parametrize(("start", "stop"), [(3, 2), (0, -1), (0, 6), (5, None), (-1, None)])
def test_range_of_missing_layers_raises(net, x, start, stop):
    with pytest.raises(ValueError, match=r"st(art|op): expected the index of a layer, . to ., got"):
        net.evaluate(net.evaluate(x, stop=3) if start == 3 else x, start, stop)


def test_the_gradient_with_respect_to_a_hidden_layer(net, x, y):
    """The chain rule: back through the layers below it, it becomes the input's."""
    to_numpy = net.backend.to_numpy
    logits, gradient = net.logits_and_input_gradient(net.hidden(x), y, start=2)
    np.testing.assert_array_equal(to_numpy(gradient), to_numpy(net.input_gradient(net.hidden(x), y, start=2)))
    np.testing.assert_array_equal(to_numpy(logits), to_numpy(net.logits(x)))
    for layer in reversed(net.layers[:2]):
        gradient = layer.input_gradient(gradient)
    np.testing.assert_allclose(to_numpy(gradient), to_numpy(net.input_gradient(x, y)), rtol=1e-12)


def test_hidden_is_what_enters_the_last_activation(net, x):
    dense = net.layers[1]
    to_numpy = net.backend.to_numpy
    expected = x.reshape(6, 20) @ to_numpy(dense.weight.value) + to_numpy(dense.bias.value)
    np.testing.assert_allclose(to_numpy(net.hidden(x)), expected, rtol=1e-12)


def test_hidden_uses_the_last_of_several_activations(backend, rng):
    layers = [mr.Dense(5), mr.Tanh(), mr.Dense(4), mr.TemperatureSigmoid(0.5), mr.Dense(3)]
    net = mr.Network(layers, (2,), backend=backend, dtype="float64")
    x = rng.random((6, 2))
    to_numpy = net.backend.to_numpy
    first, second = (to_numpy(layers[place].weight.value) for place in (0, 2))
    np.testing.assert_allclose(to_numpy(net.hidden(x)), np.tanh(x @ first) @ second, rtol=1e-12)  # biases are 0 yet
    assert net.last_activation is layers[3]


@pytest.mark.parametrize("activation", [mr.TemperatureSigmoid(0.5), mr.ReLU(), mr.Tanh()], ids=repr)
def test_every_activation_layer_counts_as_an_activation(activation):
    net = mr.Network([mr.Dense(4), activation.fresh(), mr.Dense(2)], (3,))
    assert net.last_activation is net.layers[1]
    assert net.hidden(np.ones((1, 3))).shape == (1, 4)


@pytest.mark.parametrize("layer", [mr.Flatten(), mr.Dropout(0.5), mr.Softmax(), mr.Dense(2)], ids=repr)
def test_no_other_layer_is_an_activation(layer):
    assert not layer.is_activation


def test_hidden_needs_an_activation():
    net = mr.Network([mr.Dense(2)], input_shape=(3,))
    with pytest.raises(ValueError, match="expected a network with an activation layer"):
        net.hidden(np.ones((1, 3)))


def test_probabilities_are_those_of_softmax_whether_or_not_it_is_a_layer(x):
    layers = [mr.Flatten(), mr.Dense(3)]
    logits = mr.Network(layers, (4, 5, 1), seed=1)
    ends_in_softmax = mr.Network([mr.Flatten(), mr.Dense(3), mr.Softmax()], (4, 5, 1), seed=1)
    np.testing.assert_allclose(logits.predict_proba(x).sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(ends_in_softmax.predict_proba(x), logits.predict_proba(x), rtol=1e-6)


# Copies


def test_a_copy_is_independent(net, x):
    twin = net.copy()
    net.layers[3].draws = 7
    before = net.backend.to_numpy(net.predict_proba(x))
    twin.parameters[...] = 0
    np.testing.assert_array_equal(net.backend.to_numpy(net.predict_proba(x)), before)
    assert twin.layers[3].draws == 0
    assert net.copy().layers[3].draws == 7


def test_a_deep_copy_is_a_copy_and_keeps_its_optimizer(net, x, y):
    optimizer = mr.SGD(net)
    twin = copy.deepcopy(optimizer)
    assert twin.network is not net
    before = net.backend.to_numpy(net.parameters).copy()
    list(mr.fit(twin.network, twin, (x, y), epochs=1))
    np.testing.assert_array_equal(net.backend.to_numpy(net.parameters), before)
    assert not np.array_equal(net.backend.to_numpy(twin.network.layers[1].weight.value).ravel(), before[:140])


def test_a_network_is_not_pickled(net):
    with pytest.raises(TypeError, match="a Network cannot be pickled: use save and load, or copy"):
        pickle.dumps(net)


def test_a_network_moves_between_backends_and_dtypes(net, x):
    to_numpy = net.to("numpy", dtype="float32")
    assert to_numpy.parameters.dtype == "float32"
    assert isinstance(to_numpy.parameters, np.ndarray)
    np.testing.assert_allclose(to_numpy.predict_proba(x), net.backend.to_numpy(net.predict_proba(x)), rtol=1e-5)
    back = to_numpy.to(net.backend, dtype="float64")
    assert back.backend is net.backend


def test_an_optimizer_of_the_network_before_it_moved_is_refused(net, x, y):
    optimizer = mr.SGD(net)
    with pytest.raises(ValueError, match="expected an optimizer made for this network"):
        mr.fit(net.to("numpy"), optimizer, (x, y), epochs=1)


# Wrong stacks and wrong arguments: every error names the layer, what was expected and what came


def test_layer_in_two_networks_raises():
    dense = mr.Dense(3)
    mr.Network([dense], input_shape=(2,))
    with pytest.raises(ValueError, match=r"layer 0, Dense\(3\) is in a network already"):
        mr.Network([dense], input_shape=(2,))
    twice = mr.Dense(2)
    with pytest.raises(ValueError, match="is in a network already"):
        mr.Network([twice, twice], input_shape=(2,))


def test_layer_repr_names_its_position():
    dense = mr.Dense(3)
    assert str(dense) == "unbuilt layer, Dense(3)"
    mr.Network([mr.Flatten(), dense], input_shape=(2, 2, 1))
    assert str(dense) == "layer 1, Dense(3)"


def test_failed_construction_leaves_the_layers_usable():
    layers = [mr.Conv2D(2, 3), mr.Dense(3)]
    with pytest.raises(ValueError, match=r"layer 1, Dense\(3\): expected a flat input .*Flatten.*got \(2, 2, 2\)"):
        mr.Network(layers, input_shape=(4, 4, 1))
    mended = mr.Network([layers[0], mr.Flatten(), layers[1]], input_shape=(4, 4, 1))
    assert mended.output_shape == (3,)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "at least one layer"),
        ([mr.Dense], r"expected layers\[0\] to be a Layer, got .*write Dense\(\.\.\.\)"),
        (["dense"], r"expected layers\[0\] to be a Layer, got 'dense'"),
    ],
)
def test_invalid_list_of_layers_raises(layers, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mr.Network(layers, input_shape=(2,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (4, 0)}, "input_shape"),
        ({"input_shape": ()}, "input_shape"),
        ({"input_shape": (4,), "dtype": "float16"}, "expected dtype 'float32' or 'float64', got 'float16'"),
        ({"input_shape": (4,), "seed": -1}, "seed"),
        ({"input_shape": (4,), "seed": 1.5}, "seed"),
        ({"input_shape": (4,), "input_range": (1, 0)}, r"input_range \(low, high\) with low < high"),
        ({"input_shape": (4,), "input_range": (0, np.inf)}, "input_range"),
    ],
)
def test_wrong_arguments_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        mr.Network([mr.Dense(2)], **arguments)


# Wrong calls


@pytest.mark.parametrize("shape", [(6, 4, 5), (6, 5, 4, 1), (6, 20), (), (4, 5, 1)])
def test_wrong_input_shape_raises(net, shape):
    with pytest.raises(ValueError, match=r"layer 0, Flatten\(\): expected shape \(N, 4, 5, 1\), got \("):
        net.forward(np.ones(shape))


def test_wrong_shape_for_an_inner_layer_raises(net):
    with pytest.raises(
        ValueError, match=r"layer 2, TemperatureSigmoid\(0\.25\): expected shape \(N, 7\), got \(6, 8\)"
    ):
        net.forward(np.ones((6, 8)), start=2)


@pytest.mark.parametrize("start", [-1, 5])
def test_start_that_is_not_a_layer_raises(net, start):
    with pytest.raises(ValueError, match=f"expected the index of a layer, 0 to 4, got {start}"):
        net.forward(np.ones((6, 8)), start=start)


def test_integer_images_raise(net, x):
    with pytest.raises(TypeError, match="expected float numbers, got uint8 .*divide by 255"):
        net.forward((255 * x).astype("uint8"))


@pytest.mark.parametrize("dtype", ["bool", "complex128", "object"])
def test_other_dtypes_raise(net, x, dtype):
    with pytest.raises(TypeError, match="expected float numbers, got"):
        net.forward(x.astype(dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_raise(net, x, value):
    x[3, 1, 1, 0] = value
    with pytest.raises(ValueError, match=r"layer 0, Flatten\(\): expected finite numbers .*got NaN or infinity"):
        net.forward(x)


def test_values_that_float32_cannot_represent_raise(net, x):
    x[3, 1, 1, 0] = 1e300
    net.forward(x)
    with pytest.raises(ValueError, match="expected finite numbers in float32"):
        net.to(net.backend, dtype="float32").forward(x)


def test_an_empty_batch(net):
    with pytest.raises(ValueError, match="expected at least one sample, got an empty batch"):
        net.predict(np.ones((0, 4, 5, 1)))


def test_array_of_another_library_raises(net):
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.ones((6, 4, 5, 1))

    with pytest.raises(TypeError, match=r"layer 0, Flatten\(\): expected a NumPy array.*got .*Tensor"):
        net.forward(Tensor())


def test_device_array_in_place_of_a_host_array_raises(x):
    net = mr.Network([mr.Flatten(), mr.Dense(3)], (4, 5, 1))
    with pytest.raises(TypeError, match="expected a NumPy array or one of the backend 'numpy', got .*DeviceArray"):
        net.forward(mr.backend.get("strict").asarray(x))


def test_backward_before_forward_raises(net, x):
    with pytest.raises(RuntimeError, match=r"layer 4, Dense\(3\): backward before forward"):
        net.backward(np.ones((6, 3)))
    net.forward(net.hidden(x), start=2)
    with pytest.raises(RuntimeError, match="backward before forward"):
        net.backward(np.ones((6, 3)))


def test_gradient_of_another_batch_raises(net, x):
    net.forward(x)
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(6, 3\).*got \(5, 3\)"):
        net.backward(np.ones((5, 3)))
    with pytest.raises(TypeError, match="expected a gradient of float numbers, got int64"):
        net.backward(np.ones((6, 3), dtype="int64"))


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.array([0, 1, 2, 3, 0, 0]), ValueError, "expected classes 0 to 2, got 3"),
        (np.array([0, 1, 2, -1, 0, 0]), ValueError, "expected classes 0 to 2, got -1"),
        (np.ones(6), TypeError, "expected integers, got float64"),
        (np.ones(6, dtype=bool), TypeError, "expected integers, got bool"),
        (np.ones(5, dtype=int), ValueError, r"expected shape \(6,\), one for each sample, got \(5,\)"),
        (np.ones((6, 1), dtype=int), ValueError, r"expected shape \(6,\).*got \(6, 1\)"),
        ("012012", TypeError, "labels: expected a NumPy array"),
    ],
)
def test_wrong_labels_raise(net, x, labels, error, message):
    with pytest.raises(error, match=message):
        net.input_gradient(x, labels)
    with pytest.raises(error, match=message):
        LOSS.value_and_gradient(net.forward(x), labels)[1]


def test_labels_may_be_a_list(net, x, y):
    to_numpy = net.backend.to_numpy
    np.testing.assert_array_equal(to_numpy(net.input_gradient(x, list(y))), to_numpy(net.input_gradient(x, y)))


def test_a_network_that_ends_in_softmax_has_no_logits(x, y):
    net = mr.Network([mr.Flatten(), mr.Dense(3), mr.Softmax()], (4, 5, 1))
    with pytest.raises(ValueError, match=r"layer 2, Softmax\(\): expected a network that ends in logits"):
        net.input_gradient(x, y)


def test_a_network_that_ends_in_images_has_no_logits():
    net = mr.Network([mr.Conv2D(2, 3)], (4, 5, 1))
    with pytest.raises(ValueError, match=r"expected an output of logits \(N, classes\), got \(N, 2, 3, 2\)"):
        net.input_gradient(np.ones((1, 4, 5, 1)), [0])
