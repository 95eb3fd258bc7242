"""The checker itself, tested with deliberately wrong gradients: each must be caught and named."""

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
    (NoBiasGradient(5), (3, 4), "bias", "zero everywhere"),
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


def test_a_square_weight_of_another_width_does_not_stop_the_search_for_a_cause(rng):
    net = mr.Network([mr.Dense(4), Nonsense(), mr.Dense(2)], input_shape=(4,))
    with pytest.raises(mr.GradientError, match="no simple pattern"):
        mr.gradcheck(net, rng.standard_normal((3, 4)))


def test_the_report_marks_what_is_wrong(rng):
    with pytest.raises(mr.GradientError) as caught:
        mr.gradcheck(NoBiasGradient(5), rng.standard_normal((3, 4)))
    lines = str(caught.value).splitlines()
    assert lines[0] == "gradcheck of NoBiasGradient(5) on input (3, 4): a gradient is wrong (tolerance 1e-08)"
    assert [line.split()[:2] for line in lines[1:4]] == [["input", "ok"], ["weight", "ok"], ["bias", "WRONG"]]
    assert "shape (5,), 5 of 5 checked, relative error 1" in lines[3]
    assert (
        lines[5]
        == "    probable cause: the analytic gradient is zero everywhere: a missing term, or it is never computed"
    )


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


def test_wrong_output_shape_raises(rng):
    class Halves(mr.Tanh):
        def forward(self, x):
            return super().forward(x)[:, :2]

    with pytest.raises(ValueError, match=r"Halves.*\(N, 4\) in float64, as declared by build, got \(3, 2\)"):
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


def test_convolutional_network_of_the_study_is_right(rng):
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


def test_vanished_gradient_is_not_an_error():
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


def test_nested_lists_are_accepted():
    assert mr.gradcheck(mr.Tanh(), [[0.5, -0.25], [1.0, 2.0]]).ok


def test_only_layers_networks_and_losses_can_be_checked():
    with pytest.raises(TypeError, match="expected a Layer, a Network or a loss, got function"):
        mr.gradcheck(lambda x: x, np.ones((2, 2)))


# Losses


class CrossEntropy:
    """Softmax cross entropy in the textbook's form."""

    def probabilities(self, logits):
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def value_and_gradient(self, logits, y, target=None):
        p = self.probabilities(logits)
        samples = np.arange(len(y))
        value = -np.log(p[samples, y])
        p[samples, y] -= 1
        return value, p


class GradientOfTheMean(CrossEntropy):
    def value_and_gradient(self, logits, y, target=None):
        value, gradient = super().value_and_gradient(logits, y)
        return value, gradient / len(y)


class AscendingGradient(CrossEntropy):
    def value_and_gradient(self, logits, y, target=None):
        value, gradient = super().value_and_gradient(logits, y)
        return value, -gradient


class NoLabelTerm(CrossEntropy):
    """Forgets the 1 of p_y - 1."""

    def value_and_gradient(self, logits, y, target=None):
        value, _ = super().value_and_gradient(logits, y)
        return value, self.probabilities(logits)


class OnlyTheLabelTerm(CrossEntropy):
    def value_and_gradient(self, logits, y, target=None):
        value, gradient = super().value_and_gradient(logits, y)
        return value, gradient * (np.arange(logits.shape[1]) == y[:, None])


class ScaledCrossEntropy(CrossEntropy):
    """Cross entropy at a temperature, whose gradient forgets the factor 1/T."""

    def __init__(self, temperature):
        self.temperature = temperature

    def value_and_gradient(self, logits, y, target=None):
        return super().value_and_gradient(logits / self.temperature, y)


class MeanOfBoth(mr.SoftmaxCrossEntropy):
    def value_and_gradient(self, logits, y, target=None):
        value, gradient = super().value_and_gradient(logits, y)
        return value / len(y), gradient / len(y)


class KeepsItsFirstProbabilities(CrossEntropy):
    def value_and_gradient(self, logits, y, target=None):
        if not hasattr(self, "p"):
            self.p = self.probabilities(logits)
        gradient = self.p.copy()
        gradient[np.arange(len(y)), y] -= 1
        return super().value_and_gradient(logits, y)[0], gradient


