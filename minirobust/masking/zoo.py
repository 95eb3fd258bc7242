"""A zoo of broken defences: networks that look robust only because attacks on them fail.

Each defence is a layer or a way of training, and a function that trains a small network with it. The function's
docstring says what the defence hides, and how it is broken. `docs/explanation/audit.md` shows the audit of each, which
`tests/benchmarks/zoo.py` prints.

A layer's `input_gradient` is the one that its author would write. Where it is useless to an attack, the layer also has
a `smoothed_gradient`, which `minirobust.attacks.annealed` uses. Both belong to the same forward pass, which decides
whether an image fools the network.

Sources: Athalye et al. (2018), *Obfuscated Gradients Give a False Sense of Security*, and Tramèr et al. (2020), *On
Adaptive Attacks to Adversarial Example Defenses*, who break most of these defences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minirobust.arguments import Argument
from minirobust.backend import Array, Backend
from minirobust.layers import Dense, Dropout, Flatten, Layer, TemperatureSigmoid
from minirobust.layers.activations import WIDTH
from minirobust.layers.layer import Shape
from minirobust.losses import SoftmaxCrossEntropy
from minirobust.network import Network
from minirobust.optimizers import Adam
from minirobust.samples import batches
from minirobust.training import fit
from minirobust.validation import number, positive_int


@dataclass(frozen=True)
class Defence:
    """A defence, and what exposes it.

    Attributes
    ----------
    build : callable
        ``build(data, seed=0, *, backend="numpy", epochs=...)`` returns a network trained on images of 28 × 28 pixels in
        ten classes. `data` is what `minirobust.fit` takes.
    flagged_by : tuple of int
        The checks of `minirobust.audit` that flag it: on 500 test images, after training with seeds 0, 1 and 2, with
        images transferred from a network without a defence.
    random : bool
        Whether the network draws random numbers when it predicts. Its prediction is then a majority vote of several
        draws, see `minirobust.attacks.voting`.
    """

    build: Callable[..., Network]
    flagged_by: tuple[int, ...] = ()
    random: bool = False


def trained(layers: Sequence[Layer], data: Any, seed: int, backend: str | Backend, epochs: int, lr: float) -> Network:
    """Return a network of these layers, trained with Adam on cross entropy."""
    network = Network(layers, (28, 28, 1), backend, seed=seed)
    fit(network, Adam(network, lr), data, epochs, seed=seed, progress=False)
    return network


# The loss has no gradient


class Scale(Layer):
    """y = factor · x.

    Parameters
    ----------
    factor : float
        Above 0.
    """

    factor = Argument(number, low=0)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def forward(self, x: Array) -> Array:
        return self.factor * x

    def input_gradient(self, grad_y: Array) -> Array:
        return self.factor * grad_y


def large_logits(data: Any, seed: int = 0, *, backend: str | Backend = "numpy", epochs: int = 20) -> Network:
    """Train as usual, then multiply the logits by 10⁶.

    This is our own example. No prediction changes, so nothing is defended. But the softmax of such large logits rounds
    to 0 and 1, so the gradient of cross entropy rounds to 0.

    The gradient of the margin between two logits only becomes larger. The factor does not affect an attack on `Margin`,
    `DLR` or `ScaleFree`.
    """
    scale = Scale(1)
    layers = [Flatten(), Dense(256), TemperatureSigmoid(1), Dense(10), scale]
    network = trained(layers, data, seed, backend, epochs, lr=1e-3)
    scale.factor = 1e6
    return network


def defensive_distillation(data: Any, seed: int = 0, *, backend: str | Backend = "numpy", epochs: int = 20) -> Network:
    """Train a student on a teacher's probabilities at temperature 50, and use it at temperature 1.

    Papernot et al. (2016), *Distillation as a Defense to Adversarial Perturbations*. Both networks are trained with the
    softmax of logits / 50, so both learn logits that are about fifty times as large as usual. The student is used
    without the division. Its softmax rounds to 0 and 1 for most images, as that of `large_logits` does.

    Carlini & Wagner (2016), *Defensive Distillation Is Not Robust to Adversarial Examples*, divide the logits by the
    temperature again. Neither `Margin` nor `ScaleFree` needs to know it.
    """
    lr = 5e-3  # the logits must grow fifty times as large in the same number of epochs
    layers = [Flatten(), Dense(256), TemperatureSigmoid(1), Dense(10), Scale(1 / 50)]
    teacher = trained(layers, data, seed, backend, epochs, lr)
    scale = Scale(1 / 50)
    layers = [Flatten(), Dense(256), TemperatureSigmoid(1), Dense(10), scale]
    student = Network(layers, (28, 28, 1), backend, seed=seed + 1)
    optimizer = Adam(student, lr)
    for epoch in range(1, epochs + 1):
        for x, _ in batches(student, data, seed=seed, epoch=epoch):
            p = student.backend.softmax(student.forward(x))
            student.backward((p - teacher.predict_proba(x)) / len(x), input_gradient=False)
            optimizer.step()
    scale.factor = 1
    return student


# The units are saturated


def low_temperature(data: Any, seed: int = 0, *, backend: str | Backend = "numpy", epochs: int = 20) -> Network:
    """Train at temperature 1/64.

    Bečková, Pócoš & Farkaš (2020), the study that this library reproduces. At a low temperature, a sigmoid acts as a
    threshold unit, and its derivative is close to 0 unless its net value is close to 0. FGSM follows the few units with
    such net values, but after its step these are different units.

    `minirobust.attacks.annealed` takes the derivative at a higher temperature, which falls from step to step, so that
    all units contribute.
    """
    layers = [Flatten(), Dense(256), TemperatureSigmoid(1 / 64), Dense(10)]
    return trained(layers, data, seed, backend, epochs, lr=1e-3)


def cooled(data: Any, seed: int = 0, *, backend: str | Backend = "numpy", epochs: int = 20) -> Network:
    """Train at temperature 1, then predict at temperature 1/64.

    This is our own example. Few predictions change. Like `low_temperature`, it hides the gradient and is broken in the
    same way, although nothing was learned at that temperature.
    """
    sigmoid = TemperatureSigmoid(1)
    network = trained([Flatten(), Dense(256), sigmoid, Dense(10)], data, seed, backend, epochs, lr=1e-3)
    sigmoid.temperature = 1 / 64
    return network


def saturation_penalty(data: Any, seed: int = 0, *, backend: str | Backend = "numpy", epochs: int = 100) -> Network:
    """Train with a penalty on units that are not saturated: Σ f (1 - f) over the hidden units f.

    Nayebi & Ganguli (2017), *Biologically Inspired Protection of Deep Networks from Adversarial Attacks*. The penalty
    drives net values to the flat parts of the sigmoid, which hides the gradient as a low temperature does.

    Brendel & Bethge (2017), *Comment on "Biologically Inspired Protection of Deep Networks from Adversarial Attacks"*,
    show that the published robustness came from gradients lost to rounding. The derivative of `TemperatureSigmoid` does
    not round to 0, so here PGD fools it more often than FGSM, and `annealed` more often still.
    """
    hidden, sigmoid, output = Dense(256), TemperatureSigmoid(1), Dense(10)
    network = Network([Flatten(), hidden, sigmoid, output], (28, 28, 1), backend, seed=seed)
    optimizer, loss = Adam(network, lr=5e-3), SoftmaxCrossEntropy()
    for epoch in range(1, epochs + 1):
        weight = epoch / epochs  # at full weight from the start, units saturate before they have learned anything
        for x, y in batches(network, data, seed=seed, epoch=epoch):
            _, grad = loss.value_and_gradient(network.forward(x), y)
            output.parameter_gradients(grad)
            grad = sigmoid.input_gradient(output.input_gradient(grad))
            # f' = f (1 - f) at T = 1, so the derivative of the penalty is f' (1 - 2f) = -f' tanh(net/2).
            penalty = -network.backend.sigmoid_derivative(sigmoid.net, 1) * network.xp.tanh(sigmoid.net / 2)
            hidden.parameter_gradients(grad + weight * penalty)
            network.gradients /= len(x)
            optimizer.step()
    return network


# The function has no slope, or the wrong one


class KWinnersTakeAll(Layer):
    """y = x for the k largest values of a sample, and 0 for the others.

    Parameters
    ----------
    k : int
        Below the number of features. If several values are the k-th largest, all of them win.

    Attributes
    ----------
    x, least : ndarray of shape (N, features) and (N, 1)
        The last input, and the k-th largest value of each sample.
    between : ndarray of shape (N, 1)
        The midpoint between that value and the next smaller one.
    """

    saved = ("x", "least", "between")
    is_activation = True
    k = Argument(positive_int)

    def __init__(self, k: int) -> None:
        self.k = k

    def build(self, input_shape: Shape) -> Shape:
        self.expect(len(input_shape) == 1 and self.k < input_shape[0], f"more than {self.k} features", input_shape)
        return input_shape

    def forward(self, x: Array) -> Array:
        rank, samples = x.argsort(axis=1), self.xp.arange(len(x))
        self.x, self.least = x, x[samples, rank[:, -self.k]][:, None]
        self.between = (self.least + x[samples, rank[:, -self.k - 1]][:, None]) / 2
        return x * (x >= self.least)

    def input_gradient(self, grad_y: Array) -> Array:
        return grad_y * (self.x >= self.least)

    def smoothed_gradient(self, grad_y: Array, amount: float) -> Array:
        """Return the gradient with the step replaced by a sigmoid of a value's distance from winning."""
        if amount == 0:
            return self.input_gradient(grad_y)
        return grad_y * self.backend.sigmoid(self.x - self.between, WIDTH * amount)


