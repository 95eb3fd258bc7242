"""Targets, ε for each image or channel, models that are not networks, and the cost that a result reports."""

from functools import partial

import numpy as np
import pytest

import minirobust as mr
from minirobust.model import Given
from minirobust.stack import Evaluation

STEPPING = {"fgsm": mr.attacks.fgsm, "fgvm": mr.attacks.fgvm, "pgd": partial(mr.attacks.pgd, steps=6, starts=1)}
STEPPING["apgd"] = partial(mr.attacks.apgd, steps=6)
BOUNDED = STEPPING | {"noise": mr.attacks.noise, "square": partial(mr.attacks.square, queries=20)}


def each(attacks):
    return pytest.mark.parametrize("attack", attacks.values(), ids=attacks.keys())


@pytest.fixture
def net(backend):
    layers = [mr.Flatten(), mr.Dense(12), mr.TemperatureSigmoid(0.5), mr.Dense(4)]
    return mr.Network(layers, (3, 4, 2), backend=backend, dtype="float64", seed=1)


@pytest.fixture
def x(rng):
    return rng.random((30, 3, 4, 2))


@pytest.fixture
def y(net, x):
    return net.backend.to_numpy(net.predict(x))


def to_numpy(net, *arrays):
    moved = [net.backend.to_numpy(array) for array in arrays]
    return moved[0] if len(moved) == 1 else moved


# Targets


def linear(backend):
    """Logit j of a flat image is the j-th pixel: the target's pixel goes up, all others go down."""
    net = mr.Network([mr.Dense(4)], (4,), backend=backend, dtype="float64")
    net.layers[0].weight.value[...] = backend.asarray(np.eye(4))
    return net


@pytest.mark.parametrize("attack", [mr.attacks.fgsm, mr.attacks.fgvm])
def test_a_targeted_step_on_a_linear_network_raises_the_targets_pixel_and_lowers_the_largest(attack, backend):
    x = np.array([[0.6, 0.5, 0.4, 0.3], [0.6, 0.5, 0.4, 0.3]])
    made = attack(linear(backend), x, [0, 0], 0.2, loss=mr.Margin(), target=np.array([1, 3]))
    images, reached, fooled = map(backend.to_numpy, (made.images, made.reached, made.fooled))
    np.testing.assert_allclose(images, [[0.4, 0.7, 0.4, 0.3], [0.4, 0.5, 0.4, 0.5]])
    assert reached.tolist() == [True, False]  # 0.5 and 0.5: the first of equals is class 1
    assert fooled.tolist() == [True, True]


@each(STEPPING)
def test_every_target_in_turn_fools_whatever_a_single_one_fools(attack, net, x, y):
    whole = to_numpy(net, attack(net, x, y, 0.15, target="all").fooled)
    single = []
    for step in (1, 2, 3):
        single.append(to_numpy(net, attack(net, x, y, 0.15, target=(y + step) % 4).fooled))
    assert (whole >= np.logical_or.reduce(single)).all()
    assert whole.any()
    assert not whole.all()


def test_the_classes_are_aimed_at_in_the_order_of_their_logits(net, x, y, monkeypatch):
    aimed = []
    whole = Evaluation.gradient

    def watch(model, images, labels, loss, target=None, *rest, **options):
        aimed.append(to_numpy(net, target).copy())
        return whole(model, images, labels, loss, target, *rest, **options)

    monkeypatch.setattr(Evaluation, "gradient", watch)
    mr.attacks.fgsm(net, x, y, 1e-9, target="all")
    order = np.argsort(-to_numpy(net, net.logits(x)), axis=1)
    np.testing.assert_array_equal(np.array(aimed).T, order[:, 1:])


def test_reached_says_where_the_prediction_is_the_target(net, x, y):
    target = (y + 1) % 4
    made = mr.attacks.pgd(net, x, y, 0.4, target=target)
    predictions, reached, fooled = to_numpy(net, made.predictions, made.reached, made.fooled)
    np.testing.assert_array_equal(reached, predictions == target)
    assert reached.any()
    assert (fooled >= reached).all()
    assert mr.attacks.pgd(net, x, y, 0.4).reached is None
    every = mr.attacks.pgd(net, x, y, 0.4, target="all")
    np.testing.assert_array_equal(*to_numpy(net, every.reached, every.fooled))


def test_a_targeted_attack_goes_on_until_the_target_is_reached(net, x, y):
    target = (y + 1) % 4
    any_class, aimed = (mr.attacks.pgd(net, x, y, 0.4, target=goal, starts=1) for goal in ("all", target))
    reached = to_numpy(net, aimed.reached).mean()
    assert reached > (to_numpy(net, any_class.predictions) == target).mean()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("each", "expected target to be an array of classes or 'all', got 'each'"),
        (lambda y: y, "expected targets other than the labels, got 30 that are the same"),
        (lambda y: y + 7, "target: expected classes 0 to 3"),
        (lambda y: y[:3], "target: expected"),
        (lambda y: y + 0.5, "target: expected integers"),
    ],
    ids=["word", "label", "range", "shape", "kind"],
)
def test_wrong_targets_raise(target, message, net, x, y):
    with pytest.raises((ValueError, TypeError), match=message):
        mr.attacks.fgsm(net, x, y, target=target(y) if callable(target) else target)


