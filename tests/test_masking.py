"""What the audit says: of landscapes whose every slope is known, of honest networks, of those that hide a gradient."""

import json
from dataclasses import replace
from functools import partial

import audited_networks as make
import numpy as np
import pytest

import minirobust as mr
from minirobust import intervals, masking
from minirobust.stack import Evaluation


class Landscape(mr.Layer):
    """From one pixel to two logits, of which the first, the label's, follows straight lines between knots.

    `slope` is what it says its gradient is; by default the truth.
    """

    def __init__(self, at, height, slope=None):
        self.at, self.height, self.slope = at, height, slope

    def build(self, input_shape):
        return (2,)

    def forward(self, x):
        x = self.backend.to_numpy(x).ravel()
        self.piece = np.clip(np.searchsorted(self.at, x, side="right") - 1, 0, len(self.at) - 2)
        height = np.interp(x, self.at, self.height)
        return self.backend.asarray(np.stack([height, 0 * height], axis=1).astype(self.dtype))

    def input_gradient(self, grad_y):
        slope = np.diff(self.height) / np.diff(self.at) if self.slope is None else np.asarray(self.slope)
        slope = self.backend.asarray(slope[self.piece].astype(self.dtype))
        return (grad_y[:, 0] * slope)[:, None, None, None]


def landscape(at, height, slope=None, backend="numpy"):
    return mr.Network([Landscape(at, height, slope)], (1, 1, 1), backend=backend, dtype="float64")


def audit(network, places, **options):
    """Of samples at these places, all of which are of class 0."""
    x = np.array(places, float).reshape(-1, 1, 1, 1)
    report = mr.audit(network, x, np.zeros(len(x), int), **options)
    return report, {check.number: check for check in report.checks}


def flags(report):
    return [check.number for check in report.flagged]


# Class 0 where the height is above 0.  Attacks start at 0.5 and go downhill.
SLOPE = ([0, 0.5, 0.55, 1], [2, 1, 0, -1])
VALLEY = ([0, 0.5, 0.53, 0.54, 0.56, 0.57, 1], [2, 1, 0.5, -1, -1, 1, 1.1])  # too narrow for one step, not for many
PIT = ([0, 0.5, 0.505, 0.506, 0.507, 0.508, 1], [0.5, 1, 0.99, -1, -1, 1, 0.9])  # seen by steps of 1/160 only
TRAP = ([0, 0.5, 0.54, 0.58, 0.59, 1], [2, 1, 0.5, 1, -1, -1])  # small steps end in a hollow, a large one passes it
CLIFF = ([0, 0.5, 0.58, 0.59, 1], [0.5, 1, 1.1, -1, -1])  # behind a ridge on the right; downhill is on the left


def test_an_honest_slope_has_no_flag(backend):
    report, checks = audit(landscape(*SLOPE, backend=backend), [0.5] * 40)
    assert flags(report) == []
    assert not report.masked
    assert report.robustness["clean"].value == 1
    for name in ("FGSM", "PGD", "white box", "worst case"):
        assert report.robustness[name].value == 0
    assert checks[9].figures == {"brute force": 1, "headroom": 1, "gap": 0, "missed": 0}
    assert report.verdict.startswith("no sign of masking: robustness at ε = 0.1 is at most 0.000 [0.000, ")


def test_a_valley_that_one_step_crosses(backend):
    """FGSM is too weak, as it also shows by doing worse with a larger step; at an end of the range it finds nothing."""
    report, checks = audit(landscape(*VALLEY, backend=backend), [0.5] * 40)
    assert checks[4].flagged
    assert checks[4].finding == "FGSM too weak here"
    assert checks[4].figures == {"FGSM": 1, "PGD": 0, "gap": 1}
    assert checks[2].flagged
    assert checks[2].text == "rise from ε = 0.05 to 0.1"
    assert checks[2].estimate.value == 1
    assert checks[3].flagged
    assert checks[3].estimate.value == 1
    assert not checks[5].flagged
    assert not checks[7].flagged
    assert "masked (checks 2, 3); FGSM is too weak here (check 4)" in report.verdict


