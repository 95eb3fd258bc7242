"""Every layer's gradients against central differences, and the errors of layers."""

import numpy as np
import pytest

import minirobust as mr

CASES = [
    (mr.Dense(5), (3, 4)),
    (mr.Dense(1), (1, 1)),
    (mr.TemperatureSigmoid(1 / 64), (3, 4)),
    (mr.TemperatureSigmoid(0.3), (2, 3, 2, 2)),
    (mr.TemperatureSigmoid(16), (1, 7)),
    (mr.ReLU(), (3, 4)),
    (mr.Tanh(), (2, 3, 2, 1)),
    (mr.Softmax(), (3, 4)),
    (mr.Softmax(), (1, 2)),
    (mr.Flatten(), (2, 3, 4, 2)),
    (mr.Flatten(), (1, 5)),
    (mr.Dropout(0.4), (3, 8)),
    (mr.Conv2D(3, 3), (2, 5, 6, 2)),
    (mr.Conv2D(1, 1), (1, 1, 1, 1)),
    (mr.Conv2D(3, (3, 2), stride=(2, 1), padding="same"), (2, 6, 5, 2)),
    (mr.Conv2D(2, (2, 4), stride=3, padding=(1, 2)), (1, 7, 5, 1)),
    (mr.Conv2D(2, 3, stride=2), (3, 6, 8, 1)),
    (mr.MaxPool2D(2), (2, 5, 7, 3)),
    (mr.MaxPool2D(3, stride=2, padding=1), (2, 6, 7, 2)),
    (mr.MaxPool2D((3, 2), stride=1, padding=(1, 0)), (1, 4, 5, 1)),
    (mr.AvgPool2D(2), (2, 5, 7, 3)),
    (mr.AvgPool2D((3, 2), stride=(1, 2)), (1, 4, 5, 1)),
]


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=lambda value: repr(value))
def test_gradients_equal_central_differences(layer, shape, backend, rng):
    x = rng.standard_normal(shape) * getattr(layer, "temperature", 1)
    report = mr.gradcheck(layer, x, tolerance=1e-8, training=True, backend=backend)
    assert report.ok
    assert report.tensors[0].checked == np.prod(shape)


# Wrong hyperparameters, and incomplete custom layers


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
def test_wrong_hyperparameters_raise(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_layer_with_an_empty_or_invalid_output_shape_raises():
    class Promises(mr.Layer):
        def __init__(self, shape):
            self.shape = shape

        def build(self, input_shape):
            return self.shape

    for shape in ((), (0,), (3, -1)):
        with pytest.raises(ValueError, match="expected an output of at least one number"):
            mr.Network([Promises(shape)], input_shape=(2,))
    assert mr.Network([Promises((np.int64(3),))], input_shape=(2,)).output_shape == (3,)


def test_custom_layer_without_forward_raises():
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


def test_layer_that_does_not_store_its_arguments_raises():
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
