"""Claims about learning and the three regimes (sections 4, 4.1 and 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minirobust.measures.intervals import mean_of_rates
from minirobust.measures.regimes import temperature_label
from minirobust.study.claims.evidence import PAPER_DATASETS, Sweep, count, paper_dataset, sweep, sweeps
from minirobust.study.claims.statistics import CHANCE, gap_of_means, trend
from minirobust.study.claims.verdict import CannotTellError, Finding, Ruling, all_hold, claim
from minirobust.study.store import Study

BEST = {"mnist": 0.98, "fashion-mnist": 0.90, "svhn": 0.92, "cifar10": 0.65}
TEST_IMAGES = {"mnist": 10_000, "fashion-mnist": 10_000, "svhn": 26_032, "cifar10": 10_000}
RANGES = {"mlp": (1 / 64, 16.0), "cnn": (1 / 8, 8.0)}
BAR = 0.95  # of the study's best accuracy: how long a network takes to get there is how slowly it learns
DRASTIC = 0.5  # of all net values change regime between the ends of T
MOVED = 0.01  # a share of net values below that has not changed
STEEP = 0.5  # of the summed slope lies in its steepest tenth: five times that tenth's share


@claim(
    "best-accuracy", "4", "The best network reaches a test accuracy of 0.98, 0.90, 0.92 and 0.65 on the four data sets."
)
def best_accuracy(study: Study) -> Finding:
    """Holds if the best accuracy after the last epoch reaches the figure, less half of its last digit.

    The upper end of its 95 % interval must.  Below it on a part of the data set, which the number of test images tells,
    nothing can be said: fewer images to learn from are worse.
    """
    known = paper_dataset(study)
    if known is None:
        raise CannotTellError(f"The paper has no data set {study.title}.")
    compared = sweep(study, extent="any", learned=False)
    accuracy, images = compared.last("test_accuracy"), compared.images.sum()
    best, target = int(accuracy.argmax()), BEST[known]
    interval = mean_of_rates(accuracy[best : best + 1], np.array([images]))
    reached = interval.high >= target - 0.005
    measured = (
        f"{accuracy[best]:.3f} ({interval.low:.3f} to {interval.high:.3f}) at T = {compared.labels[best]}, on "
        f"{count(images, 'test image')}; the paper has {target:.2f}.{compared.note}"
    )
    ruling: Ruling = "holds" if reached else "does not hold"
    if not reached and images < TEST_IMAGES[known]:
        ruling = "cannot tell here"
        measured += (
            f" This is a part of the data set, which has {TEST_IMAGES[known]:,} test images, and more to learn from."
        )
    elif not reached and compared.unfinished:
        ruling = "cannot tell here"
    return Finding(ruling, measured, {"accuracy": accuracy[best], "paper": target, "test images": float(images)})


@claim("extreme-temperatures", "4", "Networks of extreme temperature, too high or too low, are the hardest to train.")
def extreme_temperatures(study: Study) -> Finding:
    """Hard to train: a low test accuracy on the average over all epochs, that is low, late, or both.

    Holds if at either end of T it lies below the median of the temperatures between, beyond the 95 % interval of the
    difference; does not hold if it is not below it at one of the ends.  Half of all temperatures must have learned: if
    hardly any does, it is not for their temperature.
    """
    sweep(study, extent="most")
    compared = sweep(study, learned=False)
    accuracy, images = compared.series("test_accuracy").mean(axis=1), np.array([compared.images.sum()])
    middle = float(np.median(accuracy[1:-1]))
    gaps = [
        gap_of_means(*(mean_of_rates(np.array([value]), images) for value in (middle, end)))
        for end in accuracy[[0, -1]]
    ]
    rulings: list[Ruling] = [
        "holds" if gap.high < 0 else "does not hold" if gap.value >= 0 else "cannot tell here" for gap in gaps
    ]
    worst = " and ".join(compared.labels[row] for row in np.argsort(accuracy)[:2])
    measured = (
        f"Test accuracy, averaged over the epochs, is {accuracy[0]:.3f} at T = {compared.labels[0]}, "
        f"{accuracy[-1]:.3f} at T = {compared.labels[-1]}, and {middle:.3f} in the median of those between; it is "
        f"least at T = {worst}.{compared.note}"
    )
    ruling = all_hold(rulings)
    if ruling == "cannot tell here":
        measured += CHANCE
    return Finding(ruling, measured, {"lowest T": accuracy[0], "highest T": accuracy[-1], "median between": middle})


@claim(
    "beyond-the-range", "3.1", "At temperatures beyond the paper's range the network's accuracy drops significantly."
)
def beyond_the_range(study: Study) -> Finding:
    """Holds if every finished temperature outside the range of its kind of network is less accurate than all inside."""
    compared = sweep(study, extent="any", learned=False)
    low, high = RANGES[study.config.model]
    outside = (compared.temperatures < low) | (compared.temperatures > high)
    span = f"{temperature_label(low)} to {temperature_label(high)}"
    if not outside.any() or outside.all():
        raise CannotTellError(f"This takes temperatures within and beyond the range of {span}.")
    accuracy, images = compared.last("test_accuracy"), np.array([compared.images.sum()])
    best_outside, worst_inside = accuracy[outside].max(), accuracy[~outside].min()
    gap = gap_of_means(*(mean_of_rates(np.array([value]), images) for value in (worst_inside, best_outside)))
    measured = (
        f"Beyond the range of {span} the best test accuracy is {best_outside:.3f}, within it the worst is "
        f"{worst_inside:.3f}.{compared.note}"
    )
    figures = {"best outside": best_outside, "worst inside": worst_inside}
    return Finding("holds" if gap.high < 0 else "does not hold", measured, figures)


@claim("high-temperature-slow", "5", "The greater the temperature, the more slowly the network learns.")
def high_temperature_slow(study: Study) -> Finding:
    """How many epochs a network takes to 95 % of the best accuracy in the study must rise with T.

    One that never gets there is counted as one epoch later than the last.  Half of all temperatures must have learned.
    """
    sweep(study, extent="most")
    compared = sweep(study, learned=False)
    accuracy = compared.series("test_accuracy")
    bar = BAR * accuracy[:, -1].max()
    there = accuracy >= bar
    epochs = np.where(there.any(axis=1), there.argmax(axis=1) + 1, accuracy.shape[1] + 1)
    never = int((~there.any(axis=1)).sum())
    found = trend(compared, epochs, 1, f"The first epoch with a test accuracy of {bar:.3f} or more", form="d")
    if not never:
        return found
    late = f" Never reached at {count(never, 'temperature')}, counted as epoch {accuracy.shape[1] + 1}."
    return Finding(found.verdict, found.measured + late, found.figures)


@claim("gradients-vanish", "4", "Large temperatures make gradients too small.")
def gradients_vanish(study: Study) -> Finding:
    """The mean slope f'(net) of the last hidden layer, a factor of every gradient, must fall with T.

    After the first epoch, because the claim is of the start of learning; at no time can it exceed 1/(4 T).
    """
    compared = sweep(study, learned=False)
    return trend(compared, compared.series("slope_mean")[:, 0], -1, "The mean slope after the first epoch", form=".2g")


@claim(
    "gradients-concentrate", "4", "At low temperatures gradients are zero except near net = 0, where they are enormous."
)
def gradients_concentrate(study: Study) -> Finding:
    """The share of the summed slope f'(net) in its steepest tenth must fall with T, and be over half at the lowest."""
    compared = sweep(study, learned=False)
    share = compared.last("slope_share")
    found = trend(
        compared, share, -1, "The share of the summed slope that the steepest tenth of net values has", form=".2f"
    )
    steep: Ruling = "holds" if share[0] > STEEP else "does not hold"
    return Finding(all_hold([found.verdict, steep]), found.measured, found.figures)


