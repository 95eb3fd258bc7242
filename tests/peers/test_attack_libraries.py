"""Attacks against other libraries on the same weights: FGSM image by image, PGD and Square by strength.

In float64, where PyTorch's gradients are good, but for ART and CleverHans, which cast to float32.
"""

import functools

import numpy as np
import pytest

import minirobust as mr

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

SAMPLES = 300


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """PyTorch's threads and NumPy's wait for each other in busy loops: on a loaded machine that takes minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
    model = foolbox.PyTorchModel(InTorch(network).eval(), bounds=(0, 1), device="cpu")
    _, images, fooled = attack(foolbox.attacks)(model, channels_first(x), torch.tensor(y), epsilons=epsilon)
    return channels_last(images), fooled.numpy()


def with_torchattacks(network, x, y, epsilon):
    torchattacks = pytest.importorskip("torchattacks")
    attack = torchattacks.FGSM(InTorch(network).eval(), eps=epsilon)
    return channels_last(attack(channels_first(x), torch.tensor(y)))


def in_art(network):
    """ART's attacks, and the network for them."""
    evasion = pytest.importorskip("art.attacks.evasion")
    from art.estimators.classification import PyTorchClassifier

    single = InTorch(network.to("numpy", "float32")).eval()
    loss = torch.nn.CrossEntropyLoss(reduction="sum")
    return evasion, PyTorchClassifier(single, loss, (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu")


def fgsm_of_art(network, x, y, epsilon):
    evasion, classifier = in_art(network)
    images = evasion.FastGradientMethod(classifier, eps=epsilon).generate(x.transpose(0, 3, 1, 2).astype("float32"), y)
    return images.transpose(0, 2, 3, 1)


def fgsm_of_cleverhans(network, x, y, epsilon):
    attack = pytest.importorskip("cleverhans.torch.attacks.fast_gradient_method").fast_gradient_method
    single = InTorch(network.to("numpy", "float32")).eval()
    made = attack(single, channels_first(x).float(), epsilon, np.inf, clip_min=0, clip_max=1, y=torch.tensor(y))
    return channels_last(made)


def channels_first(x):
    return torch.tensor(x.transpose(0, 3, 1, 2))


def channels_last(images):
    return images.detach().numpy().transpose(0, 2, 3, 1)


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
    theirs = with_torchattacks(network, x, y, epsilon)
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


@pytest.mark.parametrize("temperature", [1 / 64, 1])
def test_square_is_at_least_as_strong_as_that_of_art(temperature, digits, x, y):
    network, x, y = trained(temperature, digits), x[:100], y[:100]
    evasion, classifier = in_art(network)
    attack = evasion.SquareAttack(classifier, eps=0.1, max_iter=300, nb_restarts=1, verbose=False)
    np.random.seed(0)  # noqa: NPY002, their only way to a seed
    images = attack.generate(x.transpose(0, 3, 1, 2).astype(np.float32), np.eye(10)[y])
    theirs = network.predict(images.transpose(0, 2, 3, 1).astype(np.float64)) != y
    ours = mr.attacks.square(network, x, y, 0.1, queries=300).fooled
    assert ours.mean() >= theirs.mean() - 0.01
    assert theirs.mean() > 0.1
