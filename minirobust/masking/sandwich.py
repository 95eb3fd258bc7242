"""`Sandwich`: robustness within one ε lies between what is proven and what the strongest attack leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from minirobust.backend import Array
from minirobust.certify import Certificate, alpha_crown, ibp
from minirobust.certify.boxes import Twin
from minirobust.certify.certificate import expect_lines
from minirobust.measures import intervals
from minirobust.measures.intervals import Estimate
from minirobust.model import Model
from minirobust.stack import Evaluation

FIXED_COST, STEP_COST = 30, 4  # cost of α-CROWN per margin, in gradients, on the study's network


@dataclass(frozen=True)
class Prover:
    """A method of `certify` with its network and options, and its maximum cost per sample, in gradients."""

    certify: Callable[..., Certificate]
    cost: int

    def __call__(self, x: Array, y: Array, epsilon: float) -> Certificate:
        """Certify samples."""
        return self.certify(x, y, epsilon)


@dataclass(frozen=True)
class Sandwich:
    """Lower and upper bounds of the robustness within one ε, on the same samples. Arrays are on the host.

    Attributes
    ----------
    epsilon : float
    certified : ndarray of bool, shape (N,), or None
        Which samples are proven robust; None if there is no certificate for the model.
    fooled : ndarray of bool, shape (N,)
        Which samples some attack fools, at this ε or a smaller one.
    fgsm : ndarray of bool, shape (N,)
        Which samples FGSM fools at this ε.
    labels : ndarray of int, shape (N,)
    classes : int
    """

    epsilon: float
    certified: np.ndarray | None
    fooled: np.ndarray
    fgsm: np.ndarray
    labels: np.ndarray
    classes: int

    @property
    def lower(self) -> Estimate | None:
        """Lower bound of the network robustness, with its interval; None without a certificate."""
        return None if self.certified is None else self._left_by(~self.certified)

    @property
    def upper(self) -> Estimate:
        """Upper bound of the network robustness, with its interval."""
        return self._left_by(self.fooled)

    @property
    def against_fgsm(self) -> Estimate:
        """Robustness against FGSM alone, with its interval."""
        return self._left_by(self.fgsm)

    def _left_by(self, fooled: np.ndarray) -> Estimate:
        return intervals.network(fooled, self.labels, self.classes)


def prover(model: Model, steps: int) -> Prover | None:
    """Return the tightest certificate available for a model: α-CROWN, or IBP for other layers, or None."""
    if not isinstance(model, Evaluation):
        return None
    network = model.network
    try:
        twin = Twin(network)
    except TypeError:  # a custom layer without bounds
        return None
    margins = model.classes - 1
    try:
        expect_lines(twin)
    except TypeError:
        return Prover(partial(ibp, network), margins)
    return Prover(partial(alpha_crown, network, steps=steps), margins * (FIXED_COST + STEP_COST * steps))
