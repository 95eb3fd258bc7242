"""`to_art`: one of our networks for the attacks of the Adversarial Robustness Toolbox (ART)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust.foreign.answers import Answers
from minirobust.losses import SoftmaxCrossEntropy
from minirobust.model import Model
from minirobust.network import Network

if TYPE_CHECKING:
    from art.estimators.classification import BlackBoxClassifierNeuralNetwork


def to_art(network: Network | Model) -> BlackBoxClassifierNeuralNetwork:
    """Return a classifier for ART's attacks that gets logits, loss gradients and class gradients from a network.

    Like the network, it takes NumPy arrays, with images channels last.  ART computes in float32, whatever the network's
    dtype.

    Parameters
    ----------
    network : Network or Model
        A network must end in logits.

    Returns
    -------
    art.estimators.classification.BlackBoxClassifierNeuralNetwork
        With the methods ``loss_gradient`` (of cross entropy) and ``class_gradient`` (of the logits).

    Raises
    ------
    ImportError
        If ART or PyTorch, which ART imports, is not installed.
    ValueError, TypeError
        If a network does not end in logits, or an object is not a model.
    """
    try:
        from art.estimators.classification import BlackBoxClassifierNeuralNetwork
        from art.estimators.classification.classifier import ClassGradientsMixin
        from art.estimators.estimator import LossGradientsMixin
    except ImportError as error:  # ART's module and package have different names
        advice = "pip install torch adversarial-robustness-toolbox"
        raise ImportError(f"foreign.to_art: ART cannot be imported ({error}): {advice}") from None

    answers, loss = Answers(network), SoftmaxCrossEntropy()

    class NetworkClassifier(ClassGradientsMixin, LossGradientsMixin, BlackBoxClassifierNeuralNetwork):
        """A network with the interface that ART's attacks use."""

        def loss_gradient(self, x: np.ndarray, y: np.ndarray, **_: Any) -> np.ndarray:
            """Return the gradient of the cross entropy."""
            return answers.loss_gradient(x, _labels(y), loss)

        def compute_loss(self, x: np.ndarray, y: np.ndarray, reduction: str = "none", **other: Any) -> np.ndarray:
            """Return the cross entropy, (N,), or its "mean" or "sum"."""
            losses, _ = loss.value_and_gradient(answers.logits(x), _labels(y))
            return losses if reduction == "none" else getattr(losses, reduction)()

        def class_gradient(self, x: np.ndarray, label: Any = None, **_: Any) -> np.ndarray:
            """Return the gradients of all logits, (N, classes, *input_shape), or of one per sample, (N, 1, ...)."""
            labels = range(answers.classes) if label is None else [label]
            weights = (np.eye(answers.classes)[np.broadcast_to(label, len(x))] for label in labels)
            return np.stack([answers.gradient(x, w) for w in weights], axis=1)

    return NetworkClassifier(
        answers.logits,
        answers.input_shape,
        answers.classes,
        channels_first=False,
        clip_values=answers.input_range,
    )


def _labels(y: np.ndarray) -> np.ndarray:
    """Return ART's labels as integers, (N,); ART also passes them one-hot, (N, classes)."""
    return y.argmax(axis=1) if y.ndim == 2 else y
