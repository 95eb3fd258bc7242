"""CROWN's linear bound and its gradient: against points below it and central differences."""

import numpy as np
import pytest
from certified_networks import LINES, network, samples

from minirobust.certify.backward import Rows, backward, slope_gradients
from minirobust.certify.boxes import Twin
from minirobust.certify.certificate import margins

CURVED = [name for name in LINES if name != "linear"]


def relaxed(name, epsilon=0.1, seed=1):
    net = network(name, seed, temperature=0.7, scale=1.0)
    x, y = samples(net, seed)
    rows, relaxation = margins(Twin(net), x, y, epsilon)
    return net, x, rows, relaxation


@pytest.mark.parametrize("name", CURVED)
def test_the_linear_function_lies_below_the_row_on_the_whole_box(name, rng):
    net, x, rows, relaxation = relaxed(name)
    bound = backward(relaxation, rows)
    for _ in range(50):
        point = np.clip(x + rng.uniform(-0.1, 0.1, x.shape), -1, 1)[rows.image]
        line = (bound.g * point).reshape(len(point), -1).sum(axis=1) + bound.c
        assert (line <= (rows.A * net.logits(point)).sum(axis=1)).all()
        assert (bound.value <= line + 1e-12).all()


@pytest.mark.parametrize("name", CURVED)
def test_slope_gradients_equal_central_differences(name, rng):
    _, _, rows, relaxation = relaxed(name)
    bound = backward(relaxation, rows)
    slopes = {k: line.slope + 0.01 * rng.standard_normal(line.slope.shape) for k, line in bound.lines.items()}
    rows = Rows(rows.A, rows.image, rows.intervals, slopes)
    bound = backward(relaxation, rows)
    gradients = slope_gradients(relaxation.model.layers, bound.corner, bound.lines)
    h = 1e-6
    for k, slope in slopes.items():
        direction = rng.standard_normal(slope.shape)
        ahead, behind = (
            backward(relaxation, Rows(rows.A, rows.image, rows.intervals, {**slopes, k: slope + side * h * direction}))
            for side in (1, -1)
        )
        expected = (ahead.value - behind.value) / (2 * h)
        found = (gradients[k] * direction).reshape(len(rows.A), -1).sum(axis=1)
        assert abs(expected).max() > 1e-4
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-8)