# ε


@each(BOUNDED)
def test_an_epsilon_for_each_image_is_the_attack_with_that_epsilon(attack, net, x, y):
    epsilon = np.array([0.02, 0.2, 0.35])[np.arange(30) % 3]
    made = to_numpy(net, attack(net, x, y, epsilon.reshape(-1, 1, 1, 1)).images)
    for value in np.unique(epsilon):
        whole = to_numpy(net, attack(net, x, y, float(value)).images)
        np.testing.assert_allclose(made[epsilon == value], whole[epsilon == value], rtol=0, atol=1e-12)


@each(BOUNDED)
def test_an_epsilon_for_each_channel_bounds_that_channel(attack, net, x, y):
    change = abs(to_numpy(net, attack(net, x, y, np.array([0.05, 0.3])).images) - x)
    assert change[..., 0].max() <= 0.05 + 1e-12
    assert 0.05 < change[..., 1].max() <= 0.3 + 1e-12


@pytest.mark.parametrize(
    ("epsilon", "message"),
    [
        (np.full((30,), 0.1), r"epsilon of a shape such as \(\), \(30, 1, 1, 1\) or \(3, 4, 2\), got \(30,\)"),
        (np.array([0.1, 1.5]), r"every epsilon in \[0, 1\], got 0.1 to 1.5"),
        (np.array([0.1, np.nan]), r"every epsilon in \[0, 1\]"),
        (np.array([-0.1, 0.1]), r"every epsilon in \[0, 1\], got -0.1 to 0.1"),
    ],
    ids=["shape", "high", "nan", "low"],
)
def test_wrong_arrays_of_epsilon_raise(epsilon, message, net, x, y):
    with pytest.raises(ValueError, match=message):
        mr.attacks.fgsm(net, x, y, epsilon)


# Models that are not networks


class Plane:
    """Two classes on either side of a plane, in NumPy and nothing else."""

    input_shape, input_range, classes = (2, 2, 1), (0.0, 1.0), 2
    slope = np.array([1.0, -2.0, 0.5, 0.0])

    def logits(self, x, draw=0):
        score = x.reshape(len(x), -1) @ self.slope
        return np.stack([score, -score], axis=1).astype(x.dtype)

    def gradient(self, x, y, loss, target=None, draw=0):
        logits = self.logits(x)
        losses, grad = loss.value_and_gradient(logits, y, target)
        return logits, losses, ((grad[:, 0] - grad[:, 1])[:, None] * self.slope).reshape(x.shape).astype(x.dtype)


@each(BOUNDED)
def test_any_object_with_the_two_methods_is_attacked_like_the_network_it_equals(attack, rng):
    net = mr.Network([mr.Flatten(), mr.Dense(2)], (2, 2, 1))
    net.layers[1].weight.value[...] = np.stack([Plane.slope, -Plane.slope], axis=1)
    x = rng.random((40, 2, 2, 1), dtype="float32")
    y = net.predict(x)
    one, other = (attack(model, x, y, 0.2) for model in (Plane(), net))
    np.testing.assert_allclose(one.images, other.images, atol=1e-6)
    np.testing.assert_array_equal(one.fooled, other.fooled)
    assert 0 < one.fooled.mean() < 1
    assert (one.queries, one.gradients) == (other.queries, other.gradients)


@pytest.mark.parametrize("name", ["logits", "gradient", "input_shape", "input_range", "classes"])
def test_object_that_lacks_a_method_or_attribute_raises_and_names_it(name):
    class Partial:
        pass

    for other in ("logits", "gradient", "input_shape", "input_range", "classes"):
        if other != name:
            setattr(Partial, other, getattr(Plane, other))
    with pytest.raises(TypeError, match=f"expected a Network or a model with {name}, got .*Partial object"):
        mr.attacks.fgsm(Partial(), np.zeros((1, 2, 2, 1)), [0])


def test_results_of_the_wrong_shape_raise():
    class Wrong(Plane):
        def logits(self, x, draw=0):
            return super().logits(x)[:, :1]

    with pytest.raises(ValueError, match=r"expected logits of shape \(3, 2\), got \(3, 1\)"):
        mr.attacks.noise(Wrong(), np.zeros((3, 2, 2, 1)), [0, 0, 0])
    model = Given(Plane())
    model.model.gradient = lambda x, y, loss, **options: (Plane().logits(x), np.zeros(len(x)), np.zeros(4))
    with pytest.raises(ValueError, match=r"expected gradient of shape \(3, 2, 2, 1\), got \(4,\)"):
        mr.attacks.fgsm(model, np.zeros((3, 2, 2, 1)), [0, 0, 0])


# What it took


def test_result_counts_queries_and_gradients(net, x, y):
    made = mr.attacks.fgsm(net, x, y)
    assert (made.queries, made.gradients) == (60, 30)  # one pass with a gradient, one for the images returned
    still = mr.attacks.pgd(net, x, y, 0.0, steps=7, starts=1)
    # Seven steps, one look at the last iterate, and both judgements.
    assert (still.queries, still.gradients) == (30 * (7 + 1 + 2), 30 * 7)
    assert 0 < made.seconds < 60
    again = mr.attacks.fgsm(Evaluation(net), x, y)
    assert (again.queries, again.gradients) == (60, 30)
