"""Every number on the page against the library's functions, called as a reader would call them."""

import base64
import contextlib
import io

import numpy as np
import pytest

import minirobust as mr
from minirobust.explore import shipped
from minirobust.explore.code import ten_lines
from minirobust.explore.laboratory import EPSILONS, EXPONENTS, CancelledError, Laboratory, certified, strongest


def never():
    """Cancel nothing."""


def sharpened(t):
    network = shipped.network()
    network.layers[2].temperature = 2.0**t
    return network


def bytes_of(text, dtype="uint8"):
    return np.frombuffer(base64.b64decode(text), dtype)


@pytest.mark.parametrize(("t", "e"), [(-6, 6), (0, 2), (2, 0)])
def test_point_equals_the_robustness_against_the_attacks(laboratory, t, e):
    network, x, y = sharpened(t), laboratory.x, laboratory.y
    fgsm = mr.attacks.fgsm(network, x, y, EPSILONS[e])
    point = laboratory.fgsm(t, e, never)
    assert point["clean"][0] == pytest.approx((network.predict(x) == y).mean(), abs=1e-4)
    assert point["fgsm"] == pytest.approx(mr.measures.intervals.network(fgsm.fooled, y), rel=1e-3)
    low, high = laboratory.certificate(t, e, never)["certificate"][0], laboratory.strongest(t, e, never)["strongest"][0]
    assert low <= high <= point["fgsm"][0] <= point["clean"][0] or not EPSILONS[e]
    proven = mr.certify.crown(network, x, y, EPSILONS[e]).certified
    certificate = laboratory.certificate(t, e, never)["certificate"]
    assert certificate == pytest.approx(mr.measures.intervals.network(~proven, y), rel=1e-3, abs=1e-4)


# At each temperature, a different attack is needed: without it, more than one of these digits would stand.
@pytest.mark.parametrize(("t", "count"), [(-6, 200), (-3, 100)])
def test_python_on_the_page_prints_the_figures_of_the_page(t, count, monkeypatch):
    x, y = (array[:count] for array in shipped.digits())
    monkeypatch.setattr(shipped, "digits", lambda: (x, y))
    printed = io.StringIO()
    program = ten_lines().replace("RATIO", str(2.0**t)).replace("EPSILON", "0.02")
    with contextlib.redirect_stdout(printed):
        exec(program, {})
    laboratory, e = Laboratory(shipped.network(), x, y), EPSILONS.index(0.02)
    point = laboratory.fgsm(t, e, never) | laboratory.strongest(t, e, never) | laboratory.certificate(t, e, never)
    figures = [point[name][0] for name in ("clean", "fgsm", "strongest", "certificate")]
    # The page attacks only what stands.  A matrix product of another size may round otherwise and decide one sample.
    assert [float(line) for line in printed.getvalue().split()] == pytest.approx(figures, abs=1.4 / count)


def test_the_page_of_a_trained_network_shows_how_it_was_trained():
    compile(ten_lines(trained=True).replace("RATIO", "1").replace("EPSILON", "0"), "page", "exec")
    assert "load_mnist(mini=True)" in ten_lines(trained=True)


def test_sharpening_raises_robustness_against_fgsm_only():
    laboratory, e = Laboratory(shipped.network(), *shipped.digits()), EPSILONS.index(0.1)
    (before, after), (low, high) = (
        [getattr(laboratory, attack)(t, e, never)[attack][0] for t in (0, -6)] for attack in ("fgsm", "strongest")
    )
    assert before < 0.1
    assert after > 0.5
    assert low < 0.05
    assert high < 0.05


def test_adversarial_images_stay_within_epsilon_and_get_the_reported_predictions(laboratory):
    network, x, y = sharpened(-3), laboratory.x, laboratory.y
    outcome = strongest(network, x, y, 0.1, never)
    assert np.abs(outcome.images - x).max() <= 0.1 + 1e-6
    assert outcome.images.min() >= 0
    assert outcome.images.max() <= 1
    assert np.array_equal(network.predict(outcome.images), outcome.predictions)


