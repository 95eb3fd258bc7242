"""The rules for every attack: bounds, no side effects, the same result for any chunk size, clear errors."""

from functools import partial

import numpy as np
import pytest

import minirobust as mr
from minirobust.attacks.attack import uniform


def transferred(network, x, y, epsilon=0.1):
    return mr.attacks.transfer(network, network, x, y, partial(mr.attacks.fgsm, epsilon=epsilon))


ATTACKS = {
    "apgd": partial(mr.attacks.apgd, steps=8, starts=3),
    "fgsm": mr.attacks.fgsm,
    "fgvm": mr.attacks.fgvm,
    "noise": partial(mr.attacks.noise, draws=3),
    "pgd": partial(mr.attacks.pgd, steps=5, starts=3),
    "pgd on the margin": partial(mr.attacks.pgd, steps=5, loss=mr.Margin()),
    "pgd, smoothed": partial(mr.attacks.pgd, steps=2, gradients=mr.attacks.annealed()),
    "pgd, every target": partial(mr.attacks.pgd, steps=5, target="all"),
    "fgsm, every target": partial(mr.attacks.fgsm, target="all"),
    "square": partial(mr.attacks.square, queries=30),
    "transfer": transferred,
}
SEEDED = {name: ATTACKS[name] for name in ("noise", "pgd", "square")}


def each(attacks):
    return pytest.mark.parametrize("attack", attacks.values(), ids=attacks.keys())


@pytest.fixture
def net(backend):
    layers = [mr.Flatten(), mr.Dense(12), mr.TemperatureSigmoid(0.5), mr.Dropout(0.3), mr.Dense(3)]
    return mr.Network(layers, (5, 4, 2), backend=backend, dtype="float64", seed=1)


@pytest.fixture
def x(rng):
    return rng.random((40, 5, 4, 2))


@pytest.fixture
def y(net, x):
    """The predicted classes, except for every fifth sample: some are misclassified before the attack, most are not."""
    y = net.backend.to_numpy(net.predict(x)).copy()
    y[::5] = (y[::5] + 1) % 3
    return y


def same(to_numpy, one, other):
    """Whether two attacks agree: in whom they fool exactly, in images but for rounding."""
    np.testing.assert_array_equal(to_numpy(one.fooled), to_numpy(other.fooled))
    np.testing.assert_allclose(to_numpy(one.images), to_numpy(other.images), atol=1e-12)


@each(ATTACKS)
def test_epsilon_zero_is_the_identity(attack, net, x, y):
    to_numpy = net.backend.to_numpy
    made = attack(net, x, y, 0)
    np.testing.assert_array_equal(to_numpy(made.images), x)
    np.testing.assert_array_equal(to_numpy(made.fooled), ~to_numpy(made.clean_correct))


@each(ATTACKS)
def test_images_stay_within_epsilon_and_the_range(attack, net, x, y):
    for epsilon in (0.02, 0.3, 1):
        images = net.backend.to_numpy(attack(net, x, y, epsilon).images)
        assert images.min() >= 0
        assert images.max() <= 1
        assert 0 < abs(images - x).max() <= epsilon + 1e-15


@each(ATTACKS)
def test_images_stay_within_the_networks_input_range(attack, net, rng):
    net.input_range = (-2.0, 0.5)
    x = rng.uniform(-2, 0.5, (20, 5, 4, 2))
    images = net.backend.to_numpy(attack(net, x, net.predict(x), 2.0).images)
    assert images.min() >= -2
    assert images.max() <= 0.5
    assert abs(images - x).max() > 1


@each(ATTACKS)
def test_success_agrees_with_a_second_prediction(attack, net, x, y):
    to_numpy = net.backend.to_numpy
    made = attack(net, x, y, 0.2)
    predictions = to_numpy(net.predict(made.images))
    np.testing.assert_array_equal(to_numpy(made.predictions), predictions)
    np.testing.assert_array_equal(to_numpy(made.fooled), predictions != y)
    np.testing.assert_array_equal(to_numpy(made.clean_correct), to_numpy(net.predict(x)) == y)
    assert made.epsilon == 0.2


@each(ATTACKS)
def test_attack_leaves_the_network_and_the_images_unchanged(attack, net, x, y):
    to_numpy = net.backend.to_numpy
    net.gradients += 0.5
    net.training = True
    before = x.tobytes(), y.tobytes(), to_numpy(net.parameters).tobytes(), to_numpy(net.gradients).tobytes()
    draws = [layer.draws for layer in net.layers]
    attack(net, x, y)
    assert net.training
    assert (x.tobytes(), y.tobytes(), to_numpy(net.parameters).tobytes(), to_numpy(net.gradients).tobytes()) == before
    assert [layer.draws for layer in net.layers] == draws
    with pytest.raises(RuntimeError, match="backward before forward"):
        net.backward(np.zeros((len(x), 3)))


@each(ATTACKS)
def test_arrays_on_the_backend_are_not_changed(attack, net, x, y):
    """There `asarray` copies nothing, so an attack that wrote into its input would be seen here."""
    to_numpy = net.backend.to_numpy
    there = net.backend.asarray(x.copy()), net.backend.asarray(y.copy())
    same(to_numpy, attack(net, *there), attack(net, x, y))
    np.testing.assert_array_equal(to_numpy(there[0]), x)
    np.testing.assert_array_equal(to_numpy(there[1]), y)


@each(ATTACKS)
def test_result_does_not_depend_on_the_chunk_size(attack, net, x, y, pass_together):
    x, y = x[:16], y[:16]
    whole = attack(net, x, y)
    for size in (1, 7, 15):
        pass_together(net, size)
        same(net.backend.to_numpy, attack(net, x, y), whole)


