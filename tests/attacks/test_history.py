"""The history of an attack against PGD written with loops, and the history of an attack that stalls."""

from functools import partial

import numpy as np
import pytest

import minirobust as mr
from minirobust.attacks.attack import uniform

ITERATIVE = {
    "pgd": partial(mr.attacks.pgd, steps=6, starts=3),
    "apgd": partial(mr.attacks.apgd, steps=6, starts=3),
}


@pytest.fixture
def net(backend):
    return mr.models.mlp(0.2, (3, 3, 1), hidden=9, classes=3, backend=backend, dtype="float64", seed=2)


@pytest.fixture
def x(rng):
    return rng.random((20, 3, 3, 1))


@pytest.fixture
def y(net, x):
    """The network's own classes, but for every fifth sample, which is wrong from the start."""
    y = net.backend.to_numpy(net.predict(x)).copy()
    y[::5] = (y[::5] + 1) % 3
    return y


def pgd_with_loops(net, x, y, epsilon, steps, starts, loss, target=None):
    """Return losses and successes of every image (columns) at every iterate (rows), kept from the first success on."""
    to_numpy, losses, done = net.backend.to_numpy, [], []
    for number, image in enumerate(x):
        last, over, lines = np.nan, False, []
        label, aim = y[number : number + 1], None if target is None else target[number : number + 1]
        for start in range(starts):
            offset = 0 if start == 0 else 2 * uniform((0, start), slice(number, number + 1), image.shape)[0] - 1
            now = np.clip(image + epsilon * offset, 0, 1)
            for _ in range(steps + 1):
                if not over:
                    logits = net.logits(now[None])
                    last = to_numpy(loss.value_and_gradient(logits, label, aim)[0]).item()
                    predicted = to_numpy(logits).argmax()
                    over = predicted != y[number] if target is None else predicted == target[number]
                    gradient = to_numpy(net.input_gradient(now[None], label, loss, target=aim))[0]
                    now = now + 2.5 * epsilon / steps * np.sign(gradient)
                    now = np.clip(np.clip(now, image - epsilon, image + epsilon), 0, 1)
                lines.append((last, over))
        losses.append([line[0] for line in lines])
        done.append([line[1] for line in lines])
    return np.transpose(losses), np.transpose(done)


@pytest.mark.parametrize("loss", [mr.SoftmaxCrossEntropy(), mr.Margin()], ids=repr)
@pytest.mark.parametrize("targeted", [False, True])
def test_history_holds_mean_loss_and_success_at_every_iterate(loss, targeted, net, x, y, pass_together):
    target = (y + 1) % 3 if targeted else None
    losses, done = pgd_with_loops(net, x, y, 0.15, 6, 3, loss, target)
    pass_together(net, 7)
    history = mr.attacks.pgd(net, x, y, 0.15, steps=6, starts=3, loss=loss, target=target, history=True).history
    assert history.loss.shape == (3 * (6 + 1),)
    np.testing.assert_allclose(history.loss, losses.mean(axis=1), rtol=1e-9)
    np.testing.assert_array_equal(history.fooled, done.mean(axis=1))
    assert history.fooled[0] < history.fooled[-1] < 1


@pytest.mark.parametrize("attack", ITERATIVE.values(), ids=ITERATIVE.keys())
@pytest.mark.parametrize("target", [None, "all"])
def test_history_ends_with_the_result_and_does_not_change_it(attack, target, net, x, y, pass_together):
    to_numpy = net.backend.to_numpy
    pass_together(net, 7)
    plain, followed = (attack(net, x, y, 0.15, target=target, history=wanted) for wanted in (False, True))
    np.testing.assert_array_equal(to_numpy(plain.images), to_numpy(followed.images))
    assert plain.history is None
    assert followed.history.fooled[-1] == to_numpy(followed.fooled).mean()
    assert (np.diff(followed.history.fooled) >= 0).all()
    assert followed.history.fooled[0] == pytest.approx(1 - to_numpy(followed.clean_correct).mean())


def test_history_ends_when_every_sample_is_fooled(net, x, y):
    history = mr.attacks.pgd(net, x, y, 1.0, steps=50, starts=4, history=True).history
    assert history.fooled[-1] == 1
    assert len(history.loss) == len(history.fooled) < 50


def test_an_attack_without_a_gradient_stalls(blind, backend, rng):
    net = mr.Network([blind, mr.Dense(2)], (30,), backend=backend, dtype="float64")
    x = rng.random((20, 30))
    history = mr.attacks.apgd(net, x, backend.to_numpy(net.predict(x)), steps=9, history=True).history
    np.testing.assert_array_equal(history.loss, np.full(10, history.loss[0]))
    np.testing.assert_array_equal(history.fooled, np.zeros(10))
