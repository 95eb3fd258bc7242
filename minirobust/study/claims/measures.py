"""`MEASURES`: the cases of a claim, and what is compared in each, under the name used in `criteria`.

Each measure takes a `Sweep`, or every sweep if the claim compares data sets, a `Level`, and the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from minirobust.measures.intervals import Estimate
from minirobust.measures.statistics import exact, minus, over_seeds, spearman, spread
from minirobust.study.claims import criteria
from minirobust.study.claims.criteria import Claim
from minirobust.study.claims.evidence import PAPER, Level, Score, Source, Sweep, at, paper_dataset, test_images
from minirobust.study.claims.sources import SOURCES, accuracy, fgsm
from minirobust.study.claims.verdict import CannotTellError, Case

Measure = Callable[[Any, Level, Claim], list[Case]]


def trend(sweep: Sweep, level: Level, claim: Claim, source: Source | None = None) -> list[Case]:
    """Return the highest temperature's figure minus the lowest's, and as order ρ of figure and T, seed by seed."""
    T, seeds = sweep.range(source or SOURCES[claim.quantity], level)
    gap = over_seeds([scores[-1].minus(scores[0]) for scores in seeds.values()])
    order = over_seeds([exact(spearman(T, values(scores))) for scores in seeds.values()])
    mean = np.mean([values(scores) for scores in seeds.values()], axis=0)
    text = f"{mean[0]:.3g} at {at(T[0])} and {mean[-1]:.3g} at {at(T[-1])}, ρ = {order.value:.2f}"
    return [Case("between the ends", gap, order, text, {"ρ": order.value} | dict(zip(map(at, T), mean, strict=True)))]


def values(scores: Sequence[Score]) -> list[float]:
    """Return the figures of scores."""
    return [score.estimate.value for score in scores]


def trend_at_every_epsilon(sweep: Sweep, level: Level, claim: Claim) -> list[Case]:
    """Return `trend` at each ε of the study, or at the level's."""
    if level != PAPER:
        return trend(sweep, level, claim)
    cases = [trend(sweep, level, claim, partial(fgsm, row=row))[0] for row in range(len(sweep.study.config.epsilons))]
    names = [f"ε = {epsilon:g}" for epsilon in sweep.study.config.epsilons]
    return [Case(name, case.estimate, case.order, case.text) for name, case in zip(names, cases, strict=True)]


def correlation(sweep: Sweep, level: Level, claim: Claim) -> list[Case]:
    """Return ρ of two quantities over the temperatures; undecided if one of them varies no more than by chance."""
    one, other = (sweep.range(SOURCES[name], level)[1] for name in (claim.quantity, claim.other))
    rho = over_seeds([exact(spearman(values(one[seed]), values(other[seed]))) for seed in one if seed in other])
    for scores in (next(iter(one.values())), next(iter(other.values()))):
        ordered = sorted(scores, key=lambda score: score.estimate.value)
        if ordered[-1].minus(ordered[0]).low <= 0:
            return [Case("over T", Estimate(rho.value, -1.0, 1.0), None, "one of them varies by no more than chance")]
    return [Case("over T", rho)]


def each(sweep: Sweep, level: Level, claim: Claim, only: float | None = None) -> list[Case]:
    """Return the figure at each temperature, or at one."""
    figures = {T: one for T, one in sweep.estimates(SOURCES[claim.quantity], level).items() if only in (None, T)}
    if not figures:
        raise CannotTellError(f"No network has what this takes.{sweep.note}")
    return [Case(at(T), estimate) for T, estimate in figures.items()] + (sweep.waiting() if only is None else [])


def best(sweep: Sweep, level: Level, claim: Claim) -> list[Case]:
    """Return the figure of the best network; undecided if test images or temperatures are missing."""
    scores = sweep.scores(SOURCES[claim.quantity])
    T, value = max(((T, s.estimate.value) for T, of in scores.items() for s in of.values()), key=lambda pair: pair[1])
    whole, images = criteria.TEST_IMAGES[str(paper_dataset(sweep.study))], test_images(sweep.records[0]).sum()
    part = images < whole or bool(sweep.unfinished)
    text = f"{value:.3f} at {at(T)}, on {images:,} of {whole:,} test images"
    return [Case("the best", Estimate(value, value, 1.0 if part else value), None, text)]


