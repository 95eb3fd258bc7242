"""Random noise: every pixel moves by ε, half of them in each direction, and noise is weaker than FGSM."""

import numpy as np

import minirobust as mr


def test_every_pixel_moves_by_epsilon_half_of_them_upwards(backend, rng):
    net = mr.models.mlp(1.0, (8, 8, 1), hidden=4, backend=backend, dtype="float64")
    x = rng.uniform(0.2, 0.8, (50, 8, 8, 1))
    change = backend.to_numpy(mr.attacks.noise(net, x, rng.integers(0, 10, 50), 0.1).images) - x
    np.testing.assert_allclose(abs(change), 0.1, atol=1e-15)
    assert abs((change > 0).mean() - 0.5) < 0.03
    assert len(np.unique(change > 0, axis=0)) == 50  # every sample has signs of its own


def test_the_first_draw_that_fools_is_returned(backend, rng):
    """One feature with the border at 0.5: a sample is fooled by the sign upwards, which one draw in two has."""
    net = mr.Network([mr.Dense(2)], (1,), backend=backend, dtype="float64")
    net.layers[0].weight.value[...] = backend.asarray([[0.0, 1.0]])
    net.layers[0].bias.value[...] = backend.asarray([0.5, 0.0])
    x, y = np.full((400, 1), 0.45), np.zeros(400, int)
    to_numpy = backend.to_numpy
    for draws, share in ((1, 0.5), (2, 0.75), (12, 1)):
        made = mr.attacks.noise(net, x, y, 0.1, draws=draws)
        assert abs(to_numpy(made.fooled).mean() - share) < 0.06
        np.testing.assert_array_equal(to_numpy(made.images)[:, 0] > 0.5, to_numpy(made.fooled))


def test_noise_is_weaker_than_fgsm(trained, digits):
    x, y = digits.test.pixels(slice(300)), digits.test.labels[:300]
    noise, fgsm = (
        mr.robustness.network_robustness(attack(trained, x, y, 0.1).fooled, y)
        for attack in (mr.attacks.noise, mr.attacks.fgsm)
    )
    assert noise > fgsm + 0.3