@each(ATTACKS)
def test_result_for_a_sample_does_not_depend_on_the_others(attack, net, x, y):
    to_numpy = net.backend.to_numpy
    np.testing.assert_allclose(
        to_numpy(attack(net, x[:9], y[:9]).images), to_numpy(attack(net, x, y).images)[:9], atol=1e-12
    )


@each(ATTACKS)
def test_float32_images_stay_within_epsilon(attack, net, x, y):
    images = net.backend.to_numpy(attack(net.to(net.backend, "float32"), x, y, 0.1).images)
    assert images.dtype == np.float32
    assert abs(images - x.astype(np.float32)).max() <= 0.1 + 1e-7


@each(SEEDED)
def test_seed_determines_the_random_numbers(attack, net, x, y):
    to_numpy = net.backend.to_numpy
    first, again, other = (attack(net, x, y, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(to_numpy(first.images), to_numpy(again.images))
    assert (to_numpy(first.images) != to_numpy(other.images)).any()
    assert first.seed == 3


@each(SEEDED)
def test_every_backend_draws_the_same_numbers(attack, net, x, y):
    same(np.asarray, attack(net.to("numpy"), x, y), _home(net, attack(net, x, y)))


def _home(net, made):
    fields = ("images", "predictions", "fooled", "clean_correct")
    return mr.attacks.Attack(*(net.backend.to_numpy(getattr(made, field)) for field in fields), made.epsilon)


def test_random_numbers_depend_on_the_position_of_the_sample():
    whole = uniform((5, 1), slice(0, 20), (3, 2))
    np.testing.assert_array_equal(uniform((5, 1), slice(4, 11), (3, 2)), whole[4:11])
    assert whole.shape == (20, 3, 2)
    assert 0 <= whole.min() < 0.05 < 0.95 < whole.max() < 1
    assert (uniform((5, 2), slice(0, 20), (3, 2)) != whole).all()


@each(ATTACKS)
class TestErrors:
    @pytest.fixture
    def backend(self):
        """The backend that tells host arrays from its own: the checks are one code for all backends."""
        return mr.backend.get("strict")

    def test_wrong_epsilon_raises(self, attack, net, x, y):
        for epsilon in (-0.1, 1.1, float("nan"), float("inf"), True, "0.1", None):
            with pytest.raises(ValueError, match=r"expected epsilon in \[0, 1\], got"):
                attack(net, x, y, epsilon)

    def test_pixels_out_of_range_raise(self, attack, net, x, y):
        for value in (-0.25, 1.5):
            x[3, 1, 1, 0] = value
            for there in (x, net.backend.asarray(x)):
                with pytest.raises(ValueError, match=rf"expected pixels in \[0, 1\], got .*{value:g}"):
                    attack(net, there, y)

    def test_pixels_that_are_not_finite_raise(self, attack, net, x, y):
        x[3, 1, 1, 0] = np.nan
        for there in (x, net.backend.asarray(x)):
            with pytest.raises(ValueError, match="expected finite numbers|expected pixels"):
                attack(net, there, y)

    def test_labels_out_of_range_raise(self, attack, net, x, y):
        for label in (-1, 3):
            y[7] = label
            for there in (y, net.backend.asarray(y)):
                with pytest.raises(ValueError, match=f"labels: expected classes 0 to 2, got {label}"):
                    attack(net, x, there)

    def test_wrong_number_of_labels_raises(self, attack, net, x, y):
        with pytest.raises(ValueError, match=r"labels: expected shape \(40,\), one for each sample, got \(39,\)"):
            attack(net, x, y[1:])

    def test_empty_batch_raises(self, attack, net, x, y):
        with pytest.raises(ValueError, match="expected at least one sample, got an empty batch"):
            attack(net, x[:0], y[:0])

    def test_network_that_ends_in_softmax_raises(self, attack, x, y):
        net = mr.Network([mr.Flatten(), mr.Dense(3), mr.Softmax()], (5, 4, 2))
        with pytest.raises(ValueError, match="expected a network that ends in logits"):
            attack(net, x, y)


@pytest.mark.parametrize(
    ("attack", "name"),
    [
        ("apgd", "steps"),
        ("apgd", "starts"),
        ("pgd", "steps"),
        ("pgd", "starts"),
        ("noise", "draws"),
        ("square", "queries"),
    ],
)
def test_wrong_number_of_tries_raises(attack, name, net, x, y):
    for value in (0, -1, 1.5):
        with pytest.raises(ValueError, match=f"{attack}: expected {name} to be a whole number of at least 1, got"):
            getattr(mr.attacks, attack)(net, x, y, **{name: value})


@each(SEEDED)
def test_wrong_seed_raises(attack, net, x, y):
    with pytest.raises(ValueError, match="expected seed to be a whole number of at least 0, got -1"):
        attack(net, x, y, seed=-1)


def test_bound_that_float32_cannot_represent_is_respected(backend):
    """Normalized digits end at 2.8215, which float32 rounds upwards: the brightest pixel is no error."""
    net = mr.Network([mr.Dense(2)], (3,), backend=backend, input_range=(-0.4242, 2.8215))
    x = np.array([[-0.4242, 0, 2.8215]], np.float32)
    assert float(x.max()) > 2.8215
    again = mr.attacks.fgsm(net, mr.attacks.fgsm(net, x, [0], 0.5).images, [0], 0.5)
    assert backend.to_numpy(again.images).max() <= np.float32(2.8215)


@pytest.mark.parametrize("attack", [mr.attacks.apgd, mr.attacks.pgd, mr.attacks.square])
def test_progress_is_shown_only_in_a_terminal_and_changes_no_result(attack, net, x, y, capfd):
    same(net.backend.to_numpy, attack(net, x, y, progress=True), attack(net, x, y))
    assert capfd.readouterr() == ("", "")
