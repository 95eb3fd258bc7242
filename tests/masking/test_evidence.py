"""Which attacks `gather` runs, on which samples, and how often; gradient health; and single-pixel attacks."""

from dataclasses import replace
from functools import partial

import audited_networks as make
import numpy as np
import pytest

import minirobust as mr
from minirobust import attacks
from minirobust.attacks import annealed, apgd, averaged, expectation, pgd
from minirobust.masking import BUDGETS, PIXEL_ATTACKS, battery, evidence, gather
from minirobust.masking.battery import DRAWS, Attacker, Battery, Trials
from minirobust.masking.zoo import GaussianNoise
from minirobust.model import Given
from minirobust.progress import Bar
from minirobust.stack import Evaluation

QUICK = BUDGETS["quick"]


def gathered(network, x, y, epsilon=0.1, sources=(), budget=QUICK, seed=0, progress=False):
    x, y = network.check_input(x), network.backend.asarray(y)
    return gather(Evaluation(network), x, y, [epsilon], sources, budget, seed, progress)


@pytest.fixture(scope="session")
def known(trained_on_the_host, sources, few):
    return gathered(trained_on_the_host, *few, sources=sources)


def test_white_box_and_worst_case_are_unions(known):
    fooled = known.fooled
    white = fooled["clean"] | fooled["FGSM"] | fooled["PGD"] | fooled["APGD"]
    np.testing.assert_array_equal(fooled["white box"], white)
    worst = white | fooled["white box + restart"] | fooled["white box + smoothed"]
    worst |= fooled["noise"] | fooled["transfer"] | fooled["Square"]
    np.testing.assert_array_equal(fooled["worst case"], worst)


def test_fooled_is_what_each_attack_fools(known, trained_on_the_host, few):
    """Also if attacks before it fooled some samples: a printed rate is that of all samples."""
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
        assert fooled["PGD"][pgd(net, *few, steps=20, starts=1, loss=loss).fooled].all()
    for loss in (mr.SoftmaxCrossEntropy(), mr.Margin(), mr.ScaleFree()):
        assert fooled["APGD"][apgd(net, *few, steps=40, loss=loss).fooled].all()
    assert fooled["APGD"][apgd(net, *few, steps=20, loss=mr.Margin(), target="all").fooled].all()


def test_transfer_is_the_union_over_sources_and_attacks_with_all_steps(known, trained_on_the_host, sources, few):
    climb = partial(pgd, steps=40, starts=1, stop=False)
    every = attacks.fgsm, climb, partial(climb, loss=mr.Margin())
    made = [attacks.transfer(source, trained_on_the_host, *few, each).fooled for source in sources for each in every]
    np.testing.assert_array_equal(known.fooled["transfer"], np.logical_or.reduce(made))
    assert len({fooled.tobytes() for fooled in made}) == 6


def test_union_attacks_only_samples_that_are_not_fooled_yet():
    """Checked with an attack that fools the first of the samples that it gets."""
    calls = []

    def fool_the_first(model, x, y):
        calls.append((x[:, 0].tolist(), y.tolist()))
        return attacks.Attack(x, y, fooled=np.arange(len(y)) == 0, clean_correct=y == y, epsilon=0.1)

    model, x, y = Evaluation(mr.Network([mr.Dense(3)], (2,))), np.arange(8.0).reshape(4, 2), np.array([6, 7, 8, 9])
    before = np.array([False, True, False, False])
    trials, attacker = Trials(model, x, y, Bar("")), Attacker(fool_the_first, 1)
    assert trials.union("", [attacker] * 2, before).tolist() == [True, True, True, False]
    assert calls == [([0, 4, 6], [6, 8, 9]), ([4, 6], [8, 9])]
    assert before.tolist() == [False, True, False, False]
    calls.clear()
    assert trials.union("", [attacker] * 9).all()
    assert len(calls) == 4


# Which attacks are in the battery


def keywords(attackers):
    """Return function and options of each attack, without those that are None."""
    return [
        (each.attack.func, {key: value for key, value in each.attack.keywords.items() if value is not None})
        for each in attackers
    ]


def options(**changes):
    return {"epsilon": 0.3, "seed": 5} | changes


def test_pgd_ascends_two_losses(trained_on_the_host):
    made = keywords(Battery(0.3, QUICK, 5).pgd(7))
    assert [each for each, _ in made] == [pgd, pgd]
    assert [repr(each.pop("loss")) for _, each in made] == ["SoftmaxCrossEntropy()", "Margin()"]
    assert [each for _, each in made] == [options(steps=7, starts=2)] * 2


