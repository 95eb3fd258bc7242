"""Pixel attacks against exhaustive enumeration in plain loops, and the shortcut against the full forward pass."""

import sys
from contextlib import redirect_stderr
from functools import partial
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

import minirobust as mr
from minirobust.attacks.pixel.change import Goal, PixelChange, Writing, linear_depth
from minirobust.attacks.pixel.ranking import headroom, ranking, scores
from minirobust.stack import Evaluation

change_module = sys.modules["minirobust.attacks.pixel.change"]
ranked = sys.modules["minirobust.attacks.pixel.ranked"]


class Affine(mr.Layer):
    """A custom layer at the front, of which the attack knows nothing."""

    def forward(self, x):
        self.x = x
        return 0.9 * x + 0.05

    def input_gradient(self, grad_y):
        return 0.9 * grad_y


class Halved(mr.Dense):
    """A Dense that is none: its subclass changed what it computes."""

    def forward(self, x):
        return super().forward(x * x)

    def input_gradient(self, grad_y):
        return 2 * self.x**0.5 * super().input_gradient(grad_y)


def head():
    return [mr.TemperatureSigmoid(0.5), mr.Dense(3)]


# name: (layers, input shape)
CASES = {
    "grey": (lambda: [mr.Flatten(), mr.Dense(6), *head()], (4, 4, 1)),
    "colour": (lambda: [mr.Flatten(), mr.Dense(6), *head()], (3, 3, 3)),
    "features": (lambda: [mr.Dense(6), *head()], (7,)),
    "convolution": (lambda: [mr.Conv2D(3, 3), mr.Tanh(), mr.Flatten(), mr.Dense(3)], (6, 6, 1)),
    "colour convolution": (
        lambda: [mr.Conv2D(2, (3, 2), stride=(2, 1), padding="same"), mr.Tanh(), mr.Flatten(), mr.Dense(3)],
        (4, 5, 3),
    ),
    "padded convolution": (
        lambda: [mr.Conv2D(2, 3, stride=(1, 2), padding=(2, 1)), mr.Tanh(), mr.Flatten(), mr.Dense(3)],
        (3, 4, 2),
    ),
    "pooling first": (lambda: [mr.AvgPool2D(2), mr.Flatten(), mr.Dense(5), *head()], (4, 4, 1)),
    "own layer first": (lambda: [Affine(), mr.Flatten(), mr.Dense(5), *head()], (3, 3, 1)),
    "subclass first": (lambda: [mr.Flatten(), Halved(5), *head()], (3, 3, 1)),
    "linear": (lambda: [mr.Flatten(), mr.Dense(3)], (3, 3, 1)),
}


ATTACKS = {
    "ranked": partial(mr.attacks.pixel, pixels=2),
    "brute force": mr.attacks.brute_force_pixel,
    "greedy": partial(mr.attacks.greedy_pixel, pixels=2),
    "greedy, shortlist": partial(mr.attacks.greedy_pixel, pixels=2, shortlist=3),
}
OF_SEVERAL_PIXELS = (mr.attacks.pixel, mr.attacks.greedy_pixel)


def network(case, backend, dtype="float64", seed=2, **options):
    layers, shape = CASES[case]
    net = mr.Network(layers(), shape, backend=backend, dtype=dtype, seed=seed, **options)
    net.parameters *= 3.0
    return net


def samples(net, rng, count=24):
    """Images with both ends among their pixels, and labels most of which the network gets right."""
    low, high = net.input_range
    x = low + (high - low) * rng.random((count, *net.input_shape))
    kind = rng.integers(0, 4, (count, *net.input_shape[:-1], 1) if len(net.input_shape) > 1 else x.shape)
    x = np.where(kind == 0, low, np.where(kind == 1, high, x))
    y = net.backend.to_numpy(net.predict(x)).copy()
    y[::6] = (y[::6] + 1) % 3
    return x, y


@pytest.fixture(params=CASES)
def case(request, backend, rng):
    net = network(request.param, backend)
    return net, *samples(net, rng)


def as_pixels(net, x):
    """(N, pixels, C), whatever the shape of the input."""
    channels = net.input_shape[-1] if len(net.input_shape) > 1 else 1
    return x.reshape(len(x), -1, channels)


def differs_from(y):
    """Success without a target."""
    return Goal(y, np.full(len(y), -1))


