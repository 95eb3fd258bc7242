"""Misuse of a network and its layers: every error names the layer, what was expected and what came."""

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


@pytest.mark.parametrize("shape", [(6, 4, 5), (6, 5, 4, 1), (6, 20), (), (4, 5, 1)])
def test_a_wrong_shape(net, shape):
    with pytest.raises(ValueError, match=r"layer 0, Flatten\(\): expected shape \(N, 4, 5, 1\), got \("):
        net.forward(np.ones(shape))


def test_a_wrong_shape_in_the_middle(net):
    with pytest.raises(
        ValueError, match=r"layer 2, TemperatureSigmoid\(0\.25\): expected shape \(N, 7\), got \(6, 8\)"
    ):
        net.forward(np.ones((6, 8)), start=2)


@pytest.mark.parametrize("start", [-1, 5])
def test_a_start_that_is_no_layer(net, start):
    with pytest.raises(ValueError, match=f"expected the index of a layer, 0 to 4, got {start}"):
        net.forward(np.ones((6, 8)), start=start)


def test_integer_images(net, x):
    with pytest.raises(TypeError, match="expected float numbers, got uint8 .*divide by 255"):
        net.forward((255 * x).astype("uint8"))


@pytest.mark.parametrize("dtype", ["bool", "complex128", "object"])
def test_other_dtypes(net, x, dtype):
    with pytest.raises(TypeError, match="expected float numbers, got"):
        net.forward(x.astype(dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(net, x, value):
    x[3, 1, 1, 0] = value
    with pytest.raises(ValueError, match=r"layer 0, Flatten\(\): expected finite numbers .*got NaN or infinity"):
        net.forward(x)


def test_values_that_float32_cannot_hold(net, x):
    x[3, 1, 1, 0] = 1e300
    net.forward(x)
    with pytest.raises(ValueError, match="expected finite numbers in float32"):
        net.to(net.backend, dtype="float32").forward(x)


def test_an_empty_batch(net):
    with pytest.raises(ValueError, match="expected at least one sample, got an empty batch"):
        net.predict(np.ones((0, 4, 5, 1)))


def test_an_array_of_another_library(net):
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.ones((6, 4, 5, 1))

    with pytest.raises(TypeError, match=r"layer 0, Flatten\(\): expected a NumPy array.*got .*Tensor"):
        net.forward(Tensor())


def test_a_device_array_where_a_host_array_is_expected(x):
    net = mr.Network([mr.Flatten(), mr.Dense(3)], (4, 5, 1))
    with pytest.raises(TypeError, match="expected a NumPy array or one of the backend 'numpy', got .*DeviceArray"):
        net.forward(mr.backend.get("strict").asarray(x))


def test_backward_before_forward(net, x):
    with pytest.raises(RuntimeError, match=r"layer 4, Dense\(3\): backward before forward"):
        net.backward(np.ones((6, 3)))
    net.forward(net.hidden(x), start=2)
    with pytest.raises(RuntimeError, match="backward before forward"):
        net.backward(np.ones((6, 3)))


def test_a_gradient_of_another_batch(net, x):
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
def test_wrong_labels(net, x, labels, error, message):
    with pytest.raises(error, match=message):
        net.input_gradient(x, labels)
    with pytest.raises(error, match=message):
        LOSS.value_and_gradient(net.forward(x), labels)[1]


def test_labels_as_a_list(net, x, y):
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


def test_a_layer_in_two_networks():
    dense = mr.Dense(3)
    mr.Network([dense], input_shape=(2,))
    with pytest.raises(ValueError, match=r"layer 0, Dense\(3\) is in a network already"):
        mr.Network([dense], input_shape=(2,))
    twice = mr.Dense(2)
    with pytest.raises(ValueError, match="is in a network already"):
        mr.Network([twice, twice], input_shape=(2,))


def test_a_layer_names_its_place():
    dense = mr.Dense(3)
    assert str(dense) == "unbuilt layer, Dense(3)"
    mr.Network([mr.Flatten(), dense], input_shape=(2, 2, 1))
    assert str(dense) == "layer 1, Dense(3)"


def test_layers_that_do_not_fit_leave_the_others_usable():
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
def test_what_is_no_stack_of_layers(layers, message):
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
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        mr.Network([mr.Dense(2)], **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mr.TemperatureSigmoid(0), r"expected temperature in \(0, inf\), got 0"),
        (lambda: mr.TemperatureSigmoid(-1), "temperature"),
        (lambda: mr.TemperatureSigmoid(np.nan), "temperature"),
        (lambda: mr.TemperatureSigmoid("1"), "temperature"),
        (lambda: mr.Dense(0), "units"),
        (lambda: mr.Dense(2.5), "units"),
        (lambda: mr.Dense(True), "units"),
        (lambda: mr.Dropout(1), r"expected rate in \[0, 1\), got 1"),
        (lambda: mr.Dropout(-0.1), "rate"),
        (lambda: mr.Conv2D(2, 0), "kernel_size"),
        (lambda: mr.Conv2D(2, (3, 3, 3)), "kernel_size"),
        (lambda: mr.Conv2D(2, 3, stride=0), "stride"),
        (lambda: mr.Conv2D(2, 3, padding="full"), "'valid', 'same'"),
        (lambda: mr.Conv2D(2, 3, padding=-1), "padding"),
        (lambda: mr.MaxPool2D(3, padding=2), "at most half the window"),
        (lambda: mr.AvgPool2D(0), "window"),
    ],
)
def test_wrong_hyperparameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_layer_whose_output_is_empty_or_no_shape():
    class Promises(mr.Layer):
        def __init__(self, shape):
            self.shape = shape

        def build(self, input_shape):
            return self.shape

    for shape in ((), (0,), (3, -1)):
        with pytest.raises(ValueError, match="expected an output of at least one number"):
            mr.Network([Promises(shape)], input_shape=(2,))
    assert mr.Network([Promises((np.int64(3),))], input_shape=(2,)).output_shape == (3,)


