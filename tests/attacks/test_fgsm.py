"""FGSM and FGVM against their formulas and the exact answer for linear models.

What every attack promises stands in test_attack.py.
"""

import numpy as np
import pytest

import minirobust as mr


@pytest.fixture
def net(backend):
    return mr.models.mlp(0.5, (5, 4, 1), hidden=12, classes=3, backend=backend, dtype="float64", seed=1)


@pytest.fixture
def x(rng):
    return rng.random((30, 5, 4, 1))


@pytest.fixture
def y(rng):
    return rng.integers(0, 3, 30)


def test_on_a_linear_model_it_fools_exactly_beyond_the_margin(backend, rng):
    """Two classes, far from the borders of the range: fooled if and only if ε > (z_y - z_j) / ‖w_y - w_j‖₁."""
    net = mr.Network([mr.Dense(2)], (6,), backend=backend, dtype="float64", seed=3, input_range=(-100, 100))
    x = rng.standard_normal((200, 6))
    to_numpy = backend.to_numpy
    y = to_numpy(net.predict(x))
    weight, logits = to_numpy(net.layers[0].weight.value), to_numpy(net.logits(x))
    margin = abs(logits[:, 0] - logits[:, 1]) / abs(weight[:, 0] - weight[:, 1]).sum()
    for epsilon in np.quantile(margin, [0.1, 0.5, 0.9]):
        fooled = to_numpy(mr.attacks.fgsm(net, x, y, epsilon).fooled)
        decided = abs(margin - epsilon) > 1e-9
        np.testing.assert_array_equal(fooled[decided], (margin < epsilon)[decided])


def test_every_pixel_moves_by_epsilon_along_the_sign_of_the_gradient(net, x, y):
    to_numpy = net.backend.to_numpy
    inside = 0.2 + 0.6 * x
    images = to_numpy(mr.attacks.fgsm(net, inside, y, 0.1).images)
    np.testing.assert_allclose(images - inside, 0.1 * np.sign(to_numpy(net.input_gradient(inside, y))), atol=1e-15)


def test_images_stay_in_range_and_within_epsilon(net, x, y):
    images = net.backend.to_numpy(mr.attacks.fgsm(net, x, y, 0.3).images)
    assert images.min() >= 0
    assert images.max() <= 1
    assert abs(images - x).max() <= 0.3 + 1e-15
    assert (images == 0).any()
    assert (images == 1).any()


def test_epsilon_zero_is_the_identity(net, x, y):
    attack = mr.attacks.fgsm(net, x, y, 0)
    np.testing.assert_array_equal(net.backend.to_numpy(attack.images), x)
    to_numpy = net.backend.to_numpy
    np.testing.assert_array_equal(to_numpy(attack.fooled), ~to_numpy(attack.clean_correct))


def test_pixels_with_zero_gradient_do_not_move(backend):
    net = mr.Network([mr.ReLU(), mr.Dense(2)], (2,), backend=backend, input_range=(-1, 1))
    x = np.array([[-0.5, 0.5]])
    images = backend.to_numpy(mr.attacks.fgsm(net, x, [0], 0.1).images)
    assert images[0, 0] == np.float32(-0.5)
    assert images[0, 1] != np.float32(0.5)


def test_success_agrees_with_a_second_prediction(net, x, y):
    attack = mr.attacks.fgsm(net, x, y, 0.2)
    to_numpy = net.backend.to_numpy
    predictions = to_numpy(net.predict(attack.images))
    np.testing.assert_array_equal(to_numpy(attack.predictions), predictions)
    np.testing.assert_array_equal(to_numpy(attack.fooled), predictions != y)
    np.testing.assert_array_equal(to_numpy(attack.clean_correct), to_numpy(net.predict(x)) == y)


def test_attack_leaves_the_network_and_the_images_unchanged(net, x, y):
    before = x.copy(), net.backend.to_numpy(net.parameters).tobytes(), net.backend.to_numpy(net.gradients).tobytes()
    net.training = True
    mr.attacks.fgsm(net, x, y)
    assert net.training
    np.testing.assert_array_equal(x, before[0])
    assert net.backend.to_numpy(net.parameters).tobytes() == before[1]
    assert net.backend.to_numpy(net.gradients).tobytes() == before[2]


def test_fgsm_raises_the_loss(net, x, y):
    loss, to_numpy = mr.SoftmaxCrossEntropy(), net.backend.to_numpy
    images = mr.attacks.fgsm(net, x, y, 0.05).images
    assert (
        to_numpy(loss.value_and_gradient(net.logits(images), y)[0])
        > to_numpy(loss.value_and_gradient(net.logits(x), y)[0])
    ).mean() > 0.95


