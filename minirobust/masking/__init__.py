"""`audit`: does a robustness figure describe the network, or an attack that failed?

A gradient that is zero, wrong or useless as a direction stops every attack that follows it, and the network looks
robust: its gradient is masked. `battery` says which attacks an audit runs, `evidence` runs each of them once, `checks`
looks for signs of masking in what they found, and `report` prints it. `zoo` has defences that mask their gradient.

Sources: Athalye et al. (2018), *Obfuscated Gradients Give a False Sense of Security*; Carlini et al. (2019), *On
Evaluating Adversarial Robustness*; Croce & Hein (2020), *Reliable Evaluation of Adversarial Robustness with an Ensemble
of Diverse Parameter-free Attacks*; Tramèr et al. (2020), *On Adaptive Attacks to Adversarial Example Defenses*; Yao et
al. (2021), *Automated Discovery of Adaptive Attacks on Adversarial Defenses*; Pintor et al. (2022), *Indicators of
Attack Failure*; Zimmermann et al. (2022), *Increasing Confidence in Adversarial Robustness Evaluations*.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from minirobust.attacks.attack import check_epsilon, under_attack
from minirobust.attacks.transfer import check_source
from minirobust.backend import Array
from minirobust.masking.battery import BUDGETS, Budget
from minirobust.masking.checks import CHECKS
from minirobust.masking.evidence import PIXEL_ATTACKS, Evidence, gather
from minirobust.masking.report import AuditReport, Check
from minirobust.measures import intervals
from minirobust.validation import check_seed

__all__ = ["BUDGETS", "CHECKS", "PIXEL_ATTACKS", "AuditReport", "Budget", "Check", "Evidence", "audit", "gather"]


def audit(
    model: Any,
    x: Array,
    y: Array,
    epsilon: float = 0.1,
    sources: Iterable[Any] = (),
    budget: Literal["quick", "full"] = "quick",
    *,
    seed: int = 0,
    progress: bool = False,
) -> AuditReport:
    """Attack a model in many ways, and judge whether its gradient can be trusted.

    Ten checks have three different findings: the gradient is masked, FGSM is too weak here, or PGD has not converged.
    `docs/audit.md` explains them and has measured margins.

    A model is random if it gives other logits for draw 1 than for draw 0. Its attacks then ascend the mean gradient of
    several draws, take all their steps, and are judged once, by a majority vote of 25 draws that they have not seen.
    What would tell of a single draw is not run: checks 1, 7, 9 and 10, and APGD.

    Parameters
    ----------
    model : Network or Model
        A network that ends in logits, or any other `Model`: see `minirobust.foreign`.
    x : ndarray of float, shape (N, *input_shape)
        Within the model's `input_range`. Take 500 or more: a difference of 0.01 is 5 of them.
    y : ndarray of int, shape (N,)
        True labels.
    epsilon : float, default 0.1
        Above 0, at most the width of the input range.
    sources : iterable of Network or Model
        Others for the same task, for example networks trained at other temperatures. Adversarial images are made on
        them and tried on this model.
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
    view, x, y, _ = under_attack(model, x, y)
    if check_epsilon(view, epsilon) == 0:
        raise ValueError("audit: expected epsilon above 0, got 0, at which no attack does anything")
    if budget not in tuple(BUDGETS):
        raise ValueError(f"audit: expected budget to be one of {', '.join(map(repr, BUDGETS))}, got {budget!r}")
    if not isinstance(sources, Iterable):
        raise TypeError(f"audit: expected sources to be networks in a list, got {sources!r}")
    sources = tuple(sources)
    for index, source in enumerate(sources):
        check_source(f"audit: sources[{index}]", source, model)
    seed = check_seed(seed)
    with np.errstate(all="ignore"):  # products of small gradients may underflow
        evidence = gather(view, x, y, float(epsilon), sources, BUDGETS[budget], seed, progress)
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
        random=evidence.random,
    )