@claim("linear-falls", "4.1", "The linear share of net values drops drastically as the temperature falls.")
def linear_falls(study: Study) -> Finding:
    """The share after the last epoch must rise with T, by at least 0.5 between the ends."""
    return _drastic(study, "linear", 1)


@claim("saturated-rises", "4.1", "Where the linear share is low, at low temperatures, the saturated share is high.")
def saturated_rises(study: Study) -> Finding:
    """The share after the last epoch must fall with T, by at least 0.5 between the ends."""
    return _drastic(study, "saturated", -1)


def _drastic(study: Study, regime: str, sign: int) -> Finding:
    compared = sweep(study)
    share = compared.last(regime)
    found = trend(compared, share, sign, f"The {regime} share after the last epoch")
    large: Ruling = "holds" if sign * (share[-1] - share[0]) >= DRASTIC else "does not hold"
    return Finding(all_hold([found.verdict, large]), found.measured, found.figures)


@claim(
    "saturation-grows", "4.1", "For most temperatures the network saturates more and more in the course of training."
)
def saturation_grows(study: Study) -> Finding:
    """Holds if the share rises by more than 0.01 from the first epoch to the last at most temperatures, over half.

    All test images' net values are counted, so this is no matter of chance; 0.01 leaves out what nobody would see.
    """
    return _moves(study, {"saturated": 1})


