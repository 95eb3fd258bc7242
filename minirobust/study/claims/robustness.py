"""Claims about robustness against FGSM (sections 4.1 and 5), and what PGD, transfer and Square leave of them."""

from __future__ import annotations

import numpy as np

from minirobust.measures.intervals import mean_of_rates
from minirobust.study.claims.evidence import LEARNED, LEAST_IMAGES, Sweep, count, sweep
from minirobust.study.claims.statistics import (
    UNDECIDED,
    agreement,
    differ,
    gap_of_means,
    monotone,
    p_text,
    spearman,
    spread,
    trend_of_rates,
)
from minirobust.study.claims.stronger import standings, survival, trend_survives, with_survival
from minirobust.study.claims.verdict import CannotTellError, Finding, Ruling, Survival, all_hold, claim
from minirobust.study.store import Study

RISE = 0.01  # of robustness with ε, from which on an attack was led astray: as in the audit
LEAST_EPOCHS = 10  # for a correlation over training
TOGETHER = 0.5  # Spearman's ρ over training, from which on two series go together
ALIKE = 0.6  # mean Spearman's ρ of two temperatures' orders, from which on the order is much the same
NOISE = 0.2  # of the variance over classes, above which few samples alone can make two orders differ
CERTAIN = 0.001


@claim(
    "robustness-falls",
    "4.1",
    "Networks are more robust against FGSM at low temperatures and less at high ones.",
    about_robustness=True,
)
def robustness_falls(study: Study) -> Finding:
    """Network robustness at the main ε after the last epoch must fall with T."""
    compared = sweep(study)
    what = f"Robustness against FGSM at ε = {study.config.epsilon:g}"
    return with_survival(
        trend_of_rates(compared, compared.robustness(), -1, what), lambda: trend_survives(compared, -1)
    )


@claim(
    "robustness-follows-saturation",
    "4.1",
    "In the course of training robustness goes along with the saturated share, at any temperature.",
    about_robustness=True,
)
def robustness_follows_saturation(study: Study) -> Finding:
    """Holds if Spearman's ρ of the two series over the epochs is at least 0.5 at more than half of the temperatures.

    Only epochs count in which the network had learned, and temperatures at which the saturated share varies by more
    than 0.01.  Two series that both rise correlate for that reason alone, and p-values of series in time mean little;
    so the correlation of their changes from epoch to epoch stands beside it.
    """
    compared = sweep(study)
    if study.config.epochs < LEAST_EPOCHS:
        raise CannotTellError(f"This takes {LEAST_EPOCHS} epochs, and the study has {study.config.epochs}.")
    saturated, accuracy = compared.series("saturated"), np.nanmean(compared.series("class_accuracy"), axis=2)
    robust = np.nanmean(compared.series("robustness")[:, :, study.config.main], axis=2)
    levels, changes = [], []
    for share, series, right in zip(saturated, robust, accuracy, strict=True):
        awake = right >= LEARNED / len(compared.images)
        if awake.sum() >= LEAST_EPOCHS and np.ptp(share[awake]) > RISE:
            levels.append(spearman(share[awake], series[awake]).rho)
            changes.append(spearman(np.diff(share[awake]), np.diff(series[awake])).rho)
    n, together = len(levels), sum(rho >= TOGETHER for rho in levels)
    if n < 3:
        raise CannotTellError(
            f"The saturated share varies in the course of training at {count(n, 'temperature')} only."
        )
    measured = (
        f"Spearman's ρ of the two over the epochs is at least {TOGETHER:g} at {together} of the {n} temperatures at "
        f"which the saturated share varies, {np.median(levels):.2f} in the median; of their changes from epoch to "
        f"epoch it is {np.median(changes):.2f} in the median.{compared.note}"
    )
    figures = {"together": together, "temperatures": n, "median rho": np.median(levels)}
    figures["median rho of changes"] = np.median(changes)
    found = Finding("holds" if together > n / 2 else "does not hold", measured, figures)
    return with_survival(found, lambda: _saturation_against_worst_case(compared))


