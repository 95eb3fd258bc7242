"""Input gradients against hand-computed numbers and scipy."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

import minirobust as mr


def test_the_magnitude_of_a_linear_model_by_hand(backend):
    """∂L/∂x = Σ_j (p_j - [j = y]) w_j: with two classes, (1 - p_y) |w_1 - w_0|, averaged over the pixels."""
    net = mr.Network([mr.Flatten(), mr.Dense(2)], (1, 2, 2), backend=backend, dtype="float64")
    weight = np.array([[1.0, -1.0], [0.5, 2.0], [0.0, 3.0], [-2.0, -2.0]])
    net.layers[1].weight.value[...] = backend.asarray(weight)
    x = np.array([[[[0.1, 0.2], [0.3, 0.4]]], [[[0.9, 0.8], [0.0, 1.0]]]])
    y = np.array([0, 1])
    logits = x.reshape(2, 4) @ weight
    wrong = 1 / (1 + np.exp(logits[[0, 1], y] - logits[[0, 1], 1 - y]))  # 1 - p_y
    expected = wrong * (2 + 1.5 + 3 + 0) / 4
    np.testing.assert_allclose(backend.to_numpy(mr.saliency.magnitude(net, x, y)), expected, rtol=1e-13)


def test_magnitude_of_a_sample_does_not_depend_on_the_other_samples(backend, rng):
    net = mr.models.mlp(0.5, (4, 3, 2), hidden=8, classes=3, backend=backend, dtype="float64")
    x, y = rng.random((20, 4, 3, 2)), rng.integers(0, 3, 20)
    to_numpy = backend.to_numpy
    together = to_numpy(mr.saliency.magnitude(net, x, y))
    assert together.shape == (20,)
    alone = [to_numpy(mr.saliency.magnitude(net, x[i : i + 1], y[i : i + 1]))[0] for i in range(20)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    np.testing.assert_allclose(together, abs(to_numpy(net.input_gradient(x, y))).mean(axis=(1, 2, 3)), rtol=1e-12)


def test_magnitude_leaves_the_network_unchanged(backend, rng):
    net = mr.models.mlp(0.5, (4, 3, 1), hidden=8, classes=3, backend=backend)
    x, y = rng.random((5, 4, 3, 1)), rng.integers(0, 3, 5)
    before = x.copy(), backend.to_numpy(net.gradients).tobytes()
    mr.saliency.magnitude(net, x, y)
    np.testing.assert_array_equal(x, before[0])
    assert backend.to_numpy(net.gradients).tobytes() == before[1]


def test_medians_and_correlations_by_hand(backend):
    """Class 0 falls on a line downwards; class 2 has r = 1/2: three points, deviations (-1, 0, 1) and (-1, 1, 0)."""
    g = backend.asarray(np.array([1.0, 2.0, 4.0, 10.0, 0.0, 1.0, 2.0]))
    p = backend.asarray(np.array([0.9, 0.8, 0.6, 0.0, 0.0, 0.2, 0.1]))
    y = backend.asarray(np.array([0, 0, 0, 0, 2, 2, 2]))
    found = mr.saliency.by_class(g, p, y, classes=3)
    np.testing.assert_array_equal(found.medians, [3, np.nan, 1])
    np.testing.assert_allclose(found.correlations, [-1, np.nan, 0.5], rtol=1e-12)
    # With one degree of freedom p = 1 - (2/π) arctan(|r| / √(1 - r²)), which for 1/2 is 2/3.
    np.testing.assert_allclose(found.p_values, [0, np.nan, 2 / 3], atol=1e-12)


def test_every_class_equals_scipy_on_that_class(backend, rng):
    g, p, y = rng.random(300).astype("float32"), rng.random(300).astype("float32"), rng.integers(0, 4, 300)
    g += (1 - p) * y
    found = mr.saliency.by_class(backend.asarray(g), backend.asarray(p), backend.asarray(y), classes=4)
    for c in range(4):
        expected = stats.pearsonr(g[y == c].astype("float64"), p[y == c].astype("float64"))
        assert found.correlations[c] == pytest.approx(expected.statistic, rel=1e-12)
        assert found.p_values[c] == pytest.approx(expected.pvalue, rel=1e-9)
        assert found.medians[c] == np.median(g[y == c].astype("float64"))


@pytest.mark.parametrize("samples", [3, 4, 5, 40, 1000])
@pytest.mark.parametrize("noise", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_correlation_and_p_value_equal_scipys(samples, noise, scale, rng):
    p = rng.random(samples)
    g = scale * (1 - p + noise * rng.random(samples))
    found = mr.saliency.by_class(g, p, np.zeros(samples, int), classes=1)
    expected = stats.pearsonr(g, p)
    assert found.correlations[0] == pytest.approx(expected.statistic, rel=1e-11, abs=1e-14)
    assert found.p_values[0] == pytest.approx(expected.pvalue, rel=1e-6, abs=0)


def test_correlation_does_not_import_scipy_stats():
    """The import takes longer than all the rest that a process of the study imports."""
    code = (
        "import sys, numpy as np, minirobust as mr;"
        "mr.saliency.by_class(np.arange(5.0), np.arange(5.0) ** 2, np.zeros(5, int));"
        "sys.exit('scipy.stats' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_too_few_samples_give_nan_without_a_warning():
    g = np.array([1.0, 2.0, 5.0, 5.0, 5.0, 1.0, 2.0, 3.0])
    p = np.array([0.1, 0.2, 0.1, 0.2, 0.3, 0.5, 0.5, 0.5])
    y = np.array([0, 0, 1, 1, 1, 2, 2, 2])  # two samples; constant G; constant confidence
    found = mr.saliency.by_class(g, p, y, classes=4)
    assert np.isnan(found.correlations).all()
    assert np.isnan(found.p_values).all()
    np.testing.assert_array_equal(found.medians, [1.5, 5, 2, np.nan])


def test_largest_comes_first_and_ties_keep_their_order(backend):
    g = backend.asarray(np.array([1.0, 3.0, 2.0, 3.0, 0.0]))
    assert mr.saliency.largest(g, 3).tolist() == [1, 3, 2]
    assert mr.saliency.largest(g, 5).tolist() == [1, 3, 2, 0, 4]
    assert mr.saliency.largest(np.ones(50), 50).tolist() == list(range(50))


def test_hard_digits_have_large_gradients(digits):
    """The study's finding, in small: in every class G falls as the confidence rises."""
    net = mr.models.mlp(1.0, hidden=32)
    mr.fit(net, mr.Adam(net), digits, epochs=3)
    x, y = digits.test.pixels(), digits.test.labels
    confidences = net.predict_proba(x)[np.arange(len(y)), y]
    found = mr.saliency.by_class(mr.saliency.magnitude(net, x, y), confidences, y)
    assert (found.correlations < -0.3).all()
    assert (found.p_values < 0.001).all()


