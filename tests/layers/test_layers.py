"""Every layer's gradients, off its default hyperparameters and on odd shapes, against central differences."""

import numpy as np
import pytest

import minirobust as mr

CASES = [
    (mr.Dense(5), (3, 4)),
    (mr.Dense(1), (1, 1)),
    (mr.TemperatureSigmoid(1 / 64), (3, 4)),
    (mr.TemperatureSigmoid(0.3), (2, 3, 2, 2)),
    (mr.TemperatureSigmoid(16), (1, 7)),
    (mr.ReLU(), (3, 4)),
    (mr.Tanh(), (2, 3, 2, 1)),
    (mr.Softmax(), (3, 4)),
    (mr.Softmax(), (1, 2)),
    (mr.Flatten(), (2, 3, 4, 2)),
    (mr.Flatten(), (1, 5)),
    (mr.Dropout(0.4), (3, 8)),
    (mr.Conv2D(3, 3), (2, 5, 6, 2)),
    (mr.Conv2D(1, 1), (1, 1, 1, 1)),
    (mr.Conv2D(3, (3, 2), stride=(2, 1), padding="same"), (2, 6, 5, 2)),
    (mr.Conv2D(2, (2, 4), stride=3, padding=(1, 2)), (1, 7, 5, 1)),
    (mr.Conv2D(2, 3, stride=2), (3, 6, 8, 1)),
    (mr.MaxPool2D(2), (2, 5, 7, 3)),
    (mr.MaxPool2D(3, stride=2, padding=1), (2, 6, 7, 2)),
    (mr.MaxPool2D((3, 2), stride=1, padding=(1, 0)), (1, 4, 5, 1)),
    (mr.AvgPool2D(2), (2, 5, 7, 3)),
    (mr.AvgPool2D((3, 2), stride=(1, 2)), (1, 4, 5, 1)),
]


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=lambda value: repr(value))
def test_gradients(layer, shape, backend, rng):
    x = rng.standard_normal(shape) * getattr(layer, "temperature", 1)
    report = mr.gradcheck(layer, x, tolerance=1e-8, training=True, backend=backend)
    assert report.ok
    assert report.tensors[0].checked == np.prod(shape)
