"""`SOURCES`: the score of one network for every quantity of the claims, under the name used in `criteria`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from minirobust.measures.intervals import Estimate, mean_of_rates
from minirobust.measures.statistics import auroc, exact, p_of_difference, spearman, spread
from minirobust.study.claims import criteria
from minirobust.study.claims.evidence import PAPER, Level, Score, Source, exactly, of_fooled, of_rates, test_images
from minirobust.study.store import Record


def accuracy(record: Record, level: Level) -> Score | None:
    """Return the accuracy on the images of the level."""
    if level == PAPER:
        return of_rates(record.epochs["class_accuracy"][-1], test_images(record))
    attacked = fgsm(record, level)
    if attacked is None or attacked.labels is None:
        return None
    wrong = record.final["prediction"][: len(attacked.labels)] != attacked.labels
    return of_fooled(wrong, attacked.labels, len(attacked.rates))


def fgsm(record: Record, level: Level, row: int | None = None) -> Score | None:
    """Return robustness against FGSM at an ε of the study, by default the main one, or robustness at another level."""
    if level == PAPER:
        row = record.config.main if row is None else row
        return of_rates(record.epochs["robustness"][-1, row], test_images(record))
    fooled = sandwich(record, level.kind)
    if fooled is None or level.row >= len(fooled):
        return None
    return of_fooled(fooled[level.row], record.final["label"][: fooled.shape[1]], len(test_images(record)))


def sandwich_epsilons(record: Record) -> tuple[float, ...]:
    """Return every ε of a network's audit. An older audit has only the main ε."""
    return tuple(float(epsilon) for epsilon in record.audited.get("sandwich/epsilon", [record.config.epsilon]))


def sandwich(record: Record, kind: str) -> np.ndarray | None:
    """Return which audited images were fooled at each ε, (ε, images); for "proven", which are not proven robust."""
    if kind == "proven":
        certified = record.audited.get("sandwich/certified")
        return None if certified is None else ~certified
    name, older = {"weak": ("fgsm", "FGSM"), "strong": ("fooled", "worst case")}[kind]
    alone = record.audited.get(f"fooled/{older}")
    return record.audited.get(f"sandwich/{name}", None if alone is None else alone[None])


def pixels(record: Record, level: Level) -> Score | None:
    """Return robustness against the attack on the most pixels; the strong level's is greedy, with as many pixels."""
    final, audited = record.final, record.audited
    if level == PAPER:
        return of_rates(1 - final["pixel_success"][-1], test_images(record))
    if level.kind == "proven" or "fooled/greedy pixel" not in audited:
        return None
    tried = audited["pixel_samples"]
    ranked = ((final["prediction"] != final["label"]) | (final["pixel_count"] > 0))[tried]
    fooled = audited["fooled/greedy pixel"] if level.kind == "strong" else ranked
    return of_fooled(fooled, final["label"][tried], len(test_images(record)))


def equal_classes(record: Record, level: Level, attack: Source) -> Score | None:
    """Return the p-value that all classes are equally robust; with few images, a large p-value is undecided."""
    if (score := attack(record, level)) is None:
        return None
    p = p_of_difference(score.rates, score.images)
    few = score.images[score.images > 0].min() < criteria.LEAST_IMAGES
    return Score(Estimate(p, 0.0, 1.0) if few and p >= criteria.CERTAIN else exact(p))


def spread_of_classes(record: Record, level: Level) -> Score | None:
    """Return the spread over classes of robustness against pixels, corrected for chance."""
    score = pixels(record, level)
    if score is None or score.images[score.images > 0].min() < criteria.LEAST_IMAGES:
        return None
    return exactly(spread(score.rates, score.images)[0])


def awake(record: Record) -> np.ndarray:
    """Return, for each epoch, whether the network had learned."""
    accuracy = record.epochs["class_accuracy"]
    return np.nanmean(accuracy, axis=1) >= criteria.LEARNED / accuracy.shape[1]


def plateau(record: Record, level: Level) -> Score:
    """Return the number of epochs before the network has learned, or of all epochs if it never does."""
    learned = awake(record)
    return exactly(learned.argmax() if learned.any() else len(learned))


def epochs_to_learn(record: Record, level: Level) -> Score:
    """Return the first epoch with 95 % of the network's own final accuracy, which measures speed alone."""
    series = record.epochs["test_accuracy"]
    return exactly((series >= criteria.OWN_FINAL * series[-1]).argmax() + 1)


def change(record: Record, level: Level, names: Sequence[str]) -> Score:
    """Return the change of a series from the first epoch to the last; of several series, the largest change."""
    return exactly(max(record.epochs[name][-1] - record.epochs[name][0] for name in names))


