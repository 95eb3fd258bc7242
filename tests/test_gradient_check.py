"""The checker itself, tested with gradients that are wrong on purpose: each must be caught, and named."""

import numpy as np
import pytest

import minirobust as mr


class NoTemperature(mr.TemperatureSigmoid):
    """Forgets the factor 1/T."""

    def input_gradient(self, grad_y):
        return super().input_gradient(grad_y) * self.temperature


class TemperatureTwice(mr.TemperatureSigmoid):
    def input_gradient(self, grad_y):
        return super().input_gradient(grad_y) / self.temperature


class WrongSign(mr.Tanh):
    def input_gradient(self, grad_y):
        return -super().input_gradient(grad_y)


class OffByATenthOfAPercent(mr.Tanh):
    def input_gradient(self, grad_y):
        return super().input_gradient(grad_y) * 1.001


class TransposedWeight(mr.Dense):
    def input_gradient(self, grad_y):
        return grad_y @ self.weight.value


class TransposedGradient(mr.Dense):
    def parameter_gradients(self, grad_y):
        super().parameter_gradients(grad_y)
        self.weight.grad[...] = self.weight.grad.T.copy()


class MeanForSum(mr.Dense):
    def parameter_gradients(self, grad_y):
        super().parameter_gradients(grad_y)
        self.weight.grad[...] /= len(grad_y)


class SumForMean(mr.AvgPool2D):
    def input_gradient(self, grad_y):
        return super().input_gradient(grad_y) * 4


class NoBiasGradient(mr.Dense):
    def parameter_gradients(self, grad_y):
        self.xp.matmul(self.x.T, grad_y, out=self.weight.grad)


class NoSumInSoftmax(mr.Softmax):
    def input_gradient(self, grad_y):
        return self.y * grad_y


class SumMissingFromAllFeatures(mr.Layer):
    """y = x + Σ x², whose gradient lacks the sum."""

    def forward(self, x):
        self.x = x
        return x + x.sum(axis=1, keepdims=True)

    def input_gradient(self, grad_y):
        return grad_y


class FirstIsTheMaximum(mr.MaxPool2D):
    def input_gradient(self, grad_y):
        self.winner = self.winner * 0
        return super().input_gradient(grad_y)


class LosesTheEdge(mr.AvgPool2D):
    def input_gradient(self, grad_y):
        grad_x = super().input_gradient(grad_y)
        grad_x[:, -1] = 0
        return grad_x


class NotANumber(mr.Tanh):
    def input_gradient(self, grad_y):
        return super().input_gradient(grad_y) * np.nan


class Nonsense(mr.Tanh):
    def input_gradient(self, grad_y):
        return grad_y * self.x**3 + 1


FAULTS = [
    (NoTemperature(0.25), (3, 4), "input", r"0\.25 times what it should be, which is temperature = 0\.25"),
    (NoTemperature(4), (3, 4), "input", r"4 times what it should be, which is temperature = 4"),
    (TemperatureTwice(0.25), (3, 4), "input", r"4 times what it should be, which is 1 over temperature"),
    (WrongSign(), (3, 4), "input", "the sign is wrong"),
    (OffByATenthOfAPercent(), (3, 4), "input", r"1\.001 times .* \(off by 0\.10%\)"),
    (TransposedWeight(4), (3, 4), "input", "weight is transposed"),
    (TransposedGradient(4), (3, 4), "weight", "transposed"),
    (MeanForSum(5), (3, 4), "weight", "1 over the batch size N = 3: a mean for a sum"),
    (SumForMean(2), (2, 4, 4, 1), "input", "4 times what it should be"),
    (NoBiasGradient(5), (3, 4), "bias", "zero throughout"),
    (NoSumInSoftmax(), (3, 4), "input", "missing term.*in proportion to the output"),
    (SumMissingFromAllFeatures(), (3, 4), "input", "missing term.*all features of a sample"),
    (FirstIsTheMaximum(2), (2, 4, 4, 1), "input", "right values in the wrong places"),
    (LosesTheEdge(2), (2, 4, 4, 1), "input", "missing term: 8 of 32 values are zero where they should not be"),
    (NotANumber(), (3, 4), "input", "NaN or infinity"),
    (Nonsense(), (3, 4), "input", "no simple pattern"),
]


@pytest.mark.parametrize(("layer", "shape", "tensor", "cause"), FAULTS, ids=lambda value: type(value).__name__)
def test_every_planted_fault_is_caught_and_named(layer, shape, tensor, cause, backend, rng):
    with pytest.raises(mr.GradientError, match=cause) as caught:
        mr.gradcheck(layer, rng.standard_normal(shape), backend=backend)
    wrong = [check.name for check in caught.value.report.tensors if check.cause]
    assert wrong == [tensor]


def test_the_worst_element_is_reported_with_both_values(rng):
    class OneWrong(mr.Flatten):
        def input_gradient(self, grad_y):
            grad_x = super().input_gradient(grad_y).copy()
            grad_x[1, 2] += 5
            return grad_x

    with pytest.raises(mr.GradientError) as caught:
        mr.gradcheck(OneWrong(), rng.standard_normal((3, 4)))
    check = caught.value.report.tensors[0]
    assert check.worst == (1, 2)
    assert check.analytic - check.numeric == pytest.approx(5)
    assert "worst at [1, 2]" in str(caught.value)
    assert "1 of 12 values are wrong, the others right" in check.cause