def test_a_slow_rise_counts_from_the_lowest_point_before_it():
    """Half of the samples stand again at ε = 0.2, the other half at 0.3."""
    at, height = [0, 0.1, 0.12, 0.25, 0.27, 0.5, 0.52, 0.74, 0.76, 1], [2, 1, -1, -1, 1, 1, -1, -1, 1, 1]
    _, checks = audit(landscape(at, height), [0.1, 0.5] * 20)
    assert [checks[2].figures[f"robustness at {epsilon:g}"] for epsilon in (0.1, 0.2, 0.3)] == [0, 0.5, 1]
    assert checks[2].text == "rise from ε = 0.025 to 0.3"
    assert checks[2].estimate.value == checks[2].figures["rise"] == 1


@pytest.mark.parametrize(("risen", "flagged"), [(16, False), (24, False), (36, True)])
def test_a_rise_counts_when_it_goes_above_chance(risen, flagged):
    """Of 40 samples this many stand again at ε = 0.2: 36 are certainly more than the half that chance gets right."""
    at, height = [0, 0.1, 0.12, 0.25, 0.27, 0.5, 0.52, 1], [2, 1, -1, -1, 1, 1, -1, -1]
    _, checks = audit(landscape(at, height), [0.1] * risen + [0.5] * (40 - risen))
    assert [checks[2].figures[f"robustness at {epsilon:g}"] for epsilon in (0, 0.1, 0.2)] == [1, 0, risen / 40]
    assert checks[2].flagged == flagged
    assert checks[2].estimate.value == (risen / 40 if flagged else 0)
    assert checks[2].text == ("rise from ε = 0.025 to 0.2" if flagged else "no rise above chance")


@pytest.mark.parametrize(("in_the_valley", "flagged"), [(5, False), (10, False), (16, True)])
def test_the_gap_counts_when_its_interval_is_above_a_tenth(in_the_valley, flagged):
    """5, 10 and 16 of 80 samples: gaps of 0.06, 0.125 and 0.2, of which the last alone is above 0.1 for certain."""
    at, height = [0, 0.1, 0.15, 0.25, *VALLEY[0][1:]], [2, 1, 0, -1, *VALLEY[1][1:]]
    report, checks = audit(landscape(at, height), [0.5] * in_the_valley + [0.1] * (80 - in_the_valley))
    assert checks[4].estimate.value == in_the_valley / 80
    assert checks[4].flagged == flagged == (checks[4].estimate.low > 0.1)
    assert checks[4] in report.flagged or not flagged


@pytest.mark.parametrize(("standing", "flagged"), [(18, False), (22, False), (30, True)])
def test_what_stands_without_a_bound_counts_when_its_interval_is_above_chance(standing, flagged):
    """18, 22 and 30 of 40 samples of two classes, of which the last alone is above a half for certain."""
    at, height = [0, 0.05, 0.1, *VALLEY[0][1:]], [-1, 0, 1, *VALLEY[1][1:]]
    _, checks = audit(landscape(at, height), [0.5] * standing + [0.08] * (40 - standing))
    assert checks[3].figures == {"robustness": standing / 40, "chance": 0.5}
    assert checks[3].flagged == flagged


def test_pgd_that_finds_more_in_twice_the_steps(backend):
    report, checks = audit(landscape(*PIT, backend=backend), [0.5] * 40)
    assert checks[5].flagged
    assert checks[5].finding == "PGD not converged"
    assert checks[5].figures["2 S steps"] < checks[5].figures["S steps"]
    assert report.robustness["PGD"].value == checks[5].figures["2 S steps"] == 0
    assert "PGD has not converged (check" in report.verdict


def test_the_white_box_is_fgsm_too_where_many_steps_are_caught_in_a_hollow(backend):
    report, checks = audit(landscape(*TRAP, backend=backend), [0.5] * 40)
    assert report.robustness["FGSM"].value == report.robustness["white box"].value == 0
    assert report.robustness["PGD"].value > 0.5
    assert checks[4].estimate.value < -0.5
    assert not checks[4].flagged
    assert not checks[7].flagged