def over_epsilon(sweep: Sweep, level: Level, claim: Claim) -> list[Case]:
    """Return the fall of robustness from the least ε to the greatest, and as order the least fall between two."""
    rows = range(len(sweep.study.config.epsilons))
    if len(rows) < 2:
        raise CannotTellError("Robustness was measured at only one ε.")
    curves = [sweep.estimates(partial(fgsm, row=row)) for row in rows]
    steps = {T: [curves[row][T].value - curves[row + 1][T].value for row in rows[:-1]] for T in sweep.temperatures}
    falls = [Case(at(T), minus(curves[0][T], curves[-1][T]), exact(min(steps[T]))) for T in steps]
    return falls + sweep.waiting()


def ends(sweep: Sweep, level: Level, claim: Claim, which: Sequence[int], middle: bool = True) -> list[Case]:
    """Return the ends' figures, minus the median of the temperatures between if `middle`."""
    T, seeds = sweep.range(SOURCES[claim.quantity], level)
    if claim.quantity.startswith("epochs") and not any(any(values(scores)) for scores in seeds.values()):
        raise CannotTellError("Every network learns within the first epoch, during which nothing is measured.")
    found = []
    for end in which:
        at_end = [scores[end].estimate for scores in seeds.values()]
        between = [np.median([one.estimate for one in scores[1:-1]], axis=0) for scores in seeds.values()]
        gaps = [minus(one, Estimate(*map(float, other))) for one, other in zip(at_end, between, strict=True)]
        text = f"{np.mean(at_end, axis=0)[0]:.3g}, between {np.mean(between, axis=0)[0]:.3g}"
        found.append(Case(at(T[end]), over_seeds(gaps if middle else at_end), None, text))
    return found


def outside(sweep: Sweep, level: Level, claim: Claim) -> list[Case]:
    """Return the differences between temperatures beyond the paper's range and the worst within it."""
    low, high = criteria.RANGES[sweep.study.config.model]
    found = sweep.estimates(SOURCES[claim.quantity])
    within = [estimate for T, estimate in found.items() if low <= T <= high]
    beyond = {T: estimate for T, estimate in found.items() if not low <= T <= high}
    if not within or not beyond:
        raise CannotTellError(f"This takes temperatures within and beyond {at(low)} to {high:g}.")
    return [Case(at(T), minus(estimate, min(within))) for T, estimate in beyond.items()]


# Over classes and images


def class_order(sweep: Sweep, level: Level, claim: Claim) -> list[Case]:
    """Return the mean ρ of the classes' robustness over all pairs of temperatures at which the classes differ.

    If chance, from few images, explains much of the variance over classes, it may be what keeps ρ low. The upper end of
    the interval is then 1.
    """
    found = []
    for scores in sweep.range(SOURCES[claim.quantity], level)[1].values():
        ordered = [score for score in scores if np.nanmax(score.rates) > np.nanmin(score.rates)]
        table = np.array([score.rates[score.images > 0] for score in ordered])
        if len(table) >= 3 and table.shape[1] >= 3:
            rho = float(np.mean([spearman(*pair) for pair in combinations(table, 2)]))
            noise = np.median([spread(score.rates, score.images)[1] for score in ordered])
            found.append(Estimate(rho, rho, 1.0 if noise > criteria.NOISE else rho))
    if not found:
        raise CannotTellError("The classes differ at fewer than 3 temperatures, or there are fewer than 3.")
    return [Case("all pairs of temperatures", over_seeds(found))]


def significance(sweep: Sweep, level: Level, claim: Claim, only: int | None = None) -> list[Case]:
    """Return p of the correlation of G and confidence for each class with enough images; 1 if it is positive."""
    images = test_images(sweep.records[0])
    classes = [c for c in np.flatnonzero(images >= criteria.LEAST_IMAGES) if only in (None, c)]
    if not classes:
        raise CannotTellError(f"Classes have up to {images.max()} test images: this takes {criteria.LEAST_IMAGES}.")
    found = [
        Case(f"{at(record.temperature)}, class {c}", exact(p if r < 0 else 1.0))
        for record in sweep.records
        for c in classes
        if not np.isnan(r := record.final["correlation"][c]) and not np.isnan(p := record.final["p_value"][c])
    ]
    if not found:
        raise CannotTellError(f"G or the confidence is the same for all images of a class.{sweep.note}")
    return found + [Case(f"{case.name}, class {c}", None) for case in sweep.waiting() for c in classes]