@pytest.mark.parametrize("distance", [0, 1e-7, 5e-6, 1e-5, 5e-5, 1.5e-4])
def test_a_kink_is_named_not_tolerated(distance, rng):
    x = rng.standard_normal((3, 4))
    x[1, 2] = distance
    with pytest.raises(mr.GradientError, match=r"worst at \[1, 2\](.|\n)*a kink is nearby"):
        mr.gradcheck(mr.ReLU(), x)


def test_a_tie_in_a_max_pooling_window_is_a_kink(rng):
    x = rng.standard_normal((1, 4, 4, 1))
    x[0, :2, :2, 0] = 7
    with pytest.raises(mr.GradientError, match="a kink is nearby"):
        mr.gradcheck(mr.MaxPool2D(2), x)


def test_a_wrong_gradient_is_not_excused_by_a_kink_elsewhere(rng):
    class DoubledReLU(mr.ReLU):
        def input_gradient(self, grad_y):
            return 2 * super().input_gradient(grad_y)

    x = rng.standard_normal((3, 4))
    x[1, 2] = 1e-5
    with pytest.raises(mr.GradientError) as caught:
        mr.gradcheck(DoubledReLU(), x)
    assert "kink" not in str(caught.value)


def test_a_small_wrong_factor_in_a_curved_function_is_not_called_a_kink(rng):
    class Off(mr.TemperatureSigmoid):
        def input_gradient(self, grad_y):
            return super().input_gradient(grad_y) * (1 + 1e-6)

    with pytest.raises(mr.GradientError) as caught:
        mr.gradcheck(Off(1 / 64), rng.standard_normal((3, 4)) / 64)
    assert "kink" not in str(caught.value)


def test_a_gradient_that_accumulates_is_refused(rng):
    class Accumulates(mr.Dense):
        def parameter_gradients(self, grad_y):
            self.weight.grad += self.x.T @ grad_y
            self.bias.grad[...] = grad_y.sum(axis=0)

    with pytest.raises(ValueError, match="accumulated, not overwritten"):
        mr.gradcheck(Accumulates(2), rng.standard_normal((3, 4)))


@pytest.mark.parametrize("name", ["forward", "input_gradient"])
def test_a_layer_that_writes_into_its_argument_is_refused(name, rng):
    class Writes(mr.Tanh):
        pass

    def method(self, array):
        array *= 2
        return getattr(mr.Tanh, name)(self, array)

    setattr(Writes, name, method)
    with pytest.raises(ValueError, match="writes into"):
        mr.gradcheck(Writes(), rng.standard_normal((3, 4)))


def test_a_layer_that_overwrites_the_librarys_attributes_is_refused(rng):
    class Overwrites(mr.Tanh):
        def forward(self, x):
            self.index = x > 0
            return super().forward(x)

    with pytest.raises(ValueError, match=r"forward overwrites self\.index"):
        mr.gradcheck(Overwrites(), rng.standard_normal((3, 4)))


def test_a_promise_of_another_shape_is_refused(rng):
    class Halves(mr.Tanh):
        def forward(self, x):
            return super().forward(x)[:, :2]

    with pytest.raises(ValueError, match=r"promised an output of shape \(3, 4\), forward returned \(3, 2\)"):
        mr.gradcheck(Halves(), rng.standard_normal((3, 4)))


def test_a_network_is_checked_throughout_and_left_as_it_was(backend, rng):
    net = mr.models.mlp(1 / 8, (3, 4, 1), hidden=6, classes=3, backend=backend)
    before = backend.to_numpy(net.parameters).copy()
    report = mr.gradcheck(net, rng.random((2, 3, 4, 1)))
    assert [check.name for check in report.tensors] == [
        "input",
        "layer 1 weight",
        "layer 1 bias",
        "layer 3 weight",
        "layer 3 bias",
    ]
    assert net.dtype == "float32"
    np.testing.assert_array_equal(backend.to_numpy(net.parameters), before)
    assert not backend.to_numpy(net.gradients).any()


def test_the_studys_convolutional_network(rng):
    net = mr.models.cnn(1 / 8, (16, 16, 2), classes=4)
    assert mr.gradcheck(net, rng.random((2, 16, 16, 2)), limit=40).ok


def test_a_layer_inside_a_network_is_checked_with_that_networks_parameters(rng):
    net = mr.Network([mr.Dense(3), mr.Dense(2)], input_shape=(4,))
    net.layers[0].weight.value[...] = 0
    report = mr.gradcheck(net.layers[0], rng.standard_normal((2, 4)))
    assert report.tensors[0].analytic == report.tensors[0].numeric == 0


def test_large_tensors_are_sampled(rng):
    report = mr.gradcheck(mr.Dense(20), rng.standard_normal((2, 30)), limit=50)
    assert [check.checked for check in report.tensors] == [50, 50, 20]
    assert "50 of 600 checked" in str(report)


def test_a_vanished_gradient_is_no_error():
    assert mr.gradcheck(mr.ReLU(), -np.ones((2, 3))).ok


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": 0}, "tolerance"),
        ({"limit": 0}, "limit"),
        ({"step": -1}, "step"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        mr.gradcheck(mr.Tanh(), np.ones((2, 2)), **arguments)


def test_nested_lists_are_numbers_too():
    assert mr.gradcheck(mr.Tanh(), [[0.5, -0.25], [1.0, 2.0]]).ok


def test_only_layers_and_networks_can_be_checked():
    with pytest.raises(TypeError, match="expected a Layer or a Network, got function"):
        mr.gradcheck(lambda x: x, np.ones((2, 2)))