def test_what_only_a_search_finds(backend):
    """Over the ridge: not along the gradient, but Square and random signs get there, and a search over pixels."""
    report, checks = audit(landscape(*CLIFF, backend=backend), [0.5] * 40)
    assert checks[7].flagged
    assert checks[7].figures["Square"] == 0
    assert checks[7].figures["white box"] > 0.7
    assert checks[8].flagged
    assert checks[8].figures["noise"] > checks[8].figures["white box"]
    assert checks[9].flagged
    assert checks[9].figures["brute force"] == 1
    assert checks[9].figures["headroom"] == 0
    assert report.masked
    assert report.robustness["worst case"].value == 0


def test_a_difference_that_few_samples_cannot_tell_from_chance_is_no_flag():
    """1 of 40 that only a search finds is more than 0.01, and no evidence."""
    at, height = [0, 0.1, 0.15, 0.25, 0.3, *CLIFF[0][1:]], [2, 1, 0, -1, 0.5, *CLIFF[1][1:]]
    for few, flagged in ((1, False), (12, True)):
        _, checks = audit(landscape(at, height), [0.5] * few + [0.1] * (40 - few))
        assert checks[9].estimate.value == few / 40 > masking.TOLERANCE
        assert checks[9].flagged == flagged


@pytest.mark.parametrize(("few", "flagged"), [(14, False), (16, True)])
def test_a_slope_may_miss_some_of_the_pixels_that_a_search_finds(few, flagged):
    """Of 100 images that some pixel fools; beyond chance in both cases."""
    height = [1, 0.5, *CLIFF[1][1:]]  # below 0.1 the slope leads over the cliff's edge to the far end
    _, checks = audit(landscape([0, 0.1, *CLIFF[0][1:]], height), [0.5] * few + [0.05] * (100 - few))
    assert checks[9].figures["missed"] == few / 100
    assert checks[9].estimate.low > 0
    assert checks[9].flagged == flagged


def test_noise_that_fools_as_many_as_the_white_box_is_no_flag():
    _, checks = audit(landscape([0, 1], [1, 2]), [0.5] * 40)
    assert checks[8].figures == {"noise": 0, "white box": 0}
    assert not checks[8].flagged


@pytest.mark.parametrize(("gap", "flagged"), [((0.011, 0.001, 0.02), True), ((0.009, 0.008, 0.01), False)])
def test_a_difference_of_less_than_a_hundredth_is_no_flag_however_certain(gap, flagged):
    assert masking.exceeds(intervals.Estimate(*gap), masking.TOLERANCE) == flagged


def test_a_gradient_that_points_uphill(backend):
    """FGSM fails at any ε and the search does not; that PGD's random starts find some does not hide it."""
    _, checks = audit(landscape(*SLOPE, slope=[2, 20, 2], backend=backend), [0.5] * 40)
    assert checks[3].estimate.value == 1
    assert 0.1 < checks[7].figures["white box"] < 0.9
    assert [checks[number].flagged for number in (1, 3, 7, 9)] == [False, True, True, True]


@pytest.mark.parametrize(("slopes", "samples_at_fault"), [([-2, 0, -2], 10), ([-2, -2, 0], 0)])
def test_one_sample_without_a_gradient_is_enough(slopes, samples_at_fault, backend):
    report, checks = audit(landscape(*SLOPE, slope=slopes, backend=backend), [0.3] * 30 + [0.52] * 10)
    assert checks[1].figures["zero samples"] == samples_at_fault
    assert checks[1].figures["zero pixels"] == samples_at_fault / 40
    assert checks[1].flagged == (samples_at_fault > 0) == report.masked


