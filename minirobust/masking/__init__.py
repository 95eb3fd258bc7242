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
    """Attack a model in many ways, and judge whether its gradient can be trusted.

    Ten checks have three different findings: the gradient is masked, FGSM is too weak here, or PGD has not converged.
    `docs/explanation/audit.md` explains them and has measured margins.

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
    epsilon : float or sequence of float, default (0.01, 0.02, 0.03, 0.05, 0.1)
        Robustness is bounded from both sides within each; the checks are at the greatest. Above 0, at most the width of
        the input range.
    sources : iterable of Network or Model
        Others for the same task, for example networks trained at other temperatures. Adversarial images are made on
        them and tried on this model.
    budget : {"quick", "standard", "full"}
        How much to compute: see `BUDGETS`, and `docs/explanation/audit.md` for what each costs.
    seed : int, default 0
        Of all random draws.
    progress : bool, default False
        Whether to say on the error stream what it will cost, and to show a bar there if that is a terminal.

    Returns
    -------
    AuditReport

    Raises
    ------
    ValueError, TypeError
        Before anything runs, if an argument is wrong; the message says what was expected.

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
    """Bound robustness from both sides within each ε, as `audit` does, without its checks.

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
    """Return the budget of this name; raise ValueError if there is none."""
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
