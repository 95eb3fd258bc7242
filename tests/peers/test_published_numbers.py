"""A sample of the published numbers, recomputed in PyTorch and float64 from the weights of the published networks.

Nothing here uses our layers, attacks or measures: formulas are written again from their definitions. The study ran in
float32, so an image on a decision boundary may fall on the other side; tolerances are a few such images.
"""

import csv
import gzip
import math
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from data_loaders import load_mnist

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

RESULTS = Path(__file__).parents[2] / "docs" / "results"
NETWORKS = Path(__file__).parent / "networks"  # written by save_networks.py
EPSILON, EPOCHS, CLASSES, AUDITED = 0.1, 100, 10, 1_000
# What DEFINITIONS prints: r1 and r2.
BOUNDS = {1 / 64: (0.080999, 0.183746), 1.0: (1.439931, 7.599902)}

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.skipif(not NETWORKS.exists(), reason="no published networks here"),
]


@pytest.fixture(scope="module")
def mnist(real_data):
    """The test images, (10000, 784) in [0, 1], and their labels."""
    test = load_mnist(real_data).test
    images = torch.tensor(test.images.reshape(len(test), -1) / 255.0)
    return images, torch.tensor(test.labels.astype("int64"))


class Published:
    """A published network at one temperature, with what several tests need of its answers on the test images."""

    def __init__(self, temperature, x, y):
        name = f"T{repr(temperature).removesuffix('.0')}-seed0.npz"
        with np.load(NETWORKS / name) as arrays:
            self.weights = [torch.tensor(arrays[each]).double() for each in ("weight1", "bias1", "weight2", "bias2")]
        self.temperature, self.x, self.y = temperature, x, y

    def net(self, x):
        weight, bias = self.weights[:2]
        return x @ weight + bias

    def logits(self, x):
        weight, bias = self.weights[2:]
        # The derivative of torch.sigmoid, y (1 - y), is 0 where y rounds to 1; that of this form is not.
        return functional.logsigmoid(self.net(x) / self.temperature).exp() @ weight + bias

    def correct(self, x, rows=slice(None)):
        return self.logits(x).argmax(dim=1) == self.y[rows]

    def gradient(self, x, y, loss):
        """Return ∂L/∂x of each image."""
        x = x.clone().requires_grad_()
        loss(self.logits(x), y).sum().backward()
        return x.grad

    @cached_property
    def input_gradient(self):
        return self.gradient(self.x, self.y, cross_entropy)


def apart(logits, y):
    """Return the logit of the true class, (N, 1), and the other logits, with -∞ for the true class."""
    return logits.gather(1, y[:, None]), logits.scatter(1, y[:, None], -math.inf)


def cross_entropy(logits, y):
    """Return log(1 + Σ exp(z_j - z_y)) over j ≠ y.

    The gradient of PyTorch's cross entropy has the term p_y - 1, in which float64, too, loses what is left of a margin
    above 30. At T = 1 FGSM then fools fewer images: it leaves 0.087 instead of 0.078.
    """
    true, others = apart(logits, y)
    return torch.logaddexp(torch.zeros(()).double(), (others - true).logsumexp(dim=1))


def margin(logits, y):
    """Return the largest logit of another class minus that of the true class."""
    true, others = apart(logits, y)
    return others.max(dim=1).values - true[:, 0]


@pytest.fixture(scope="module", params=BOUNDS, ids="T = {:g}".format)
def network(request, mnist):
    return Published(request.param, *mnist)


