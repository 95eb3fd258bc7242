"""`NonFiniteError`: NaN or infinity where finite numbers are needed."""

from __future__ import annotations

import numpy as np


class NonFiniteError(ArithmeticError):
    """Raised if training or a prediction produces NaN or infinity; the message says where it arose."""


def check_predictions(network: object, classes: np.ndarray) -> None:
    """Raise NonFiniteError if a sample has class -1, because its logits are not finite."""
    without = np.flatnonzero(classes < 0)
    if len(without):
        raise NonFiniteError(
            f"{network!r}: expected finite logits, got NaN or infinity for {len(without)} of {len(classes)} samples, "
            f"the first of them sample {without[0]}: `minirobust.trace` shows where they arise"
        )