def largest_median(sweep: Sweep, level: Level, claim: Claim) -> list[Case]:
    """Return the largest median of G over all classes and networks, which is also the order."""
    if sweep.unfinished:
        raise CannotTellError(f"The largest of all takes all temperatures.{sweep.note}")
    largest = exact(np.nanmax([record.final["gradient_median"] for record in sweep.records]))
    return [Case("the largest", largest, largest)]


def classes_over_temperatures(sweep: Sweep, level: Level, claim: Claim) -> list[Case]:
    """Return the standard deviation of the medians of G over classes, minus that over temperatures."""
    seeds = sweep.range(SOURCES["median of G"])[1].values()
    tables = [np.array([score.rates for score in scores]) for scores in seeds]
    gaps = [exact(np.nanstd(np.nanmean(one, axis=0)) - np.nanstd(np.nanmean(one, axis=1))) for one in tables]
    return [Case("standard deviations", over_seeds(gaps))]


def by_eye(sweep: Sweep, level: Level, claim: Claim) -> list[Case]:
    """Raise CannotTellError."""
    raise CannotTellError("No number says whether an image is pretty. Figure 7 shows them to judge by eye.")


def examples(sweep: Sweep, level: Level, claim: Claim) -> list[Case]:
    """Return the number of images that are examples. That there is none takes many images and all temperatures."""
    records = [record.final for record in sweep.records if "two/after" in record.final]
    if not records:
        raise CannotTellError(f"No image fell to exactly two pixels.{sweep.note}")
    shown = []
    for final in records:
        row, column = np.divmod(final["two/pixels"], final["two/image"].shape[2])
        edges = [(row, final["two/image"].shape[1]), (column, final["two/image"].shape[2])]
        margins = [(place, int(criteria.MARGIN * side), side) for place, side in edges]
        outer = np.logical_or.reduce([(p < margin) | (p >= side - margin) for p, margin, side in margins])
        confident = final["two/after"] >= criteria.CONFIDENT
        shown.append(confident if claim.quantity == "confident" else outer.all(axis=1))
    found, n = int(np.concatenate(shown).sum()), sum(map(len, shown))
    undecided = n < criteria.ENOUGH_TO_MISS or bool(sweep.unfinished)
    return [Case("images found", Estimate(found, found, n if undecided else found), None, f"of {n:,} images")]


# Between data sets


def by_dataset(sweeps: Sequence[Sweep]) -> dict[str, Sweep]:
    """Return the sweep of each of the paper's data sets that is there."""
    found = {paper_dataset(sweep.study): sweep for sweep in sweeps}
    return {name: found[name] for name in criteria.DATASETS if name in found}


def in_pairs(sweeps: Sequence[Sweep], level: Level, claim: Claim) -> list[Case]:
    """Return, for each pair of data sets, ρ of their profiles over what both have."""
    profiles = {name: PROFILES[claim.quantity](sweep) for name, sweep in by_dataset(sweeps).items()}
    found = []
    for pair in combinations([name for name in claim.datasets if name], 2):
        keys = sorted(set.intersection(*(set(profiles.get(name, {})) for name in pair)))
        rho = exact(spearman(*([profiles[name][key] for key in keys] for name in pair))) if len(keys) > 2 else None
        found.append(Case(" and ".join(pair), rho))
    if all(case.estimate is None for case in found):
        raise CannotTellError(f"This compares data sets of the paper; there are {', '.join(profiles) or 'none'}.")
    return found


def course(sweep: Sweep, names: Sequence[str]) -> dict[Any, float]:
    """Return the series at all temperatures, at ten points of training whatever its length."""
    found: dict[Any, float] = {}
    for T in sweep.temperatures:
        for name in names:
            of_seeds = [record.epochs[name] for record in sweep.records if record.temperature == T]
            if name == "robustness":
                of_seeds = [np.nanmean(series[:, sweep.study.config.main], axis=1) for series in of_seeds]
            series = np.mean(of_seeds, axis=0)
            epochs = np.linspace(0, len(series) - 1, criteria.PERIODS).round().astype(int)
            found |= {(T, name, period): float(series[epoch]) for period, epoch in enumerate(epochs)}
    return found


def order_of_classes(sweep: Sweep) -> dict[Any, float]:
    """Return the mean rank of each class by its median of G."""
    from scipy.stats import rankdata

    if test_images(sweep.records[0]).min() < criteria.LEAST_IMAGES:
        return {}
    return dict(enumerate(np.mean([rankdata(record.final["gradient_median"]) for record in sweep.records], axis=0)))