def loops(net, x, y, pixels, order=None):
    """The definition, candidate by candidate, each a full forward pass on one image."""
    to_numpy = net.backend.to_numpy
    scores = abs(as_pixels(net, to_numpy(net.input_gradient(x, y)))).mean(axis=2)
    images, counts, tried = x.copy(), [], []
    fooled_at = np.zeros((pixels, len(x)), bool)
    for i in range(len(x)):
        best = sorted(range(scores.shape[1]), key=lambda p: -scores[i, p])
        count, seen = 0, 0
        wrong = to_numpy(net.predict(x[i : i + 1]))[0] != y[i]
        for n in range(1, pixels + 1):
            channels = as_pixels(net, x).shape[2]
            for values in product(net.input_range, repeat=n * channels):
                if wrong or count:
                    break
                candidate = x[i : i + 1].copy()
                as_pixels(net, candidate)[0, best[:n]] = np.reshape(values, (n, channels))
                if n > 1 and np.array_equal(
                    as_pixels(net, candidate)[0, best[n - 1]], as_pixels(net, x)[i, best[n - 1]]
                ):
                    continue
                seen += 1
                if to_numpy(net.predict(candidate))[0] != y[i]:
                    images[i], count = candidate[0], n
            fooled_at[n - 1, i] = wrong or count > 0
        counts.append(count)
        tried.append(seen)
    return images, np.array(counts), fooled_at, tried


def greedy_loops(net, x, y, pixels, loss=None, shortlist=None):
    """The greedy attack by definition: the images, and which pixels were written, in order."""
    loss, to_numpy = loss or mr.Margin(), net.backend.to_numpy
    channels = as_pixels(net, x).shape[2]
    images, written = x.copy(), []
    for i, label in enumerate(y):
        image, order, right = x[i : i + 1].copy(), [], to_numpy(net.predict(x[i : i + 1]))[0] == label
        while right and len(order) < pixels:
            best = None
            for p in shortlisted(net, image, label, loss, order, shortlist):
                for values in product(net.input_range, repeat=channels):
                    candidate = image.copy()
                    as_pixels(net, candidate)[0, p] = values
                    if np.array_equal(candidate, image):
                        continue
                    logits = to_numpy(net.logits(candidate))
                    fools = logits.argmax() != label
                    value = loss.value_and_gradient(logits, np.array([label]))[0][0]
                    if best is None or (fools, value) > best[:2]:
                        best = fools, value, candidate, p
            right, image, order = not best[0], best[2], [*order, best[3]]
        written.append(order if not right else [])
        if not right:
            images[i] = image[0]
    return images, written


def shortlisted(net, image, label, loss, written, count):
    """The pixels to try, in their order in the image: those that may raise the loss most to first order."""
    low, high = net.input_range
    g = as_pixels(net, net.backend.to_numpy(net.input_gradient(image, [label], loss)))[0]
    own = as_pixels(net, image)[0]
    gain = np.maximum(g * (high - own), g * (low - own)).sum(axis=1)
    free = sorted(set(range(len(gain))) - set(written), key=lambda p: -gain[p])
    return sorted(free[:count])


def pixels_in_order(net, attack):
    count, pixels = map(net.backend.to_numpy, (attack.count, attack.pixels))
    return [list(row[:n]) for row, n in zip(pixels, count, strict=True)]


# Against the definition


def test_pixel_attack_equals_plain_loops(case):
    net, x, y = case
    pixels = 3 if as_pixels(net, x).shape[2] == 1 else 2
    to_numpy = net.backend.to_numpy
    attack = mr.attacks.pixel(net, x, y, pixels)
    images, count, fooled_at, _ = loops(net, x, y, pixels)
    np.testing.assert_array_equal(to_numpy(attack.images), images)
    np.testing.assert_array_equal(to_numpy(attack.count), count)
    np.testing.assert_array_equal(to_numpy(attack.fooled_at), fooled_at)
    np.testing.assert_array_equal(to_numpy(attack.fooled), fooled_at[-1])


def test_cases_include_every_outcome(backend, rng):
    """Some images are fooled at 1, 2 or 3 pixels, some never, and some are misclassified before the attack."""
    kinds = set()
    for name in ("grey", "convolution", "features"):
        net = network(name, backend)
        x, y = samples(net, rng)
        attack = mr.attacks.pixel(net, x, y)
        kinds |= set(zip(backend.to_numpy(attack.clean_correct), backend.to_numpy(attack.count), strict=True))
    assert kinds == {(False, 0), (True, 0), (True, 1), (True, 2), (True, 3)}


