"""What `gather` runs, on what, and how often; the gradient's health; and the attacks on single pixels."""

from dataclasses import replace
from functools import partial

import audited_networks as make
import numpy as np
import pytest

import minirobust as mr
from minirobust import attacks
from minirobust.masking import BUDGETS, PIXEL_ATTACKS, evidence, gather
from minirobust.stack import Evaluation


def gathered(network, x, y, epsilon=0.1, sources=(), budget=BUDGETS["quick"], seed=0, progress=False):
    x, y = network.check_input(x), network.backend.asarray(y)
    return gather(Evaluation(network), x, y, epsilon, sources, budget, seed, progress)


@pytest.fixture(scope="session")
def known(trained_on_the_host, sources, few):
    return gathered(trained_on_the_host, *few, sources=sources)


def test_white_box_and_worst_case_are_unions(known):
    fooled = known.fooled
    white = fooled["clean"] | fooled["FGSM"] | fooled["PGD"]
    np.testing.assert_array_equal(fooled["white box"], white)
    np.testing.assert_array_equal(fooled["worst case"], white | fooled["noise"] | fooled["transfer"] | fooled["Square"])


def test_fooled_is_what_each_attack_fools(known, trained_on_the_host, few):
    net, fooled = trained_on_the_host, known.fooled
    for name, made in {
        "noise": attacks.noise(net, *few),
        "FGSM": attacks.fgsm(net, *few),
        "Square": attacks.square(net, *few, queries=300),
        "brute-force pixel": attacks.brute_force_pixel(net, *few),
    }.items():
        np.testing.assert_array_equal(fooled[name], made.fooled)
    np.testing.assert_array_equal(fooled["clean"], net.predict(few[0]) != few[1])
    for loss in (mr.SoftmaxCrossEntropy(), mr.Margin()):
        assert fooled["PGD"][attacks.pgd(net, *few, steps=20, starts=1, loss=loss).fooled].all()


def test_transfer_is_the_union_over_sources_and_attacks(known, trained_on_the_host, sources, few):
    pair = attacks.fgsm, partial(attacks.pgd, steps=20)
    made = [attacks.transfer(source, trained_on_the_host, *few, attack).fooled for source in sources for attack in pair]
    np.testing.assert_array_equal(known.fooled["transfer"], np.logical_or.reduce(made))
    assert len({fooled.tobytes() for fooled in made}) == 4


def test_pgd_runs_on_both_losses_in_s_and_2s_steps_on_samples_still_standing():
    """Checked with an attack that fools the first of the samples that it gets."""
    calls = []

    def fool_the_first(model, x, y, *, steps, loss):
        calls.append((steps, repr(loss), y.tolist()))
        return attacks.Attack(x, y, fooled=np.arange(len(y)) == 0, clean_correct=y == y, epsilon=0.1)

    model = Evaluation(mr.Network([mr.Dense(3)], (2,)))
    made = evidence.pgd_by_steps(fool_the_first, model, np.zeros((3, 2)), np.array([7, 8, 9]), 5)
    assert calls == [
        (5, "SoftmaxCrossEntropy()", [7, 8, 9]),
        (5, "Margin()", [8, 9]),
        (10, "SoftmaxCrossEntropy()", [9]),
    ]
    assert {steps: fooled.tolist() for steps, fooled in made.items()} == {5: [True, True, False], 10: [True] * 3}


@pytest.fixture
def calls(monkeypatch):
    """Return a list of the attacks that are run: name, network, ε and seed, and of PGD the steps and starts."""
    calls = []

    def watched(attack):
        def watching(model, *samples, **options):
            made = attack(model, *samples, **options)
            network = getattr(model, "network", model)
            calls.append(
                (attack.__name__, network, made.epsilon, made.seed, options.get("steps"), options.get("starts"))
            )
            return made

        return watching

    for name in ("fgsm", "noise", "pgd", "square", "brute_force_pixel"):
        monkeypatch.setattr(evidence, name, watched(getattr(attacks, name)))
    return calls


@pytest.mark.parametrize("epsilon", [0.06, 0.1])
def test_every_attack_runs_once_with_the_epsilon_and_the_seed(epsilon, trained_on_the_host, few, calls):
    """0.1 is also on the curve of FGSM over ε. PGD runs once for each loss while samples stand."""
    net = trained_on_the_host
    gathered(net, *few, epsilon=epsilon, seed=3)
    climbs = {("pgd", net, epsilon, 3, steps, 2) for steps in (20, 40)}
    curve = {("fgsm", net, step, None, None, None) for step in {*evidence.WIDTHS, epsilon}}
    others = {("noise", net, epsilon, 3, None, None), ("square", net, epsilon, 3, None, None)}
    others |= {("brute_force_pixel", net, 1, None, None, None)}
    assert set(calls) == climbs | curve | others
    assert [calls.count(call) for call in curve | others] == [1] * len(curve | others)
    assert [calls.count(call) for call in climbs] == [2, 2]


