"""Attacks against those of other libraries: FGSM and APGD image by image, PGD and Square by strength.

In float64, but for ART and CleverHans, which cast to float32.  Other libraries get the network from `mr.foreign`, and
the same weights in PyTorch as well, whose gradients know nothing of ours.
"""

import functools
import sys

import numpy as np
import pytest

import minirobust as mr

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

SAMPLES = 300

pytestmark = pytest.mark.usefixtures("one_torch_thread")


class InTorch(torch.nn.Module):
    """The network of `minirobust.models.mlp` with its weights, on images channels first."""

    def __init__(self, network):
        super().__init__()
        _, hidden, sigmoid, top = network.layers
        self.temperature = sigmoid.temperature
        values = (p.value for layer in (hidden, top) for p in layer.parameters)
        self.values = torch.nn.ParameterList(torch.tensor(value) for value in values)

    def forward(self, x):
        weight1, bias1, weight2, bias2 = self.values
        # torch.sigmoid's derivative is y (1 - y), zero in the tails; this one's is exact.
        net = (x.flatten(1) @ weight1 + bias1) / self.temperature
        return functional.logsigmoid(net).exp() @ weight2 + bias2


@functools.cache
def trained(temperature, digits):
    network = mr.models.mlp(temperature, hidden=48, dtype="float64")
    mr.fit(network, mr.Adam(network), digits, epochs=2)
    return network


@pytest.fixture
def x(digits):
    return digits.test.pixels(slice(SAMPLES), dtype="float64")


@pytest.fixture
def y(digits):
    return digits.test.labels[:SAMPLES]


def with_foolbox(attack, network, x, y, epsilon):
    """Images and who is fooled."""
    foolbox = pytest.importorskip("foolbox")
    model = mr.foreign.to_foolbox(network)
    _, images, fooled = attack(foolbox.attacks)(model, channels_first(x), torch.tensor(y), epsilons=epsilon)
    return channels_last(images), fooled.numpy()


def fgsm_of_torchattacks(network, x, y, epsilon):
    attack = pytest.importorskip("torchattacks").FGSM(mr.foreign.to_torch(network), eps=epsilon)
    return channels_last(attack(channels_first(x), torch.tensor(y)))


def fgsm_of_art(network, x, y, epsilon):
    evasion = pytest.importorskip("art.attacks.evasion")
    return evasion.FastGradientMethod(mr.foreign.to_art(network), eps=epsilon).generate(x.astype("float32"), y)


def fgsm_of_cleverhans(network, x, y, epsilon):
    attack = pytest.importorskip("cleverhans.torch.attacks.fast_gradient_method").fast_gradient_method
    module, pixels = mr.foreign.to_torch(network), channels_first(x).float()
    return channels_last(attack(module, pixels, epsilon, np.inf, clip_min=0, clip_max=1, y=torch.tensor(y)))


def channels_first(x):
    return torch.tensor(x.transpose(0, 3, 1, 2))


def channels_last(images):
    return images.detach().numpy().transpose(0, 2, 3, 1)


# A network and its weights in PyTorch are one model to other libraries


@pytest.mark.parametrize(
    "attack",
    [
        lambda attacks: attacks.LinfFastGradientAttack(),
        lambda attacks: attacks.LinfPGD(steps=5, random_start=False),
        lambda attacks: attacks.LinfDeepFoolAttack(steps=5),
        lambda attacks: attacks.L2CarliniWagnerAttack(steps=5, binary_search_steps=2),
    ],
    ids=["FGSM", "PGD", "DeepFool", "Carlini-Wagner"],
)
@pytest.mark.parametrize("temperature", [1 / 8, 1])
def test_foolbox_finds_the_same_images_on_the_network_as_on_its_weights(attack, temperature, digits, x, y):
    foolbox = pytest.importorskip("foolbox")
    network, x, y = trained(temperature, digits), x[:50], y[:50]
    weights = foolbox.PyTorchModel(InTorch(network).eval(), bounds=(0, 1), device="cpu")
    raw, images, fooled = attack(foolbox.attacks)(weights, channels_first(x), torch.tensor(y), epsilons=0.1)
    made, found = with_foolbox(attack, network, x, y, 0.1)
    np.testing.assert_allclose(made, channels_last(images), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found, fooled.numpy())
    assert abs(channels_last(raw) - x).max() > 0.01