def test_brute_force_equals_plain_loops(case):
    net, x, y = case
    to_numpy = net.backend.to_numpy
    attack = mr.attacks.brute_force_pixel(net, x, y)
    expected, where = x.copy(), np.full(len(x), -1)
    for i in np.flatnonzero(to_numpy(net.predict(x)) == y):
        for p, values in product(range(as_pixels(net, x).shape[1]), product((0, 1), repeat=as_pixels(net, x).shape[2])):
            candidate = x[i : i + 1].copy()
            as_pixels(net, candidate)[0, p] = values
            if to_numpy(net.predict(candidate))[0] != y[i]:
                expected[i], where[i] = candidate[0], p
                break
    np.testing.assert_array_equal(to_numpy(attack.images), expected)
    np.testing.assert_array_equal(to_numpy(attack.pixels)[:, 0], where)
    assert (where >= 0).any()


def test_brute_force_is_at_least_as_strong_as_the_ranking(case):
    net, x, y = case
    to_numpy = net.backend.to_numpy
    ranked = to_numpy(mr.attacks.pixel(net, x, y, 1).fooled)
    assert not (ranked & ~to_numpy(mr.attacks.brute_force_pixel(net, x, y).fooled)).any()


# The greedy attack


@pytest.mark.parametrize("shortlist", [None, 3])
def test_greedy_attack_equals_plain_loops(case, shortlist):
    net, x, y = case[0], case[1][:5], case[2][:5]
    attack = mr.attacks.greedy_pixel(net, x, y, 3, shortlist=shortlist)
    images, written = greedy_loops(net, x, y, 3, shortlist=shortlist)
    assert net.backend.to_numpy(attack.count).tolist() == [len(order) for order in written]
    if not isinstance(net.layers[0], mr.AvgPool2D):  # there, equal pixels of one window tie, and rounding decides
        assert pixels_in_order(net, attack) == written
        np.testing.assert_array_equal(net.backend.to_numpy(attack.images), images)


def test_greedy_attack_with_cross_entropy_equals_plain_loops(backend, rng):
    net = network("colour", backend)
    x, y = samples(net, rng, 10)
    loss = mr.SoftmaxCrossEntropy()
    written = greedy_loops(net, x, y, 2, loss)[1]
    assert pixels_in_order(net, mr.attacks.greedy_pixel(net, x, y, 2, loss=loss)) == written
    assert written != greedy_loops(net, x, y, 2)[1]


class Downhill(mr.Margin):
    """A loss that is smallest where the network is wrong."""

    def formula(self, backend, logits, y):
        value, gradient = super().formula(backend, logits, y)
        return -value, -gradient


def test_greedy_with_one_pixel_fools_the_same_images_as_brute_force(case):
    net, x, y = case
    to_numpy = net.backend.to_numpy
    brute = mr.attacks.brute_force_pixel(net, x, y)
    for loss in (None, mr.SoftmaxCrossEntropy(), Downhill()):
        greedy = mr.attacks.greedy_pixel(net, x, y, 1, loss=loss)
        np.testing.assert_array_equal(to_numpy(greedy.fooled), to_numpy(brute.fooled))


@pytest.mark.parametrize("shortlist", [None, 2])
def test_first_of_equal_candidates_is_chosen(backend, shortlist):
    """Whichever pixel goes to 1 is the largest, but only the second one has a gradient."""
    net = mr.Network([mr.MaxPool2D(2), mr.Flatten(), mr.Dense(2)], (2, 2, 1), backend=backend, dtype="float64")
    net.layers[2].weight.value[...] = backend.asarray(np.array([[1.0, 0]]))
    net.layers[2].bias.value[...] = backend.asarray(np.array([0, 0.75]))
    x = np.array([0.25, 0.5, 0, 0]).reshape(1, 2, 2, 1)
    assert pixels_in_order(net, mr.attacks.greedy_pixel(net, x, [1], shortlist=shortlist)) == [[0]]


def test_shortlist_of_all_pixels_equals_the_exact_search(case):
    net, x, y = case
    attacks = [mr.attacks.greedy_pixel(net, x, y, 2, shortlist=count) for count in (None, 1000)]
    np.testing.assert_array_equal(*(net.backend.to_numpy(attack.images) for attack in attacks))


