"""`Attack`, the result of every attack, and what all attacks share: checks of arguments, chunks and targets.

The arithmetic of each attack is in its own file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from numbers import Real
from time import perf_counter
from typing import Any, Literal

import numpy as np

from minirobust import backend
from minirobust.attacks.history import History
from minirobust.backend import Array
from minirobust.cores import warn_of_busy_cores
from minirobust.losses import Loss, SoftmaxCrossEntropy
from minirobust.model import Effort, Given, Model, most_likely
from minirobust.network import Network
from minirobust.progress import counted
from minirobust.stack import Evaluation
from minirobust.tables import html_table
from minirobust.validation import check_batch, check_labels, check_loss

Epsilon = float | Array  # the largest change of a pixel: one number, or an array that broadcasts against the images
Target = Array | Literal["all"] | None


@dataclass(frozen=True)
class Attack:
    """Adversarial images and the network's predictions for them.

    Attributes
    ----------
    images : ndarray
        Of the shape of the attacked `x`, on the network's backend.
    predictions : ndarray of int, shape (N,)
        The network's classes for `images`, from a full forward pass; -1 where its logits are not finite.
    fooled : ndarray of bool, shape (N,)
        True where the prediction differs from the label, even if it already did before the attack.
    clean_correct : ndarray of bool, shape (N,)
        True where the network was right before the attack.
    epsilon : float or ndarray
        The largest change of a pixel that the attack was allowed to make.
    seed : int or None
        Seed of the random draws; None if the attack draws none.
    reached : ndarray of bool, shape (N,), or None
        True where the prediction is the class that a targeted attack aimed at; None without a target.
    queries : int
        How many images went through the model, including those for the final predictions.
    gradients : int
        For how many images a gradient was computed.
    seconds : float
    history : History or None
        The progress of the attack at each iterate, if requested.
    """

    images: Array
    predictions: Array
    fooled: Array
    clean_correct: Array
    epsilon: Epsilon
    seed: int | None = None
    reached: Array | None = None
    queries: int = 0
    gradients: int = 0
    seconds: float = 0.0
    history: History | None = None

    @classmethod
    def judge(
        cls,
        model: Model,
        x: Array,
        y: Array,
        images: Array,
        epsilon: Epsilon,
        seed: int | None = None,
        clean_predictions: Array | None = None,
        target: Target = None,
        history: History | None = None,
    ) -> Attack:
        """Return the result of an attack that turned `x` into `images`.

        An attack that already knows the predictions for `x` passes them, which saves a forward pass.
        """
        predictions = model.predict(images)
        if clean_predictions is None:
            clean_predictions = model.predict(x)
        if isinstance(target, str):
            target = model.xp.where(predictions != y, predictions, -1)  # any other class is one of all
        return cls(
            images=images,
            predictions=predictions,
            fooled=predictions != y,
            clean_correct=clean_predictions == y,
            epsilon=epsilon,
            seed=seed,
            reached=None if target is None else predictions == target,
            queries=model.effort.queries,
            gradients=model.effort.gradients,
            seconds=perf_counter() - model.effort.began,
            history=history,
        )

    def __repr__(self) -> str:
        fooled = int(backend.of(self.fooled).to_numpy(self.fooled).sum())
        epsilon = f"{self.epsilon:g}" if isinstance(self.epsilon, float) else "an array"
        text = f"Attack on {len(self.images)} images, epsilon={epsilon}, {fooled} fooled"
        return f"<{text}{without_logits(self.predictions)}>"

    def _repr_html_(self) -> str:
        to_numpy = backend.of(self.fooled).to_numpy
        shares = ((name, f"{to_numpy(mask).mean():.1%}") for name, mask in self._masks().items())
        effort = (
            ("queries", f"{self.queries:,}"),
            ("gradients", f"{self.gradients:,}"),
            ("seconds", f"{self.seconds:.1f}"),
        )
        rows = zip(*(("images", f"{len(self.images):,}"), *shares, *effort), strict=True)
        return html_table(rows, left=0, rules=(1,), caption=repr(self)[1:-1])

    def _masks(self) -> dict[str, Array]:
        """Return masks of the images whose shares a notebook shows."""
        return {"right before": self.clean_correct, "fooled": self.fooled}


def without_logits(predictions: Array) -> str:
    """Return a phrase that says how many predictions are -1; empty if there are none."""
    count = int((backend.of(predictions).to_numpy(predictions) < 0).sum())
    return f", {count} of them with NaN or infinite logits" if count else ""


def as_model(model: Any) -> Model:
    """Return a network as its `Evaluation`, and any other object as a `Model`, wrapped in `Given` if need be.

    Raises
    ------
    ValueError, TypeError
        If a network does not end in logits, or an object is not a model.
    """
    if isinstance(model, Network):
        model.expect_logits()
        model.check_states()
        return Evaluation(model)
    if not isinstance(model, Model):
        return Given(model)
    model = copy(model)
    model.effort = Effort()
    return model


def under_attack(model: Any, x: Array, y: Array, loss: Loss | None = None) -> tuple[Model, Array, Array, Loss]:
    """Check the arguments that all attacks share, and return what an attack works with.

    Pixels that rounding has put just outside the input range are clipped to it.

    Returns
    -------
    model : Model
        Of a network, its `Evaluation`.
    x, y : ndarray
        On the model's backend.
    loss : Loss
        Cross entropy if `loss` is None.

    Raises
    ------
    ValueError, TypeError
        If a network does not end in logits or an argument is wrong; the message says what was expected.
    """
    model = as_model(model)
    loss = SoftmaxCrossEntropy() if loss is None else loss
    check_loss(loss, model.classes)
    x = check_batch(x, model.input_shape, model.dtype, "attack", model.backend, finite=False)
    shape, to_numpy = (len(x), model.classes), model.backend.to_numpy
    y = check_labels(y, shape, model.backend)
    if not isinstance(y, np.ndarray):
        # Labels and pixels on a device are read as well: an attack can afford to wait for them, a training step cannot.
        check_labels(to_numpy(y), shape, model.backend)
    low, high = model.input_range
    least, most = (float(to_numpy(bound)) for bound in (x.min(), x.max()))
    slack = rounding(model)
    if not (low - slack <= least and most <= high + slack):  # written so that NaN and infinity are refused, too
        raise ValueError(f"attack: expected pixels in [{low:.9g}, {high:.9g}], got {least:.9g} to {most:.9g}")
    if least < low or most > high:
        x = model.xp.clip(x, low, high)
    warn_of_busy_cores(model.backend)
    return model, x, y, loss


def rounding(model: Network | Model) -> float:
    """Return how far rounding to float32 can move a number at an end of the input range."""
    return float(np.spacing(np.float32(max(map(abs, model.input_range)))))


def in_chunks(model: Model, samples: int, name: str, progress: bool) -> Iterable[slice]:
    """Return the model's chunks, and on request show a progress bar if the output is a terminal."""
    return counted(model.chunks(samples), samples, name, progress)