def test_sources_are_attacked_with_the_epsilon_and_the_seed(trained_on_the_host, sources, few, calls):
    gathered(trained_on_the_host, *few, epsilon=0.06, sources=sources, seed=3)
    made = [call for call in calls if call[1] is not trained_on_the_host]
    assert made == [
        call
        for source in sources
        for call in (("fgsm", source, 0.06, None, None, None), ("pgd", source, 0.06, 3, 20, 2))
    ]


def test_fgsm_is_tried_at_widths_of_the_input_range(rng):
    net = mr.Network([mr.Dense(3)], (8,), input_range=(-1, 3))
    x = rng.uniform(-1, 3, (20, 8))
    known = gathered(net, x, net.predict(x), epsilon=2)
    assert list(known.fgsm_by_epsilon) == [4 * width for width in evidence.WIDTHS]
    for epsilon, fooled in known.fgsm_by_epsilon.items():
        np.testing.assert_array_equal(fooled, attacks.fgsm(net, x, net.predict(x), epsilon).fooled)


def test_what_is_not_run_has_a_reason(rng):
    """No transfer without sources, no Square without images."""
    net = mr.Network([mr.Dense(3)], (8,))
    x = rng.random((20, 8))
    known = gathered(net, x, net.predict(x))
    assert known.not_run == {"transfer": "no sources given", "Square": "Square takes images only"}
    assert not set(known.not_run) & set(known.fooled)


def test_transfer_sees_through_a_blindfold(backend, trained, few):
    known = gathered(make.behind(make.Blind(), trained), *few, sources=[trained])
    assert known.fooled["transfer"][backend.to_numpy(attacks.fgsm(trained, *few).fooled)].all()
    np.testing.assert_array_equal(known.fooled["FGSM"], known.fooled["clean"])


def test_evidence_is_on_the_host(trained, few):
    known = gathered(trained, *few)
    arrays = known.labels, known.pixel_samples, *known.fooled.values(), *known.fgsm_by_epsilon.values()
    assert {type(array) for array in (*arrays, *known.pgd_by_steps.values())} == {np.ndarray}


# Health


class Rounded(mr.Layer):
    """Identity whose gradient has the wrong sign in float32, and not in float64, at the first pixels."""

    def __init__(self, pixels):
        self.pixels = pixels

    def forward(self, x):
        return x

    def input_gradient(self, grad_y):
        wrong = (self.xp.arange(grad_y.shape[1]) < self.pixels) & (self.dtype == "float32")
        return grad_y * (1 - 2 * wrong)


def test_sign_flips_are_counted_against_float64(backend, rng):
    net = mr.Network([Rounded(4), mr.Dense(3)], (250,), backend=backend)
    x = rng.random((30, 250))
    assert gathered(net, x, net.predict(x)).health.sign_flips == 4 / 250
    assert gathered(net.to(backend, "float64"), x, net.predict(x)).health.sign_flips == 0


class Faulty(mr.Layer):
    """Identity, but for NaN above 0.9. Its gradient is NaN below 0.1, 0 from 0.2 to 0.4, and 1 elsewhere."""

    saved = ("x",)

    def forward(self, x):
        self.x = x
        return self.xp.where(x > 0.9, np.float32("nan"), x)

    def input_gradient(self, grad_y):
        slope = self.xp.where((self.x > 0.2) & (self.x < 0.4), 0, 1)
        return self.xp.where(self.x < 0.1, np.nan, slope).astype(grad_y.dtype)


def test_defects_are_counted(backend):
    net = mr.Network([Faulty()], (2,), backend=backend)
    x = net.check_input(
        np.array([[0.5, 0.6], [0.95, 0.5], [0.5, 0.95], [0.95, 0.05], [0.05, 0.5], [0.3, 0.3], [0.3, 0.5]])
    )
    health = evidence.gradient_health(Evaluation(net), x, backend.asarray(np.zeros(7, int)))
    assert health == evidence.GradientHealth(
        zero_samples=1, not_finite=4, without_logits=3, zero_pixels=3 / 14, sign_flips=health.sign_flips
    )


# Single pixels


def test_pixels_are_tried_on_as_many_samples_as_the_budget_allows(trained_on_the_host, few):
    work = 24 * 784 * 2 * (784 + 48 + 48 + 10)
    known = gathered(trained_on_the_host, *few, budget=replace(BUDGETS["quick"], pixel_work=work))
    chosen, (x, y) = known.pixel_samples, few
    assert len(chosen) == 24
    assert set(np.bincount(y[chosen], minlength=10)) == {2, 3}
    made = attacks.brute_force_pixel(trained_on_the_host, x[chosen], y[chosen])
    np.testing.assert_array_equal(known.fooled["brute-force pixel"], made.fooled)
    for name in PIXEL_ATTACKS:
        np.testing.assert_array_equal(known.labels_of(name), y[chosen])


