"""Claims about the input gradient's size G(x) (section 4.1, Figures 7 and 8)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minirobust.measures.intervals import Estimate
from minirobust.study.claims.evidence import (
    LEAST_IMAGES,
    count,
    is_fashion,
    is_not_fashion,
    paper_dataset,
    span,
    sweep,
    sweeps,
)
from minirobust.study.claims.statistics import SIGNIFICANT, auroc, p_text, spearman
from minirobust.study.claims.verdict import CannotTellError, Finding, Ruling, all_hold, claim
from minirobust.study.store import Record, Study

TOP = 0.01  # of the samples, those of largest G
DRIVEN = 0.1  # of the sum of G, which those have: ten times their share
ALMOST_ALL = 0.95
STRONG = -0.5  # Pearson's r, after Cohen (1988)
CERTAIN = 0.001
ACCEPTABLE = 0.7  # area under the ROC curve, after Hosmer & Lemeshow (2000)
LEAST_SAMPLES = 10  # wrong, and as many right, for that area


@claim(
    "gradient-at-extremes",
    "4.1",
    "The median of G is larger at extreme temperatures, too high or too low.",
    applies=is_not_fashion,
    of="a data set other than Fashion-MNIST",
)
def gradient_at_extremes(study: Study) -> Finding:
    """Class by class, the median of G at an end of T against the median over the temperatures between.

    Holds if at both ends it is larger in so many classes that the sign test has p < 0.05; does not hold if it is larger
    in half of the classes or fewer at one of the ends.
    """
    from scipy.stats import binomtest

    compared = sweep(study)
    medians = compared.final("gradient_median")
    medians = medians[:, ~np.isnan(medians).any(axis=0)]
    between, classes = np.median(medians[1:-1], axis=0), medians.shape[1]
    larger = [int((end > between).sum()) for end in medians[[0, -1]]]
    rulings: list[Ruling] = [
        "does not hold"
        if k <= classes / 2
        else "holds"
        if binomtest(k, classes).pvalue < SIGNIFICANT
        else "cannot tell here"
        for k in larger
    ]
    means = medians.mean(axis=1)
    measured = (
        f"Against the median of the temperatures between, G is larger in {larger[0]} of {classes} classes at T = "
        f"{compared.labels[0]} and in {larger[1]} at T = {compared.labels[-1]}; the mean over the classes is "
        f"{means[0]:.2g} and {means[-1]:.2g} there, and goes from {means[1:-1].min():.2g} to {means[1:-1].max():.2g} "
        f"between.{compared.note}"
    )
    ruling = all_hold(rulings)
    if ruling == "cannot tell here":
        measured += " More than half, but no more than chance allows: this takes more classes."
    figures = {"larger at lowest T": larger[0], "larger at highest T": larger[1], "classes": classes}
    return Finding(ruling, measured, figures)


@claim(
    "gradient-by-class",
    "4.1",
    "On Fashion-MNIST the median of G depends more on the class than on the temperature.",
    applies=is_fashion,
    of="Fashion-MNIST",
)
def gradient_by_class(study: Study) -> Finding:
    """Holds if, in the table of medians, the means of the classes vary more than those of the temperatures."""
    compared = sweep(study)
    medians = compared.final("gradient_median")
    of_classes, of_temperatures = (
        float(np.nanmean(medians, axis=0).std()),
        float(np.nanmean(medians, axis=1).std()),
    )
    measured = (
        f"The classes' mean medians have a standard deviation of {of_classes:.2g}, those of the temperatures one of "
        f"{of_temperatures:.2g}.{compared.note}"
    )
    figures = {"over classes": of_classes, "over temperatures": of_temperatures}
    return Finding("holds" if of_classes > of_temperatures else "does not hold", measured, figures)


@claim("mean-gradient-by-few", "4.1", "A few samples of very large G drive its mean.")
def mean_gradient_by_few(study: Study) -> Finding:
    """Holds if the 1 % of samples of largest G has at least a tenth of the sum, in more than half of the networks."""
    compared = sweep(study, extent="most")
    records = compared.records
    samples = len(records[0].final["label"])
    few = round(TOP * samples)
    if few < 1:
        raise CannotTellError(f"One percent of {count(samples, 'test image')} is none.")
    shares = np.array([_share_of_largest(record.final["gradient"], few) for record in records])
    driven, n = int((shares >= DRIVEN).sum()), len(records)
    least, most = shares.min(), shares.max()
    measured = (
        f"The {count(few, 'image')} of largest G, 1 % of them, have {span(shares, '.0%')} of the sum of G, and at "
        f"least {DRIVEN:.0%} in {driven} of {count(n, 'network')}.{compared.note}"
    )
    figures = {"networks": n, "driven": driven, "least share": least, "largest share": most}
    return Finding("holds" if driven > n / 2 else "does not hold", measured, figures)


def _share_of_largest(gradient: np.ndarray, few: int) -> float:
    total = gradient.sum()
    return float(np.sort(gradient)[-few:].sum() / total) if total > 0 else 0.0


@claim(
    "gradient-and-confidence",
    "4.1",
    "G and the confidence in the true class correlate strongly and negatively, p < .001, in almost every class and "
    "temperature.",
)
def gradient_and_confidence(study: Study) -> Finding:
    """Holds if r < 0 with p < .001 in at least 95 % of classes and networks, and the median of r is -0.5 or below.

    Classes of fewer than 50 test images are left out: there even r = -0.5 is not always significant at .001.  Cross
    entropy's gradient contains 1 - p as a factor, so that some correlation is built in.
    """
    compared = sweep(study, extent="most")
    enough = compared.images >= LEAST_IMAGES
    if not enough.any():
        raise CannotTellError(
            f"The largest class has {compared.images.max()} test images: this takes {LEAST_IMAGES}.{compared.note}"
        )
    r = np.concatenate([record.final["correlation"][enough] for record in compared.records])
    p = np.concatenate([record.final["p_value"][enough] for record in compared.records])
    if np.isnan(r).all():
        raise CannotTellError(f"G or the confidence is the same for all images of a class.{compared.note}")
    clear, n, median = int(((r < 0) & (p < CERTAIN)).sum()), len(r), float(np.nanmedian(r))
    small = "" if enough.all() else f" Classes of fewer than {LEAST_IMAGES} test images are left out."
    measured = (
        f"Pearson's r is negative with p < .001 in {clear} of {n} cases (classes of every network), {median:.2f} in "
        f"the median, from {np.nanmin(r):.2f} to {np.nanmax(r):.2f}. Some of it is built in: the gradient has 1 "
        f"minus the confidence as a factor.{small}{compared.note}"
    )
    ruling: Ruling = "holds" if clear >= ALMOST_ALL * n and median <= STRONG else "does not hold"
    return Finding(ruling, measured, {"cases": n, "significant": clear, "median r": median})


@claim("gradient-predicts-errors", "4.1", "Inputs of larger G are more likely to be classified incorrectly.")
def gradient_predicts_errors(study: Study) -> Finding:
    """Area under the ROC curve (AUROC) of G as a sign of misclassification, at every temperature.

    Holds if the 95 % interval lies above 0.7 everywhere; does not hold if it lies below 0.7 anywhere.  A network needs
    10 wrong and 10 right images to count.
    """
    compared = sweep(study, extent="most")
    areas: list[Estimate] = []
    hits: list[float] = []
    for record in compared.records:
        wrong = record.final["prediction"] != record.final["label"]
        if LEAST_SAMPLES <= wrong.sum() <= len(wrong) - LEAST_SAMPLES:
            areas.append(auroc(record.final["gradient"], wrong))
            hits.append(float(wrong[np.argsort(-record.final["gradient"], kind="stable")[: wrong.sum()]].mean()))
    if not areas:
        raise CannotTellError(
            f"No network has {LEAST_SAMPLES} wrong and {LEAST_SAMPLES} right test images.{compared.note}"
        )
    r = np.concatenate([record.final["correlation"] for record in compared.records])
    median = float(np.median(r[~np.isnan(r)])) if not np.isnan(r).all() else np.nan
    measured = (
        f"AUROC is {span([area.value for area in areas], '.3f')} in {count(len(areas), 'network')}, and its 95 % "
        f"interval reaches down to {min(area.low for area in areas):.3f}; of the images of largest G, as many as are "
        f"wrong in all, {span(hits, '.0%')} are wrong. The paper's correlation of G and confidence is "
        f"{median:.2f} in the median. G is computed with the true label, which is unknown of an input that "
        f"is yet to be classified.{compared.note}"
    )
    rulings: list[Ruling] = [
        "holds" if area.low > ACCEPTABLE else "does not hold" if area.high < ACCEPTABLE else "cannot tell here"
        for area in areas
    ]
    ruling = all_hold(rulings)
    if ruling == "cannot tell here":
        measured += f" Some of the intervals reach across {ACCEPTABLE:g}: this takes more test images."
    figures = {"least AUROC": min(areas).value, "largest AUROC": max(areas).value, "median r": median}
    return Finding(ruling, measured, figures)


@claim(
    "largest-gradients-wrong",
    "4.1",
    "The images of largest G that Figure 7 shows are more susceptible to misclassification (T = 1).",
)
def largest_gradients_wrong(study: Study) -> Finding:
    """Holds if of the ten images of largest G a larger share is wrong than of the others, p < 0.05 in Fisher's test.

    The test is one-sided, as the claim is.
    """
    from scipy.stats import fisher_exact

    record = _at_one(study)
    wrong = record.final["prediction"] != record.final["label"]
    ugly = record.final["ugly/index"]
    others = np.delete(wrong, ugly)
    table = [[wrong[ugly].sum(), (~wrong[ugly]).sum()], [others.sum(), (~others).sum()]]
    p = float(fisher_exact(table, alternative="greater").pvalue)
    measured = (
        f"Of the {len(ugly)} images of largest G {wrong[ugly].sum()} are misclassified, of the other {len(others):,} "
        f"{others.mean():.1%} (Fisher's exact test: {p_text(p)})."
    )
    figures = {"wrong among largest": float(wrong[ugly].mean()), "wrong among others": float(others.mean()), "p": p}
    return Finding("holds" if p < SIGNIFICANT else "does not hold", measured, figures)


@claim(
    "largest-gradients-ugly",
    "4.1",
    "The images of largest G are not pretty: cut off, blurred, too dark, or ambiguous even to humans (T = 1).",
)
def largest_gradients_ugly(study: Study) -> Finding:
    """Never judged: no number says whether an image is pretty."""
    _at_one(study)
    raise CannotTellError("No number says whether an image is pretty. Figure 7 shows them to judge by eye.")


def _at_one(study: Study) -> Record:
    """The first seed's network at T = 1."""
    records = [record for record in sweep(study, extent="any").records if record.temperature == 1]
    if not records:
        raise CannotTellError("The network at T = 1 is not finished, or did not learn.")
    return records[0]