def k_winners_take_all(data: Any, seed: int = 0, *, backend: str | Backend = "numpy", epochs: int = 20) -> Network:
    """Train with `KWinnersTakeAll` in place of an activation, in two layers of 256 units with 16 winners each.

    Xiao, Zhong & Zheng (2020), *Enhancing Adversarial Defense by k-Winners-Take-All*. When the image changes a little,
    other units win, and the output jumps. The gradient is exact, but only up to the next jump, so it does not describe
    the loss at the distances that an attack explores.

    Tramèr et al. (2020) estimate the gradient from losses at many noisy images. Here `smoothed_gradient` includes the
    units that are about to win. The attack converges slowly and needs `apgd`, several starts and every target.
    """
    layers = [Flatten(), Dense(256), KWinnersTakeAll(16), Dense(256), KWinnersTakeAll(16), Dense(10)]
    return trained(layers, data, seed, backend, epochs, lr=1e-3)


class Quantize(Layer):
    """y = x, rounded to one of `levels` values from 0 to 1.

    Its gradient is 0, except at the jumps, where there is none.

    Parameters
    ----------
    levels : int
        At least 2.
    """

    levels = Argument(positive_int)

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def build(self, input_shape: Shape) -> Shape:
        self.expect(self.levels >= 2, "at least 2 levels", self.levels)
        return input_shape

    def forward(self, x: Array) -> Array:
        steps = self.levels - 1
        return (steps * x + 0.5) // 1 / steps

    def input_gradient(self, grad_y: Array) -> Array:
        return self.xp.zeros_like(grad_y)

    def smoothed_gradient(self, grad_y: Array, amount: float) -> Array:
        """Return the gradient of y = x, which the staircase approximates."""
        return grad_y if amount > 0 else self.input_gradient(grad_y)