def test_a_gradient_that_is_not_finite_ends_the_audit_there(backend):
    slope = [-2, float("nan"), -2]
    report, checks = audit(landscape(*SLOPE, slope=slope, backend=backend), [0.3] * 30 + [0.52] * 10)
    assert checks[1].figures["samples not finite"] == 10
    assert flags(report) == [1]
    assert {check.text for check in report.checks[1:]} == {"the gradient is not finite"}
    assert {check.flagged for check in report.checks[1:]} == {None}
    assert list(report.fooled) == ["clean", "noise", "worst case"]
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["masked"]
    assert "not run" in str(report)


class Rounded(mr.Layer):
    """Whose gradient has the wrong sign in float32, but not in float64, at the first pixels of each image."""

    def __init__(self, pixels):
        self.pixels = pixels

    def forward(self, x):
        return x

    def input_gradient(self, grad_y):
        wrong = (self.xp.arange(grad_y.shape[1]) < self.pixels) & (self.dtype == "float32")
        return grad_y * (1 - 2 * wrong)


@pytest.mark.parametrize(("pixels", "flagged"), [(2, False), (4, True)])
def test_signs_that_float32_gets_wrong(pixels, flagged, backend, rng):
    """2 and 4 of 250 pixels: 0.8 and 1.6 %."""
    net = mr.Network([Rounded(pixels), mr.Dense(3)], (250,), backend=backend)
    x = rng.random((30, 250))
    health, *_ = mr.audit(net, x, net.predict(x)).checks
    assert health.figures["sign flips"] == pixels / 250
    assert health.flagged == flagged
    assert not mr.audit(net.to(backend, "float64"), x, net.predict(x)).checks[0].flagged


def test_transfer_from_the_same_network_without_its_blindfold(backend, trained, few):
    blind = make.behind(make.Blind(), trained)
    report = mr.audit(blind, *few, sources=[trained, trained])
    checks = {check.number: check for check in report.checks}
    assert checks[6].flagged
    assert checks[6].figures["white box"] == report.robustness["clean"].value
    made = mr.attacks.fgsm(trained, *few).fooled
    assert report.fooled["transfer"][backend.to_numpy(made)].all()
    assert {1, 3, 6, 7} <= set(flags(report))


# Trained networks

SEEDS = (0, 1, 2)


@pytest.fixture(scope="session")
def data(digits):
    """15 epochs of the shipped digits are as many steps as one of all of MNIST."""
    return digits, 15, digits.test[:300]


@pytest.fixture(scope="session")
def mnist(real_data):
    from data_loaders import load_mnist

    full = load_mnist(real_data)
    return full, 1, full.test[:1000]


def last(network, epochs):
    for _ in epochs:
        pass
    return network