def test_headroom_is_the_largest_rise_to_first_order(backend):
    x = backend.asarray(np.array([[[[0.0, 1, 0.5], [0.25, 0.25, 0.25]]]]))
    gradient = backend.asarray(np.array([[[[-3.0, 3, 2], [4, -4, 0]]]]))
    np.testing.assert_array_equal(backend.to_numpy(headroom(gradient, x, (0.0, 1.0))), [[1, 4]])
    flat = headroom(backend.asarray(np.array([[-1.0, 2]])), backend.asarray(np.array([[0.5, -1.0]])), (-2.0, 0.5))
    np.testing.assert_array_equal(backend.to_numpy(flat), [[2.5, 3]])


def test_greedy_fools_more_real_digits_than_the_ranking(backend, digits):
    net = mr.models.mlp(1.0, hidden=32, backend=backend)
    mr.fit(net, mr.Adam(net), (digits.train.pixels(slice(1000)), digits.train.labels[:1000]), epochs=3)
    x, y = digits.test.pixels(slice(100)), digits.test.labels[:100]
    greedy, ranked = (attack(net, x, y) for attack in (mr.attacks.greedy_pixel, mr.attacks.pixel))
    assert backend.to_numpy(greedy.fooled).sum() > backend.to_numpy(ranked.fooled).sum()


def test_greedy_confirms_the_shortcut_by_a_full_forward_pass(backend, rng, monkeypatch):
    """It says that every candidate fools, but a full forward pass has the last word."""
    net = network("grey", backend)
    x, y = samples(net, rng)
    nan = backend.asarray(np.full(3, np.nan))
    monkeypatch.setattr(PixelChange, "logits_after", lambda self, writing: nan + net.xp.zeros((len(writing.images), 1)))
    attack = mr.attacks.greedy_pixel(net, x, y)
    fooled = backend.to_numpy(attack.fooled)
    np.testing.assert_array_equal(fooled, backend.to_numpy(net.predict(attack.images)) != y)
    assert not fooled.all()


# The shortcut


def random_writing(net, rng, images, count, n):
    pixels = np.array([rng.permutation(as_pixels(net, images).shape[1])[:n] for _ in range(count)])
    values = rng.random((count, n, as_pixels(net, images).shape[2]))
    return Writing(rng.integers(0, len(images), count), pixels, values)


def test_the_shortcut_equals_the_full_forward_pass(case, rng):
    net, x, _ = case
    to_numpy = net.backend.to_numpy
    change = PixelChange(Evaluation(net), net.check_input(x))
    for n in (1, 2, 3):
        writing = random_writing(net, rng, x, 40, n)
        copies = x[writing.images].copy()
        for copy, pixels, values in zip(as_pixels(net, copies), writing.pixels, writing.values, strict=True):
            copy[pixels] = values
        np.testing.assert_array_equal(to_numpy(change.written(writing)), copies)
        full = to_numpy(net.evaluate(copies, stop=change.depth))
        np.testing.assert_allclose(to_numpy(change.after(writing)), full, rtol=0, atol=1e-12)
        np.testing.assert_allclose(
            to_numpy(change.logits_after(writing)), to_numpy(net.logits(copies)), rtol=0, atol=1e-12
        )
        np.testing.assert_array_equal(change.predict(writing), to_numpy(net.predict(copies)))


def test_shortcut_is_right_through_saturated_units(backend, rng):
    """At a low temperature exp(-|net|/T) is subnormal or 0 in most units."""
    net = network("grey", backend, dtype="float32")
    net.layers[2].temperature = 1 / 64
    x = samples(net, rng)[0].astype("float32")
    change = PixelChange(Evaluation(net), net.check_input(x))
    writing = random_writing(net, rng, x, 40, 2)
    full = backend.to_numpy(net.logits(change.written(writing)))
    np.testing.assert_allclose(backend.to_numpy(change.logits_after(writing)), full, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2])