def _saturation_against_worst_case(compared: Sweep) -> tuple[str, Survival]:
    rows = standings(compared, "worst case")
    if len(rows) < 3:
        raise CannotTellError("Networks are audited after the last epoch only, and too few are audited yet.")
    share = dict(zip(compared.temperatures, compared.last("saturated"), strict=True))
    across = spearman([share[row.temperature] for row in rows], [row.value for row in rows])
    text = (
        "Networks are audited after the last epoch only, so this cannot be told over training. Over the temperatures, "
        f"Spearman's correlation of the saturated share and what the worst case leaves is {across}."
    )
    return text, "cannot tell here"


@claim("falls-with-epsilon", "4.1", "The larger ε, the more successful is FGSM.", about_robustness=True)
def falls_with_epsilon(study: Study) -> Finding:
    """Holds if at every temperature robustness never rises by more than 0.01 from one ε to the next, and falls in all.

    The fall from the least ε to the greatest must exceed the 95 % interval of the difference.
    """
    compared = sweep(study, extent="most")
    rates = compared.last("robustness")
    epsilons = study.config.epsilons
    if len(epsilons) < 2:
        raise CannotTellError("Robustness was measured at a single ε.")
    rise = np.diff(np.nanmean(rates, axis=2), axis=1).max(axis=1)
    gaps = [gap_of_means(*(mean_of_rates(row, compared.images) for row in curve[[0, -1]])) for curve in rates]
    steady, falls = rise <= RISE, np.array([gap.high < 0 for gap in gaps])
    worst, n = int(rise.argmax()), len(compared.rows)
    measured = (
        f"From ε = {epsilons[0]:g} to {epsilons[-1]:g} robustness falls at {falls.sum()} of {count(n, 'temperature')}, "
        f"and never rises on the way by more than {RISE:g} at {steady.sum()}"
    )
    measured += f", by {rise[worst]:.3f} at T = {compared.labels[worst]}" if rise[worst] > RISE else ""
    measured += f".{compared.note}"
    ruling: Ruling = "holds" if steady.all() and falls.all() else "does not hold"
    figures = {"temperatures": n, "falls": falls.sum(), "never rises": steady.sum(), "largest rise": rise[worst]}
    return with_survival(Finding(ruling, measured, figures), lambda: _epsilon_in_audits(compared))


def _epsilon_in_audits(compared: Sweep) -> tuple[str, Survival]:
    flags = [
        check["flagged"]
        for record in compared.records
        if record.audit
        for check in record.audit["checks"]
        if check["name"] == "FGSM over ε" and check["flagged"] is not None
    ]
    text = "Of a perfect attack it is true by definition: a larger ε allows every image that a smaller one allows."
    if flags:
        text += (
            " The audit follows FGSM to ε = 1 and finds robustness rising above chance at "
            f"{sum(flags)} of {count(len(flags), 'network')}."
        )
    return text, "survives"


@claim(
    "low-temperature-at-every-epsilon",
    "4.1",
    "At every ε networks of lower temperature are more robust.",
    about_robustness=True,
)
def low_temperature_at_every_epsilon(study: Study) -> Finding:
    """Network robustness after the last epoch must fall with T at each ε."""
    compared = sweep(study)
    epsilons, rates = study.config.epsilons, compared.last("robustness")
    found = [trend_of_rates(compared, rates[:, row], -1, "") for row in range(len(epsilons))]
    listed = ", ".join(
        f"{one.figures['rho']:.2f} ({p_text(one.figures['p'])}) at ε = {epsilon:g}"
        for epsilon, one in zip(epsilons, found, strict=True)
    )
    measured = f"Spearman's ρ of T and robustness over {len(compared.rows)} temperatures is {listed}.{compared.note}"
    figures = {f"rho at {epsilon:g}": one.figures["rho"] for epsilon, one in zip(epsilons, found, strict=True)}
    ruling = all_hold([one.verdict for one in found])
    if ruling == "cannot tell here":
        measured += UNDECIDED
    return with_survival(Finding(ruling, measured, figures), lambda: _at_main_epsilon(compared))


def _at_main_epsilon(compared: Sweep) -> tuple[str, Survival]:
    text, verdict = trend_survives(compared, -1)
    at = f"The audit is at ε = {compared.study.config.epsilon:g} alone. "
    return at + text, "cannot tell here" if verdict == "survives" else verdict