def test_what_is_wrong_without_an_attack_is_wrong_under_the_headroom_pixel(trained_on_the_host, few, monkeypatch):
    monkeypatch.setattr(evidence, "headroom_pixel", lambda model, x, y, loss: np.zeros(len(x), bool))
    x, y = few[0], trained_on_the_host.predict(few[0])
    y[::3] = (y[::3] + 1) % 10
    known = gathered(trained_on_the_host, x, y, budget=replace(BUDGETS["quick"], pixel_work=0))
    assert known.fooled["headroom pixel"].tolist() == (known.pixel_samples % 3 == 0).tolist()


def test_at_least_one_sample_of_each_class_is_affordable(trained_on_the_host):
    assert evidence.affordable(Evaluation(trained_on_the_host), pixel_work=0) == 10


def test_samples_are_taken_from_each_class_in_turn():
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
    assert evidence.evenly(labels, 3).tolist() == [0, 6, 9]
    assert evidence.evenly(labels, 6).tolist() == [0, 1, 2, 6, 7, 9]
    assert evidence.evenly(labels, 99).tolist() == list(range(10))


@pytest.mark.parametrize("input_range", [(0, 1), (-0.5, 2)])
def test_headroom_pixel_is_the_best_of_all_on_a_linear_network(input_range, backend, rng):
    """There the linear change is the change itself: a loop over pixels and ends finds none better."""
    low, high = input_range
    net = mr.Network([mr.Flatten(), mr.Dense(2)], (3, 4, 2), backend=backend, dtype="float64", input_range=input_range)
    x = rng.uniform(low, high, (25, 3, 4, 2))
    x[:, 1] = high  # no room upwards
    y = backend.to_numpy(net.predict(x))
    margins = np.full(25, -np.inf)
    for row, column, first, second in np.ndindex(3, 4, 2, 2):
        changed = x.copy()
        changed[:, row, column] = np.array(input_range)[[first, second]]
        margins = np.maximum(
            margins, backend.to_numpy(mr.Margin().value_and_gradient(net.logits(changed), backend.asarray(y))[0])
        )
    fooled = evidence.headroom_pixel(Evaluation(net), backend.asarray(x), backend.asarray(y), mr.Margin())
    np.testing.assert_array_equal(backend.to_numpy(fooled), margins > 0)
    assert 0 < (margins > 0).sum() < 25


def test_a_channel_of_the_headroom_pixel_that_is_at_the_better_end_stays_there(backend):
    """The sample is of class 1 if its two channels sum to more than 1.5."""
    net = mr.Network([mr.Flatten(), mr.Dense(2)], (1, 1, 2), backend=backend, dtype="float64")
    net.layers[1].weight.value[...] = backend.asarray(np.array([[0.0, 1.0], [0.0, 1.0]]))
    net.layers[1].bias.value[...] = backend.asarray(np.array([1.5, 0.0]))
    x, y = net.check_input(np.array([[[[1, 0.2]]]])), backend.asarray(np.array([0]))
    assert backend.to_numpy(evidence.headroom_pixel(Evaluation(net), x, y, mr.Margin())).all()


@pytest.mark.parametrize(
    ("first_pixel", "second_pixel", "bias"),
    [
        ([0, 0.2, 0, 0], [0, 0.09, 0.09, 0.09], [1, 0.905, 0.9, 0.9]),  # cross entropy prefers what raises many classes
        ([0, 0.03, 0, 0], [0, 0, 0.2, 0], [1, 0.95, 0.94, 0]),  # the margin sees the strongest class only
    ],
)
def test_headroom_pixel_is_the_better_of_two_losses(first_pixel, second_pixel, bias, backend):
    net = mr.Network([mr.Flatten(), mr.Dense(4)], (1, 2, 1), backend=backend, dtype="float64")
    net.layers[1].weight.value[...] = backend.asarray(np.array([first_pixel, second_pixel]))
    net.layers[1].bias.value[...] = backend.asarray(np.array(bias, float))
    x, y = net.check_input(np.zeros((20, 1, 2, 1))), backend.asarray(np.zeros(20, int))
    by_loss = [backend.to_numpy(evidence.headroom_pixel(Evaluation(net), x, y, loss)) for loss in evidence.LOSSES]
    assert sorted(fooled.all() for fooled in by_loss) == [False, True]
    assert gathered(net, x, y).fooled["headroom pixel"].all()
