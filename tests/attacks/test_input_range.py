"""Attacks refuse images outside the network's input range, which every copy of a network keeps."""

import numpy as np
import pytest

import minirobust as mr

ATTACKS = {
    name: getattr(mr.attacks, name)
    for name in ("fgsm", "fgvm", "pgd", "apgd", "noise", "square", "pixel", "brute_force_pixel", "greedy_pixel")
}
RANGES = [(0.0, 1.0), (-1.0, 1.0), (-0.5, 3.0)]


def network(backend, input_range):
    return mr.Network([mr.Flatten(), mr.Dense(2)], (3, 3, 1), backend=backend, input_range=input_range)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
@pytest.mark.parametrize("input_range", RANGES)
def test_pixel_a_thousandth_outside_the_range_raises(attack, input_range):
    for pixel in (input_range[0] - 1e-3, input_range[1] + 1e-3):
        x = np.full((2, 3, 3, 1), np.mean(input_range), "float32")
        x[1, 2, 0, 0] = pixel
        with pytest.raises(ValueError, match="attack: expected pixels in"):
            attack(network("strict", input_range), x, np.array([0, 1]))


@pytest.mark.parametrize(
    "copied", [mr.Network.copy, lambda net: net.to("numpy", "float64"), lambda net: net.to("strict")]
)
@pytest.mark.parametrize("input_range", RANGES)
def test_copies_keep_the_input_range(copied, input_range):
    assert copied(network("numpy", input_range)).input_range == input_range


@pytest.mark.parametrize("input_range", RANGES)
def test_file_keeps_the_input_range(tmp_path, input_range):
    mr.save(tmp_path / "net.h5", network("numpy", input_range))
    assert mr.load(tmp_path / "net.h5", dtype="float64").network.input_range == input_range