@pytest.mark.parametrize("classes", [2, 4])
def test_apgd_ascends_every_loss_that_the_classes_allow(classes):
    model = Evaluation(mr.Network([mr.Dense(classes)], (2,)))
    made = keywords(Battery(0.3, QUICK, 5).apgd(model))
    losses = ["SoftmaxCrossEntropy()", "Margin()", "ScaleFree()", "Margin()"]
    assert [repr(each.pop("loss")) for _, each in made] == [
        loss for loss in losses if classes > 2 or "Scale" not in loss
    ]
    assert [each for each, _ in made] == [apgd] * len(made)
    *free, targeted = (each for _, each in made)
    assert free == [options(steps=40, starts=1)] * len(free)
    assert targeted == options(steps=20, starts=1, target="all")


def test_the_smoothed_attacks_and_the_restart_take_the_same_steps(monkeypatch):
    """The restart has a second start, which is new: the first one is that of the white box."""
    smooth = annealed()
    monkeypatch.setattr(battery, "annealed", lambda: smooth)
    tried, model = Battery(0.3, QUICK, 5), Evaluation(mr.Network([mr.Dense(4)], (2,)))
    smoothed, restart = map(keywords, tried.smoothed(model))
    assert [each.pop("gradients") for _, each in smoothed] == [smooth] * 4
    assert [
        (each.pop("starts"), other.pop("starts")) for (_, each), (_, other) in zip(smoothed, restart, strict=True)
    ] == [(1, 2)] * 4
    assert str(smoothed) == str(restart)


def test_smoothed_and_restart_join_the_white_box(trained_on_the_host, few, monkeypatch):
    """Without attacks of their own, they are the white box."""
    monkeypatch.setattr(Battery, "smoothed", lambda self, model: ([], []))
    fooled = gathered(trained_on_the_host, few[0][:20], few[1][:20]).fooled
    assert fooled["white box"].any()
    for name in evidence.SMOOTHED:
        np.testing.assert_array_equal(fooled[name], fooled["white box"])


def test_the_gradient_of_a_model_that_is_no_network_is_averaged_over_noise_of_two_sizes(monkeypatch):
    asked = []
    monkeypatch.setattr(battery, "averaged", lambda *arguments: asked.append(arguments) or averaged(*arguments))
    (first, second), (restart,) = map(keywords, Battery(0.3, QUICK, 5).smoothed(None))
    assert asked == [(0.3, 50, 5), (0.6, 50, 5)]
    for attack, each in (first, second):
        assert (attack, each["steps"], each["starts"], repr(each["loss"])) == (pgd, 20, 1, "Margin()")
    assert (restart[0], restart[1]["steps"], restart[1]["starts"], repr(restart[1]["loss"])) == (
        pgd,
        20,
        100,
        "Margin()",
    )


@pytest.fixture
def asked(monkeypatch):
    """Return a list of the attacks that are made ready: name, ε, seed and number of steps."""
    asked = []

    def watched(attack):
        def watching(model, *samples, **options):
            asked.append(
                (attack.__name__, getattr(model, "network", model), *map(options.get, ("epsilon", "seed", "steps")))
            )
            return attack(model, *samples, **options)

        return watching

    for name in ("fgsm", "pgd", "apgd", "square"):
        monkeypatch.setattr(battery, name, watched(getattr(attacks, name)))
    return asked


@pytest.mark.parametrize("epsilon", [0.06, 0.1])
def test_every_attack_runs_with_the_epsilon_and_the_seed(epsilon, trained_on_the_host, sources, few, asked):
    """0.1 is also on the curve of FGSM over ε."""
    net = trained_on_the_host
    budget = replace(QUICK, queries=10, draws=2)
    gathered(net, few[0][:10], few[1][:10], epsilon, sources, budget, seed=3)
    curve = {("fgsm", net, step, None, None) for step in {*evidence.WIDTHS, epsilon}}
    climbs = {(name, net, epsilon, 3, steps) for name in ("pgd", "apgd") for steps in (20, 40)}
    others = {("square", net, epsilon, 3, None)}
    others |= {("fgsm", source, epsilon, None, None) for source in sources}
    others |= {("pgd", source, epsilon, None, 40) for source in sources}
    assert set(asked) == curve | climbs | others
    assert [asked.count(call) for call in curve] == [1] * len(curve)


