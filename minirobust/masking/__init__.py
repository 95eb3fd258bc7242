"""`audit`: does a robustness figure describe the network, or an attack that failed?

If a gradient is zero, wrong or useless as a direction, every attack that follows it fails, and the network looks
robust: its gradient is masked. `battery` defines the attacks of an audit, `evidence` runs each of them once, `checks`
looks for signs of masking in the results, and `report` prints them. `zoo` contains defences that mask their gradient.

Sources: Athalye et al. (2018), *Obfuscated Gradients Give a False Sense of Security*; Carlini et al. (2019), *On
Evaluating Adversarial Robustness*; Croce & Hein (2020), *Reliable Evaluation of Adversarial Robustness with an Ensemble
of Diverse Parameter-free Attacks*; Tramèr et al. (2020), *On Adaptive Attacks to Adversarial Example Defenses*; Yao et
al. (2021), *Automated Discovery of Adaptive Attacks on Adversarial Defenses*; Pintor et al. (2022), *Indicators of
Attack Failure*; Zimmermann et al. (2022), *Increasing Confidence in Adversarial Robustness Evaluations*.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from minirobust.attacks.attack import check_epsilon, under_attack
from minirobust.attacks.transfer import check_source
from minirobust.backend import Array
from minirobust.masking.battery import BUDGETS, Budget
from minirobust.masking.checks import CHECKS
from minirobust.masking.evidence import PIXEL_ATTACKS, Evidence, bound, gather
from minirobust.masking.report import AuditReport, Check
from minirobust.masking.sandwich import Sandwich
from minirobust.measures import intervals
from minirobust.model import Model
from minirobust.validation import check_seed

__all__ = [
    "BUDGETS",
    "CHECKS",
    "PIXEL_ATTACKS",
    "AuditReport",
    "Budget",
    "Check",
    "Evidence",
    "Sandwich",
    "audit",
    "gather",
    "sandwiches",
]


def audit(
    model: Any,
    x: Array,
    y: Array,
    epsilon: float | Sequence[float] = (0.01, 0.02, 0.03, 0.05, 0.1),
    sources: Iterable[Any] = (),
    budget: Literal["quick", "standard", "full"] = "standard",
    *,
    seed: int = 0,
    progress: bool = False,
) -> AuditReport:
    """Attack a model in many ways, and decide whether its gradient can be trusted.

    Ten checks lead to three different findings: the gradient is masked, FGSM is too weak here, or PGD has not
    converged. `docs/explanation/audit.md` explains them and gives measured margins.

    A model is random if it gives different logits for draws 0 and 1. Attacks on it ascend the mean gradient of several
    draws, take all their steps, and are evaluated once, by a majority vote of 25 draws that they have not seen. Checks
    1, 7, 9 and 10 and APGD are not run, because they would describe only a single draw.

    Parameters
    ----------
    model : Network or Model
        A network that ends in logits, or any other `Model`: see `minirobust.foreign`.
    x : ndarray of float, shape (N, *input_shape)
        Within the model's `input_range`. Use 500 samples or more: a difference of 0.01 is only 5 of 500.
    y : ndarray of int, shape (N,)
        True labels.
    epsilon : float or sequence of float, default (0.01, 0.02, 0.03, 0.05, 0.1)
        Robustness is bounded from below and above within each ε; the checks use the largest. Each ε is above 0 and at
        most the width of the input range.
    sources : iterable of Network or Model
        Other models for the same task, for example networks trained at other temperatures. Adversarial images made on
        them are tested on this model.
    budget : {"quick", "standard", "full"}
        How much computation to spend: see `BUDGETS`, and `docs/explanation/audit.md` for the cost of each.
    seed : int, default 0
        Seed of all random draws.
    progress : bool, default False
        Whether to print the expected cost to standard error, and to show a progress bar if that is a terminal.

    Returns
    -------
    AuditReport

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong, before any attack runs; the message says what was expected.

    Examples
    --------
    >>> import numpy as np, minirobust as mr
    >>> net = mr.Network([mr.Dense(2)], input_shape=(3,))
    >>> x = np.random.default_rng(0).random((10, 3), dtype="float32")
    >>> report = mr.audit(net, x, net.predict(x), epsilon=0.1, budget="quick")
    >>> len(report.checks)
    10
    """
    view, x, y, _ = under_attack(model, x, y)
    epsilons, allowed = check_epsilons(view, epsilon), check_budget(budget)
    if not isinstance(sources, Iterable):
        raise TypeError(f"audit: expected sources to be networks in a list, got {sources!r}")
    sources = tuple(sources)
    for index, source in enumerate(sources):
        check_source(f"audit: sources[{index}]", source, model)
    seed = check_seed(seed)
    with np.errstate(all="ignore"):  # products of small gradients may underflow
        evidence = gather(view, x, y, epsilons, sources, allowed, seed, progress)
    judged = {name: (fooled, evidence.labels_of(name), evidence.classes) for name, fooled in evidence.fooled.items()}
    return AuditReport(
        checks=tuple(check(evidence) for check in CHECKS),
        robustness={name: intervals.network(*what) for name, what in judged.items()},
        by_class={name: intervals.by_class(*what) for name, what in judged.items()},
        fooled=evidence.fooled,
        sandwiches=evidence.sandwiches,
        pixel_samples=evidence.pixel_samples,
        labels=evidence.labels,
        epsilon=evidence.epsilon,
        budget=budget,
        seed=seed,
        random=evidence.random,
    )


def sandwiches(
    model: Any,
    x: Array,
    y: Array,
    epsilon: float | Sequence[float] = (0.01, 0.02, 0.03, 0.05, 0.1),
    budget: Literal["quick", "standard", "full"] = "standard",
    *,
    seed: int = 0,
) -> tuple[Sandwich, ...]:
    """Bound robustness from below and above within each ε, as `audit` does, but without its checks.

    Parameters
    ----------
    model, x, y, epsilon, budget, seed
        See `audit`.

    Returns
    -------
    list of Sandwich
        One for each ε.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.
    """
    view, x, y, _ = under_attack(model, x, y)
    epsilons, allowed, seed = check_epsilons(view, epsilon), check_budget(budget), check_seed(seed)
    with np.errstate(all="ignore"):  # products of small gradients may underflow
        return bound(view, x, y, epsilons, allowed, seed)


def check_budget(budget: Any) -> Budget:
    """Return the budget with this name; raise ValueError if there is none."""
    if budget not in tuple(BUDGETS):
        raise ValueError(f"audit: expected budget to be one of {', '.join(map(repr, BUDGETS))}, got {budget!r}")
    return BUDGETS[budget]


def check_epsilons(model: Model, epsilon: Any) -> list[float]:
    """Return every ε of an audit in ascending order.

    Raises
    ------
    ValueError, TypeError
        Unless they are one or more different numbers, each above 0 and at most the width of the input range.
    """
    several = sorted(float(check_epsilon(model, each)) for each in np.atleast_1d(epsilon).tolist())
    if not several or several[0] == 0 or len({*several}) < len(several):
        raise ValueError(f"audit: expected epsilon to be one or more different numbers above 0, got {epsilon}")
    return several