def test_first_fooling_candidate_is_the_same_as_in_a_loop(case, rng, n):
    net, x, y = case
    to_numpy = net.backend.to_numpy
    channels = as_pixels(net, x).shape[2]
    values = np.array(list(product((0.0, 0.3, 1.0), repeat=n * channels)))[:40].reshape(-1, n, channels)
    pixels = np.array([[rng.permutation(as_pixels(net, x).shape[1])[:n] for _ in values] for _ in x])
    images, start = rng.permutation(len(x))[:20], rng.integers(0, 4, 20)
    expected = np.full(len(images), len(values))
    for m, i in enumerate(images):
        for k in range(start[m], len(values)):
            copy = x[i : i + 1].copy()
            unchanged = (as_pixels(net, copy)[0, pixels[i, k, -1]] == values[k, -1]).all()
            as_pixels(net, copy)[0, pixels[i, k]] = values[k]
            if not unchanged and to_numpy(net.predict(copy))[0] != y[i]:
                expected[m] = k
                break
    change = PixelChange(Evaluation(net), net.check_input(x))
    first = change.first_to_succeed(images, pixels[images], values, differs_from(y), start)
    np.testing.assert_array_equal(first, expected)
    assert (first < len(values)).any()
    assert (first == len(values)).any() or n == 2


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_candidate_without_finite_logits_fools(backend, broken):
    net = network("grey", backend)
    x = np.full((1, 4, 4, 1), 0.5)
    y = backend.to_numpy(net.predict(x))
    bias = backend.to_numpy(net.layers[-1].bias.value).copy()
    change = PixelChange(Evaluation(net), net.check_input(x))
    for position in range(3):
        net.layers[-1].bias.value[position] = broken
        pixels, values = np.zeros((1, 2, 1), int), np.ones((2, 1, 1))
        first = change.first_to_succeed(np.array([0]), pixels, values, differs_from(y), np.array([1]))
        assert first == 1
        net.layers[-1].bias.value[...] = backend.asarray(bias)


def test_gradient_through_the_shortcut_equals_the_full_gradient(case):
    net, x, y = case
    to_numpy = net.backend.to_numpy
    change = PixelChange(Evaluation(net), net.check_input(x))
    logits, gradient = change.gradient(net.backend.asarray(y), mr.SoftmaxCrossEntropy())
    gradient = change.input_gradient(gradient)
    np.testing.assert_allclose(to_numpy(logits), to_numpy(net.logits(x)), rtol=1e-12)
    np.testing.assert_allclose(to_numpy(gradient), to_numpy(net.input_gradient(x, y)), rtol=1e-12, atol=1e-15)


def test_shortcut_does_not_change_results_on_real_digits(backend, digits, monkeypatch):
    net = mr.models.mlp(1.0, hidden=32, backend=backend, dtype="float64")
    mr.fit(net, mr.Adam(net), (digits.train.pixels(slice(1000)), digits.train.labels[:1000]), epochs=3)
    x, y = digits.test.pixels(slice(200)), digits.test.labels[:200]
    short = mr.attacks.pixel(net, x, y)
    monkeypatch.setattr(change_module, "linear_depth", lambda network: 0)
    full = mr.attacks.pixel(net, x, y)
    for name in ("images", "fooled", "count", "pixels", "fooled_at"):
        np.testing.assert_array_equal(*(backend.to_numpy(getattr(attack, name)) for attack in (short, full)))
    success = backend.to_numpy(short.fooled_at).sum(axis=1)
    assert success[0] < success[1] < success[2]


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        ("grey", 2),
        ("features", 1),
        ("convolution", 1),
        ("pooling first", 0),
        ("own layer first", 0),
        ("subclass first", 0),
        ("linear", 0),
    ],
)
def test_layers_that_may_be_nonlinear_get_a_full_forward_pass(backend, name, depth):
    assert linear_depth(network(name, backend)) == depth


def test_full_forward_pass_decides(backend, rng, monkeypatch):
    """A shortcut that cries wolf at every candidate changes nothing in the answer."""
    net = network("grey", backend)
    x, y = samples(net, rng)
    honest = mr.attacks.pixel(net, x, y)
    monkeypatch.setattr(type(backend), "first_to_succeed", None)
    monkeypatch.setattr(PixelChange, "predict", lambda self, writing: np.full(len(writing.images), -1))
    credulous = mr.attacks.pixel(net, x, y)
    for name in ("images", "fooled", "predictions", "count", "pixels", "fooled_at"):
        np.testing.assert_array_equal(*(backend.to_numpy(getattr(attack, name)) for attack in (honest, credulous)))


# How many candidates, and which


@pytest.fixture
def candidates(backend, monkeypatch):
    """The candidates that are looked at, as (image, pixels, values), by their number of pixels."""
    seen = {}
    predict = PixelChange.predict

    def spy(self, writing):
        for image, pixels, values in zip(*writing, strict=True):
            key = image, tuple(pixels), tuple(values.ravel())
            seen.setdefault(len(pixels), []).append(key)
        return predict(self, writing)

    monkeypatch.setattr(type(backend), "first_to_succeed", None)
    monkeypatch.setattr(PixelChange, "predict", spy)
    return seen


def constant(case, backend):
    """A network that says class 0 to everything: no attack succeeds, so every candidate is tried."""
    net = network(case, backend)
    net.layers[-1].weight.value[...] = 0
    net.layers[-1].bias.value[...] = backend.asarray(np.array([1.0, 0, 0]))
    return net


