"""Claims that compare the two kinds of networks: fully connected and convolutional (sections 4.1 and 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from minirobust.measures import intervals
from minirobust.measures.intervals import Estimate, mean_of_rates
from minirobust.measures.regimes import temperature_label
from minirobust.study.claims.evidence import LEAST_IMAGES, Sweep, count, span, sweep, sweeps
from minirobust.study.claims.statistics import CHANCE, gap_of_means, spread
from minirobust.study.claims.stronger import standings, survival, with_survival
from minirobust.study.claims.verdict import CannotTellError, Finding, Ruling, Survival, all_hold, claim
from minirobust.study.store import Study

Families = dict[str, list[Sweep]]


def families_at_shared(studies: Sequence[Study]) -> tuple[Families, list[float], str]:
    """The studies of each kind of network, the temperatures that all of them have finished and learned at, and a note.

    A study most of whose networks have learned nothing says nothing of its kind: it is left out, and the note says so.

    Raises
    ------
    CannotTellError
        If a kind is missing, most of a study is not finished, fewer than three temperatures are shared, or ε differs.
    """
    if len({study.config.epsilon for study in studies}) > 1:
        raise CannotTellError("The studies' main ε differ.")
    families: Families = {"mlp": [], "cnn": []}
    note = ""
    for finished in sweeps(studies, learned=False):
        study = finished.study
        try:
            families[study.config.model].append(sweep(study, extent="most"))
        except CannotTellError as missing:
            note += f" {study.title} is left out. {missing}"
    if not families["mlp"] or not families["cnn"]:
        raise CannotTellError(
            f"This compares fully connected and convolutional networks; there are studies of one kind only.{note}"
        )
    sets = [set(compared.temperatures) for family in families.values() for compared in family]
    shared = sorted(set.intersection(*sets))
    if len(shared) < 3:
        raise CannotTellError(f"All studies share {count(len(shared), 'finished temperature')}: this takes 3.{note}")
    return families, [float(T) for T in shared], note


@claim(
    "convolutional-less-robust",
    "4.1",
    "Convolutional networks, on SVHN and CIFAR-10, are much less robust than fully connected ones, on MNIST and "
    "Fashion-MNIST, whatever temperature and accuracy.",
    compares=True,
    about_robustness=True,
)
def convolutional_less_robust(studies: Sequence[Study]) -> Finding:
    """At every temperature that all studies share, each convolutional study must be the less robust one.

    That is robustness against FGSM as it is, beyond the 95 % interval of the difference, and divided by accuracy
    ("whatever accuracy").  The two families differ in their data too, so it cannot be told which of the two is the
    reason.  See `families_at_shared` for the studies that are left out.
    """
    families, shared, note = families_at_shared(studies)
    plain = _family_gaps(families, shared, _fgsm_rates)
    relative = [
        max(_per_accuracy(one, T) for one in families["cnn"]) < min(_per_accuracy(one, T) for one in families["mlp"])
        for T in shared
    ]
    less, n = sum(gap.high < 0 for gap in plain), len(shared)
    measured = (
        f"At {less} of {count(n, 'shared temperature')} every convolutional network is less robust against FGSM than "
        f"every fully connected one, and at {sum(relative)} when robustness is divided by accuracy; the gap of "
        f"robustness goes from {min(-gap.value for gap in plain):z.3f} to {max(-gap.value for gap in plain):z.3f}. "
        f"Architecture and data change together.{note}"
    )
    ruling = all_hold([_all_below(plain), "holds" if all(relative) else "does not hold"])
    if ruling == "cannot tell here":
        measured += CHANCE
    figures = {"temperatures": n, "less robust": less, "less robust for its accuracy": sum(relative)}
    return with_survival(Finding(ruling, measured, figures), lambda: _families_survive(families, shared))


def _fgsm_rates(compared: Sweep, T: float) -> Estimate:
    return mean_of_rates(compared.robustness()[compared.row(T)], compared.images)


def _per_accuracy(compared: Sweep, T: float) -> float:
    row = compared.row(T)
    return float(np.nanmean(compared.robustness()[row]) / np.nanmean(compared.last("class_accuracy")[row]))


def _family_gaps(
    families: Families, shared: Sequence[float], score: Callable[[Sweep, float], Estimate]
) -> list[Estimate]:
    """The most robust convolutional network minus the least robust other, at each temperature."""
    return [
        gap_of_means(min(score(one, T) for one in families["mlp"]), max(score(one, T) for one in families["cnn"]))
        for T in shared
    ]


def _families_survive(families: Families, shared: Sequence[float]) -> tuple[str, Survival]:
    gaps = {attack: _family_gaps(families, shared, partial(_audited, attack)) for attack in ("FGSM", "worst case")}
    before, after = (_all_below(gap) for gap in gaps.values())
    values = [-gap.value for gap in gaps["worst case"]]
    text = (
        f"The worst case of all attacks of the audit leaves a gap of {min(values):+z.3f} to {max(values):+z.3f}, "
        f"above 0 beyond chance at {sum(gap.high < 0 for gap in gaps['worst case'])} of "
        f"{count(len(shared), 'shared temperature')}."
    )
    return text, survival(before, after)


def _audited(attack: str, compared: Sweep, T: float) -> Estimate:
    for row in standings(compared, attack):
        if row.temperature == T:
            return intervals.network(row.fooled, row.labels, len(row.by_class))
    raise CannotTellError(f"{compared.study.title} is not audited at T = {temperature_label(T)}.")


def _all_below(gaps: Sequence[Estimate]) -> Ruling:
    """Whether all differences are below 0, beyond chance."""
    return all_hold(
        ["holds" if gap.high < 0 else "does not hold" if gap.value >= 0 else "cannot tell here" for gap in gaps]
    )


@claim(
    "convolutional-classes-alike",
    "4.2",
    "Against the pixel attack the classes are more alike on SVHN and CIFAR-10, with convolutional networks, than on "
    "MNIST and Fashion-MNIST.",
    compares=True,
    about_robustness=True,
)
def convolutional_classes_alike(studies: Sequence[Study]) -> Finding:
    """How the success with the most pixels spreads over the classes: the standard deviation without the part of chance.

    Holds if at more than half of the shared temperatures it is smaller in every convolutional study than in every
    other.  Classes of fewer than 50 images cannot tell.  See `families_at_shared` for the studies that are
    left out.
    """
    families, shared, note = families_at_shared(studies)
    for compared in (one for family in families.values() for one in family):
        if compared.images[compared.images > 0].min() < LEAST_IMAGES:
            raise CannotTellError(
                f"{compared.study.title} has classes of {compared.images[compared.images > 0].min()} test images: this "
                f"takes {LEAST_IMAGES}."
            )
    spreads = {
        model: np.array([[_spread_at(one, T) for one in family] for T in shared]) for model, family in families.items()
    }
    smaller, n = int((spreads["cnn"].max(axis=1) < spreads["mlp"].min(axis=1)).sum()), len(shared)
    mlp, cnn = (span(spreads[model].ravel(), ".3f") for model in ("mlp", "cnn"))
    measured = (
        f"The classes' success spreads less in every convolutional study at {smaller} of "
        f"{count(n, 'shared temperature')}; its standard deviation is {cnn} with convolutional and {mlp} with fully "
        f"connected networks.{note}"
    )
    ruling: Ruling = "holds" if smaller > n / 2 else "does not hold"
    found = Finding(ruling, measured, {"temperatures": n, "smaller": smaller})
    return with_survival(found, _not_audited)


def _spread_at(compared: Sweep, T: float) -> float:
    return spread(compared.final("pixel_success")[compared.row(T), -1], compared.images)[0]


def _not_audited() -> tuple[str, Survival]:
    raise CannotTellError("Every single pixel is tried on too few images of a class to compare spreads.")


CLAIMS = (convolutional_less_robust, convolutional_classes_alike)