def eight_levels(data: Any, seed: int = 0, *, backend: str | Backend = "numpy", epochs: int = 20) -> Network:
    """Train on images that are rounded to 8 grey levels.

    Xu, Evans & Qi (2018), *Feature Squeezing*, who use it to detect attacks. Rounding hides the gradient completely,
    so an attack that follows it does not move.

    Athalye et al. (2018) take the gradient of the identity instead (backward pass differentiable approximation). Square
    breaks the defence without any gradient, and so do images made on a network that does not round.
    """
    layers = [Quantize(8), Flatten(), Dense(256), TemperatureSigmoid(1), Dense(10)]
    return trained(layers, data, seed, backend, epochs, lr=1e-3)


class Thermometer(Layer):
    """Channels y_k = 1 if x > k / levels, else 0, for k = 0 ... levels - 1: (H, W, C) → (H, W, C · levels).

    Its gradient is 0, except at the jumps, where there is none.

    Parameters
    ----------
    levels : int

    Attributes
    ----------
    x : ndarray
        The last input.
    thresholds : ndarray of shape (levels,)
    """

    saved = ("x",)
    levels = Argument(positive_int, fixed=True)

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def build(self, input_shape: Shape) -> Shape:
        self.thresholds = self.xp.arange(self.levels).astype(self.dtype) / self.levels
        return (*input_shape[:-1], input_shape[-1] * self.levels)

    def forward(self, x: Array) -> Array:
        self.x = x
        return (x[..., None] > self.thresholds).astype(x.dtype).reshape(len(x), *self.output_shape)

    def input_gradient(self, grad_y: Array) -> Array:
        return self.xp.zeros_like(self.x)

    def smoothed_gradient(self, grad_y: Array, amount: float) -> Array:
        """Return the gradient of y_k = 1 / (1 + exp(-(x - k / levels) / amount)), a gentle step."""
        if amount == 0:
            return self.input_gradient(grad_y)
        slope = self.backend.sigmoid_derivative(self.x[..., None] - self.thresholds, amount)
        return (grad_y.reshape(slope.shape) * slope).sum(axis=-1)


