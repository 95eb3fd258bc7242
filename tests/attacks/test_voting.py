"""Random models: they are recognized, and attacks on them are judged by a majority of draws."""

import numpy as np
import pytest

import minirobust as mr
from minirobust.attacks.voting import FRESH, is_random
from minirobust.model import Model


class Opinions:
    """A model of three classes: the votes of a draw depend on nothing else, and go round."""

    input_shape, input_range, classes = (1,), (0, 1), 3

    def __init__(self, votes):
        self.votes = votes

    def logits(self, x, draw=0):
        return np.where(np.array(self.votes[draw % len(self.votes)])[:, None] == range(3), 1.0, 0.0)

    def gradient(self, x, y, loss, target=None, draw=0):
        logits = self.logits(x, draw)
        return logits, loss.value_and_gradient(logits, y, target)[0], np.full_like(x, draw + 1)


def predictions(votes, draws):
    return mr.attacks.voting(Opinions(votes), draws).predict(np.zeros((2, 1))).tolist()


def test_majority_decides_and_ties_go_to_the_first_class():
    assert FRESH % 5 == 0
    votes = [[0, 1], [0, 2], [1, 2], [2, 2], [0, 0]]
    assert predictions(votes, 5) == [0, 2]
    assert predictions(votes, 1) == [0, 1]
    assert predictions(votes, 4) == [0, 2]
    assert predictions([[2, 1], [1, 2]], 2) == [1, 1]


def test_draws_without_finite_logits_vote_for_no_class(backend):
    net = mr.Network([mr.Dense(3)], (2,), backend=backend)
    x = backend.asarray(np.array([[1, 1], [np.nan, 1]], "float32"))
    assert backend.to_numpy(mr.attacks.voting(net, 3).predict(x))[1] == -1


def test_votes_use_draws_that_no_attack_uses():
    assert FRESH > 1 + 10_000 * 10  # steps × draws


@pytest.mark.parametrize("rates", [(0.0, False), (0.5, True)])
def test_a_model_whose_draws_differ_is_random(rates, backend, rng):
    rate, random = rates
    net = mr.Network([Noise(rate), mr.Dense(3)], (20,), backend=backend)
    assert is_random(net, backend.asarray(rng.random((5, 20), dtype="float32"))) == random


def test_nan_is_not_a_difference():
    net = mr.Network([mr.Dense(3)], (2,))
    assert not is_random(net, np.array([[np.nan, 1]], "float32"))


class Noise(mr.Layer):
    """Adds random numbers, in evaluation too."""

    def __init__(self, size):
        self.size = size

    def forward(self, x):
        return x + self.size * (self.random(x.shape) - 0.5)

    def input_gradient(self, grad_y):
        return grad_y


def test_an_attack_on_a_voting_model_is_judged_by_the_vote(backend, rng):
    net = mr.Network([Noise(0.5), mr.Dense(3)], (20,), backend=backend)
    x, y = rng.random((30, 20), dtype="float32"), rng.integers(0, 3, 30)
    model, to_numpy = mr.attacks.voting(net, 9), backend.to_numpy
    gradients = mr.attacks.expectation(2)
    made = mr.attacks.pgd(model, x, y, 0.05, steps=3, starts=1, gradients=gradients, stop=False)
    same = mr.attacks.pgd(net, x, y, 0.05, steps=3, starts=1, gradients=gradients, stop=False)
    np.testing.assert_array_equal(to_numpy(made.images), to_numpy(same.images))
    view = mr.stack.Evaluation(net)
    votes = [
        np.bincount(row, minlength=3)
        for row in np.transpose([to_numpy(Model.predict(view, made.images, draw)) for draw in range(FRESH, FRESH + 9)])
    ]
    np.testing.assert_array_equal(to_numpy(made.predictions), np.argmax(votes, axis=1))
    np.testing.assert_array_equal(to_numpy(made.fooled), np.argmax(votes, axis=1) != y)
    assert (made.gradients, made.queries) == (30 * 3 * 2, 30 * (3 * 3 + 1 + 2 * 9))


def test_wrong_number_of_draws_raises():
    with pytest.raises(ValueError, match="voting: expected draws"):
        mr.attacks.voting(mr.models.mlp(1), 0)