@claim(
    "gradients-of-digits",
    "5",
    "The classes of MNIST and of SVHN, digits both, are similar in their input gradients.",
    compares=True,
)
def gradients_of_digits(studies: Sequence[Study]) -> Finding:
    """Holds if the digits' ranks by median G correlate between the two data sets: ρ > 0 with p < 0.05.

    The ranks are averaged over the temperatures that both have finished.

    The paper does not say what it found similar; this is our reading.
    """
    from scipy.stats import rankdata

    known = {
        paper_dataset(compared.study): compared
        for compared in sweeps(study for study in studies if paper_dataset(study) in ("mnist", "svhn"))
    }
    if len(known) < 2:
        raise CannotTellError("This compares MNIST and SVHN, and there is no study of both.")
    shared = sorted(set(known["mnist"].temperatures) & set(known["svhn"].temperatures))
    if not shared:
        raise CannotTellError("No temperature is finished on both data sets.")
    least = min(compared.images.min() for compared in known.values())
    if least < LEAST_IMAGES:
        raise CannotTellError(f"A class has {least} test images: this takes {LEAST_IMAGES}.")
    ranks = [
        rankdata(known[name].final("gradient_median")[np.isin(known[name].temperatures, shared)], axis=1).mean(axis=0)
        for name in ("mnist", "svhn")
    ]
    found = spearman(*ranks)
    ruling: Ruling = "holds" if found.rho > 0 and found.p < SIGNIFICANT else "does not hold"
    measured = (
        f"Over {count(len(shared), 'shared temperature')} the ten digits' ranks by median G have Spearman's {found} "
        "between the two."
    )
    return Finding(ruling, measured, {"rho": found.rho, "p": found.p})


CLAIMS = (
    gradient_at_extremes,
    gradient_by_class,
    mean_gradient_by_few,
    gradient_and_confidence,
    gradient_predicts_errors,
    largest_gradients_wrong,
    largest_gradients_ugly,
    gradients_of_digits,
)
