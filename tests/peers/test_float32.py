"""float32 against our own float64 where it matters most: the gradient of confident samples.

Another library is no judge here: subtracting 1 from a probability that has rounded to 1 is what they all do, and it
loses the gradient.  The last test shows that loss, and so why ours is computed otherwise.
"""

import numpy as np
import pytest

import minirobust as mr


@pytest.fixture
def confident(rng):
    """Logits (float32), labels and margins: the label's logit leads by 5 to 60."""
    margin = np.linspace(5, 60, 200, dtype=np.float32)
    y = rng.integers(0, 10, len(margin))
    logits = rng.uniform(-15, 0, (len(margin), 10)).astype(np.float32)
    samples = np.arange(len(margin))
    logits[samples, (y + 1) % 10] = 0  # the strongest rival
    logits[samples, y] = margin
    return logits, y, margin


def gradient(logits, y, backend):
    return backend.to_numpy(mr.SoftmaxCrossEntropy().value_and_gradient(backend.asarray(logits), backend.asarray(y))[1])


def test_every_element_of_the_gradient_has_the_value_of_float64(confident, backend):
    logits, y, _ = confident
    single, double = gradient(logits, y, backend), gradient(logits.astype(np.float64), y, backend)
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    assert (double != 0).all()
    assert (np.sign(single) == np.sign(double)).all()
    assert (np.abs(single - double) < 1e-5 * np.abs(double)).all()


def test_every_value_has_the_value_of_float64(confident, backend):
    logits, y, _ = confident
    loss, y = mr.SoftmaxCrossEntropy(), backend.asarray(y)
    single = backend.to_numpy(loss.value_and_gradient(backend.asarray(logits), y)[0])
    double = backend.to_numpy(loss.value_and_gradient(backend.asarray(logits.astype(np.float64)), y)[0])
    assert single.dtype == np.float32
    assert (double > 0).all()
    assert (np.abs(single - double) < 1e-5 * double).all()


def test_subtracting_one_from_the_probability_loses_it(confident):
    logits, y, margin = confident
    samples = np.arange(len(y))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[samples, y] -= 1
    certain = margin > 18
    assert (p[samples, y][certain] == 0).all()
    # ... while the other classes' gradients live on, so that what is left points in a wrong direction.
    assert (p[samples, (y + 1) % 10][certain] > 0).all()
