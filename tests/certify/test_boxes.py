"""The box of every layer contains the outputs of the network in its own dtype, rounding included."""

import numpy as np
import pytest
from certified_networks import EVERY, network, samples

from minirobust.certify.boxes import Twin, boxes, pixel_box


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EVERY)
def test_boxes_contain_the_outputs_of_the_network(name, dtype, rng):
    for seed in range(5):
        net = network(name, seed, temperature=0.25, dtype=dtype)
        x, _ = samples(net, seed, 50)
        for epsilon in (0.0, 0.05):
            point = np.clip(x + np.dtype(dtype).type(epsilon) * rng.choice([-1, 1], x.shape), -1, 1).astype(dtype)
            for k, (low, high) in enumerate(boxes(Twin(net), x, epsilon)):
                values = net.evaluate(point, stop=k) if k else point
                assert (low <= values).all()
                assert (values <= high).all()


def test_boxes_at_epsilon_0_are_no_wider_than_rounding():
    net = network("convolution", dtype="float64")
    x, _ = samples(net, 0)
    for low, high in boxes(Twin(net), x, 0.0):
        assert (high - low).max() < 1e-10


def test_box_of_the_pixels_contains_rounded_adversarial_images():
    net = network("linear", dtype="float32")
    x = np.random.default_rng(0).uniform(-1, 1, (2000, 5)).astype("float32")
    for epsilon in (0.1, 0.3):
        low, high = pixel_box(Twin(net), x, epsilon)
        attacked = np.clip(x + np.float32(epsilon), -1, 1)
        assert attacked.dtype == "float32"
        assert (attacked <= high).all()
        assert (np.clip(x - np.float32(epsilon), -1, 1) >= low).all()
        assert (high - low <= 2 * epsilon + 1e-6).all()