@pytest.mark.parametrize(("case", "counts"), [("grey", {1: 2, 2: 4, 3: 8}), ("colour", {1: 8, 2: 64})])
def test_every_combination_of_extreme_values_is_tried_once(backend, rng, candidates, case, counts):
    net = constant(case, backend)
    x = 0.25 + 0.5 * rng.random((1, *net.input_shape))
    attack = mr.attacks.pixel(net, x, [0], len(counts))
    assert {n: len(set(found)) for n, found in candidates.items()} == counts
    assert {n: len(found) for n, found in candidates.items()} == counts
    assert not backend.to_numpy(attack.fooled).any()
    for n, found in candidates.items():
        assert [values for _, _, values in found] == list(product((0.0, 1.0), repeat=len(found[0][2])))
        assert len({pixels for _, pixels, _ in found}) == 1
        assert found[0][1] == candidates[len(counts)][0][1][:n]


@pytest.mark.parametrize(("case", "counts"), [("grey", {1: 1, 2: 2, 3: 4}), ("colour", {1: 7, 2: 56})])
def test_only_candidates_whose_last_pixel_is_unchanged_are_skipped(backend, candidates, case, counts):
    net = constant(case, backend)
    mr.attacks.pixel(net, np.ones((1, *net.input_shape)), [0], len(counts))
    assert {n: len(found) for n, found in candidates.items()} == counts
    for found in candidates.values():
        channels = net.input_shape[-1]
        assert all(set(values[-channels:]) != {1.0} for _, _, values in found)


def test_candidate_that_changes_one_channel_is_not_skipped(backend, candidates):
    net = constant("colour", backend)
    x = np.full((1, 3, 3, 3), 0.5)
    x[..., 0] = 1.0
    mr.attacks.pixel(net, x, [0], 1)
    assert len(candidates[1]) == 8


def test_brute_force_tries_every_pixel_once(backend, candidates):
    net = constant("colour", backend)
    mr.attacks.brute_force_pixel(net, np.zeros((1, 3, 3, 3)), [0])
    assert len(set(candidates[1])) == len(candidates[1]) == 9 * 7
    assert [pixels for _, (pixels,), _ in candidates[1]] == sorted(7 * list(range(9)))


def test_first_of_pixels_with_equal_scores_is_ranked_first(backend):
    score = np.array([[3.0, 1, 2, 2, 0, 3], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1]])
    order = ranking(backend, backend.asarray(score.copy()), 6)
    assert order.tolist() == [[0, 5, 2, 3, 1, 4], [0, 1, 2, 3, 4, 5], [5, 0, 1, 2, 3, 4]]
    np.testing.assert_array_equal(order, np.argsort(-score, axis=1, kind="stable"))
    assert ranking(backend, backend.asarray(score), 2).tolist() == order[:, :2].tolist()


def test_the_score_is_the_mean_over_channels_of_the_absolute_gradient(backend):
    gradient = np.array([[[[-3.0, 3, 0], [1.5, 1.5, 1.5]], [[5, 0, 0], [0, 0, -4.5]]]])
    score = scores(backend.asarray(gradient))
    np.testing.assert_array_equal(backend.to_numpy(score), [[2, 1.5, 5 / 3, 1.5]])
    np.testing.assert_array_equal(backend.to_numpy(scores(backend.asarray(np.array([[-1.0, 2]])))), [[1, 2]])


# Promises


def test_success_never_falls_as_pixels_are_added(case):
    net, x, y = case
    to_numpy = net.backend.to_numpy
    for attack in OF_SEVERAL_PIXELS:
        fooled_at = to_numpy(attack(net, x, y, 2).fooled_at)
        assert (fooled_at[0] <= fooled_at[1]).all()
        np.testing.assert_array_equal(to_numpy(attack(net, x, y, 1).fooled), fooled_at[0])


@pytest.mark.parametrize("attack", OF_SEVERAL_PIXELS)
def test_reported_changes_are_those_in_the_images(case, attack):
    net, x, y = case
    to_numpy = net.backend.to_numpy
    attack = attack(net, x, y, 2)
    images = as_pixels(net, x.copy())
    count, pixels, values = map(to_numpy, (attack.count, attack.pixels, attack.values))
    for i, n in enumerate(count):
        images[i, pixels[i, :n]] = values[i, :n]
        assert (pixels[i, n:] == -1).all()
        assert np.isnan(values[i, n:]).all()
        assert len(set(pixels[i, :n])) == n
    np.testing.assert_array_equal(to_numpy(attack.images), images.reshape(x.shape))
    np.testing.assert_array_equal(to_numpy(attack.fooled), ~to_numpy(attack.clean_correct) | (count > 0))


