"""The two bounds of robustness at several ε, and the estimated cost of an audit as an upper bound."""

from dataclasses import replace

import audited_networks as make
import numpy as np
import pytest

import minirobust as mr
from minirobust import attacks, certify
from minirobust.masking import BUDGETS, evidence, gather
from minirobust.masking.battery import Attacker, Battery, Rehearsal, Trials
from minirobust.masking.evidence import Count
from minirobust.masking.sandwich import FIXED_COST, STEP_COST, prover
from minirobust.masking.zoo import GaussianNoise
from minirobust.measures import intervals
from minirobust.model import Given
from minirobust.stack import Evaluation

QUICK = BUDGETS["quick"]
EPSILONS = [0.005, 0.02, 0.1]


@pytest.fixture(scope="session")
def made(trained_on_the_host, few):
    return gather(Evaluation(trained_on_the_host), *few, EPSILONS, (), QUICK, 0, False)


def test_both_bounds_are_sound_and_become_tighter(made, trained_on_the_host, few):
    (x, y), net = few, trained_on_the_host
    for sandwich in made.sandwiches:
        assert not (sandwich.certified & sandwich.fooled).any()
        np.testing.assert_array_equal(sandwich.fgsm, attacks.fgsm(net, x, y, sandwich.epsilon).fooled)
        assert sandwich.fooled[sandwich.fgsm].all()
        for attack in (attacks.pgd, attacks.apgd):
            assert sandwich.fooled[attack(net, x, y, sandwich.epsilon, loss=mr.Margin()).fooled].all()
        np.testing.assert_array_equal(
            sandwich.certified & ~certify.crown(net, x, y, sandwich.epsilon).certified, np.zeros(len(y), bool)
        )
        assert sandwich.lower == intervals.network(~sandwich.certified, y)
        assert sandwich.upper == intervals.network(sandwich.fooled, y)
        assert sandwich.against_fgsm == intervals.network(sandwich.fgsm, y)
    small, middle, large = made.sandwiches
    assert small.certified.sum() > middle.certified.sum() > large.certified.sum()
    assert small.fooled.sum() < middle.fooled.sum() < large.fooled.sum()
    assert small.certified.sum() > 0.7 * len(y)


def test_sample_fooled_within_one_epsilon_is_fooled_within_larger_ones(made):
    for smaller, greater in zip(made.sandwiches, made.sandwiches[1:], strict=False):
        assert (greater.fooled | ~smaller.fooled).all()
        assert (smaller.certified | ~greater.certified).all()


def test_the_greatest_epsilon_has_what_every_attack_fools(made):
    assert made.sandwiches[-1].fooled[made.fooled["worst case"]].all()
    assert made.epsilon == 0.1
    assert [sandwich.epsilon for sandwich in made.sandwiches] == EPSILONS


def test_the_proof_is_tried_where_nothing_was_fooled_and_the_attacks_where_nothing_is_proven(
    trained_on_the_host, few, monkeypatch
):
    """Proofs and attacks are watched: which of the samples does each get?"""
    tried = []
    attack, prove = Trials.attack, Trials.prove

    def watched_attack(self, attacker, standing):
        if type(self) is Trials:
            tried.append((getattr(attacker.attack, "keywords", {}).get("epsilon"), standing))
        return attack(self, attacker, standing)

    def watched_proof(self, each, epsilon, standing):
        if type(self) is Trials:
            proven.append((epsilon, standing))
        return prove(self, each, epsilon, standing)

    proven = []
    monkeypatch.setattr(Trials, "attack", watched_attack)
    monkeypatch.setattr(Trials, "prove", watched_proof)
    made = gather(Evaluation(trained_on_the_host), *few, [0.02, 0.1], (), QUICK, 0, False)
    small, large = made.sandwiches
    (_, first), (_, second) = proven
    assert set(first) == set(np.flatnonzero(~(small.fgsm | made.fooled["clean"])))
    assert set(second) == set(np.flatnonzero(small.certified & ~large.fooled))
    strongest = [standing for epsilon, standing in tried if epsilon == 0.02][1:]  # FGSM is on all samples
    assert strongest
    for standing in strongest:
        assert not (small.certified | small.fgsm)[standing].any()
    whole = [standing for epsilon, standing in tried if epsilon == 0.1]
    assert max(map(len, whole)) == len(few[1])


@pytest.mark.parametrize(
    ("layers", "method"),
    [
        ([mr.Flatten(), mr.Dense(4)], certify.alpha_crown),
        ([mr.MaxPool2D(2), mr.Flatten(), mr.Dense(4)], certify.ibp),
    ],
)
def test_a_network_gets_the_tightest_certificate_that_it_has(layers, method):
    made = prover(Evaluation(mr.Network(layers, (4, 4, 1))), steps=7)
    assert made.certify.func is method
    if method is certify.alpha_crown:
        assert made.certify.keywords == {"steps": 7}
        assert made.cost == 3 * (FIXED_COST + 7 * STEP_COST)


def test_other_models_have_no_certificate(trained_on_the_host, few, tiny, monkeypatch):
    monkeypatch.setattr(evidence, "LEAST_QUERIES", 0)
    x, y = (array[:5] for array in few)
    foreign = Given(Evaluation(trained_on_the_host))
    own = Evaluation(make.behind(make.Blind(), trained_on_the_host))
    noisy = Evaluation(make.behind(GaussianNoise(0.2), trained_on_the_host))
    for model in (foreign, own, noisy):
        for sandwich in gather(model, x, y, [0.05, 0.1], (), tiny, 0, False).sandwiches:
            assert sandwich.certified is None
            assert sandwich.lower is None


# What it costs


def effort(made):
    return made.gradients + (made.queries - made.gradients) / 2


@pytest.mark.parametrize("model", ["network", "foreign"])
def test_attack_costs_its_estimate_if_nothing_is_fooled(model):
    """On a network whose logits do not depend on the image. Judging the result takes up to three forward passes."""
    net = mr.Network([mr.Flatten(), mr.Dense(4)], (5, 4, 1))
    net.layers[1].weight.value[...] = 0
    net.layers[1].bias.value[...] = np.array([1, 0, 0, 0])
    x, y = np.full((6, 5, 4, 1), 0.5, "float32"), np.zeros(6, int)
    model = Evaluation(net) if model == "network" else Given(Evaluation(net))
    battery = Battery(0.1, replace(QUICK, draws=3))
    smoothed, restart = battery.smoothed(model)
    every = [battery.fgsm(0.1), *battery.pgd(20), *battery.apgd(model), *smoothed, *restart]
    for each in [*every, battery.noise(), battery.square(300)]:
        made = each(model, x, y)
        assert not made.fooled.any()
        assert each.cost * 6 * 0.9 <= effort(made) + 6 * 3
        assert effort(made) <= each.cost * 6 * 1.1 + 6 * 3


def test_cost_estimate_runs_no_attack():
    model = Evaluation(mr.Network([mr.Dense(3)], (2,)))
    rehearsal = Rehearsal(model, np.zeros((7, 2), "float32"), np.zeros(7, int), Count())
    assert not rehearsal.union("", [Attacker(None, 5), Attacker(None, 6)]).any()
    assert not rehearsal.proven(prover(model, 1), 0.1, np.ones(7, bool)).any()
    assert rehearsal.bar.total == 7 * (5 + 6 + 2 * (FIXED_COST + STEP_COST))