def honest(data, epochs, seed):
    """Those that must not be flagged."""
    yield "regression", last(net := make.softmax_regression(seed), make.train(net, data, epochs, seed))
    for T in (1, 4):
        yield f"T = {T}", last(net := mr.models.mlp(T, seed=seed), make.train(net, data, epochs, seed))
    net = mr.models.mlp(1, seed=seed)
    yield "PGD-trained", last(net, make.train_adversarially(net, data, max(1, epochs // 2), seed))


def hidden(net):
    """Those that must be flagged, out of an honest one, and by which checks at least."""
    return {
        "logits × 1000": (make.louder(net), {1, 3}),  # PGD on the margin sees through that
        "8 levels": (make.behind(make.Quantize(8), net), {1, 3, 6, 7}),
        "gradient zeroed": (make.behind(make.Blind(), net), {1, 3, 6, 7}),
    }


@pytest.mark.parametrize("seed", [SEEDS[0], *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[1:])])
@pytest.mark.parametrize("of", ["data", pytest.param("mnist", marks=pytest.mark.slow)])
def test_honest_networks_pass_and_hidden_gradients_do_not(of, seed, request):
    train, epochs, test = request.getfixturevalue(of)
    x, y = test.pixels(), test.labels
    networks = dict(honest(train, epochs, seed))
    source = networks["T = 1"]
    for name, network in networks.items():
        assert flags(mr.audit(network, x, y, sources=[source], seed=seed)) == [], name
    for name, (network, least) in hidden(source).items():
        assert least <= set(flags(mr.audit(network, x, y, sources=[source], seed=seed))), name


@pytest.mark.parametrize("seed", [SEEDS[0], *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[1:])])
@pytest.mark.parametrize("of", ["data", pytest.param("mnist", marks=pytest.mark.slow)])
def test_the_low_temperature_is_found_out(of, seed, request):
    """T = 1/64: one step is too weak by far, more steps find more, and single pixels do what no gradient says."""
    train, epochs, test = request.getfixturevalue(of)
    net = mr.models.mlp(1 / 64, seed=seed)
    report = mr.audit(last(net, make.train(net, train, epochs, seed)), test.pixels(), test.labels, seed=seed)
    assert {4, 5} <= set(flags(report))
    assert report.masked == (9 in flags(report))
    assert report.robustness["FGSM"].low > report.robustness["worst case"].high + 0.3


# What a report is


@pytest.fixture(scope="session")
def trained_on_the_host(digits):
    net = mr.models.mlp(0.25, hidden=48)
    return last(net, make.train(net, digits, 2))


@pytest.fixture
def trained(trained_on_the_host, backend):
    return trained_on_the_host.to(backend)


@pytest.fixture(scope="session")
def few(digits):
    return digits.test[:60].pixels(), digits.test[:60].labels


@pytest.fixture(scope="session")
def sources(digits):
    return [last(net, make.train(net, digits, 3)) for net in (mr.models.mlp(T, hidden=16) for T in (0.1, 1))]


@pytest.fixture(scope="session")
def report_on_the_host(trained_on_the_host, sources, few):
    return mr.audit(trained_on_the_host, *few, sources=sources)


def test_every_backend_says_the_same(trained, sources, few, report_on_the_host):
    report = mr.audit(trained, *map(trained.backend.asarray, few), sources=sources)
    for name, fooled in report_on_the_host.fooled.items():
        assert isinstance(report.fooled[name], np.ndarray)
        assert (report.fooled[name] != fooled).sum() <= 1, name  # a rounding may tip one sample
    assert flags(report) == flags(report_on_the_host)


def test_the_worst_case_is_the_union_of_what_stays_within_epsilon(report_on_the_host, trained_on_the_host, few):
    fooled = report_on_the_host.fooled
    white = fooled["clean"] | fooled["FGSM"] | fooled["PGD"]
    np.testing.assert_array_equal(fooled["white box"], white)
    np.testing.assert_array_equal(fooled["worst case"], white | fooled["noise"] | fooled["transfer"] | fooled["Square"])
    np.testing.assert_array_equal(fooled["FGSM"], mr.attacks.fgsm(trained_on_the_host, *few).fooled)
    for loss in (mr.SoftmaxCrossEntropy(), mr.Margin()):
        made = mr.attacks.pgd(trained_on_the_host, *few, steps=20, starts=1, loss=loss)
        assert fooled["PGD"][made.fooled].all()
    np.testing.assert_array_equal(
        fooled["brute-force pixel"], mr.attacks.brute_force_pixel(trained_on_the_host, *few).fooled
    )


def test_every_attack_gets_the_epsilon_and_the_seed(trained_on_the_host, sources, few, monkeypatch):
    asked = []

    def watched(attack):
        def watching(*arguments, **options):
            made = attack(*arguments, **options)
            asked.append((attack.__name__, made.epsilon, made.seed))
            return made

        return watching

    for attack in (mr.attacks.fgsm, mr.attacks.noise, mr.attacks.pgd, mr.attacks.square):
        monkeypatch.setattr(masking, attack.__name__, watched(attack))
    mr.audit(trained_on_the_host, *few, epsilon=0.06, sources=sources[:1], seed=3)
    curve = {("fgsm", epsilon, None) for epsilon in masking.EPSILONS}
    once, everywhere = {("noise", 0.06, 3), ("square", 0.06, 3)}, {("fgsm", 0.06, None), ("pgd", 0.06, 3)}
    assert set(asked) == curve | once | everywhere
    assert asked.count(("fgsm", 0.06, None)) == 2  # on the network and on the source


def test_transfer_is_the_worst_over_sources_and_attacks(report_on_the_host, trained_on_the_host, sources, few):
    attacks = mr.attacks.fgsm, partial(mr.attacks.pgd, steps=20)
    made = [mr.attacks.transfer(source, trained_on_the_host, *few, attack) for source in sources for attack in attacks]
    expected = np.logical_or.reduce([attack.fooled for attack in made])
    np.testing.assert_array_equal(report_on_the_host.fooled["transfer"], expected)
    assert len({attack.fooled.tobytes() for attack in made}) == 4


def test_rates_and_intervals_are_those_of_fooled(report_on_the_host, few):
    report, (_, y) = report_on_the_host, few
    for name, fooled in report.fooled.items():
        assert report.robustness[name] == intervals.network(fooled, y)
        np.testing.assert_array_equal(report.by_class[name], intervals.by_class(fooled, y))
    gap = intervals.difference(report.fooled["FGSM"], report.fooled["PGD"], y)
    assert report.checks[3].estimate == gap
    assert report.checks[3].samples == 60


def test_a_report_prints_as_a_table(report_on_the_host):
    lines = str(report_on_the_host).splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0] == "audit of 60 samples at ε = 0.1, budget 'quick', seed 0"
    for check in report_on_the_host.checks:
        (line,) = [line for line in lines if line.startswith(f"{check.number}  ")]
        outcome = "FLAG" if check.flagged else "pass"
        for part in (outcome, check.name, check.text, check.condition):
            assert part in line
    for name, (value, low, high) in report_on_the_host.robustness.items():
        (line,) = [line for line in lines if line.startswith(f"{name}  ")]
        assert line.split()[len(name.split()) :] == [f"{value:.3f}", f"{low:.3f}", "to", f"{high:.3f}", "60"]
    assert lines[-1] == f"verdict: {report_on_the_host.verdict}"
    assert repr(report_on_the_host) == str(report_on_the_host)