def test_the_wall_shows_the_first_digits_under_both_attacks(laboratory):
    wall = laboratory.wall(-6, 6, never)
    made = mr.attacks.fgsm(sharpened(-6), laboratory.x[:20], laboratory.y[:20], 0.1)
    assert wall["fgsm"]["read"] == made.predictions.tolist()
    pictures = bytes_of(wall["fgsm"]["images"]).reshape(made.images.shape)
    assert np.abs(pictures / 255 - made.images).max() <= 0.5 / 255 + 1e-6


def test_default_digit_withstands_fgsm_but_not_the_strongest_attack(laboratory):
    i, wall = laboratory.default_digit(), laboratory.wall(-6, 6, never)
    assert wall["fgsm"]["read"][i] == laboratory.y[i] != wall["strongest"]["read"][i]


def test_digit_shows_the_networks_probabilities_and_gradient(laboratory):
    image, network = np.round(laboratory.x[3] * 255).astype("uint8"), sharpened(-2)
    digit, x, y = laboratory.digit(image, 3, -2, 6, never), laboratory.x[3:4], np.array([3])
    assert digit["probabilities"] == pytest.approx(network.predict_proba(x)[0].tolist(), rel=1e-3)
    gradient = network.input_gradient(x, y)[0]
    assert float(digit["largest"]) == pytest.approx(np.abs(gradient).max(), rel=0.1)
    shown = bytes_of(digit["gradient"], "int8").reshape(28, 28, 1) / 127
    assert np.abs(shown - gradient / np.abs(gradient).max()).max() < 0.005
    assert digit["fgsm"]["read"] == mr.attacks.fgsm(network, x, y, 0.1).predictions[0]
    (weights,) = (row for row in digit["passes"] if row[0].startswith("layer 1") and row[1] == "∂L/∂weight")
    assert weights[2] == "784×256"


def test_a_drawing_is_attacked_at_the_class_that_the_network_reads(laboratory):
    image = np.round(laboratory.x[3] * 255).astype("uint8")
    read = int(sharpened(3).predict(laboratory.x[3:4])[0])
    assert laboratory.digit(image, None, 3, 6, never)["label"] == read


def test_network_without_linear_bounds_is_certified_by_boxes(laboratory):
    layers = [mr.Conv2D(2, 5), mr.MaxPool2D(4), mr.Flatten(), mr.Dense(8), mr.TemperatureSigmoid(1), mr.Dense(10)]
    network, x = mr.Network(layers, (28, 28, 1)), laboratory.x
    y = network.predict(x)
    proven = np.concatenate(list(certified(network, x, y, 0.001, never)))
    assert proven.sum() > 0
    assert np.array_equal(proven, mr.certify.ibp(network, x, y, 0.001).certified)


def test_units_are_counted_by_regime(laboratory):
    units, network = laboratory.units(-2, never), sharpened(-2)
    hidden = network.hidden(laboratory.x)
    assert units["bounds"] == pytest.approx(mr.regimes.bounds(0.25), rel=1e-3)
    assert units["shares"] == pytest.approx(mr.regimes.fractions(hidden, 0.25), rel=1e-3)
    assert sum(units["counts"]) == (np.abs(hidden) <= units["edge"]).sum()
    assert max(units["derivative"]) == pytest.approx(1, abs=1e-4)


def test_undefined_regimes_are_explained(laboratory):
    hot = shipped.network()
    hot.layers[2].temperature = 64.0
    units = Laboratory(hot, laboratory.x, laboratory.y).units(3, never)
    assert "bounds" not in units
    assert "T = 512" in units["undefined"]


@pytest.mark.parametrize("question", ["fgsm", "strongest", "certificate", "wall"])
def test_a_cancelled_computation_ends_early(question):
    x, y = shipped.digits()
    laboratory, looks = Laboratory(shipped.network(), x[:20], y[:20]), []

    def cancelled():
        looks.append(None)
        raise CancelledError

    with pytest.raises(CancelledError):
        getattr(laboratory, question)(-6, 6, cancelled)
    assert len(looks) == 1


def test_an_attack_can_be_cancelled_between_two_of_its_steps(laboratory):
    looks = []

    def after_ten():
        looks.append(None)
        if len(looks) > 10:
            raise CancelledError

    with pytest.raises(CancelledError):
        laboratory.strongest(EXPONENTS[0], 1, after_ten)
    assert len(looks) == 11