@pytest.fixture
def in_art():
    """A function that makes ART's own classifier of a network's weights in PyTorch; images are channels first."""
    classification = pytest.importorskip("art.estimators.classification")

    def make(network):
        single = InTorch(network.to("numpy", "float32")).eval()
        loss = torch.nn.CrossEntropyLoss(reduction="sum")
        return classification.PyTorchClassifier(single, loss, (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu")

    return make


@pytest.mark.parametrize("temperature", [1 / 8, 1])
def test_art_gets_the_same_numbers_from_the_network_as_from_its_weights(temperature, in_art, digits, x, y):
    network, first = trained(temperature, digits), x.transpose(0, 3, 1, 2).astype("float32")
    ours, theirs, one_hot = mr.foreign.to_art(network), in_art(network), np.eye(10)[y]

    def agree(ours, theirs):
        np.testing.assert_allclose(ours, np.moveaxis(theirs, -3, -1), rtol=0, atol=1e-4 * abs(theirs).max())

    np.testing.assert_allclose(ours.predict(x), theirs.predict(first), rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours.compute_loss(x, y), theirs.compute_loss(first, y, "none"), rtol=0, atol=1e-4)
    assert ours.compute_loss(x, one_hot, "mean") == pytest.approx(ours.compute_loss(x, y).mean())
    agree(ours.loss_gradient(x, one_hot), theirs.loss_gradient(first, one_hot))
    np.testing.assert_array_equal(ours.loss_gradient(x, y), ours.loss_gradient(x, one_hot))
    for label in (None, 3, y[:20]):
        agree(ours.class_gradient(x[:20], label), theirs.class_gradient(first[:20], label))
    assert (ours.nb_classes, ours.input_shape, ours.channels_first) == (10, (28, 28, 1), False)
    np.testing.assert_array_equal(ours.clip_values, (0, 1))


@pytest.mark.parametrize(
    "attack",
    [
        lambda evasion, it: evasion.DeepFool(it, max_iter=5, verbose=False),
        lambda evasion, it: evasion.ProjectedGradientDescent(it, eps=0.1, max_iter=5, verbose=False),
        lambda evasion, it: evasion.AutoProjectedGradientDescent(
            it, eps=0.1, max_iter=5, nb_random_init=1, verbose=False
        ),
        lambda evasion, it: evasion.CarliniLInfMethod(it, max_iter=3, verbose=False),
        lambda evasion, it: evasion.HopSkipJump(it, max_iter=1, max_eval=20, init_eval=5, verbose=False),
    ],
    ids=["DeepFool", "PGD", "AutoPGD", "Carlini-Wagner", "HopSkipJump"],
)
def test_attacks_of_art_run_on_a_network(attack, digits, x, y):
    evasion = pytest.importorskip("art.attacks.evasion")
    network, x, y = trained(1, digits), x[:20], y[:20]
    np.random.seed(0)  # noqa: NPY002, their only way to a seed
    images = attack(evasion, mr.foreign.to_art(network)).generate(x.astype("float32"), np.eye(10)[y])
    assert images.shape == x.shape
    assert (network.predict(images) != y).mean() > (network.predict(x) != y).mean()


# Our attacks and theirs


@pytest.mark.parametrize("temperature", [1 / 64, 1 / 8, 1, 16])
@pytest.mark.parametrize("epsilon", [0.1, 0.3])
def test_fgsm_makes_the_images_of_foolbox(temperature, epsilon, digits, x, y):
    network = trained(temperature, digits)
    ours = mr.attacks.fgsm(network, x, y, epsilon)
    theirs, fooled = with_foolbox(lambda attacks: attacks.LinfFastGradientAttack(), network, x, y, epsilon)
    np.testing.assert_allclose(ours.images, theirs, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(ours.fooled, fooled)
    assert ours.fooled.mean() > 0.05


@pytest.mark.parametrize("temperature", [1 / 64, 1 / 8, 1, 16])
@pytest.mark.parametrize("epsilon", [0.1, 0.3])
def test_fgsm_makes_the_images_of_torchattacks(temperature, epsilon, digits, x, y):
    network = trained(temperature, digits)
    theirs = fgsm_of_torchattacks(network, x, y, epsilon)
    np.testing.assert_allclose(mr.attacks.fgsm(network, x, y, epsilon).images, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("theirs", [fgsm_of_art, fgsm_of_cleverhans])
@pytest.mark.parametrize("temperature", [1 / 64, 1 / 8, 1, 16])
def test_fgsm_in_float32_differs_only_where_the_gradient_is_zero_to_rounding(temperature, theirs, digits, x, y):
    network = trained(temperature, digits)
    gradient = abs(network.input_gradient(x, y))
    known = gradient > 1e-4 * gradient.max(axis=(1, 2, 3), keepdims=True)
    assert known.mean() > 0.7
    ours, images = mr.attacks.fgsm(network, x, y, 0.1).images, theirs(network, x, y, 0.1)
    np.testing.assert_allclose(ours[known], images[known], rtol=0, atol=1e-6)


@pytest.mark.parametrize("temperature", [1 / 64, 1 / 8, 1, 16])
def test_pgd_is_at_least_as_strong_as_that_of_foolbox(temperature, digits):
    """The same budget: two starts of 20 steps.  Theirs starts at random both times, ours once at x itself."""
    network, x, y = trained(temperature, digits), digits.test.pixels(dtype="float64"), digits.test.labels
    torch.manual_seed(0)
    theirs = np.zeros(len(y), bool)
    for _ in range(2):
        made = with_foolbox(lambda attacks: attacks.LinfPGD(rel_stepsize=2.5 / 20, steps=20), network, x, y, 0.1)
        theirs |= made[1]
    ours = mr.attacks.pgd(network, x, y, 0.1, steps=20, starts=2).fooled
    assert ours.mean() >= theirs.mean() - 0.01
    assert theirs.mean() > 0.1


def apgd_of_torchattacks(network, x, y, epsilon, offset):
    """Return the points of largest loss, these losses, and who is fooled, from the starts x + ε · offset.

    `check_oscillation` is replaced by the paper's two conditions.  Theirs counts the first step as a rise if its loss
    is above 0, halves the step size where the loss rose in exactly three quarters of the steps, and does not apply the
    second condition at the first checkpoint.
    """
    torchattacks = pytest.importorskip("torchattacks")
    start = np.clip(x + epsilon * offset, 0, 1)
    first, _ = mr.SoftmaxCrossEntropy().value_and_gradient(network.logits(start), y)

    class AsInThePaper(torchattacks.APGD):
        def check_oscillation(self, losses, j, k, best, k3=0.75):
            losses = np.concatenate([first[None], losses])[j - k + 1 : j + 2]
            return ((losses[1:] > losses[:-1]).sum(axis=0) < k3 * k) | ((j + 1 == k) & (best == first))

    attack = AsInThePaper(InTorch(network).eval(), eps=epsilon, steps=100)
    images, right, losses, _ = attack.attack_single_run(channels_first(x), torch.tensor(y))
    return channels_last(images), losses.numpy(), ~right.numpy()


@pytest.mark.parametrize("temperature", [1 / 64, 1 / 8, 1, 16])
def test_apgd_takes_the_steps_of_torchattacks(temperature, digits, x, y, rng, monkeypatch):
    """From one random start, which theirs stretches until it touches the surface of the ball."""
    network = trained(temperature, digits)
    offset = rng.uniform(-1, 1, x.shape)
    offset[:, 14, 14] = 1
    monkeypatch.setattr(torch, "rand", lambda shape: channels_first((offset + 1) / 2))
    monkeypatch.setattr(
        sys.modules["minirobust.attacks.pgd"], "_offset", lambda model, start, seed, chunk: offset[chunk]
    )
    torch.set_default_dtype(torch.float64)  # their step sizes and losses are of the default dtype
    try:
        images, losses, fooled = apgd_of_torchattacks(network, x, y, 0.05, offset)
    finally:
        torch.set_default_dtype(torch.float32)
    ours = mr.attacks.apgd(network, x, y, 0.05)
    np.testing.assert_array_equal(ours.fooled, fooled)
    assert 0.1 < fooled.mean() < 0.9
    np.testing.assert_allclose(ours.images[~fooled], images[~fooled], rtol=0, atol=1e-9)
    reached, _ = mr.SoftmaxCrossEntropy().value_and_gradient(network.logits(ours.images), y)
    np.testing.assert_allclose(reached[~fooled], losses[~fooled], rtol=1e-9)


@pytest.mark.parametrize("temperature", [1 / 64, 1 / 8, 1, 16])
def test_apgd_is_about_as_strong_as_that_of_torchattacks(temperature, digits, x, y):
    """As it comes, with all that their code does in another way."""
    torchattacks = pytest.importorskip("torchattacks")
    network = trained(temperature, digits)
    attack = torchattacks.APGD(InTorch(network).eval(), eps=0.05, steps=100)
    theirs = network.predict(channels_last(attack(channels_first(x), torch.tensor(y)))) != y
    ours = mr.attacks.apgd(network, x, y, 0.05).fooled
    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.03)
    assert theirs.mean() > 0.1


@pytest.mark.parametrize("temperature", [1 / 64, 1])
def test_square_is_at_least_as_strong_as_that_of_art(temperature, digits, x, y):
    network, x, y = trained(temperature, digits), x[:100], y[:100]
    evasion = pytest.importorskip("art.attacks.evasion")
    classifier = mr.foreign.to_art(network)
    attack = evasion.SquareAttack(classifier, eps=0.1, max_iter=300, nb_restarts=1, verbose=False)
    np.random.seed(0)  # noqa: NPY002, their only way to a seed
    images = attack.generate(x.astype(np.float32), np.eye(10)[y])
    theirs = network.predict(images) != y
    ours = mr.attacks.square(network, x, y, 0.1, queries=300).fooled
    assert ours.mean() >= theirs.mean() - 0.01
    assert theirs.mean() > 0.1