def where_right(model: Model, logits: Array, y: Array) -> Array:
    """Return the indices of the samples that are classified correctly, on the model's backend.

    The host must know how many there are, so each step of an attack waits for the device here, and nowhere else.
    """
    backend = model.backend
    return backend.asarray(np.flatnonzero(backend.to_numpy(most_likely(backend, logits) == y)))


def uniform(key: Sequence[int], samples: slice, shape: Sequence[int]) -> np.ndarray:
    """Draw numbers in [0, 1) for a chunk of samples, on the host.

    A sample's numbers depend only on the key and on its position in the call, so they are the same on every backend and
    for chunks of any size.

    Parameters
    ----------
    key : sequence of int
        Key of the random stream; the attack's seed comes first.
    samples : slice
        The samples' positions in the call.
    shape : sequence of int
        Shape of one sample's numbers.

    Returns
    -------
    ndarray of float64, shape (samples.stop - samples.start, *shape)
    """
    stream = np.random.PCG64(key)
    stream.advance(samples.start * math.prod(shape))  # every number takes one step of the stream
    return np.random.Generator(stream).random((samples.stop - samples.start, *shape))


def signs(model: Model, u: Array) -> Array:
    """Return -1 or 1, in the model's dtype, for numbers in [0, 1)."""
    return 2 * (u < 0.5).astype(model.dtype) - 1


def check_epsilon(model: Network | Model, epsilon: Epsilon, x: Array | None = None) -> Epsilon:
    """Check that `epsilon` is between 0 and the width of the input range, and return it.

    It is a number, or an array for the images `x`, which is returned in the shape of `x`, on the model's backend.

    Raises
    ------
    ValueError
        If it is not, or an array does not broadcast against `x`.
    """
    low, high = model.input_range
    width = high - low
    if isinstance(epsilon, Real) and not isinstance(epsilon, bool):
        number = float(epsilon)
        if not 0 <= number <= width + rounding(model):
            raise ValueError(f"attack: expected epsilon in [0, {width:.9g}], got {epsilon!r}")
        return min(number, width)
    if x is None or not hasattr(epsilon, "shape"):
        raise ValueError(f"attack: expected epsilon in [0, {width:.9g}], got {epsilon!r}")
    values = model.backend.to_numpy(epsilon)  # type: ignore[arg-type]
    try:
        shaped = np.broadcast_to(values, x.shape)
    except ValueError:
        shapes = f"(), {(len(x), *[1] * (x.ndim - 1))} or {x.shape[1:]}"
        raise ValueError(f"attack: expected epsilon of a shape such as {shapes}, got {values.shape}") from None
    if values.dtype.kind != "f" or not ((values >= 0) & (values <= width + rounding(model))).all():
        raise ValueError(f"attack: expected every epsilon in [0, {width:.9g}], got {values.min()} to {values.max()}")
    return model.backend.asarray(np.minimum(shaped, width).astype(model.dtype))