def test_fgsm_uses_the_given_loss(net, x, y):
    to_numpy = net.backend.to_numpy
    margin = to_numpy(mr.attacks.fgsm(net, x, y, loss=mr.Margin()).images)
    gradient = to_numpy(net.input_gradient(x, y, mr.Margin()))
    np.testing.assert_array_equal(margin, np.clip(x + 0.1 * np.sign(gradient), 0, 1))


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, float("nan"), float("inf")])
def test_wrong_epsilon_raises(net, x, y, epsilon):
    with pytest.raises(ValueError, match=r"expected epsilon in \[0, 1\]"):
        mr.attacks.fgsm(net, x, y, epsilon)


def test_pixels_out_of_range_raise(net, x, y):
    with pytest.raises(ValueError, match=r"expected pixels in \[0, 1\], got 0.* to 1\.5"):
        mr.attacks.fgsm(net, np.where(x == x.max(), 1.5, x), y)


def test_labels_from_another_library_raise(net, x):
    with pytest.raises(TypeError, match="labels: expected a NumPy array"):
        mr.attacks.fgsm(net, x, "012")


def test_network_that_ends_in_softmax_raises(x, y):
    net = mr.Network([mr.Flatten(), mr.Dense(3), mr.Softmax()], (5, 4, 1))
    with pytest.raises(ValueError, match="expected a network that ends in logits"):
        mr.attacks.fgsm(net, x, y)


@pytest.mark.parametrize("loss", [mr.SoftmaxCrossEntropy(), mr.Margin()], ids=repr)
def test_fgvm_equals_its_formula_for_each_sample(loss, net, x, y):
    to_numpy = net.backend.to_numpy
    images = to_numpy(mr.attacks.fgvm(net, x, y, 0.3, loss=loss).images)
    for image, pixels, g in zip(images, x, to_numpy(net.input_gradient(x, y, loss)), strict=True):
        np.testing.assert_allclose(image, np.clip(pixels + 0.3 * g / abs(g).max(), 0, 1), atol=1e-15)


def test_fgvm_moves_the_most_sensitive_pixel_of_every_sample_by_epsilon(net, x, y):
    inside = 0.4 + 0.2 * x
    change = abs(net.backend.to_numpy(mr.attacks.fgvm(net, inside, y, 0.3).images) - inside)
    np.testing.assert_allclose(change.max(axis=(1, 2, 3)), 0.3, atol=1e-15)
    assert (change < 0.2).mean() > 0.3


def test_fgvm_does_not_change_a_sample_without_gradient(backend):
    net = mr.Network([mr.ReLU(), mr.Dense(2)], (2,), backend=backend, dtype="float64", input_range=(-1, 1))
    x = np.array([[-0.5, -0.25], [0.5, -0.25]])
    images = backend.to_numpy(mr.attacks.fgvm(net, x, [0, 0], 0.1).images)
    np.testing.assert_array_equal(images[0], x[0])
    assert abs(images[1] - x[1]).max() == pytest.approx(0.1)


def test_fgvm_raises_the_loss(net, x, y):
    loss, to_numpy = mr.SoftmaxCrossEntropy(), net.backend.to_numpy
    images = mr.attacks.fgvm(net, x, y, 0.05).images
    assert (
        to_numpy(loss.value_and_gradient(net.logits(images), y)[0])
        > to_numpy(loss.value_and_gradient(net.logits(x), y)[0])
    ).mean() > 0.95


def test_gradient_of_confident_samples_does_not_vanish_in_float32(backend, digits):
    """The stable gradient agrees in sign with float64; p_y - 1 loses it, and FGSM with it looks like robustness."""
    net = mr.models.mlp(1.0, hidden=64, backend=backend)
    net.parameters *= 25.0  # confident: margins of a hundred logits
    x = digits.test.pixels(slice(300))
    y = backend.to_numpy(net.predict(x))
    to_numpy = backend.to_numpy
    single = np.sign(to_numpy(net.input_gradient(x, y)))
    double = np.sign(to_numpy(net.to(backend, dtype="float64").input_gradient(x.astype("float64"), y)))
    assert (single != double).mean() < 1e-3

    class Textbook:
        def value_and_gradient(self, logits, y, target=None):
            labels = net.xp.arange(10) == y[:, None]
            value, _ = mr.SoftmaxCrossEntropy().value_and_gradient(logits, y)
            return value, net.backend.softmax(logits) - labels.astype(logits.dtype)

    textbook = np.sign(to_numpy(net.input_gradient(x, y, loss=Textbook())))
    assert (textbook != double).mean() > 0.01


def test_repr_is_one_line(net, x, y):
    assert repr(mr.attacks.fgsm(net, x, y, 0.25)).startswith("<Attack on 30 images, epsilon=0.25, ")