def test_fgsm_is_tried_at_widths_of_the_input_range(rng):
    net = mr.Network([mr.Dense(3)], (8,), input_range=(-1, 3))
    x = rng.uniform(-1, 3, (20, 8))
    known = gathered(net, x, net.predict(x), epsilon=2)
    assert list(known.fgsm_by_epsilon) == [4 * width for width in evidence.WIDTHS]
    for epsilon, fooled in known.fgsm_by_epsilon.items():
        np.testing.assert_array_equal(fooled, attacks.fgsm(net, x, net.predict(x), epsilon).fooled)


def test_attacks_that_are_not_run_have_a_reason(rng):
    """No transfer without sources, no Square without images."""
    net = mr.Network([mr.Dense(3)], (8,))
    x = rng.random((20, 8))
    known = gathered(net, x, net.predict(x))
    assert known.not_run == {"transfer": "no sources given", "Square": "Square takes images only"}
    assert not set(known.not_run) & set(known.fooled)


@pytest.mark.parametrize(("layer", "queries"), [(make.Blind(), 2000), (mr.Dropout(0), 300)])
def test_square_gets_more_queries_where_there_is_no_gradient(
    layer, queries, trained_on_the_host, few, monkeypatch, tiny
):
    seen = []
    net = make.behind(layer, trained_on_the_host)
    monkeypatch.setattr(battery, "square", lambda *samples, **options: seen.append(options) or attacks.noise(*samples))
    gathered(net, few[0][:10], few[1][:10], budget=replace(tiny, queries=300))
    assert [options["queries"] for options in seen] == [queries]


def test_transfer_works_without_a_gradient_on_the_target(backend, trained, few, monkeypatch, tiny):
    monkeypatch.setattr(evidence, "LEAST_QUERIES", 0)
    few = [array[:20] for array in few]
    known = gathered(make.behind(make.Blind(), trained), *few, sources=[trained], budget=tiny)
    assert known.fooled["transfer"][backend.to_numpy(attacks.fgsm(trained, *few).fooled)].all()
    np.testing.assert_array_equal(known.fooled["FGSM"], known.fooled["clean"])


def test_evidence_is_on_the_host(trained, few, tiny):
    known = gathered(trained, *(array[:20] for array in few), budget=tiny)
    arrays = known.labels, known.pixel_samples, *known.fooled.values(), *known.fgsm_by_epsilon.values()
    assert {type(array) for array in (*arrays, *known.pgd_by_steps.values())} == {np.ndarray}


# Other models


def test_the_evidence_of_a_model_without_layers_is_that_of_the_network(trained_on_the_host, sources, few, known):
    """All attacks but those along a smoothed gradient ask for the same numbers."""
    model = Given(Evaluation(trained_on_the_host))
    x, y = few
    budget = replace(QUICK, draws=2)
    made = gather(model, x, y, [0.1], sources, budget, 0, False)
    same = set(known.fooled) - {"white box + restart", "white box + smoothed", "worst case"}
    for name in same:
        rows = made.pixel_samples if name in PIXEL_ATTACKS else slice(None)
        np.testing.assert_array_equal(made.fooled[name], known.fooled[name][rows], err_msg=name)
    assert np.isnan(made.health.sign_flips)
    assert (made.health.zero_samples, made.health.not_finite, made.random) == (0, 0, False)


def test_averaging_is_not_run_if_no_sample_has_a_gradient(trained_on_the_host, few, monkeypatch, tiny):
    """A network may have a smoothed derivative of its own; no other model has."""
    monkeypatch.setattr(evidence, "LEAST_QUERIES", 0)
    blind, few = make.behind(make.Blind(), trained_on_the_host), [array[:5] for array in few]
    made = gather(Given(Evaluation(blind)), *few, [0.1], (), tiny, 0, False)
    assert {made.not_run[name] for name in evidence.SMOOTHED} == {"no gradient to average: see checks 6 and 7"}
    assert set(evidence.SMOOTHED) <= set(gathered(blind, *few, budget=tiny).fooled)


def test_a_random_model_is_judged_by_votes_and_its_single_draws_are_not(trained, few, backend, tiny):
    net = make.behind(GaussianNoise(0.2), trained)
    x, y = (array[:20] for array in few)
    known = gathered(net, x, y, sources=[trained], budget=tiny)
    assert known.random
    assert known.not_run == dict.fromkeys(evidence.NOT_ON_RANDOM, "the model is random")
    assert list(known.fooled) == ["clean", "FGSM", "PGD", "white box", "noise", "transfer", "worst case"]
    assert len(known.pixel_samples) == 0
    vote = attacks.voting(net)
    made = attacks.fgsm(vote, x, y, gradients=expectation(DRAWS))
    np.testing.assert_array_equal(known.fooled["FGSM"], backend.to_numpy(made.fooled))
    asarray, to_numpy = backend.asarray, backend.to_numpy
    np.testing.assert_array_equal(known.fooled["clean"], to_numpy(vote.predict(asarray(x))) != y)
    made = pgd(vote, x, y, steps=tiny.steps, starts=1, gradients=expectation(DRAWS), stop=False)
    assert known.pgd_by_steps[tiny.steps][to_numpy(made.fooled)].all()


