"""Models made from functions: a softmax regression in NumPy, and one of our networks treated as a foreign model."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest

import minirobust as mr
from minirobust.foreign.answers import Answers

SHAPE, CLASSES = (5, 4, 2), 4


class Regression:
    """z = x W + b on images, in float64: the vector-Jacobian product with g is g Wᵀ."""

    def __init__(self, rng):
        self.weight = rng.standard_normal((40, CLASSES))
        self.bias = -self.weight.sum(axis=0) / 2  # a grey image is of no class

    def logits(self, x):
        return x.reshape(len(x), -1).astype("float64") @ self.weight + self.bias

    def gradient(self, x, grad_logits):
        return (grad_logits @ self.weight.T).reshape(x.shape)

    def model(self, **options):
        options = {"input_shape": SHAPE, "classes": CLASSES, "dtype": "float64"} | options
        return mr.foreign.function(self.logits, options.pop("gradient", self.gradient), **options)


@pytest.fixture
def regression(rng):
    return Regression(rng)


@pytest.fixture
def x(rng):
    return rng.random((30, *SHAPE))


@pytest.fixture
def y(regression, x):
    return regression.logits(x).argmax(axis=1)


def of_network(network, **options):
    """A network of ours as two functions, which know nothing of it."""
    answers = Answers(network)
    options |= {"input_shape": network.input_shape, "classes": answers.classes, "dtype": network.dtype}
    return mr.foreign.function(answers.logits, answers.gradient, **options)


ATTACKS = {
    "fgsm": partial(mr.attacks.fgsm, epsilon=0.1),
    "fgsm at all targets": partial(mr.attacks.fgsm, epsilon=0.1, target="all"),
    "fgvm": partial(mr.attacks.fgvm, epsilon=0.1),
    "pgd": partial(mr.attacks.pgd, epsilon=0.05, steps=5),
    "pgd on the margin": partial(mr.attacks.pgd, epsilon=0.05, steps=5, loss=mr.Margin()),
    "noise": partial(mr.attacks.noise, epsilon=0.2),
    "square": partial(mr.attacks.square, epsilon=0.1, queries=30),
    "pixel": partial(mr.attacks.pixel, pixels=2),
    "brute_force_pixel": mr.attacks.brute_force_pixel,
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("chunk_size", [1, 7, 1000])
def test_every_attack_makes_the_images_that_it_makes_on_the_network_itself(name, chunk_size, x):
    network = mr.models.mlp(0.5, SHAPE, hidden=12, classes=CLASSES, dtype="float64", seed=1)
    y = network.predict(x)
    ours = ATTACKS[name](network, x, y)
    theirs = ATTACKS[name](of_network(network, chunk_size=chunk_size), x, y)
    np.testing.assert_allclose(theirs.images, ours.images, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(theirs.predictions, ours.predictions)
    assert (theirs.queries, theirs.gradients) == (ours.queries, ours.gradients)
    assert abs(theirs.images - x).max() > 0
    assert ours.fooled.any() or name == "noise"


def test_fgsm_on_a_linear_model_is_its_closed_form(regression, x, y):
    """∂L/∂x = Σ_j (p_j - [j = y]) W_j, image by image."""
    made = mr.attacks.fgsm(regression.model(), x, y, 0.3)
    for image, pixels, label in zip(made.images, x, y, strict=True):
        z = pixels.reshape(-1) @ regression.weight + regression.bias
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        p[label] -= 1
        step = 0.3 * np.sign(regression.weight @ p).reshape(SHAPE)
        np.testing.assert_allclose(image, np.clip(pixels + step, 0, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", [mr.SoftmaxCrossEntropy(), mr.Margin(), mr.DLR(), mr.ScaleFree()], ids=repr)
@pytest.mark.parametrize("aimed", [False, True])
def test_one_vector_jacobian_product_serves_every_loss(loss, aimed, regression, x, y):
    """Against central differences of the loss."""
    model, target = regression.model(), (y + 1) % CLASSES if aimed else None
    _, losses, gradient = model.gradient(x, y, loss, target)
    for pixel in [(0, 0, 0), (4, 3, 1), (2, 1, 0)]:
        above, below = x.copy(), x.copy()
        above[:, *pixel] += 1e-5
        below[:, *pixel] -= 1e-5
        numeric = (model.gradient(above, y, loss, target)[1] - model.gradient(below, y, loss, target)[1]) / 2e-5
        np.testing.assert_allclose(gradient[:, *pixel], numeric, rtol=0, atol=1e-6 * abs(gradient).max())
    assert losses.shape == (len(x),)


@pytest.mark.parametrize(
    "attack",
    [
        mr.attacks.fgsm,
        mr.attacks.pgd,
        partial(mr.attacks.pgd, gradients=mr.attacks.averaged(0.1)),
        partial(mr.attacks.fgsm, gradients=mr.attacks.expectation()),
    ],
    ids=["fgsm", "pgd", "averaged", "expectation"],
)
def test_an_attack_that_needs_a_gradient_says_what_to_do_without_one(attack, regression, x, y):
    message = (
        r"^foreign.function: this attack needs a gradient, and there is no function for it: use mr.attacks.square, "
        r"or gradients=mr.attacks.differences\(sigma\)$"
    )
    with pytest.raises(ValueError, match=message):
        attack(regression.model(gradient=None), x, y)


@pytest.mark.parametrize(
    "attack",
    [
        partial(mr.attacks.square, queries=50, epsilon=0.3),
        partial(mr.attacks.noise, draws=20, epsilon=0.5),
        partial(mr.attacks.pgd, gradients=mr.attacks.differences(0.01), epsilon=0.1, steps=10),
    ],
    ids=["square", "noise", "differences"],
)
def test_attacks_without_gradients_need_only_the_logits(attack, regression, x, y):
    made = attack(regression.model(gradient=None), x, y)
    assert made.gradients == 0
    assert made.fooled.mean() > 0.2
    np.testing.assert_array_equal(made.fooled, regression.logits(made.images).argmax(axis=1) != y)


def test_images_transfer_to_and_from_a_network(regression, x, y):
    network = mr.models.mlp(1.0, SHAPE, hidden=12, classes=CLASSES, seed=2)
    bare = regression.model(gradient=None)
    made = mr.attacks.transfer(network, bare, x, y, partial(mr.attacks.fgsm, epsilon=0.2))
    np.testing.assert_array_equal(made.predictions, regression.logits(made.images).argmax(axis=1))
    made = mr.attacks.transfer(regression.model(), network, x, y, partial(mr.attacks.fgsm, epsilon=0.2))
    np.testing.assert_array_equal(made.predictions, network.predict(made.images))


def test_functions_receive_and_return_the_models_dtype(regression, x, y):
    seen = []

    def logits(x):
        seen.append(x.dtype)
        return np.round(regression.logits(x)).astype(int)

    def gradient(x, grad_logits):
        seen.extend([x.dtype, grad_logits.dtype])
        return regression.gradient(x, grad_logits).astype("float64")

    model = mr.foreign.function(logits, gradient, input_shape=SHAPE, classes=CLASSES)
    answers = model.gradient(x.astype("float32"), y, mr.SoftmaxCrossEntropy())
    assert {array.dtype for array in answers} == {np.dtype("float32")}
    assert set(seen) == {np.dtype("float32")}
    assert mr.attacks.pgd(model, x, y).images.dtype == np.float32


def test_functions_receive_at_most_one_chunk(regression, x, y):
    sizes = []

    def logits(x):
        sizes.append(len(x))
        return regression.logits(x)

    model = mr.foreign.function(logits, input_shape=SHAPE, classes=CLASSES, chunk_size=8)
    mr.attacks.noise(model, x, y)
    assert sizes[:4] == [8, 8, 8, 6]
    assert max(sizes) == 8


def test_a_function_may_write_into_its_input(regression, x, y):
    def logits(x):
        x -= 0.5
        return regression.logits(x + 0.5)

    def gradient(x, grad_logits):
        x[:] = np.nan
        return regression.gradient(x, grad_logits)

    careless = mr.foreign.function(logits, gradient, input_shape=SHAPE, classes=CLASSES, dtype="float64")
    before = x.copy()
    np.testing.assert_allclose(
        mr.attacks.pgd(careless, x, y).images, mr.attacks.pgd(regression.model(), x, y).images, rtol=0, atol=1e-12
    )
    np.testing.assert_array_equal(x, before)


def test_logits_that_are_not_finite_count_as_fooled(regression, x, y):
    def logits(x):
        return np.where(np.arange(len(x))[:, None] == 0, np.nan, regression.logits(x))

    made = mr.attacks.noise(mr.foreign.function(logits, input_shape=SHAPE, classes=CLASSES), x, y, 0)
    assert made.predictions[0] == -1
    np.testing.assert_array_equal(made.fooled, np.arange(len(x)) == 0)


def bad_logits(x):
    return bad_logits.result(x)


def bad_gradient(x, grad_logits):
    return bad_gradient.result(x)


WRONG = {
    "one logit per sample": (
        bad_logits,
        lambda x: np.zeros(len(x)),
        ValueError,
        r"foreign.function: bad_logits: expected it to return an array of shape \(30, 4\), got \(30,\)",
    ),
    "too many classes": (
        bad_logits,
        lambda x: np.zeros((len(x), 5)),
        ValueError,
        r"foreign.function: bad_logits: expected it to return an array of shape \(30, 4\), got \(30, 5\)",
    ),
    "nothing": (bad_logits, lambda x: None, TypeError, "foreign.function: bad_logits: .* got builtins.NoneType"),
    "complex logits": (
        bad_logits,
        lambda x: np.zeros((len(x), 4), complex),
        TypeError,
        "foreign.function: bad_logits: expected it to return real numbers, got complex128",
    ),
    "a masked array": (
        bad_logits,
        lambda x: np.ma.zeros((len(x), 4)),
        TypeError,
        "foreign.function: bad_logits: expected a plain ndarray, got numpy.ma.*MaskedArray",
    ),
    "a gradient that broadcasts": (
        bad_gradient,
        lambda x: np.zeros((len(x), 1, 1, 1)),
        ValueError,
        r"foreign.function: bad_gradient: expected it to return an array of shape \(30, 5, 4, 2\), "
        r"got \(30, 1, 1, 1\)",
    ),
    "a flat gradient": (
        bad_gradient,
        lambda x: np.zeros((len(x), 40)),
        ValueError,
        r"foreign.function: bad_gradient: .* \(30, 5, 4, 2\), got \(30, 40\)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_result_names_the_function(name, regression, x, y):
    function, result, error, message = WRONG[name]
    function.result = result
    logits = bad_logits if function is bad_logits else regression.logits
    model = mr.foreign.function(logits, bad_gradient, input_shape=SHAPE, classes=CLASSES)
    with pytest.raises(error, match=message):
        mr.attacks.fgsm(model, x, y)


def test_a_function_without_a_name_is_shown(x, y):
    model = mr.foreign.function(partial(np.mean, axis=1), input_shape=SHAPE, classes=CLASSES)
    with pytest.raises(ValueError, match=r"foreign.function: functools.partial\(.*mean.*, axis=1\): expected it to"):
        mr.attacks.noise(model, x, y)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"logits": 3}, TypeError, "foreign.function: expected logits to be a function, got 3"),
        ({"gradient": 3}, TypeError, "foreign.function: expected gradient to be a function or None, got 3"),
        ({"classes": 0}, ValueError, "foreign.function: expected classes to be a whole number of at least 1, got 0"),
        ({"chunk_size": 0}, ValueError, "foreign.function: expected chunk_size to be a whole number of at least 1"),
        ({"input_shape": (4, 0)}, ValueError, r"expected input_shape .* got \(4, 0\)"),
        ({"input_range": (1, 0)}, ValueError, r"expected input_range .* got \(1, 0\)"),
        ({"dtype": "float16"}, ValueError, "expected dtype 'float32' or 'float64', got 'float16'"),
    ],
    ids=["logits", "gradient", "classes", "chunk_size", "input_shape", "input_range", "dtype"],
)
def test_wrong_arguments_raise(options, error, message):
    arguments = {"logits": len, "input_shape": SHAPE, "classes": CLASSES} | options
    with pytest.raises(error, match=message):
        mr.foreign.function(**arguments)


def test_flat_inputs_with_another_range_are_attacked(rng):
    """±ε at the ends of the range, for a linear model of two classes: the sign of the difference of the weights."""
    weight = rng.standard_normal((6, 2))
    model = mr.foreign.function(
        lambda x: x @ weight,
        lambda x, grad_logits: grad_logits @ weight.T,
        input_shape=6,
        classes=2,
        input_range=(-3, 2),
        dtype="float64",
    )
    x = rng.uniform(-3, 2, (20, 6))
    y = (x @ weight).argmax(axis=1)
    made = mr.attacks.fgsm(model, x, y, 4.0)
    toward_other = np.where(y[:, None] == 0, 1, -1) * np.sign(weight[:, 1] - weight[:, 0])
    np.testing.assert_allclose(made.images, np.clip(x + 4 * toward_other, -3, 2), rtol=0, atol=1e-12)


def test_importing_loads_no_other_library():
    code = """
import sys
import minirobust as mr
assert "minirobust.foreign" not in sys.modules
mr.foreign.function, mr.foreign.torch, mr.foreign.to_art
assert not {"torch", "art", "foolbox"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