def test_success_agrees_with_a_second_prediction(case):
    net, x, y = case
    to_numpy = net.backend.to_numpy
    for attack in (attack(net, x, y) for attack in ATTACKS.values()):
        predictions = to_numpy(net.predict(attack.images))
        np.testing.assert_array_equal(to_numpy(attack.predictions), predictions)
        np.testing.assert_array_equal(to_numpy(attack.fooled), predictions != y)
        np.testing.assert_array_equal(to_numpy(attack.clean_correct), to_numpy(net.predict(x)) == y)


def test_images_misclassified_before_the_attack_are_returned_unchanged(case):
    net, x, y = case
    to_numpy = net.backend.to_numpy
    wrong = to_numpy(net.predict(x)) != y
    for attack in (attack(net, x, y) for attack in ATTACKS.values()):
        np.testing.assert_array_equal(to_numpy(attack.images)[wrong], x[wrong])
        assert to_numpy(attack.fooled_at)[:, wrong].all()
        assert not to_numpy(attack.count)[wrong].any()
    assert wrong.any()


def test_attack_on_only_misclassified_images_changes_nothing(backend, rng):
    net = network("grey", backend)
    x, _ = samples(net, rng)
    y = (backend.to_numpy(net.predict(x)) + 1) % 3
    attack = mr.attacks.pixel(net, x, y)
    assert backend.to_numpy(attack.fooled).all()
    np.testing.assert_array_equal(backend.to_numpy(attack.images), x)


def test_result_does_not_depend_on_the_chunk_size(case, monkeypatch, pass_together):
    net, x, y = case[0], case[1][:3], case[2][:3]
    to_numpy = net.backend.to_numpy
    attacks = []
    for chunk, batch in ((500, 64), (3, 3), (1, 1)):
        pass_together(net, chunk)
        monkeypatch.setattr(ranked, "BATCH", batch)
        attacks.append([attack(net, x, y) for attack in ATTACKS.values()])
    for others in attacks[1:]:
        for one, other in zip(attacks[0], others, strict=True):
            for name in ("images", "fooled", "predictions", "clean_correct", "count", "pixels", "values", "fooled_at"):
                np.testing.assert_array_equal(to_numpy(getattr(one, name)), to_numpy(getattr(other, name)))


@pytest.mark.parametrize("attack", OF_SEVERAL_PIXELS)
def test_float32_and_float64_fool_the_same_images(backend, rng, attack):
    net = network("grey", backend, dtype="float32")
    x, y = samples(net, rng)
    x = x.astype("float32")
    single = attack(net, x, y)
    double = attack(net.to(backend, dtype="float64"), x.astype("float64"), y)
    np.testing.assert_array_equal(backend.to_numpy(single.images), backend.to_numpy(double.images))
    assert backend.to_numpy(single.images).dtype == np.float32


def test_pixels_are_set_to_the_ends_of_the_input_range(backend, rng):
    net = network("grey", backend, input_range=(-2, 0.5))
    x, y = samples(net, rng)
    attack = mr.attacks.pixel(net, x, y)
    values = backend.to_numpy(attack.values)
    assert set(values[~np.isnan(values)]) == {-2, 0.5}
    assert attack.epsilon == 2.5
    np.testing.assert_array_equal(backend.to_numpy(attack.images), loops(net, x, y, 3)[0])
    for shortlist in (None, 3):
        greedy = mr.attacks.greedy_pixel(net, x, y, 2, shortlist=shortlist)
        np.testing.assert_array_equal(
            backend.to_numpy(greedy.images), greedy_loops(net, x, y, 2, shortlist=shortlist)[0]
        )


def test_any_model_can_be_attacked(case):
    """One of which nothing but logits and gradients is known gets the same images."""
    net, x, y = case
    model, to_numpy = Evaluation(net), net.backend.to_numpy
    foreign = SimpleNamespace(
        logits=model.logits,
        gradient=model.gradient,
        input_shape=net.input_shape,
        input_range=net.input_range,
        classes=3,
        backend=net.backend,
        dtype=net.dtype,
    )
    for attack in ATTACKS.values():
        np.testing.assert_array_equal(to_numpy(attack(foreign, x, y).images), to_numpy(attack(net, x, y).images))