def check_loss(loss, rng, samples=4, classes=5):
    return mr.gradcheck(loss, rng.standard_normal((samples, classes)), rng.integers(0, classes, samples))


@pytest.mark.parametrize("loss", [mr.SoftmaxCrossEntropy(), mr.Margin()], ids=repr)
@pytest.mark.parametrize("samples", [1, 4])
def test_the_librarys_losses_are_right(loss, samples, backend, rng):
    y = rng.integers(0, 5, samples)
    report = mr.gradcheck(loss, rng.standard_normal((samples, 5)), y, backend=backend)
    assert [check.name for check in report.tensors] == ["logits"]
    assert str(report).startswith(f"gradcheck of {loss!r} on logits ({samples}, 5): every gradient is right")


def test_a_custom_loss_is_right(rng):
    assert check_loss(CrossEntropy(), rng).ok


def test_a_loss_averaged_over_the_batch_is_named(rng):
    with pytest.raises(mr.GradientError, match=r"0\.25 times .* 1 over the batch size N = 4: a mean for a sum"):
        check_loss(GradientOfTheMean(), rng)


def test_a_loss_averaged_over_a_batch_of_one_is_named(rng):
    with pytest.raises(mr.GradientError, match="1 over the batch size N = 2: a mean for a sum"):
        check_loss(GradientOfTheMean(), rng, samples=1)


def test_a_loss_gradient_of_the_wrong_sign_is_named(rng):
    with pytest.raises(mr.GradientError, match="the sign is wrong"):
        check_loss(AscendingGradient(), rng)


@pytest.mark.parametrize("classes", [2, 5])
def test_a_loss_gradient_without_its_label_term_is_named(classes, rng):
    with pytest.raises(mr.GradientError, match="a missing term: one value of each sample is wrong .*the label's"):
        check_loss(NoLabelTerm(), rng, classes=classes)


def test_a_loss_gradient_of_the_true_class_alone_is_named(rng):
    with pytest.raises(mr.GradientError, match="a missing term: 16 of 20 values are zero"):
        check_loss(OnlyTheLabelTerm(), rng)


def test_a_temperature_that_a_loss_forgets_is_named(rng):
    with pytest.raises(mr.GradientError, match=r"which is temperature = 0\.5: a factor of 1 over it is missing"):
        check_loss(ScaledCrossEntropy(0.5), rng)


@pytest.mark.parametrize("confidence", [1, 20])
def test_a_loss_that_depends_on_the_other_samples_is_refused(confidence):
    with pytest.raises(ValueError, match=r"MeanOfBoth.*the loss of each sample by itself, got .* in a batch of 4 and"):
        mr.gradcheck(MeanOfBoth(), confidence * np.eye(4), np.arange(4))


def test_a_loss_that_keeps_its_first_batch_is_named(rng):
    with pytest.raises(mr.GradientError, match="something kept from the first batch is wrong for a second"):
        check_loss(KeepsItsFirstProbabilities(), rng)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda z: (z.mean(), z), r"expected losses of shape \(3,\), one for each sample, got shape \(\)"),
        (lambda z: (z[:, 0], z[0]), r"expected gradients of shape \(3, 2\), one for each sample, got shape \(2,\)"),
        (lambda z: z, r"expected \(losses, gradients\), got ndarray"),
        (lambda z: (z[:, 0].astype("f"), z), "expected losses and gradients in float64 for logits in float64"),
    ],
)
def test_a_loss_that_returns_something_else_is_refused(result, message, rng):
    class Other:
        def value_and_gradient(self, logits, y, target=None):
            return result(logits)

    with pytest.raises((ValueError, TypeError), match=message):
        mr.gradcheck(Other(), rng.standard_normal((3, 2)), [0, 1, 1])


def test_a_loss_that_writes_into_the_logits_is_refused(rng):
    class Writes(CrossEntropy):
        def value_and_gradient(self, logits, y, target=None):
            logits -= logits.max(axis=1, keepdims=True)
            return super().value_and_gradient(logits, y)

    logits = rng.standard_normal((3, 4))
    before = logits.copy()
    with pytest.raises(ValueError, match="writes into x"):
        mr.gradcheck(Writes(), logits, [0, 1, 2])
    np.testing.assert_array_equal(logits, before)