def test_a_layer_of_ones_own_says_what_it_lacks():
    class Nothing(mr.Layer):
        pass

    net = mr.Network([Nothing()], input_shape=(2,))
    with pytest.raises(NotImplementedError, match=r"Nothing has no forward\(x\)"):
        net.forward(np.ones((1, 2)))


def test_a_custom_layer_without_gradients_says_which_one_it_lacks():
    class Scale(mr.Layer):
        def build(self, input_shape):
            self.factor = mr.Parameter(input_shape, "ones")
            return input_shape

        def forward(self, x):
            return x * self.factor.value

    net = mr.Network([Scale()], input_shape=(2,))
    net.forward(np.ones((1, 2)))
    with pytest.raises(NotImplementedError, match=r"Scale has no parameter_gradients\(grad_y\)"):
        net.backward(np.ones((1, 2)))
    with pytest.raises(NotImplementedError, match=r"Scale has no input_gradient\(grad_y\)"):
        net.input_gradient(np.ones((1, 2)), [0])


def test_a_layer_that_loses_its_arguments_is_told_so():
    class Scale(mr.Layer):
        def __init__(self, factor):
            self.by = factor

    with pytest.raises(
        TypeError, match="Scale: expected the constructor to store its argument 'factor' as self.factor"
    ):
        repr(Scale(2))


@pytest.mark.parametrize("kind", [mr.TemperatureSigmoid, mr.Dropout])
def test_a_numpy_number_as_hyperparameter_does_not_widen_float32(kind, backend):
    net = mr.Network([kind(np.float64(0.5))], input_shape=(4,), backend=backend)
    net.training = True
    y = net.forward(np.ones((2, 4)))
    assert y.dtype == net.backward(y).dtype == "float32"