PROFILES: Mapping[str, Callable[[Sweep], dict[Any, float]]] = {
    "course of the three shares": partial(course, names=("linear", "nonlinear", "saturated")),
    "course of robustness": partial(course, names=("robustness",)),
    "order of classes by G": order_of_classes,
}


def median_correlation(sweeps: Sequence[Sweep], level: Level, claim: Claim) -> list[Case]:
    """Return for each data set the median over classes and networks of the correlation of G and confidence."""
    found = by_dataset(sweeps)
    r = {name: np.concatenate([record.final["correlation"] for record in one.records]) for name, one in found.items()}
    known = [name for name in r if not np.isnan(r[name]).all()]
    return [Case(name, exact(np.nanmedian(r[name])) if name in known else None) for name in criteria.DATASETS]


def rougher_than_mnist(sweeps: Sequence[Sweep], level: Level, claim: Claim) -> list[Case]:
    """Return how much more the saturated share bends than on MNIST, over as many epochs: mean second differences."""
    found = by_dataset(sweeps)
    shared = set.intersection(*(set(one.temperatures) for one in found.values())) if found else set()
    epochs = min((one.study.config.epochs for one in found.values()), default=0)
    if "mnist" not in found or not shared or epochs < 3:
        raise CannotTellError("This takes a study of MNIST, and temperatures and three epochs that all have.")
    bends = {}
    for name, one in found.items():
        series = [record.epochs["saturated"][:epochs] for record in one.records if record.temperature in shared]
        bends[name] = np.mean(abs(np.diff(series, n=2, axis=1)))
    cases = ((name, bends[name] - bends["mnist"] if name in bends else None) for name in criteria.DATASETS[1:])
    return [Case(name, None if gap is None else exact(gap)) for name, gap in cases]


def families(sweeps: Sequence[Sweep], level: Level, claim: Claim) -> list[Case]:
    """Return at each shared T the least figure of fully connected networks minus the largest of convolutional ones.

    The order is the same of the figures divided by accuracy. Where nothing is left of robustness there is no case.
    """
    kinds = [[one for one in sweeps if one.study.config.model == model] for model in ("mlp", "cnn")]
    if not all(kinds) or len({one.study.config.epsilon for one in sweeps}) > 1:
        raise CannotTellError("This takes fully connected and convolutional networks, attacked at the same ε.")
    shared = sorted(set.intersection(*(set(one.temperatures) for one in sweeps)))
    if len(shared) < 3:
        raise CannotTellError(f"All studies share {len(shared)} finished temperatures: this takes 3.")
    cases = []
    for T in shared:
        mlp, cnn = ([both_figures(one, T, level, claim) for one in kind] for kind in kinds)
        if claim.quantity == criteria.FGSM and max(one.value for one, _ in mlp + cnn) < criteria.LEFT:
            continue
        gap, relative = minus(min(mlp)[0], max(cnn)[0]), min(of for _, of in mlp) - max(of for _, of in cnn)
        cases.append(Case(at(T), gap, exact(relative)))
    return cases


def both_figures(sweep: Sweep, T: float, level: Level, claim: Claim) -> tuple[Estimate, float]:
    """Return a study's figure at a temperature, and the same divided by accuracy."""
    figure, right = (sweep.estimates(source, level).get(T) for source in (SOURCES[claim.quantity], accuracy))
    if figure is None or right is None:
        raise CannotTellError(f"{sweep.study.title} lacks audited images of each class at {at(T)}.")
    return figure, figure.value / max(right.value, 1e-9)


MEASURES: Mapping[str, Measure] = {
    "trend over T": trend,
    "trend over T at every ε": trend_at_every_epsilon,
    "correlation over T": correlation,
    "every temperature": each,
    "best network": best,
    "least ε minus greatest": over_epsilon,
    "both ends minus middle": partial(ends, which=(0, -1)),
    "highest end minus middle": partial(ends, which=(-1,)),
    "lowest end": partial(ends, which=(0,), middle=False),
    "temperatures outside minus worst inside": outside,
    "order of classes over T": class_order,
    "every class and temperature": significance,
    "class 3 at every temperature": partial(significance, only=3),
    "largest median of G": largest_median,
    "classes minus temperatures": classes_over_temperatures,
    "T = 1": partial(each, only=1.0),
    "by eye": by_eye,
    "images that two pixels fool": examples,
    "data sets in pairs": in_pairs,
    "every data set": median_correlation,
    "rougher than MNIST": rougher_than_mnist,
    "fully connected minus convolutional": families,
}
