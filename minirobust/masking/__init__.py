"""`audit`: does a robustness figure describe the network, or an attack that failed?

A gradient that is zero, wrong or useless as a direction stops every attack that follows it, and the network looks
robust: its gradient is masked. `evidence` runs every attack once, `checks` looks for signs of masking in what the
attacks found, and `report` prints it.

Sources: Athalye et al. (2018), *Obfuscated Gradients Give a False Sense of Security*; Carlini et al. (2019), *On
Evaluating Adversarial Robustness*; Croce & Hein (2020), *Reliable Evaluation of Adversarial Robustness with an Ensemble
of Diverse Parameter-free Attacks*; Pintor et al. (2022), *Indicators of Attack Failure*.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

from minirobust.attacks.attack import check_epsilon, under_attack
from minirobust.attacks.transfer import check_source
from minirobust.backend import Array
from minirobust.masking.checks import CHECKS
from minirobust.masking.evidence import BUDGETS, PIXEL_ATTACKS, Budget, Evidence, gather
from minirobust.masking.report import AuditReport, Check
from minirobust.measures import intervals
from minirobust.network import Network
from minirobust.stack import Evaluation
from minirobust.validation import check_seed

__all__ = ["BUDGETS", "CHECKS", "PIXEL_ATTACKS", "AuditReport", "Budget", "Check", "Evidence", "audit", "gather"]


def audit(
    network: Network,
    x: Array,
    y: Array,
    epsilon: float = 0.1,
    sources: Iterable[Network] = (),
    budget: Literal["quick", "full"] = "quick",
    *,
    seed: int = 0,
    progress: bool = False,
) -> AuditReport:
    """Attack a network in many ways, and judge whether its gradient can be trusted.

    Nine checks have three different findings: the gradient is masked, FGSM is too weak here, or PGD has not converged.
    `docs/audit.md` explains them and has measured margins.

    Parameters
    ----------
    network : Network
        Ends in logits.
    x : ndarray of float, shape (N, *input_shape)
        Within the network's `input_range`.
    y : ndarray of int, shape (N,)
        True labels.
    epsilon : float, default 0.1
        Above 0, at most the width of the input range.
    sources : iterable of Network
        Other networks for the same task, for example trained at other temperatures. Adversarial images are made on
        them and tried on this network.
    budget : {"quick", "full"}
        How much to compute: see `BUDGETS`.
    seed : int, default 0
        Of all random draws.
    progress : bool, default False
        Whether to show progress bars in a terminal.

    Returns
    -------
    AuditReport

    Raises
    ------
    ValueError, TypeError
        Before anything runs, if an argument is wrong; the message says what was expected.
    """
    if not isinstance(network, Network):
        raise TypeError(f"audit: expected a Network, got {network!r}")
    if not isinstance(network, Network):
        raise TypeError(f"audit: expected a Network, got {network!r}")
    _, x, y, _ = under_attack(network, x, y)
    if check_epsilon(network, epsilon) == 0:
        raise ValueError("audit: expected epsilon above 0, got 0, at which no attack does anything")
    if budget not in tuple(BUDGETS):
        raise ValueError(f"audit: expected budget to be one of {', '.join(map(repr, BUDGETS))}, got {budget!r}")
    if not isinstance(sources, Iterable):
        raise TypeError(f"audit: expected sources to be networks in a list, got {sources!r}")
    sources = tuple(sources)
    for index, source in enumerate(sources):
        check_source(f"audit: sources[{index}]", source, network)
    seed = check_seed(seed)
    with np.errstate(all="ignore"):  # products of small gradients may underflow
        evidence = gather(Evaluation(network), x, y, float(epsilon), sources, BUDGETS[budget], seed, progress)
    judged = {name: (fooled, evidence.labels_of(name), evidence.classes) for name, fooled in evidence.fooled.items()}
    return AuditReport(
        checks=tuple(check(evidence) for check in CHECKS),
        robustness={name: intervals.network(*what) for name, what in judged.items()},
        by_class={name: intervals.by_class(*what) for name, what in judged.items()},
        fooled=evidence.fooled,
        pixel_samples=evidence.pixel_samples,
        labels=evidence.labels,
        epsilon=evidence.epsilon,
        budget=budget,
        seed=seed,
    )