def test_a_tie_between_runners_up_is_a_kink():
    with pytest.raises(mr.GradientError, match="a kink is nearby"):
        mr.gradcheck(mr.Margin(), [[1.0, 3.0, 3.0]], [0])


def test_a_loss_needs_labels():
    with pytest.raises(TypeError, match=r"^gradcheck: expected labels y for the loss Margin\(\), got none$"):
        mr.gradcheck(mr.Margin(), np.ones((2, 3)))


@pytest.mark.parametrize("target", [mr.Tanh(), mr.Network([mr.Dense(2)], input_shape=(3,))], ids=["layer", "network"])
def test_labels_are_for_losses_only(target):
    with pytest.raises(TypeError, match="^gradcheck: expected y for a loss only, got y for "):
        mr.gradcheck(target, np.ones((2, 3)), [0, 1])


def test_labels_that_do_not_fit_the_logits_are_refused():
    with pytest.raises(ValueError, match="labels: expected classes 0 to 2, got 3"):
        mr.gradcheck(mr.Margin(), np.ones((2, 3)), [0, 3])


def test_the_class_of_a_loss_is_not_a_loss():
    with pytest.raises(TypeError, match=r"got the class Margin: write Margin\(\)"):
        mr.gradcheck(mr.Margin, np.ones((2, 3)), [0, 1])


# Arguments and parameters of any kind


class Scaling(mr.Layer):
    """y = x / T with a learned T, as for calibration (Guo et al., 2017)."""

    saved = ("x",)

    def __init__(self, first=1.5):
        self.first = first

    def build(self, input_shape):
        self.temperature = mr.Parameter((1,), lambda generator, shape: np.full(shape, self.first))
        return input_shape

    def forward(self, x):
        self.x = x
        return x / self.temperature.value

    def input_gradient(self, grad_y):
        return grad_y / self.temperature.value

    def parameter_gradients(self, grad_y):
        self.temperature.grad[...] = -(grad_y * self.x).sum() / self.temperature.value**2


class ScalingOncePerTemperature(Scaling):
    def parameter_gradients(self, grad_y):
        self.temperature.grad[...] = -(grad_y * self.x).sum() / self.temperature.value


class ScalingWithoutMinus(Scaling):
    def parameter_gradients(self, grad_y):
        self.temperature.grad[...] = (grad_y * self.x).sum() / self.temperature.value**2


class ScalingWithMean(Scaling):
    def parameter_gradients(self, grad_y):
        self.temperature.grad[...] = -(grad_y * self.x).mean() / self.temperature.value**2


class ScalingForgotten(Scaling):
    def input_gradient(self, grad_y):
        return grad_y


@pytest.mark.parametrize("first", [1 / 64, 0.3, 1.5, 16])
@pytest.mark.parametrize("samples", [1, 3])
def test_learnable_temperature_is_right(first, samples, backend, rng):
    report = mr.gradcheck(Scaling(first), rng.standard_normal((samples, 4)), backend=backend)
    assert [check.name for check in report.tensors] == ["input", "temperature"]


def test_learnable_temperature_inside_a_network_is_right(rng):
    net = mr.Network([mr.Dense(3), Scaling(), mr.Tanh(), mr.Dense(2), Scaling(0.5)], input_shape=(4,))
    assert mr.gradcheck(net, rng.standard_normal((3, 4))).ok
    assert mr.gradcheck(net.layers[4], rng.standard_normal((3, 2))).ok