@claim("others-shrink", "4.1", "For most temperatures both the linear and the nonlinear share shrink during training.")
def others_shrink(study: Study) -> Finding:
    """Holds if at more than half of the temperatures both have fallen by more than 0.01: see `saturation_grows`."""
    return _moves(study, {"linear": -1, "nonlinear": -1})


def _moves(study: Study, signs: dict[str, int]) -> Finding:
    """Whether at most temperatures each regime's share has moved as its sign says."""
    compared = sweep(study, extent="most")
    change = {regime: compared.last(regime) - compared.series(regime)[:, 0] for regime in signs}
    moved = {regime: sign * change[regime] > MOVED for regime, sign in signs.items()}
    together = int(np.logical_and.reduce(list(moved.values())).sum())
    n = len(compared.rows)
    if study.config.epochs < 2:
        raise CannotTellError("This takes two epochs at least.")
    each = "; ".join(
        f"the {regime} share {'rises' if signs[regime] > 0 else 'falls'} at {moved[regime].sum()} of {n} temperatures "
        f"(changes from {values.min():+.3f} to {values.max():+.3f})"
        for regime, values in change.items()
    )
    both = f"; both at {together}" if len(signs) > 1 else ""
    measured = f"From the first epoch to the last, {each}{both}.{compared.note}"
    return Finding("holds" if together > n / 2 else "does not hold", measured, {"temperatures": n, "moved": together})


@claim(
    "nonlinear-above-linear",
    "4.1",
    "The nonlinear share starts from a significantly higher baseline than the linear one.",
)
def nonlinear_above_linear(study: Study) -> Finding:
    """Holds if after the first epoch it is higher by more than 0.01 at more than half of the temperatures."""
    compared = sweep(study, extent="most")
    linear, nonlinear = compared.series("linear")[:, 0], compared.series("nonlinear")[:, 0]
    above, n = int((nonlinear - linear > MOVED).sum()), len(compared.rows)
    measured = (
        f"After the first epoch the nonlinear share is the higher one at {above} of {n} temperatures: linear "
        f"{linear[0]:.3f} and nonlinear {nonlinear[0]:.3f} at T = {compared.labels[0]}, {linear[-1]:.3f} and "
        f"{nonlinear[-1]:.3f} at T = {compared.labels[-1]}.{compared.note}"
    )
    return Finding("holds" if above > n / 2 else "does not hold", measured, {"temperatures": n, "above": above})


@claim("smoothest-on-mnist", "4.1", "The transitions between regimes are smoothest on MNIST.", compares=True)
def smoothest_on_mnist(studies: Sequence[Study]) -> Finding:
    """Holds if the saturated share's second difference over the epochs is least on MNIST.

    Its absolute value is averaged over the epochs and the temperatures that the four data sets share.
    """
    found = _of_paper(studies)
    missing = [name for name in PAPER_DATASETS if name not in found]
    if missing:
        raise CannotTellError(f"This compares the paper's four data sets; without a study here: {', '.join(missing)}.")
    shared = sorted(set.intersection(*(set(compared.temperatures) for compared in found.values())))
    if not shared:
        raise CannotTellError("No temperature is finished on all four data sets.")
    rough = {name: _roughness(compared, shared) for name, compared in found.items()}
    if any(np.isnan(value) for value in rough.values()):
        raise CannotTellError("A second difference takes three epochs.")
    listed = ", ".join(f"{found[name].study.title} {value:.2g}" for name, value in rough.items())
    measured = (
        f"Mean second difference of the saturated share over {count(len(shared), 'shared temperature')}: {listed}."
    )
    least = min(rough, key=lambda name: rough[name])
    return Finding("holds" if least == "mnist" else "does not hold", measured, rough)


def _of_paper(studies: Sequence[Study]) -> dict[str, Sweep]:
    """The sweep of each of the paper's data sets that is there."""
    known = {paper_dataset(study): study for study in studies}
    names = [name for name in PAPER_DATASETS if name in known]
    return dict(zip(names, sweeps([known[name] for name in names], learned=False), strict=True))


def _roughness(compared: Sweep, shared: Sequence[float]) -> float:
    rows = np.isin(compared.temperatures, shared)
    bends = np.diff(compared.series("saturated")[rows], n=2, axis=1)
    return float(abs(bends).mean()) if bends.size else np.nan


CLAIMS = (
    best_accuracy,
    extreme_temperatures,
    beyond_the_range,
    high_temperature_slow,
    gradients_vanish,
    gradients_concentrate,
    linear_falls,
    saturated_rises,
    saturation_grows,
    others_shrink,
    nonlinear_above_linear,
    smoothest_on_mnist,
)