def test_a_flag_is_printed_with_its_meaning_and_what_to_do():
    report, _ = audit(landscape(*VALLEY), [0.5] * 40)
    text = " ".join(str(report).split())
    for check in report.checks:
        told = [" ".join(part.split()) in text for part in (check.meaning, check.remedy)]
        assert told == [bool(check.flagged)] * 2


def test_a_report_goes_through_json(report_on_the_host):
    told = report_on_the_host.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["robustness"]["FGSM"] == report_on_the_host.robustness["FGSM"]._asdict()
    assert told["by_class"]["FGSM"]["low"] == report_on_the_host.by_class["FGSM"].low.tolist()
    assert [check["flagged"] for check in told["checks"]] == [check.flagged for check in report_on_the_host.checks]
    assert told["verdict"] == report_on_the_host.verdict


def test_a_class_without_a_sample_is_none_in_json(trained_on_the_host, few):
    x, y = few
    told = mr.audit(trained_on_the_host, x[y != 3], y[y != 3]).to_dict()
    assert told["by_class"]["clean"]["value"][3] is None
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_what_cannot_be_run_says_why(rng):
    """Without sources no transfer, without images no Square."""
    net = mr.Network([mr.Dense(3)], (8,))
    x = rng.random((20, 8))
    report = mr.audit(net, x, net.predict(x))
    assert [check.number for check in report.checks] == list(range(1, 10))
    assert report.checks[5].text == "no sources given"
    assert report.checks[6].text == "Square takes images only"
    assert [check.flagged for check in report.checks[5:7]] == [None, None]
    assert not {"transfer", "Square"} & set(report.fooled)


def test_it_repeats_itself_and_another_seed_does_not(trained_on_the_host, few):
    first, again, other = (mr.audit(trained_on_the_host, *few, epsilon=0.05, seed=seed) for seed in (1, 1, 2))
    assert first.to_dict() == again.to_dict()
    assert any((first.fooled[name] != other.fooled[name]).any() for name in first.fooled)