def test_every_candidate_counts_as_a_query(backend):
    """Those that change something: the first pixel is at one end already."""
    net = constant("grey", backend)
    x = np.full((2, 4, 4, 1), 0.5)
    x[:, 0, 0] = 1
    ranked, brute, greedy, _ = (attack(net, x, [0, 1]) for attack in ATTACKS.values())
    assert (ranked.queries, ranked.gradients) == (2 + 1 + 4, 2)
    assert (brute.queries, brute.gradients) == (2 + 31, 0)
    assert (greedy.queries, greedy.gradients) == (2 + 31 + 1 + 30 + 1, 0)  # and one full forward pass for each pixel


def test_ranking_uses_the_given_loss(backend, rng):
    net = network("colour", backend)
    x, y = samples(net, rng)
    to_numpy = backend.to_numpy
    attack = mr.attacks.pixel(net, x, y, 1, loss=mr.Margin())
    scores = abs(as_pixels(net, to_numpy(net.input_gradient(x, y, mr.Margin())))).mean(axis=2)
    fell = to_numpy(attack.count) > 0
    np.testing.assert_array_equal(to_numpy(attack.pixels)[fell, 0], scores.argmax(axis=1)[fell])
    assert fell.any()


def test_attack_leaves_the_network_and_the_images_unchanged(case):
    net, x, y = case
    to_numpy = net.backend.to_numpy
    before = x.copy(), to_numpy(net.parameters).tobytes(), to_numpy(net.gradients).tobytes()
    net.training = True
    for attack in ATTACKS.values():
        attack(net, x, y)
    assert net.training
    np.testing.assert_array_equal(x, before[0])
    assert to_numpy(net.parameters).tobytes() == before[1]
    assert to_numpy(net.gradients).tobytes() == before[2]
    assert not any(name in vars(layer) for layer in net.layers for name in layer.saved)


def test_progress_bar_is_shown_only_on_request(backend, rng, terminal):
    net = network("grey", backend)
    x, y = samples(net, rng, 4)
    for name, attack in ATTACKS.items():
        before = terminal.getvalue()
        with redirect_stderr(terminal):
            attack(net, x, y)
            assert terminal.getvalue() == before
            attack(net, x, y, progress=True)
        assert "4/4 samples" in terminal.getvalue()[len(before) :], name


# Errors


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_wrong_number_of_pixels_raises(backend, rng, count):
    net = network("grey", backend)
    for attack in OF_SEVERAL_PIXELS:
        name = attack.__name__
        with pytest.raises(ValueError, match=f"^{name}: expected pixels to be a whole number of at least 1, got"):
            attack(net, *samples(net, rng), count)
    with pytest.raises(ValueError, match="^greedy_pixel: expected shortlist to be a whole number of at least 1, got"):
        mr.attacks.greedy_pixel(net, *samples(net, rng), shortlist=count)


def test_more_pixels_than_the_image_has_raises(backend, rng):
    net = network("colour", backend)
    for attack in OF_SEVERAL_PIXELS:
        with pytest.raises(ValueError, match="pixel: expected pixels from 1 to 9, as many as an image has, got 10"):
            attack(net, *samples(net, rng), 10)


@pytest.mark.parametrize("attack", [*OF_SEVERAL_PIXELS, mr.attacks.brute_force_pixel])
def test_wrong_samples_raise(backend, rng, attack):
    net = network("grey", backend)
    x, y = samples(net, rng)
    with pytest.raises(ValueError, match=r"expected pixels in \[0, 1\], got .* to 1\.5"):
        attack(net, np.where(x == x.max(), 1.5, x), y)
    with pytest.raises(ValueError, match="labels: expected classes 0 to 2, got 3"):
        attack(net, x, y + (y == y.max()) * (3 - y))
    with pytest.raises(ValueError, match="expected at least one sample, got an empty batch"):
        attack(net, x[:0], y[:0])
    ends_in_softmax = mr.Network([mr.Flatten(), mr.Dense(3), mr.Softmax()], (4, 4, 1), backend=backend)
    with pytest.raises(ValueError, match="expected a network that ends in logits"):
        attack(ends_in_softmax, x, y)


def test_repr_is_one_line(backend):
    net = constant("grey", backend)
    attack = mr.attacks.pixel(net, np.zeros((5, 4, 4, 1)), [0, 0, 0, 1, 2], 2)
    assert repr(attack) == "<PixelAttack on 5 images, fooled with 1 to 2 pixels: [2, 2]>"