def thermometer_code(data: Any, seed: int = 0, *, backend: str | Backend = "numpy", epochs: int = 20) -> Network:
    """Train on a code of 8 bits for each pixel, with 64 hidden units.

    Buckman et al. (2018), *Thermometer Encoding: One Hot Way To Resist Adversarial Examples*. The code is another
    way of rounding to levels, and hides the gradient as `eight_levels` does.

    Athalye et al. (2018) replace each bit's step by a slope in the backward pass, as `smoothed_gradient` does.
    """
    layers = [Thermometer(8), Flatten(), Dense(64), TemperatureSigmoid(1), Dense(10)]
    return trained(layers, data, seed, backend, epochs, lr=1e-3)


class Staircase(Layer):
    """y = Σ_k (1 + tanh(slope · (x - t_k))) / 2n, with n = levels - 1 and t_k = (k + 1/2) / n for k = 0 ... n - 1.

    A `Quantize` that can be differentiated. The derivative is computed as 1 - tanh², as in most textbooks.

    Parameters
    ----------
    levels : int
        At least 2.
    slope : float
        Above 0.

    Attributes
    ----------
    x : ndarray
        The last input.
    thresholds : tuple of float
        The t_k.
    """

    saved = ("x",)
    levels = Argument(positive_int, fixed=True)
    slope = Argument(number, low=0)

    def __init__(self, levels: int, slope: float) -> None:
        self.levels, self.slope = levels, slope

    def build(self, input_shape: Shape) -> Shape:
        self.expect(self.levels >= 2, "at least 2 levels", self.levels)
        self.thresholds = tuple((k + 0.5) / (self.levels - 1) for k in range(self.levels - 1))
        return input_shape

    def forward(self, x: Array) -> Array:
        self.x = x
        return sum((1 + self.xp.tanh(self.slope * (x - t))) / 2 for t in self.thresholds) / len(self.thresholds)

    def input_gradient(self, grad_y: Array) -> Array:
        slopes = (1 - self.xp.tanh(self.slope * (self.x - t)) ** 2 for t in self.thresholds)
        return grad_y * (self.slope / 2 / len(self.thresholds) * sum(slopes))

    def smoothed_gradient(self, grad_y: Array, amount: float) -> Array:
        """Return the gradient of y = x, which the staircase approximates."""
        return grad_y if amount > 0 else self.input_gradient(grad_y)


def tanh_staircase(data: Any, seed: int = 0, *, backend: str | Backend = "numpy", epochs: int = 20) -> Network:
    """Train on images that are rounded to 8 levels by a smooth `Staircase` of slope 400.

    This is our own example. The gradient's formula is right, and `gradcheck` finds nothing. But 1 - tanh² rounds to 0
    where tanh rounds to 1: in float32 further than 0.023 from every step, where most pixels are. The equivalent
    4 e / (1 + e)² with e = exp(-2 · slope · |x - t|) does not round to 0. With it, FGSM alone breaks the defence.

    The gradient of the identity also breaks it, as it does `eight_levels`.
    """
    layers = [Staircase(8, slope=400), Flatten(), Dense(256), TemperatureSigmoid(1), Dense(10)]
    return trained(layers, data, seed, backend, epochs, lr=1e-3)


class Ripple(Layer):
    """y = x - height · sin(frequency · x).

    Parameters
    ----------
    height, frequency : float
        Above 0.

    Attributes
    ----------
    x : ndarray
        The last input.
    """

    saved = ("x",)
    height = Argument(number, low=0)
    frequency = Argument(number, low=0)

    def __init__(self, height: float, frequency: float) -> None:
        self.height, self.frequency = height, frequency

    def forward(self, x: Array) -> Array:
        self.x = x
        return x - self.height * self.xp.sin(self.frequency * x)

    def input_gradient(self, grad_y: Array) -> Array:
        return self.smoothed_gradient(grad_y, 0)

    def smoothed_gradient(self, grad_y: Array, amount: float) -> Array:
        """Return the gradient's mean over Gaussian noise on x, of standard deviation amount / 10."""
        damping = math.exp(-((self.frequency * amount / 10) ** 2) / 2)
        return grad_y * (1 - damping * self.height * self.frequency * self.xp.cos(self.frequency * self.x))


