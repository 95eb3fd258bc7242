"""The statistics that claims are judged by: trends over the temperatures, classes beside each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from minirobust.measures import intervals
from minirobust.measures.intervals import Estimate, Z
from minirobust.study.claims.evidence import Sweep
from minirobust.study.claims.verdict import Finding, Ruling

SIGNIFICANT = 0.05
# That a trend is absent is said from seven temperatures on, and of |ρ| below a half: a strong one would have shown.
ENOUGH_TO_DENY = 7
WEAK = 0.5
UNDECIDED = " That is too little to be sure of, and too much to deny: this takes more temperatures."
CHANCE = " Some of the differences are no larger than chance allows: this takes more test images."


# Trends over temperatures


class Correlation(NamedTuple):
    """Spearman's ρ, its two-sided p, and of how many pairs."""

    rho: float
    p: float
    n: int

    def __str__(self) -> str:
        return f"ρ = {self.rho:.2f} ({p_text(self.p)})"


def spearman(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> Correlation:
    """Spearman's ρ; p from all orders of up to eight pairs, from Student's t beyond, never below that of all orders.

    A constant goes along with nothing: ρ = 0, p = 1.
    """
    from scipy.stats import rankdata, spearmanr

    n = len(x)
    if n < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(0.0, 1.0, n)
    rho, p = spearmanr(x, y)
    if n <= 8:
        a, b = rankdata(x) - (n + 1) / 2, rankdata(y) - (n + 1) / 2
        p = (abs(np.array(list(permutations(b))) @ a) >= abs(a @ b) - 1e-9).mean()
    return Correlation(float(rho), max(float(p), 2 / math.factorial(n)), n)


def monotone(found: Correlation, sign: int) -> Ruling:
    """Whether y rises with x (`sign` 1) or falls (-1).

    It does if ρ has that sign with p < 0.05.  It does not if ρ has the other sign with p < 0.05, or if |ρ| towards it
    is below 0.5 over at least seven temperatures.  Else too few temperatures lean too little.
    """
    towards = sign * found.rho
    if found.p < SIGNIFICANT:
        return "holds" if towards > 0 else "does not hold"
    return "does not hold" if found.n >= ENOUGH_TO_DENY and towards < WEAK else "cannot tell here"


def with_effect(ruling: Ruling, gap: Estimate, sign: int) -> Ruling:
    """A trend counts only if its two ends differ that way by more than chance: else there are too few images."""
    beyond = gap.low > 0 if sign > 0 else gap.high < 0
    return "cannot tell here" if ruling == "holds" and not beyond else ruling


def gap_of_means(low: Estimate, high: Estimate) -> Estimate:
    """The second minus the first, as if of different samples: wider than needed for the same images."""
    half = math.hypot(low.high - low.low, high.high - high.low) / 2
    value = high.value - low.value
    return Estimate(value, value - half, value + half)


def trend_of_rates(compared: Sweep, rates: np.ndarray, sign: int, what: str) -> Finding:
    """Whether the mean over classes of rates (temperatures, classes) rises or falls with T: see `monotone`.

    Its values at the lowest and the highest T must also differ that way beyond their 95 % interval.
    """
    means = [intervals.mean_of_rates(row, compared.images) for row in rates]
    gap = gap_of_means(means[0], means[-1])
    return trend(compared, [mean.value for mean in means], sign, what, gap)


def trend(
    compared: Sweep,
    values: Sequence[float] | np.ndarray,
    sign: int,
    what: str,
    gap: Estimate | None = None,
    form: str = ".3f",
) -> Finding:
    """Whether one number for each temperature rises or falls with T: see `monotone`; of a gap, `with_effect`."""
    found = spearman(compared.temperatures, values)
    ruling = monotone(found, sign)
    labels = compared.labels
    measured = (
        f"{what} goes from {values[0]:{form}} at T = {labels[0]} to {values[-1]:{form}} at T = {labels[-1]}; "
        f"Spearman's {found} over {found.n} temperatures.{compared.note}"
    )
    if gap is not None and with_effect(ruling, gap, sign) != ruling:
        ruling = "cannot tell here"
        measured += " The two ends differ by no more than chance allows: this takes more test images."
    elif ruling == "cannot tell here":
        measured += UNDECIDED
    figures = {"rho": found.rho, "p": found.p, "temperatures": found.n}
    return Finding(
        ruling, measured, figures | {f"T = {label}": float(v) for label, v in zip(labels, values, strict=True)}
    )


# Classes beside each other


def differ(rates: np.ndarray, images: np.ndarray) -> float:
    """The p-value of Pearson's χ² that all classes have one rate: (classes,) each."""
    from scipy.stats import chi2_contingency

    present = ~np.isnan(rates)
    hits = np.rint(rates[present] * images[present])
    table = np.array([hits, images[present] - hits])
    return 1.0 if (table.sum(axis=1) == 0).any() else float(chi2_contingency(table).pvalue)


def spread(rates: np.ndarray, images: np.ndarray) -> tuple[float, float]:
    """The standard deviation of a rate over the classes, and the part of its square that the few samples explain.

    The first is what is left without that part, p (1 - p) / n averaged over the classes; 0 if nothing is.
    """
    present = ~np.isnan(rates)
    p, n = rates[present], images[present]
    total, noise = float(p.var(ddof=1)), float((p * (1 - p) / n).mean())
    return math.sqrt(max(total - noise, 0.0)), min(noise / total, 1.0) if total else 1.0


def agreement(rates: np.ndarray) -> tuple[float, float, float]:
    """How alike temperatures order the classes: mean and least ρ of two rows (temperatures, classes), Friedman's p."""
    from scipy.stats import friedmanchisquare, spearmanr

    present = rates[:, ~np.isnan(rates).any(axis=0)]
    rho = spearmanr(present, axis=1).statistic
    pairs = rho[np.triu_indices(len(present), k=1)]
    return float(pairs.mean()), float(pairs.min()), float(friedmanchisquare(*present.T).pvalue)


def auroc(scores: np.ndarray, positive: np.ndarray) -> Estimate:
    """How often a positive sample scores above a negative one, with the interval of Hanley & McNeil (1982)."""
    from scipy.stats import rankdata

    m, n = int(positive.sum()), int((~positive).sum())
    area = (rankdata(scores)[positive].sum() - m * (m + 1) / 2) / (m * n)
    above, below = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (m - 1) * (above - area**2) + (n - 1) * (below - area**2)) / (m * n)
    half = Z * math.sqrt(max(variance, 0.0))
    return Estimate(float(area), max(float(area) - half, 0.0), min(float(area) + half, 1.0))


def p_text(p: float) -> str:
    return "p < .001" if p < 0.001 else f"p = {p:.2g}"
