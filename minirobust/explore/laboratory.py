"""`Laboratory`: every number on the page, computed by the library's public functions.

A temperature is an exponent t: the page shows T' = 2^t T.  An ε is an index e into `EPSILONS`.  Answers are plain JSON
values; arrays are sent in base64.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minirobust import attacks, certify
from minirobust.attacks import Attack
from minirobust.gradients.trace import trace
from minirobust.layers import TemperatureSigmoid
from minirobust.losses import Loss, Margin, SoftmaxCrossEntropy
from minirobust.measures import intervals, regimes
from minirobust.network import Network
from minirobust.study.execution.sharpening import at_temperature

EXPONENTS = range(-6, 4)  # at 16 T, the shipped network reads only a quarter of the digits correctly
EPSILONS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3)
WALL = 20  # the number of digits that the page shows at once
STEPS = 40
CHUNK = 25  # samples that are certified between two calls of `check`
BARS = 49  # in the histogram of net values
Answer = dict[str, Any]


class CancelledError(Exception):
    """Raised in a computation whose result is no longer needed."""


class Interruptible:
    """A loss that calls `check` first. Attacks evaluate their loss in every step, so `check` can stop them."""

    def __init__(self, loss: Loss, check: Callable[[], None]) -> None:
        self.loss, self.check = loss, check

    def value_and_gradient(self, logits: Any, y: Any, target: Any = None) -> tuple[Any, Any]:
        """Return the loss and its gradient."""
        self.check()
        return self.loss.value_and_gradient(logits, y, target)


class Outcome(NamedTuple):
    """The union of several attacks: for every sample, the first image that fools the network, else the last one tried.

    Attributes
    ----------
    images : ndarray
    predictions : ndarray of int
    fooled : ndarray of bool
    """

    images: np.ndarray
    predictions: np.ndarray
    fooled: np.ndarray


def strongest(network: Network, x: np.ndarray, y: np.ndarray, epsilon: float, check: Callable[[], None]) -> Outcome:
    """Run the attacks one after the other, each on the samples that none has fooled so far."""
    cross_entropy, margin = (Interruptible(loss, check) for loss in (SoftmaxCrossEntropy(), Margin()))
    pgd = partial(attacks.pgd, network, epsilon=epsilon, steps=STEPS, starts=1)
    attempts: list[Callable[..., Attack]] = [
        partial(attacks.fgsm, network, epsilon=epsilon),
        partial(pgd, loss=margin, gradients=attacks.annealed()),
        partial(pgd, loss=cross_entropy, gradients=attacks.annealed()),
        partial(attacks.apgd, network, epsilon=epsilon, steps=STEPS, loss=margin),
    ]
    images, predictions = x.copy(), network.predict(x)
    for attempt in attempts if epsilon else ():
        standing = np.flatnonzero(predictions == y)
        if not len(standing):
            break
        check()
        made = attempt(x[standing], y[standing])
        images[standing], predictions[standing] = made.images, made.predictions
    return Outcome(images, predictions, predictions != y)


def certified(
    network: Network, x: np.ndarray, y: np.ndarray, epsilon: float, check: Callable[[], None]
) -> Iterator[np.ndarray]:
    """Yield for each chunk which samples are proven robust, by CROWN, or by IBP if a layer has no linear bounds."""
    for start in range(0, len(x), CHUNK):
        check()
        rows = slice(start, start + CHUNK)
        try:
            yield certify.crown(network, x[rows], y[rows], epsilon).certified
        except TypeError:
            yield certify.ibp(network, x[rows], y[rows], epsilon).certified


class Laboratory:
    """A trained network and the images on which it is measured at other temperatures.

    Parameters
    ----------
    network : Network
        Its last activation is a `TemperatureSigmoid`.
    x, y : ndarray
        Test images and their labels; the page shows the first `WALL` of them.
    """

    def __init__(self, network: Network, x: np.ndarray, y: np.ndarray) -> None:
        self.trained, self.x, self.y = network, x, y
        self.networks: dict[int, Network] = {}
        self.outcomes: dict[tuple[int, int], np.ndarray] = {}  # which images the strongest attack fools

    def network(self, t: int) -> Network:
        """Return the network at T' = 2^t T."""
        if t not in self.networks:
            self.networks[t] = at_temperature(self.trained, 2.0**t)
        return self.networks[t]

    # Curves, over all images

    def fgsm(self, t: int, e: int, check: Callable[[], None]) -> Answer:
        """Return accuracy and robustness against FGSM, each with its interval."""
        check()
        made = attacks.fgsm(self.network(t), self.x, self.y, EPSILONS[e])
        return {"t": t, "e": e, "clean": self.estimate(~made.clean_correct), "fgsm": self.estimate(made.fooled)}

    def strongest(self, t: int, e: int, check: Callable[[], None]) -> Answer:
        """Return robustness against the strongest attack."""
        return {"t": t, "e": e, "strongest": self.estimate(self.fooled(t, e, check))}

    def certificate(self, t: int, e: int, check: Callable[[], None]) -> Answer:
        """Return the share that is proven robust. No proof is tried for an image that an attack fools."""
        standing = np.flatnonzero(~self.fooled(t, e, check))
        proven = np.zeros(len(self.y), dtype=bool)
        if len(standing):
            chunks = certified(self.network(t), self.x[standing], self.y[standing], EPSILONS[e], check)
            proven[standing] = np.concatenate(list(chunks))
        return {"t": t, "e": e, "certificate": self.estimate(~proven)}

    def fooled(self, t: int, e: int, check: Callable[[], None]) -> np.ndarray:
        """Return which images the strongest attack fools, including those that were wrong before it."""
        if (t, e) not in self.outcomes:
            self.outcomes[t, e] = strongest(self.network(t), self.x, self.y, EPSILONS[e], check).fooled
        return self.outcomes[t, e]

    def estimate(self, fooled: np.ndarray) -> list[float]:
        """Return network robustness and the ends of its interval."""
        return rounded(intervals.network(fooled, self.y))

    # The twenty digits, and one digit

    def wall(self, t: int, e: int, check: Callable[[], None]) -> Answer:
        """Return the twenty digits after FGSM and after the strongest attack, with the predictions for them."""
        network, x, y = self.network(t), self.x[:WALL], self.y[:WALL]
        single = attacks.fgsm(network, x, y, EPSILONS[e])
        outcomes: dict[str, Attack | Outcome] = {
            "fgsm": single,
            "strongest": strongest(network, x, y, EPSILONS[e], check),
        }
        return {
            name: {"images": grey(made.images), "read": made.predictions.tolist()} for name, made in outcomes.items()
        }

    def default_digit(self) -> int:
        """Return the first digit that, at the lowest temperature, withstands FGSM but not the strongest attack."""
        wall = self.wall(EXPONENTS[0], EPSILONS.index(0.1), lambda: None)
        labels = self.y[:WALL]
        wanted = (np.array(wall["fgsm"]["read"]) == labels) & (np.array(wall["strongest"]["read"]) != labels)
        return int(wanted.argmax())  # 0 if there is none

    def digit(self, image: np.ndarray, label: int | None, t: int, e: int, check: Callable[[], None]) -> Answer:
        """Return everything that the page shows for one image.

        Parameters
        ----------
        image : ndarray of uint8, shape (28, 28, 1)
        label : int or None
            None for a drawing, whose class is unknown; the attacks then start from the network's prediction.
        """
        network = self.network(t)
        x = image[None].astype(network.dtype) / 255
        probabilities = network.predict_proba(x)[0]
        y = np.array([probabilities.argmax() if label is None else label])
        (gradient,) = network.input_gradient(x, y)
        zeros = float((gradient == 0).mean())
        largest = float(np.abs(gradient).max())
        outcomes: dict[str, Attack | Outcome] = {
            "fgsm": attacks.fgsm(network, x, y, EPSILONS[e]),
            "strongest": strongest(network, x, y, EPSILONS[e], check),
        }
        return {
            "label": int(y[0]),
            "probabilities": rounded(probabilities),
            "gradient": encoded(np.round(gradient / (largest or 1) * 127).astype("int8")),
            "largest": f"{largest:.2g}",  # it may be 1e-38
            "zeros": zeros,
            "passes": passes(network, x, y),
            **{
                name: {
                    "image": grey(made.images),
                    "probabilities": rounded(network.predict_proba(made.images)[0]),
                    "read": int(made.predictions[0]),
                }
                for name, made in outcomes.items()
            },
        }

    # Hidden units

    def units(self, t: int, check: Callable[[], None]) -> Answer:
        """Return the net values of the last hidden layer over all images, the sigmoid, its derivative, the regimes."""
        network = self.network(t)
        sigmoid = network.last_activation
        assert isinstance(sigmoid, TemperatureSigmoid)
        T, hidden = sigmoid.temperature, network.hidden(self.x)
        edge = float(np.quantile(np.abs(hidden), 0.998))  # a few are far outside
        counts, _ = np.histogram(hidden, BARS, (-edge, edge))
        net = np.linspace(-edge, edge, 401)
        derivative = network.backend.sigmoid_derivative(net, T)
        try:
            where: Answer = {"bounds": rounded(regimes.bounds(T)), "shares": rounded(regimes.fractions(hidden, T))}
        except ValueError as error:
            where = {"undefined": str(error)}
        return {
            "t": t,
            "temperature": regimes.temperature_label(T),
            "edge": edge,
            "counts": counts.tolist(),
            "sigmoid": rounded(network.backend.sigmoid(net, T)),
            "derivative": rounded(derivative * (4 * T)),  # as a share of the largest, 1/(4T)
            "slope": f"{1 / (4 * T):.3g}",
        } | where