def ripple(data: Any, seed: int = 0, *, backend: str | Backend = "numpy", epochs: int = 20) -> Network:
    """Train on images of pixels x - 0.03 sin(80π x).

    This is our own example of what Athalye et al. (2018) call shattered gradients. The pixels hardly change, but the
    derivative 1 - 7.5 cos(80π x) varies between -6.5 and 8.5. It is -6.5 where x is 0 or 1, as most pixels of a digit
    are: the gradient is exact and large, and points in the wrong direction.

    Each wave is 0.025 long. The mean of the derivative over several waves is 1, which leads an attack in the right
    direction.
    """
    layers = [Ripple(0.03, 80 * math.pi), Flatten(), Dense(256), TemperatureSigmoid(1), Dense(10)]
    return trained(layers, data, seed, backend, epochs, lr=1e-3)


# The network is random


class GaussianNoise(Layer):
    """y = x + noise of standard deviation `sigma`, in training and in evaluation.

    Parameters
    ----------
    sigma : float
        Above 0.
    """

    sigma = Argument(number, low=0)

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def forward(self, x: Array) -> Array:
        # Box & Muller (1958). All numbers come from one call: a second call in draw k would repeat draw k + 1.
        uniform = self.random((2, *x.shape))
        normal = self.xp.sqrt(-2 * self.xp.log(1 - uniform[0])) * self.xp.cos(2 * math.pi * uniform[1])
        return x + self.sigma * normal

    def input_gradient(self, grad_y: Array) -> Array:
        return grad_y


class MonteCarloDropout(Dropout):
    """`Dropout` that also drops inputs in evaluation (Gal & Ghahramani, 2016)."""

    def forward(self, x: Array) -> Array:
        self.scale = (self.random(x.shape) >= self.rate).astype(x.dtype) / (1 - self.rate)
        return x * self.scale


def input_noise(data: Any, seed: int = 0, *, backend: str | Backend = "numpy", epochs: int = 20) -> Network:
    """Train and predict with Gaussian noise of standard deviation 0.3 on the image.

    Liu et al. (2018), *Towards Robust Neural Networks via Random Self-Ensemble*. The gradient is that of one draw, but
    the next prediction draws different noise. An attack that stops at the first image that fools has found a lucky
    draw, and a vote over other draws classifies most of its images correctly.

    Athalye et al. (2018) ascend the mean gradient over many draws (expectation over transformation, see
    `minirobust.attacks.expectation`). The attack must take all its steps, and be evaluated once, on fresh draws.
    """
    layers = [GaussianNoise(0.3), Flatten(), Dense(256), TemperatureSigmoid(1), Dense(10)]
    return trained(layers, data, seed, backend, epochs, lr=1e-3)


def dropout_at_test_time(data: Any, seed: int = 0, *, backend: str | Backend = "numpy", epochs: int = 20) -> Network:
    """Train and predict with dropout of 0.3 on the hidden units.

    Wang et al. (2018), *Defensive Dropout for Hardening Deep Neural Networks under Adversarial Attacks*. It hides
    the gradient and is broken in the same way as `input_noise`.
    """
    layers = [Flatten(), Dense(256), TemperatureSigmoid(1), MonteCarloDropout(0.3), Dense(10)]
    return trained(layers, data, seed, backend, epochs, lr=1e-3)


ZOO = {
    "defensive distillation": Defence(defensive_distillation, flagged_by=(1, 3, 4)),
    "k-winners-take-all": Defence(k_winners_take_all, flagged_by=(4, 9, 10)),
    "8 levels": Defence(eight_levels, flagged_by=(1, 3, 6, 7, 8, 9, 10)),
    "thermometer code": Defence(thermometer_code, flagged_by=(1, 3, 4, 5, 6, 7, 9, 10)),
    "tanh staircase": Defence(tanh_staircase, flagged_by=(1, 3, 4, 6, 7, 9, 10)),
    "ripple": Defence(ripple, flagged_by=(2, 3, 4, 5, 6, 7, 9, 10)),
    "logits × 10⁶": Defence(large_logits, flagged_by=(1, 3, 4)),
    "T = 1 at T = 1/64": Defence(cooled, flagged_by=(4, 9, 10)),
    "saturation penalty": Defence(saturation_penalty, flagged_by=(4, 5, 9, 10)),
    "T = 1/64": Defence(low_temperature, flagged_by=(4, 5, 9, 10)),
    "input noise": Defence(input_noise, random=True),
    "dropout at test time": Defence(dropout_at_test_time, random=True),
}