def test_it_leaves_no_trace(trained, few):
    home = trained.backend.to_numpy
    x, y = (array.copy() for array in few)
    trained.gradients += 0.5
    before = x.tobytes(), y.tobytes(), home(trained.parameters).tobytes(), home(trained.gradients).tobytes()
    mr.audit(trained, x, y, sources=[trained])
    assert (x.tobytes(), y.tobytes(), home(trained.parameters).tobytes(), home(trained.gradients).tobytes()) == before
    with pytest.raises(RuntimeError, match="backward before forward"):
        trained.backward(np.zeros((len(x), 10)))


def test_progress_is_of_all_that_takes_long_and_only_on_request(trained_on_the_host, few, monkeypatch):
    import tqdm

    shown = []
    monkeypatch.setattr(tqdm, "tqdm", lambda chunks, **options: shown.append(options["desc"]) or chunks)
    quiet = mr.audit(trained_on_the_host, *few, sources=[trained_on_the_host])
    assert shown == []
    told = mr.audit(trained_on_the_host, *few, sources=[trained_on_the_host], progress=True)
    assert set(shown) == {"pgd", "square", "brute-force pixel attack"}
    assert told.to_dict() == quiet.to_dict()


def test_epsilons_are_in_widths_of_the_input_range(rng):
    net = mr.Network([mr.Dense(3)], (8,), input_range=(-1, 3))
    x = rng.uniform(-1, 3, (20, 8))
    report = mr.audit(net, x, net.predict(x), epsilon=2)
    assert "robustness at 4" in report.checks[1].figures
    assert "robustness at 0.4" in report.checks[1].figures


def test_the_full_budget_tries_harder(trained_on_the_host, few):
    x, y = few
    quick, full = (mr.audit(trained_on_the_host, x[:20], y[:20], 0.05, budget=budget) for budget in ("quick", "full"))
    assert full.robustness["worst case"].value <= quick.robustness["worst case"].value
    assert "100 steps" in full.checks[4].text


# Pixels


def test_pixels_are_tried_on_as_many_samples_as_the_budget_allows(trained_on_the_host, few, monkeypatch):
    work = 24 * 784 * 2 * (784 + 48 + 48 + 10)
    monkeypatch.setitem(masking.BUDGETS, "quick", replace(masking.BUDGETS["quick"], pixel_work=work))
    report = mr.audit(trained_on_the_host, *few)
    chosen, (x, y) = report.pixel_samples, few
    assert len(chosen) == report.checks[8].samples == len(report.fooled["brute-force pixel"]) == 24
    assert set(np.bincount(y[chosen], minlength=10)) == {2, 3}
    made = mr.attacks.brute_force_pixel(trained_on_the_host, x[chosen], y[chosen])
    np.testing.assert_array_equal(report.fooled["brute-force pixel"], made.fooled)
    assert report.robustness["brute-force pixel"] == intervals.network(made.fooled, y[chosen])


def test_samples_are_taken_in_turn_from_each_class():
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
    assert masking.evenly(labels, 3).tolist() == [0, 6, 9]
    assert masking.evenly(labels, 6).tolist() == [0, 1, 2, 6, 7, 9]
    assert masking.evenly(labels, 99).tolist() == list(range(10))


@pytest.mark.parametrize("input_range", [(0, 1), (-0.5, 2)])
def test_the_headroom_pixel_is_the_best_of_all_on_a_linear_network(input_range, backend, rng):
    """There a first-order gain is the gain itself: a loop over pixels and ends finds none better."""
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
    fooled = masking.headroom_pixel(Evaluation(net), backend.asarray(x), backend.asarray(y), mr.Margin())
    np.testing.assert_array_equal(backend.to_numpy(fooled), margins > 0)
    assert 0 < (margins > 0).sum() < 25