@claim("trade-off", "abstract", "Accuracy and robustness trade off against each other.", about_robustness=True)
def trade_off(study: Study) -> Finding:
    """Over the temperatures, robustness after the last epoch must fall as accuracy rises: see `statistics.monotone`.

    If the accuracies differ by no more than chance, there is nothing to trade.
    """
    compared = sweep(study)
    accuracy, robust = compared.last("class_accuracy"), compared.robustness()
    means = [mean_of_rates(row, compared.images) for row in accuracy]
    lowest, highest = min(means), max(means)
    found = spearman([mean.value for mean in means], np.nanmean(robust, axis=1))
    ruling = monotone(found, -1)
    measured = (
        f"Over {found.n} temperatures Spearman's correlation of accuracy and robustness against FGSM is {found}; "
        f"accuracy goes from {lowest.value:.3f} to {highest.value:.3f}.{compared.note}"
    )
    if gap_of_means(lowest, highest).low <= 0:
        ruling = "cannot tell here"
        measured += " The accuracies differ by no more than chance allows: this takes more test images."
    elif ruling == "cannot tell here":
        measured += UNDECIDED
    figures = {"rho": found.rho, "p": found.p, "lowest accuracy": lowest.value, "highest accuracy": highest.value}
    return with_survival(Finding(ruling, measured, figures), lambda: _trade_off_survives(compared))


def _trade_off_survives(compared: Sweep) -> tuple[str, Survival]:
    clean, weak, strong = ([row.value for row in standings(compared, name)] for name in ("clean", "FGSM", "worst case"))
    if len(strong) < len(compared.rows):
        raise CannotTellError(f"{len(strong)} of {count(len(compared.rows), 'temperature')} are audited.")
    before, after = spearman(clean, weak), spearman(clean, strong)
    text = (
        f"On the audited images the correlation of accuracy is {before} with what FGSM leaves, and {after} with what "
        "the worst case of all attacks of the audit leaves."
    )
    return text, survival(monotone(before, -1), monotone(after, -1))


@claim("classes-differ", "5", "Robustness differs from class to class.", about_robustness=True)
def classes_differ(study: Study) -> Finding:
    """Holds if Pearson's χ² test of equal robustness against FGSM has p < .001 at more than half of the temperatures.

    Where it has not, classes of fewer than 50 test images cannot decide.
    """
    compared = sweep(study, extent="most")
    rates, images = compared.robustness(), compared.images
    p_values = [differ(row, images) for row in rates]
    sure, n = sum(p < CERTAIN for p in p_values), len(p_values)
    widest = int(np.ptp(np.nan_to_num(rates, nan=0.0), axis=1).argmax())
    measured = (
        f"Equal robustness against FGSM of all classes is refuted with p < .001 at {sure} of "
        f"{count(n, 'temperature')}; at T = {compared.labels[widest]} it goes from {np.nanmin(rates[widest]):.3f} "
        f"to {np.nanmax(rates[widest]):.3f}.{compared.note}"
    )
    ruling: Ruling = "holds" if sure > n / 2 else "does not hold"
    if ruling != "holds" and images[images > 0].min() < LEAST_IMAGES:
        ruling = "cannot tell here"
        measured += f" {_few(images)}"
    found = Finding(ruling, measured, {"temperatures": n, "refuted": sure})
    return with_survival(found, lambda: _differ_in_audits(compared))


def _differ_in_audits(compared: Sweep) -> tuple[str, Survival]:
    """The same test on the audited images, where so many stand that classes have something to differ in."""
    weak, strong = standings(compared, "FGSM"), standings(compared, "worst case")
    if len(strong) < len(compared.rows):
        raise CannotTellError(f"{len(strong)} of {count(len(compared.rows), 'temperature')} are audited.")
    left = [row for row in range(len(strong)) if (~strong[row].fooled).sum() >= LEAST_IMAGES]
    if not left:
        raise CannotTellError(f"The worst case leaves fewer than {LEAST_IMAGES} images at every temperature.")
    before, after = (
        sum(
            differ(rows[row].by_class, np.bincount(rows[row].labels, minlength=len(rows[row].by_class))) < CERTAIN
            for row in left
        )
        for rows in (weak, strong)
    )
    text = (
        f"On the audited images the worst case of all attacks of the audit leaves {LEAST_IMAGES} or more at "
        f"{len(left)} of {count(len(strong), 'temperature')}. Of these, equal robustness is refuted against FGSM at "
        f"{before}, and against the worst case at {after}."
    )
    return text, survival(_most(before, len(left)), _most(after, len(left)))