def stored(table, network, **where):
    """Return the rows of a stored table about a network, as float64 where they are numbers."""
    where = {"dataset": "mnist", "temperature": network.temperature, "seed": 0} | where
    with gzip.open(RESULTS / "tables" / f"{table}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if all(_is(row[name], value) for name, value in where.items())]
    assert rows, where
    return rows


def _is(text, value):
    return text == value if isinstance(value, str) else bool(text) and float(text) == value


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


def by_class(values, labels):
    """Return the mean over the images of each class."""
    return np.array([values[labels == c].double().mean() for c in range(CLASSES)])


def root(decreasing, low, high):
    """Return where a decreasing function is 0, by bisection."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if decreasing(middle) > 0 else (low, middle)
    return low


def bounds(temperature):
    """Return r1 and r2 from their definitions (DEFINITIONS, Regimes), without our closed forms."""

    def near_tangent(net):
        vertical = 0.5 + net / (4 * temperature) - 1 / (1 + math.exp(-net / temperature))
        return 0.05 - vertical / math.hypot(1, 1 / (4 * temperature))

    def steep(net):
        e = math.exp(-net / temperature)
        return e / (temperature * (1 + e) ** 2) - 0.0005

    return root(near_tangent, 0, 50 * temperature), root(steep, 0, 50 * temperature)


def test_bounds_of_the_regimes_equal_the_published_ones(network):
    np.testing.assert_allclose(bounds(network.temperature), BOUNDS[network.temperature], atol=5e-7)


def test_operation_in_the_regimes_is_close_to_the_published_one(network):
    r1, r2 = bounds(network.temperature)
    net = network.net(network.x).abs()
    linear, saturated = ((net <= r1).double().mean(), (net >= r2).double().mean())
    (row,) = stored("epochs", network, epoch=EPOCHS)
    found = [float(row[name]) for name in ("linear", "nonlinear", "saturated")]
    np.testing.assert_allclose(found, [linear, 1 - linear - saturated, saturated], atol=1e-5)


def test_accuracy_is_close_to_the_published_one(network):
    (row,) = stored("epochs", network, epoch=EPOCHS)
    accuracy = network.correct(network.x).double().mean()
    assert float(row["test_accuracy"]) == pytest.approx(float(accuracy), abs=2e-4)


def test_robustness_against_fgsm_is_close_to_the_published_one(network):
    attacked = (network.x + EPSILON * network.input_gradient.sign()).clamp(0, 1)
    (row,) = stored("network_robustness", network, epoch=EPOCHS, attack="FGSM", epsilon=EPSILON)
    robustness = by_class(network.correct(attacked), network.y).mean()
    assert float(row["robustness"]) == pytest.approx(robustness, abs=1e-3)


def test_median_of_the_input_gradient_of_each_class(network):
    magnitude = network.input_gradient.abs().mean(dim=1).numpy()
    medians = [np.median(magnitude[network.y.numpy() == c]) for c in range(CLASSES)]
    np.testing.assert_allclose(column(stored("gradients", network), "gradient_median"), medians, rtol=1e-3)


def test_success_of_the_attack_on_one_pixel(network):
    images, best = torch.arange(len(network.x)), network.input_gradient.abs().argmax(dim=1)
    robust = network.correct(network.x)
    for value in (0.0, 1.0):
        attacked = network.x.clone()
        attacked[images, best] = value
        robust &= network.correct(attacked)
    success = column(stored("pixels", network, pixels=1), "success")
    np.testing.assert_allclose(success, 1 - by_class(robust, network.y), atol=0.003)  # of about 1,000 images


@pytest.mark.slow
def test_robustness_against_pgd_is_close_to_the_published_one(network):
    """Run PGD as the audit does, 50 and then 100 steps on both losses from two starts, but with other random starts."""
    generator = torch.Generator().manual_seed(0)
    robust = network.correct(network.x[:AUDITED], slice(AUDITED))
    for steps in (50, 100):
        for loss in (cross_entropy, margin):
            for radius in (0.0, EPSILON):
                climb(network, robust, loss, steps, radius, generator)
    left = by_class(robust, network.y[:AUDITED]).mean()
    (row,) = stored("audit", network, attack="PGD", epsilon=EPSILON)
    assert float(row["robustness"]) == pytest.approx(left, abs=0.03)


def climb(network, robust, loss, steps, radius, generator):
    """Take the steps of PGD on the images that are still robust, and update which are."""
    images = robust.nonzero()[:, 0]
    x, y = network.x[images], network.y[images]
    attacked = x + radius * (2 * torch.rand(x.shape, generator=generator, dtype=torch.float64) - 1)
    attacked = attacked.clamp(0, 1)
    robust[images] &= network.correct(attacked, images)
    for _ in range(steps):
        step = 2.5 * EPSILON / steps * network.gradient(attacked, y, loss).sign()
        attacked = (attacked + step).clamp(x - EPSILON, x + EPSILON).clamp(0, 1)
        robust[images] &= network.correct(attacked, images)