@pytest.mark.parametrize(
    ("first_pixel", "second_pixel", "bias"),
    [
        ([0, 0.2, 0, 0], [0, 0.09, 0.09, 0.09], [1, 0.905, 0.9, 0.9]),  # cross entropy is drawn to what raises many
        ([0, 0.03, 0, 0], [0, 0, 0.2, 0], [1, 0.95, 0.94, 0]),  # the margin sees the strongest class alone
    ],
)
def test_the_headroom_pixel_is_the_better_of_two_losses(first_pixel, second_pixel, bias, backend):
    net = mr.Network([mr.Flatten(), mr.Dense(4)], (1, 2, 1), backend=backend, dtype="float64")
    net.layers[1].weight.value[...] = backend.asarray(np.array([first_pixel, second_pixel]))
    net.layers[1].bias.value[...] = backend.asarray(np.array(bias, float))
    x, y = np.zeros((20, 1, 2, 1)), np.zeros(20, int)
    there = net.check_input(x), backend.asarray(y)
    losses = mr.SoftmaxCrossEntropy(), mr.Margin()
    assert sorted(backend.to_numpy(masking.headroom_pixel(Evaluation(net), *there, loss)).all() for loss in losses) == [
        False,
        True,
    ]
    assert mr.audit(net, x, y).checks[8].figures == {"brute force": 1, "headroom": 1, "gap": 0, "missed": 0}


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0}, "audit: expected epsilon above 0, got 0"),
        ({"epsilon": 1.5}, r"expected epsilon in \[0, 1\], got 1.5"),
        ({"budget": ["quick"]}, r"audit: expected budget to be one of 'quick', 'full', got \['quick'\]"),
        ({"budget": "huge"}, "audit: expected budget to be one of 'quick', 'full', got 'huge'"),
        ({"seed": -1}, "expected seed to be a whole number from 0 upwards, got -1"),
        (
            {"sources": [mr.models.mlp(1, (5, 5, 1))]},
            r"audit: sources\[0\]: expected the target's input_shape \(28, 28, 1\), got \(5, 5, 1\)",
        ),
        (
            {"sources": [mr.models.mlp(1, classes=3)]},
            r"audit: sources\[0\]: expected the target's output_shape \(10,\), got \(3,\)",
        ),
        (
            {"sources": [mr.Network([mr.Flatten(), mr.Dense(10)], (28, 28, 1), input_range=(0, 255))]},
            r"audit: sources\[0\]: expected the target's input_range \(0.0, 1.0\), got \(0.0, 255.0\)",
        ),
        (
            {"sources": [mr.Network([mr.Flatten(), mr.Dense(10), mr.Softmax()], (28, 28, 1))]},
            r"audit: sources\[0\]: layer 2, Softmax\(\): expected a network that ends in logits",
        ),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(options, message, trained_on_the_host, few, monkeypatch):
    monkeypatch.setattr(masking, "noise", None)  # whatever runs now fails otherwise
    with pytest.raises(ValueError, match=message):
        mr.audit(trained_on_the_host, *few, **options)


@pytest.mark.parametrize("sources", [mr.models.mlp(1), None])
def test_sources_that_are_no_list(sources, trained_on_the_host, few):
    with pytest.raises(TypeError, match="audit: expected sources to be networks in a list, got (Network|None)"):
        mr.audit(trained_on_the_host, *few, sources=sources)


def test_sources_that_are_no_networks(trained_on_the_host, few):
    with pytest.raises(TypeError, match=r"audit: sources\[1\]: expected a Network, got 0.25"):
        mr.audit(trained_on_the_host, *few, sources=[trained_on_the_host, 0.25])


def test_wrong_samples(trained_on_the_host, few):
    x, y = few
    for wrong, message in (
        ((x[:0], y[:0]), "expected at least one sample, got an empty batch"),
        ((2 * x, y), r"expected pixels in \[0, 1\], got 0 to 2"),
        ((x, y + 10), "labels: expected classes 0 to 9"),
        ((x, y[1:]), r"labels: expected shape \(60,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            mr.audit(trained_on_the_host, *wrong)