def part(epsilon: Epsilon, chunk: slice, standing: Any = slice(None)) -> Epsilon:
    """Return ε for some samples of a chunk; a number applies to all of them."""
    return epsilon if isinstance(epsilon, float) else epsilon[chunk][standing]


def rows(which: Array | tuple[Array, ...], *values: Any) -> tuple[Any, ...]:
    """Return the same rows of several arrays; a number or None applies to all samples and is returned as it is."""
    return tuple(value if value is None or isinstance(value, float) else value[which] for value in values)


# Targets


def by_chunks(
    model: Model,
    x: Array,
    y: Array,
    target: Target,
    attack: Callable[[Array, Array, Array | None, slice, Any, Array], None],
    name: str = "",
    progress: bool = False,
) -> Array:
    """Return the images that `attack` makes of `x`, chunk by chunk.

    Parameters
    ----------
    attack : callable
        Takes images, labels and targets of all or some of the samples of one chunk, then the chunk, which samples of it
        they are, and an array into which it writes the adversarial images.  With the target "all" it is called for
        every other class in turn, from the largest logit down, with the samples on which it has not succeeded yet.
    name, progress
        See `in_chunks`.
    """
    images = model.xp.empty(x.shape, dtype=x.dtype)
    for chunk in in_chunks(model, len(x), name, progress):
        if isinstance(target, str):
            images[chunk] = _all_targets(model, x[chunk], y[chunk], attack, chunk)
        else:
            aim = None if target is None else target[chunk]
            attack(x[chunk], y[chunk], aim, chunk, slice(None), images[chunk])
    return images


def _all_targets(model: Model, x: Array, y: Array, attack: Callable[..., None], chunk: slice) -> Array:
    """Return, for each sample of a chunk, the first image that fools the model over all targets, or else the last."""
    images, standing = x.copy(), model.xp.arange(len(x))
    for aim in other_classes(model, model.logits(x), y):
        adversarial = model.xp.empty((len(standing), *x.shape[1:]), dtype=x.dtype)
        attack(x[standing], y[standing], aim[standing], chunk, standing, adversarial)
        images[standing] = adversarial
        standing = standing[where_right(model, model.logits(adversarial), y[standing])]
        if not len(standing):
            break
    return images


def other_classes(model: Model, logits: Array, y: Array) -> list[Array]:
    """Return, for each sample, the classes other than its label by falling logit: an array (N,) for each rank."""
    label = model.xp.arange(model.classes) == y[:, None]
    order = model.xp.where(label, math.inf, -logits).argsort(axis=1, kind="stable")  # the true class is last
    return [order[:, rank] for rank in range(model.classes - 1)]


def where_missing(model: Model, logits: Array, y: Array, aim: Array | None) -> Array:
    """Return the indices of the samples on which an attack has not succeeded: wrong, or of class `aim`, is success."""
    if aim is None:
        return where_right(model, logits, y)
    backend = model.backend
    return backend.asarray(np.flatnonzero(backend.to_numpy(most_likely(backend, logits) != aim)))


def check_target(model: Model, target: Target, y: Array, loss: Loss) -> Target:
    """Check that `target` is None, "all", or a class other than the label for each sample, and return it.

    Raises
    ------
    ValueError, TypeError
        If it is not, or the loss needs more classes for a target.
    """
    if target is None:
        return None
    check_loss(loss, model.classes, targeted=True)
    if isinstance(target, str):
        if target != "all":
            raise ValueError(f"attack: expected target to be an array of classes or 'all', got {target!r}")
        return target
    target = check_labels(target, (len(y), model.classes), model.backend, "target")
    to_numpy = model.backend.to_numpy
    same = int((to_numpy(target) == to_numpy(y)).sum())
    if same:
        raise ValueError(f"attack: expected targets other than the labels, got {same} that are the same")
    return target