def _most(part: int, whole: int) -> Ruling:
    return "holds" if part > whole / 2 else "does not hold"


def _few(images: np.ndarray) -> str:
    present = images[images > 0]
    return f"A class has {present.min()} to {present.max()} test images here: this takes {LEAST_IMAGES} at least."


@claim(
    "class-order-fgsm",
    "5",
    "The classes' order by robustness against FGSM is much the same at all temperatures.",
    about_robustness=True,
)
def class_order_fgsm(study: Study) -> Finding:
    """See `order`."""
    compared = sweep(study)
    found = order(compared.robustness(), compared.images, compared.note)
    return with_survival(found, lambda: order_survives(compared, "FGSM", "worst case"))


def order(rates: np.ndarray, images: np.ndarray, note: str) -> Finding:
    """Whether temperatures agree in the order of the classes: rates (temperatures, classes).

    Holds if Spearman's ρ of two temperatures is at least 0.6 on the average over all pairs, with p < 0.05 in Friedman's
    test.  If not, and the chance of few samples makes up more than a fifth of the variance over classes at most
    temperatures, that alone may be why, and nothing can be said.  Temperatures at which all classes are equal have no
    order.
    """
    rates = rates[np.nanmax(rates, axis=1) > np.nanmin(rates, axis=1)]
    if len(rates) < 3:
        raise CannotTellError(f"The classes differ at {count(len(rates), 'temperature')} only: this takes 3.{note}")
    if (~np.isnan(rates).any(axis=0)).sum() < 3:
        raise CannotTellError("Two classes have no order to speak of: this takes 3.")
    mean, least, p = agreement(rates)
    noise = float(np.median([spread(row, images)[1] for row in rates]))
    ruling: Ruling = "holds" if mean >= ALIKE and p < 0.05 else "does not hold"
    measured = (
        f"Spearman's ρ of the classes' robustness at two temperatures is {mean:.2f} on the average over all pairs of "
        f"{len(rates)} temperatures, and {least:.2f} for the least alike (Friedman's test: {p_text(p)}).{note}"
    )
    if ruling != "holds" and noise > NOISE:
        ruling = "cannot tell here"
        measured += (
            f" With {images[images > 0].min()} test images of a class and more, chance makes up {noise:.0%} of the "
            "variance over classes, which alone can change their order."
        )
    return Finding(ruling, measured, {"mean rho": mean, "least rho": least, "p": p, "share of noise": noise})


def order_survives(compared: Sweep, weak: str, strong: str) -> tuple[str, Survival]:
    """The same for a stronger attack, beside the paper's on the same samples."""
    found = []
    for attack in (weak, strong):
        rows = standings(compared, attack)
        if len(rows) < len(compared.rows):
            raise CannotTellError(f"{len(rows)} of {count(len(compared.rows), 'temperature')} are audited.")
        images = np.bincount(rows[0].labels, minlength=len(rows[0].by_class))
        found.append(order(np.array([row.by_class for row in rows]), images, ""))
    before, after = found
    text = (
        f"On the audited images the mean ρ is {before.figures['mean rho']:.2f} against the paper's attack and "
        f"{after.figures['mean rho']:.2f} against the strongest ({strong}), {after.figures['least rho']:.2f} for the "
        "least alike temperatures."
    )
    return text, survival(before.verdict, after.verdict)


CLAIMS = (
    robustness_falls,
    robustness_follows_saturation,
    falls_with_epsilon,
    low_temperature_at_every_epsilon,
    trade_off,
    classes_differ,
    class_order_fgsm,
)