@pytest.mark.parametrize(
    ("g", "p", "y", "message"),
    [
        (
            np.ones(3),
            np.ones(2),
            np.zeros(3, int),
            r"magnitudes and confidences of the same shape, got \(3,\) and \(2,\)",
        ),
        (
            np.ones((2, 2)),
            np.ones(2),
            np.zeros(2, int),
            r"magnitudes of shape \(N,\), one for each sample, got \(2, 2\)",
        ),
        (np.ones(0), np.ones(0), np.zeros(0, int), r"magnitudes of shape \(N,\), one for each sample, got \(0,\)"),
        (np.ones(2), np.array([0.5, np.nan]), np.zeros(2, int), "expected finite confidences, got nan"),
        (np.array([np.inf, 1]), np.ones(2), np.zeros(2, int), "expected finite magnitudes, got inf"),
        (np.ones(2), np.ones(2), np.zeros(3, int), r"labels to be integers of shape \(2,\), got int64 of \(3,\)"),
        (np.ones(2), np.ones(2), np.zeros(2), r"labels to be integers of shape \(2,\), got float64"),
        (np.ones(2), np.ones(2), np.array([0, 10]), "expected labels 0 to 9, got 0 to 10"),
    ],
)
def test_wrong_arguments_raise(g, p, y, message):
    with pytest.raises(ValueError, match=message):
        mr.saliency.by_class(g, p, y)


@pytest.mark.parametrize("count", [0, 4, -1, 1.0, True])
def test_wrong_count_raises(count):
    with pytest.raises(ValueError, match="expected count to be a whole number from 1 to 3, got"):
        mr.saliency.largest(np.ones(3), count)


def test_network_that_ends_in_softmax_raises():
    net = mr.Network([mr.Dense(3), mr.Softmax()], (4,))
    with pytest.raises(ValueError, match="expected a network that ends in logits"):
        mr.saliency.magnitude(net, np.ones((1, 4)), np.array([0]))
