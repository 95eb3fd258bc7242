"""Class and network robustness, counted by hand."""

import numpy as np
import pytest

import minirobust as mr
from minirobust.stack import Evaluation


def test_class_robustness_is_the_share_not_fooled(backend):
    y = backend.asarray(np.array([0, 0, 0, 0, 1, 1, 3]))
    fooled = backend.asarray(np.array([True, False, False, False, True, True, False]))
    np.testing.assert_array_equal(mr.robustness.by_class(fooled, y, classes=4), [0.75, 0, np.nan, 1])


def test_network_robustness_is_the_mean_over_classes_not_over_samples(backend):
    y = backend.asarray(np.array([0] * 8 + [1, 1]))
    fooled = backend.asarray(np.array([False] * 8 + [True, True]))
    assert mr.robustness.network_robustness(fooled, y, classes=2) == 0.5
    assert mr.robustness.network_robustness(fooled, y, classes=10) == 0.5


@pytest.mark.parametrize(
    ("fooled", "y", "message"),
    [
        (np.zeros(3, bool), np.zeros(2, int), r"of the same shape \(N,\), got \(3,\) and \(2,\)"),
        (np.zeros(0, bool), np.zeros(0, int), "of the same shape"),
        (np.zeros(2), np.zeros(2, int), "fooled to have dtype bool, got float64"),
        (np.zeros(2, bool), np.array([0, 10]), "expected labels 0 to 9, got 0 to 10"),
        (np.zeros(2, bool), np.array([-1, 0]), "expected labels 0 to 9, got -1 to 0"),
    ],
)
def test_wrong_arguments_raise(fooled, y, message):
    with pytest.raises(ValueError, match=message):
        mr.robustness.by_class(fooled, y)


def test_robustness_of_correct_samples_ignores_samples_wrong_before_the_attack(backend):
    y = backend.asarray(np.array([0, 0, 0, 0, 1, 1, 2, 2]))
    correct = backend.asarray(np.array([True, True, True, False, True, False, False, False]))
    # The sample that was wrong and is right afterwards (the fourth) counts as little as those that stay wrong.
    fooled = backend.asarray(np.array([True, False, False, False, False, True, True, True]))
    np.testing.assert_array_equal(
        mr.robustness.by_class_of_correct(fooled, correct, y, classes=4), [2 / 3, 1, np.nan, np.nan]
    )
    assert mr.robustness.network_robustness_of_correct(fooled, correct, y) == pytest.approx((2 / 3 + 1) / 2)
    assert mr.robustness.network_robustness(fooled, y) == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)


def test_a_network_that_was_never_right_has_no_robustness_of_correct_samples():
    y, no, yes = np.arange(3), np.zeros(3, bool), np.ones(3, bool)
    assert np.isnan(mr.robustness.by_class_of_correct(yes, no, y)).all()
    assert np.isnan(mr.robustness.network_robustness_of_correct(yes, no, y))
    assert mr.robustness.network_robustness(yes, y) == 0


def test_wrong_clean_correct_raises():
    with pytest.raises(
        ValueError, match=r"expected clean_correct and y of the same shape \(N,\), got \(2,\) and \(3,\)"
    ):
        mr.robustness.by_class_of_correct(np.zeros(3, bool), np.zeros(2, bool), np.zeros(3, int))
    with pytest.raises(ValueError, match="expected clean_correct to have dtype bool, got int64"):
        mr.robustness.network_robustness_of_correct(np.zeros(3, bool), np.zeros(3, int), np.zeros(3, int))


@pytest.fixture
def net(backend):
    return mr.models.mlp(0.5, (5, 4, 1), hidden=12, classes=3, backend=backend, seed=1)


@pytest.fixture
def samples(net, rng):
    x = rng.random((60, 5, 4, 1))
    y = net.backend.to_numpy(net.predict(x)).copy()
    y[::7] = (y[::7] + 1) % 3
    return x, y


EPSILONS = [0, 0.3, 0.02, 0.1, 1]


@pytest.mark.parametrize("loss", [None, mr.Margin()])
@pytest.mark.parametrize("chunk", [500, 7])
def test_epsilon_curve_equals_fgsm_at_every_epsilon(net, samples, loss, chunk, pass_together):
    pass_together(net, chunk)
    _, y = samples
    curve = mr.robustness.epsilon_curve(net, *samples, EPSILONS, loss=loss)
    attacks = [mr.attacks.fgsm(net, *samples, epsilon, loss=loss) for epsilon in EPSILONS]
    assert curve.tolist() == [mr.robustness.network_robustness(attack.fooled, y) for attack in attacks]
    assert len(set(curve)) > 3


def test_the_curve_costs_one_gradient(net, samples, monkeypatch):
    calls = []
    gradient = Evaluation.gradient
    monkeypatch.setattr(
        Evaluation, "gradient", lambda self, x, y, loss: calls.append(len(x)) or gradient(self, x, y, loss)
    )
    mr.robustness.epsilon_curve(net, *samples, EPSILONS)
    assert sum(calls) == 60


def test_wrong_arguments_of_the_curve_raise(net, samples):
    x, y = samples
    with pytest.raises(ValueError, match="expected at least one epsilon, got none"):
        mr.robustness.epsilon_curve(net, x, y, [])
    with pytest.raises(ValueError, match=r"expected epsilon in \[0, 1\], got 1.5"):
        mr.robustness.epsilon_curve(net, x, y, [0.1, 1.5])
    with pytest.raises(ValueError, match=r"expected pixels in \[0, 1\], got .* to 2"):
        mr.robustness.epsilon_curve(net, 2 * x / x.max(), y, [0.1])


def attack(backend, fooled, clean_correct):
    fooled, clean_correct = (backend.asarray(np.array(mask, bool)) for mask in (fooled, clean_correct))
    return mr.attacks.Attack(fooled, fooled, fooled, clean_correct, epsilon=0.1)


def test_the_worst_case_is_taken_per_sample(backend):
    """Each attack fools a quarter, both together three quarters; samples wrong before the attack count as fooled."""
    correct = [True, True, True, False]
    one = attack(backend, [True, False, False, False], correct)
    other = attack(backend, [False, True, False, False], correct)
    np.testing.assert_array_equal(mr.robustness.worst_case([one, other]), [True, True, False, True])
    np.testing.assert_array_equal(mr.robustness.worst_case([one]), [True, False, False, True])


def test_worst_case_is_accepted_wherever_fooled_is(net, samples):
    x, y = samples
    attacks = [mr.attacks.noise(net, x, y, 0.3, seed=seed) for seed in range(4)]
    worst = mr.robustness.network_robustness(mr.robustness.worst_case(attacks), y)
    assert worst < min(mr.robustness.network_robustness(made.fooled, y) for made in attacks)


def test_attacks_on_different_samples_raise(backend):
    one = attack(backend, [True, False], [True, True])
    with pytest.raises(ValueError, match="expected at least one attack, got none"):
        mr.robustness.worst_case([])
    with pytest.raises(ValueError, match="got 2 of 2 correct before attack 0, 3 of 3 before attack 1"):
        mr.robustness.worst_case([one, attack(backend, [True] * 3, [True] * 3)])
    with pytest.raises(ValueError, match="got 2 of 2 correct before attack 0, 1 of 2 before attack 1"):
        mr.robustness.worst_case([one, attack(backend, [True, False], [True, False])])