def test_a_network_that_is_random_in_training_alone_is_not_random(trained_on_the_host, few, tiny):
    net = make.behind(mr.Dropout(0.5), trained_on_the_host)
    assert not gathered(net, few[0][:10], few[1][:10], budget=tiny).random


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
        zero_samples=1,
        not_finite=4,
        without_logits=3,
        zero_pixels=3 / 14,
        smallest=backend.smallest("float32"),
        sign_flips=health.sign_flips,
    )


# Single pixels


def test_pixels_are_tried_on_as_many_samples_as_the_budget_allows(trained_on_the_host, few, tiny):
    work = 24 * 784 * 2 * (784 + 784 + 48 + 48 + 10)
    known = gathered(trained_on_the_host, *few, budget=replace(tiny, pixel_work=work))
    chosen, (x, y) = known.pixel_samples, few
    assert len(chosen) == 24
    assert set(np.bincount(y[chosen], minlength=10)) == {2, 3}
    made = attacks.brute_force_pixel(trained_on_the_host, x[chosen], y[chosen])
    np.testing.assert_array_equal(known.fooled["brute-force pixel"], made.fooled)
    for name in PIXEL_ATTACKS:
        np.testing.assert_array_equal(known.labels_of(name), y[chosen])


def test_samples_wrong_without_an_attack_stay_wrong_under_the_headroom_pixel(
    trained_on_the_host, few, monkeypatch, tiny
):
    monkeypatch.setattr(evidence, "with_one_pixel", lambda model, x, g: x)
    x, y = few[0], trained_on_the_host.predict(few[0])
    y[::3] = (y[::3] + 1) % 10
    known = gathered(trained_on_the_host, x, y, budget=replace(tiny, pixel_work=0))
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
    made = evidence.headroom_pixel(Evaluation(net), backend.asarray(x), backend.asarray(y), mr.Margin())
    np.testing.assert_array_equal(backend.to_numpy(made.fooled), margins > 0)
    assert 0 < (margins > 0).sum() < 25


def test_a_channel_of_the_headroom_pixel_that_is_at_the_better_end_stays_there(backend):
    """The sample is of class 1 if its two channels sum to more than 1.5."""
    net = mr.Network([mr.Flatten(), mr.Dense(2)], (1, 1, 2), backend=backend, dtype="float64")
    net.layers[1].weight.value[...] = backend.asarray(np.array([[0.0, 1.0], [0.0, 1.0]]))
    net.layers[1].bias.value[...] = backend.asarray(np.array([1.5, 0.0]))
    x, y = net.check_input(np.array([[[[1, 0.2]]]])), backend.asarray(np.array([0]))
    assert battery.fooled_by(evidence.headroom_pixel(Evaluation(net), x, y, mr.Margin())).all()


@pytest.mark.parametrize(
    ("first_pixel", "second_pixel", "bias"),
    [
        ([0, 0.2, 0, 0], [0, 0.09, 0.09, 0.09], [1, 0.905, 0.9, 0.9]),  # cross entropy prefers what raises many classes
        ([0, 0.03, 0, 0], [0, 0, 0.2, 0], [1, 0.95, 0.94, 0]),  # the margin sees the strongest class only
    ],
)
def test_headroom_pixel_is_the_better_of_two_losses(first_pixel, second_pixel, bias, backend, tiny):
    net = mr.Network([mr.Flatten(), mr.Dense(4)], (1, 2, 1), backend=backend, dtype="float64")
    net.layers[1].weight.value[...] = backend.asarray(np.array([first_pixel, second_pixel]))
    net.layers[1].bias.value[...] = backend.asarray(np.array(bias, float))
    x, y = net.check_input(np.zeros((20, 1, 2, 1))), backend.asarray(np.zeros(20, int))
    assert gathered(net, x, y, budget=tiny).fooled["headroom pixel"].all()
    by_loss = [battery.fooled_by(evidence.headroom_pixel(Evaluation(net), x, y, loss)).all() for loss in battery.LOSSES]
    assert sorted(by_loss) == [False, True]