@pytest.mark.parametrize(
    ("layer", "tensor", "cause"),
    [
        (ScalingOncePerTemperature(), "temperature", r"temperature = 1\.5: a factor of 1 over it is missing"),
        (ScalingWithoutMinus(), "temperature", "the sign is wrong"),
        (ScalingWithMean(), "temperature", "1 over the number of outputs = 12: a mean for a sum"),
        (ScalingForgotten(), "input", r"temperature = 1\.5: a factor of 1 over it is missing"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_wrong_gradient_of_a_learnable_temperature_is_named(layer, tensor, cause, rng):
    with pytest.raises(mr.GradientError, match=cause) as caught:
        mr.gradcheck(layer, rng.standard_normal((3, 4)))
    assert [check.name for check in caught.value.report.tensors if check.cause] == [tensor]


class Scaled(mr.Layer):
    """y = factor · x, and an argument of any kind besides."""

    def __init__(self, argument, factor=2, wrong=1):
        self.argument, self.factor, self.wrong = argument, factor, wrong

    def forward(self, x):
        return self.factor * x

    def input_gradient(self, grad_y):
        return grad_y * (self.factor * self.wrong)


ARGUMENTS = [
    None,
    "text",
    True,
    np.float32(0.5),
    np.arange(3.0),
    np.array(4.0),
    (1, (2.0, (None, "x"))),
    [[1, 2], [3]],
    {"a": 1},
    float("nan"),
    float("inf"),
    len,
]


@pytest.mark.parametrize("argument", ARGUMENTS, ids=repr)
def test_arguments_of_any_type_are_copied(argument, rng):
    x = rng.standard_normal((3, 4))
    assert mr.gradcheck(Scaled(argument), x).ok
    assert mr.gradcheck(mr.Network([Scaled(argument), mr.Dense(2)], (4,)), x).ok
    with pytest.raises(mr.GradientError, match="factor = 2: a factor of 1 over it is missing"):
        mr.gradcheck(Scaled(argument, wrong=2), x)


@pytest.mark.parametrize("temperature", [None, "cold", (1, (2,)), 0, -1.0, np.array([0.5, 0.25])], ids=repr)
def test_temperature_of_any_numeric_type_is_recognized(temperature, rng):
    class Indifferent(mr.Layer):
        def __init__(self, temperature=None):
            self.temperature = temperature

        def forward(self, x):
            return 2 * x

        def input_gradient(self, grad_y):
            return 2 * grad_y

    assert mr.gradcheck(Indifferent(temperature), rng.standard_normal((3, 4))).ok


# A second batch on the same layers


class Square(mr.Layer):
    """y = x²"""

    saved = ("x",)

    def forward(self, x):
        self.x = x
        return x**2

    def input_gradient(self, grad_y):
        return 2 * self.x * grad_y


class KeepsItsFirstInput(Square):
    def forward(self, x):
        if not hasattr(self, "x"):
            self.x = x
        return x**2


class KeepsItsFirstMask(mr.ReLU):
    saved = ("mask",)

    def __init__(self):
        self.mask = None

    def forward(self, x):
        if self.mask is None:
            self.mask = x > 0
        return self.xp.maximum(x, 0)

    def input_gradient(self, grad_y):
        return grad_y * self.mask


class KeepsItsFirstBatchSize(mr.Layer):
    """y = x + mean over the batch."""

    saved = ("samples",)

    def forward(self, x):
        if not hasattr(self, "samples"):
            self.samples = len(x)
        return x + x.sum(axis=0) / len(x)

    def input_gradient(self, grad_y):
        return grad_y + grad_y.sum(axis=0) / self.samples


class KeepsItsFirstSum(mr.Dense):
    """Its weight's gradient belongs to the first batch."""

    saved = ("x", "first")

    def forward(self, x):
        if not hasattr(self, "first"):
            self.first = x
        return super().forward(x)

    def parameter_gradients(self, grad_y):
        rows = min(len(self.first), len(grad_y))
        self.xp.matmul(self.first[:rows].T, grad_y[:rows], out=self.weight.grad)
        self.bias.grad[...] = grad_y.sum(axis=0)


@pytest.mark.parametrize(
    ("layer", "tensor", "kept"),
    [
        (KeepsItsFirstInput(), "input", "self.x of layer ., KeepsItsFirstInput"),
        (KeepsItsFirstMask(), "input", "self.mask of layer ., KeepsItsFirstMask"),
        (KeepsItsFirstBatchSize(), "input", "self.samples of layer ., KeepsItsFirstBatchSize"),
        (KeepsItsFirstSum(2), "weight", "self.first of layer ., KeepsItsFirstSum"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a network"])
def test_a_layer_that_keeps_its_first_batch_is_named(layer, tensor, kept, samples, inside, backend, rng):
    layer, x = layer.fresh(), rng.standard_normal((samples, 4))
    target = mr.Network([mr.Dense(4), layer, mr.Dense(2)], (4,), backend, seed=3) if inside else layer
    with pytest.raises(
        mr.GradientError, match=f"something kept from the first batch is wrong for a second.*{kept}"
    ) as caught:
        mr.gradcheck(target, x, backend=backend)
    wrong = [check.name for check in caught.value.report.tensors if check.cause]
    assert any(name.endswith(tensor) for name in wrong)


def test_a_mean_for_a_sum_is_named_although_the_batch_has_one_sample(rng):
    with pytest.raises(mr.GradientError, match="1 over the batch size N = 2: a mean for a sum.*second batch") as caught:
        mr.gradcheck(MeanForSum(5), rng.standard_normal((1, 4)))
    assert [check.name for check in caught.value.report.tensors if check.cause] == ["weight"]


def test_second_batch_is_cheap(rng):
    samples = []

    class Counts(mr.Tanh):
        def forward(self, x):
            samples.append(len(x))
            return super().forward(x)

    mr.gradcheck(Counts(), rng.standard_normal((4, 100)))
    assert samples.count(4) > 4 * 400
    assert 4 * 5 < samples.count(5) < 4 * 15


def test_the_second_batch_is_the_first_reversed_with_one_sample_more_and_nearer_to_zero():
    seen = []

    class Watched(mr.Tanh):
        def forward(self, x):
            seen.append(x.copy())
            return super().forward(x)

    mr.gradcheck(Watched(), [[1.0], [2.0], [4.0]])
    first_of_second = next(x for x in seen if len(x) == 4)
    np.testing.assert_array_equal(first_of_second, [[3], [1.5], [0.75], [0.75]])


def test_a_second_batch_at_a_kink_is_no_error():
    class Corner(mr.ReLU):
        """A kink at 0.75, where the second batch comes to lie."""

        def forward(self, x):
            return super().forward(x - 0.75)

    assert mr.gradcheck(Corner(), np.ones((3, 2))).ok


def test_a_layer_that_refuses_the_second_batch_is_right():
    class Logarithm(Square):
        def forward(self, x):
            self.x = x
            if self.backend.to_numpy(x.min()) <= 0.9:
                raise ValueError("x: expected more than 0.9")
            return np.log(x)

        def input_gradient(self, grad_y):
            return grad_y / self.x

    assert mr.gradcheck(Logarithm(), np.ones((3, 2))).ok


def test_a_second_batch_without_a_finite_output_is_no_error():
    class Logarithm(Square):
        def forward(self, x):
            self.x = x - 0.9
            return np.log(self.x)

        def input_gradient(self, grad_y):
            return grad_y / self.x

    assert mr.gradcheck(Logarithm(), np.ones((3, 2))).ok


# Two causes


class Times(mr.Layer):
    """y = T x, whose gradient is too large by another factor."""

    def __init__(self, temperature, error=1.0, units=None):
        self.temperature, self.error, self.units = temperature, error, units

    def forward(self, x):
        return self.temperature * x

    def input_gradient(self, grad_y):
        return grad_y * (self.temperature * self.error)


@pytest.mark.parametrize(
    ("layer", "samples", "first", "second"),
    [
        (Times(0.25, 0.25), 4, "1 over the batch size N = 4", r"temperature = 0\.25: a factor of 1 over it is missing"),
        (Times(3, 3), 3, "the batch size N = 3: a factor of 1 over it is missing", "temperature = 3: a factor"),
        (Times(2, 0.5), 2, "1 over the batch size N = 2: a mean for a sum", "1 over temperature = 2: a mean for a sum"),
        (Times(0.5, 2, units=2), 5, r"1 over temperature = 0\.5", "units = 2: a factor of 1 over it is missing"),
    ],
)
def test_two_causes_that_fit_are_both_named(layer, samples, first, second, rng):
    with pytest.raises(mr.GradientError, match=f"which is {first}.*, or {second}") as caught:
        mr.gradcheck(layer, rng.standard_normal((samples, 3)))
    assert caught.value.report.tensors[0].cause.count("times what it should be") == 1


# Random layers


class Noise(mr.Layer):
    """A randomized defence: y = x · (1 + noise), in evaluation too."""

    saved = ("factor",)

    def forward(self, x):
        self.factor = 1 + self.random(x.shape)
        return x * self.factor

    def input_gradient(self, grad_y):
        return grad_y * self.factor


@pytest.mark.parametrize("training", [False, True])
def test_a_random_layer_draws_the_same_numbers_at_each_evaluation(training, backend, rng):
    x = rng.standard_normal((3, 4))
    assert mr.gradcheck(Noise(), x, training=training, backend=backend).ok
    net = mr.Network([mr.Dense(4), Noise(), mr.Dropout(0.5), mr.Dense(2)], (4,), backend)
    net.layers[1].draws = 7
    assert mr.gradcheck(net, x, training=training).ok
    assert [layer.draws for layer in net.layers] == [0, 7, 0, 0]


def test_layers_are_checked_in_evaluation_by_default(rng):
    modes = set()

    class Watched(mr.Tanh):
        def forward(self, x):
            modes.add(self.training)
            return super().forward(x)

    mr.gradcheck(Watched(), rng.standard_normal((3, 4)))
    assert modes == {False}
    mr.gradcheck(Watched(), rng.standard_normal((3, 4)), training=True)
    assert modes == {False, True}


@pytest.mark.parametrize("training", [False, True])
def test_a_wrong_gradient_of_a_random_layer_is_named(training, rng):
    class Twice(Noise):
        def input_gradient(self, grad_y):
            return 2 * super().input_gradient(grad_y)

    with pytest.raises(mr.GradientError, match="2 times what it should be"):
        mr.gradcheck(Twice(), rng.standard_normal((3, 4)), training=training)


def test_a_layer_inside_a_network_draws_what_it_draws_there(rng):
    seen = []

    class Watched(Noise):
        def forward(self, x):
            y = super().forward(x)
            seen.append(self.backend.to_numpy(self.factor))
            return y

    net = mr.Network([mr.Dense(4), Watched()], (4,), seed=5)
    net.layers[1].draws = 7
    x = rng.standard_normal((3, 4)).astype("f")
    net.forward(x)
    mr.gradcheck(net.layers[1], x)
    np.testing.assert_array_equal(seen[0].astype("f"), seen[1].astype("f"))


def test_layer_with_its_own_random_generator_raises(rng):
    class Private(mr.Layer):
        def forward(self, x):
            return x + rng.random(x.shape)

        def input_gradient(self, grad_y):
            return grad_y

    with pytest.raises(ValueError, match=r"forward gave a different output for the same x \(use self\.random\)"):
        mr.gradcheck(Private(), np.ones((3, 4)))


# State


class BatchNorm(mr.Layer):
    """Batch normalization without a learned scale."""

    saved = ("n", "s", "batch")

    def build(self, input_shape):
        self.mean, self.variance = mr.Buffer(input_shape, "zeros"), mr.Buffer(input_shape, "ones")
        return input_shape

    def forward(self, x):
        self.batch = self.training
        if self.training:
            mean, variance = x.sum(axis=0) / len(x), ((x - x.sum(axis=0) / len(x)) ** 2).sum(axis=0) / len(x)
            self.mean.value[...] = 0.9 * self.mean.value + 0.1 * mean
            self.variance.value[...] = 0.9 * self.variance.value + 0.1 * variance
        else:
            mean, variance = self.mean.value, self.variance.value
        self.s = (variance + 1e-5) ** 0.5
        self.n = (x - mean) / self.s
        return self.n

    def input_gradient(self, grad_y):
        if self.batch:
            grad_y = grad_y - grad_y.mean(axis=0) - self.n * (grad_y * self.n).mean(axis=0)
        return grad_y / self.s


@pytest.mark.parametrize("training", [False, True])
def test_buffers_are_copied_and_left_as_they_were(training, backend, rng):
    net = mr.Network([mr.Dense(3), BatchNorm(), mr.Dense(2)], (4,), backend)
    net.layers[1].variance.value[...] = 1 / 16
    x = rng.standard_normal((5, 4))
    assert mr.gradcheck(net, x, training=training).ok
    report = mr.gradcheck(net.layers[1], x[:, :3], training=training)
    if not training:
        assert abs(report.tensors[0].analytic) > 2  # 1 / s = 4
    assert set(backend.to_numpy(net.buffers)) == {0, 1 / 16}


def test_a_running_statistic_does_not_drift_while_it_is_checked(rng):
    class Drifts(mr.Layer):
        """Its output depends on a buffer that each forward pass in training changes."""

        saved = ("factor",)

        def build(self, input_shape):
            self.count = mr.Buffer((1,), "ones")
            return input_shape

        def forward(self, x):
            self.factor = self.count.value.copy()
            self.count.value[...] += 1
            return x * self.factor

        def input_gradient(self, grad_y):
            return grad_y * self.factor

    assert mr.gradcheck(Drifts(), rng.standard_normal((3, 4)), training=True).ok


@pytest.mark.parametrize("whole", [False, True], ids=["layer", "network"])
def test_an_undeclared_attribute_is_refused(whole, rng):
    net = mr.Network([mr.Dense(3), mr.Tanh()], (4,))
    net.layers[1].scale = 3
    target, x = (net, np.ones((2, 4))) if whole else (net.layers[1], np.ones((2, 3)))
    with pytest.raises(TypeError, match="the attribute 'scale' would be lost"):
        mr.gradcheck(target, x)


def test_a_layer_inside_a_network_takes_that_layers_input(rng):
    net = mr.Network([mr.Dense(3), mr.Dense(2)], (4,))
    with pytest.raises(ValueError, match=r"expected shape \(N, 3\), got \(2, 4\)"):
        mr.gradcheck(net.layers[1], np.ones((2, 4)))


def test_layer_that_is_passed_in_stays_unbuilt(rng):
    layer = mr.Dense(2)
    mr.gradcheck(layer, rng.standard_normal((3, 4)))
    assert not hasattr(layer, "index")
    mr.Network([layer], (4,))


# A user's mistakes and settings


@pytest.mark.parametrize("name", ["forward", "input_gradient", "parameter_gradients"])
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a network"])
def test_typo_in_a_layer_raises_its_own_error(name, inside):
    class Typo(mr.Dense):
        def forward(self, x):
            return self.wieght if name == "forward" else super().forward(x)

        def input_gradient(self, grad_y):
            return self.wieght if name == "input_gradient" else super().input_gradient(grad_y)

        def parameter_gradients(self, grad_y):
            return self.wieght if name == "parameter_gradients" else super().parameter_gradients(grad_y)

    target = mr.Network([Typo(3), mr.Tanh()], (4,)) if inside else Typo(3)
    with pytest.raises(AttributeError, match="^'Typo' object has no attribute 'wieght'"):
        mr.gradcheck(target, np.ones((2, 4)))


def test_numpy_error_mode_does_not_matter(rng):
    x = rng.standard_normal((3, 4))
    with np.errstate(all="raise"):
        assert mr.gradcheck(mr.TemperatureSigmoid(1 / 64), 10 * x).ok
        assert mr.gradcheck(mr.ReLU(), -abs(x)).ok
        assert mr.gradcheck(mr.SoftmaxCrossEntropy(), 400 * x, [0, 1, 2]).ok
        for layer in (NotANumber(), NoBiasGradient(5), Nonsense()):
            with pytest.raises(mr.GradientError):
                mr.gradcheck(layer, 1e-200 * x)
        assert np.geterr()["under"] == "raise"


def test_an_input_gradient_of_another_shape_is_refused(rng):
    class Narrow(mr.Tanh):
        def input_gradient(self, grad_y):
            return super().input_gradient(grad_y)[:, :1]

    with pytest.raises(ValueError, match=r"Narrow\(\).*: expected an input gradient of shape \(3, 4\), got \(3, 1\)"):
        mr.gradcheck(Narrow(), rng.standard_normal((3, 4)))