def passes(network: Network, x: np.ndarray, y: np.ndarray) -> list[list[str]]:
    """Return the tracer's record of one forward and one backward pass: layer, array, shape, statistics.

    The passes leave their activations and gradients in `network`.
    """
    with trace(network) as record:
        logits = network.forward(x)
        _, gradient = SoftmaxCrossEntropy().value_and_gradient(logits, y)
        network.backward(gradient)
    return [
        [
            row.label,
            row.what,
            "×".join(
                map(str, row.shape[1:] if row.what.startswith(("output", "∂L/∂output", "∂L/∂input")) else row.shape)
            ),
            *(f"{number:.3g}" for number in (row.minimum, row.maximum, row.mean)),
            f"{row.zeros:.1%}",
        ]
        for row in sorted(record.rows, key=lambda row: row.layer)
    ]


def rounded(values: Any) -> list[float]:
    """Return numbers rounded to four digits."""
    return [float(f"{value:.4g}") for value in values]


def grey(images: np.ndarray) -> str:
    """Return images rounded to 8 bits, in base64: for display only, because rounding may change the prediction."""
    return encoded(np.round(images * 255).astype("uint8"))


def encoded(array: np.ndarray) -> str:
    """Return the bytes of an array in base64."""
    return base64.b64encode(array.tobytes()).decode("ascii")