def follows_saturation(record: Record, level: Level) -> Score | None:
    """Return ρ of robustness and saturated share over the epochs, or None if the share hardly changes."""
    learned, main = awake(record), record.config.main
    share = record.epochs["saturated"][learned]
    if len(share) < criteria.LEAST_EPOCHS or np.ptp(share) <= criteria.MOVED:
        return None
    return exactly(spearman(share, np.nanmean(record.epochs["robustness"][learned, main], axis=1)))


def share_of_largest(record: Record, level: Level) -> Score | None:
    """Return the share of the sum of G in the 1 % of images of largest G; None if 1 % is less than an image."""
    gradient = record.final["gradient"]
    few = round(criteria.TOP * len(gradient))
    return exactly(np.sort(gradient)[-few:].sum() / max(gradient.sum(), 1e-300)) if few else None


def predicts_errors(record: Record, level: Level) -> Score | None:
    """Return the AUROC of G as a predictor of errors, or None if too few images are wrong, or too few right."""
    wrong = record.final["prediction"] != record.final["label"]
    enough = criteria.LEAST_WRONG <= wrong.sum() <= len(wrong) - criteria.LEAST_WRONG
    return Score(auroc(record.final["gradient"], wrong)) if enough else None


def largest_are_wrong(record: Record, level: Level) -> Score:
    """Return Fisher's one-sided p-value that the images of largest G are wrong as often as the others."""
    from scipy.stats import fisher_exact

    wrong, ugly = record.final["prediction"] != record.final["label"], record.final["ugly/index"]
    others = np.delete(wrong, ugly)
    table = [[wrong[ugly].sum(), (~wrong[ugly]).sum()], [others.sum(), (~others).sum()]]
    return exactly(fisher_exact(table, alternative="greater").pvalue)


def brightness(record: Record, level: Level) -> Score | None:
    """Return the brightness of the images of largest G minus that of all test images."""
    from scipy.stats import t

    if "brightness" not in record.final:
        return None
    ugly = record.final["brightness"][record.final["ugly/index"]].astype("float64")
    value = float(ugly.mean() - record.final["brightness"].mean(dtype="float64"))
    half = float(t.ppf(0.975, len(ugly) - 1) * ugly.std(ddof=1) / np.sqrt(len(ugly)))
    return Score(Estimate(value, value - half, value + half))


def one_pixel(record: Record, level: Level) -> Score:
    """Return the share of initially correct images that one pixel fools, the mean over classes."""
    right = np.rint(test_images(record) * np.nan_to_num(record.epochs["class_accuracy"][-1]))
    return of_rates(np.where(right > 0, record.final["pixel_success_of_correct"][0], np.nan), right)


def newly_fooled(record: Record, level: Level) -> Score | None:
    """Return the share of images that a further pixel fools: of the second, third, ... the least."""
    counts = [(record.final["pixel_count"] == n).sum() for n in range(2, record.config.pixels + 1)]
    n = len(record.final["label"])
    return Score(mean_of_rates(np.array([min(counts) / n]), np.array([n]))) if counts else None


SOURCES: Mapping[str, Source] = {
    criteria.FGSM: fgsm,
    criteria.PIXELS: pixels,
    "accuracy": accuracy,
    "p-value of equal classes against FGSM": partial(equal_classes, attack=fgsm),
    "p-value of equal classes against pixels": partial(equal_classes, attack=pixels),
    "spread of classes against pixels": spread_of_classes,
    "test accuracy": lambda record, level: exactly(record.epochs["test_accuracy"][-1]),
    "test accuracy averaged over the epochs": lambda record, level: of_rates(
        np.array([record.epochs["test_accuracy"].mean()]), np.array([len(record.final["label"])])
    ),
    "epochs before the network has learned": plateau,
    "first epoch with 95 % of the own final accuracy": epochs_to_learn,
    "mean slope after the first epoch": lambda record, level: exactly(record.epochs["slope_mean"][0]),
    "share of the summed slope in its steepest tenth": lambda record, level: exactly(record.epochs["slope_share"][-1]),
    "linear share": lambda record, level: exactly(record.epochs["linear"][-1]),
    "saturated share": lambda record, level: exactly(record.epochs["saturated"][-1]),
    "change of the saturated share": partial(change, names=["saturated"]),
    "larger change of linear and nonlinear share": partial(change, names=["linear", "nonlinear"]),
    "nonlinear minus linear share after the first epoch": lambda record, level: exactly(
        record.epochs["nonlinear"][0] - record.epochs["linear"][0]
    ),
    "ρ of robustness and saturated share over training": follows_saturation,
    "median of G": lambda record, level: Score(
        exact(np.nanmean(record.final["gradient_median"])), record.final["gradient_median"]
    ),
    "share of the sum of G in its largest hundredth": share_of_largest,
    "AUROC of G for errors": predicts_errors,
    "p-value that images of largest G are wrong as often as others": largest_are_wrong,
    "brightness of the images of largest G minus that of all": brightness,
    "share of images that one pixel fools": one_pixel,
    "share of images that only a further pixel fools": newly_fooled,
}
