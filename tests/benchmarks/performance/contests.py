"""The contests: what all contenders compute, whether their results agree, and the tables of their times."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from . import contenders
from .contenders import ours
from .data import BATCH, Data, Work
from .timing import ratios, spread, take_turns, timed

# How far a result may be from that of minirobust on NumPy: relative to its norm, or the share of images that differ.
# PGD's second start is random; other images that differ lie on the border between two classes.  Where two pixels of a
# pooling window are equal but for rounding, gradients take different ways.
TOLERANCE = {"training": 1e-3, "input_gradient": 0.01, "fgsm": 0.002, "pgd": 0.01, "pixel": 0.002, "square": 0.002}


@dataclass(frozen=True)
class Contest:
    """What all contenders compute: a function of their modules, for a `Work` and further arguments."""

    title: str
    function: str
    work: Work
    arguments: tuple[Any, ...] = ()


@dataclass
class Outcome:
    """The times and first results of a contest, by contender; the first is minirobust on NumPy."""

    contest: Contest
    first: dict[str, np.ndarray]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def tolerance(self) -> float:
        return TOLERANCE[self.contest.function]

    @property
    def reference(self) -> str:
        return next(iter(self.first))

    def difference(self, name: str) -> float:
        """Return how far a contender's first result is from the reference's."""
        ours, theirs = self.first[self.reference], self.first[name].reshape(self.first[self.reference].shape)
        if ours.dtype == bool:
            return float((ours != theirs).mean())
        return float(np.linalg.norm(theirs - ours) / np.linalg.norm(ours))

    def ratio(self, name: str, to: str) -> list[float]:
        return ratios(self.seconds[name], self.seconds[to])

    def result(self, name: str) -> list[str]:
        """Return a contender's loss or its share of misclassified images, and the difference from the reference."""
        first, difference = self.first[name], f"{self.difference(name):.1g}"
        if first.dtype == bool:
            return [f"{first[-1].mean():.4f} misclassified", difference]
        return [f"loss {first:.4f}" if first.ndim == 0 else "", difference]


def mlp(data: Data) -> Iterator[Contest]:
    training, test = data.mlp_training(), data.mlp_test(10_000)
    yield Contest(f"MLP: an epoch of {len(training.y):,} images", "training", training)
    yield Contest(f"MLP: input gradient of {len(test.y):,} images", "input_gradient", test)


def cnn(data: Data) -> Iterator[Contest]:
    training, test = data.cnn(8 * BATCH), data.cnn(500)
    yield Contest(f"CNN: {-(-len(training.y) // BATCH)} training steps", "training", training)
    yield Contest(f"CNN: input gradient of {len(test.y):,} images", "input_gradient", test)


def attacks(data: Data) -> Iterator[Contest]:
    work, fewer, fewest = data.mlp_test(10_000), data.mlp_test(2_000), data.mlp_test(1_000)
    yield Contest(f"FGSM, {len(work.y):,} images", "fgsm", work, (0.1,))
    yield Contest(f"PGD, 40 steps, 2 starts, {len(fewer.y):,} images", "pgd", fewer, (0.1, 40, 2))
    for pixels in (1, 2, 3):
        yield Contest(f"pixel attack, n = {pixels}, {len(work.y):,} images", "pixel", work, (pixels,))
    yield Contest(f"Square Attack, 200 queries, {len(fewest.y):,} images", "square", fewest, (0.1, 200))


GROUPS = {"mlp": mlp, "cnn": cnn, "attacks": attacks}


def hold(contest: Contest, rounds: int = 0, clock: Callable[[], float] = process_time) -> Outcome:
    """Let all contenders compute once, which warms them up and gives the results to compare, and then in turns."""
    entered = contenders.enter(contest.function, contest.work, *contest.arguments)
    outcome = Outcome(contest, {contender.name: contender.to_numpy(contender.run()) for contender in entered})
    outcome.seconds = take_turns({contender.name: timed(contender.run, clock) for contender in entered}, rounds)
    return outcome


def mismatches(outcomes: list[Outcome]) -> list[str]:
    """Return a sentence for each contender whose first result differs from the reference's."""
    return [
        f"MISMATCH in {outcome.contest.title}: expected {name} to differ from {outcome.reference} by at most "
        f"{outcome.tolerance:g}, got {outcome.difference(name):.2g}"
        for outcome in outcomes
        for name in outcome.first
        if not outcome.difference(name) <= outcome.tolerance  # in this form NaN is a mismatch
    ]


def table(outcomes: list[Outcome]) -> list[list[str]]:
    """Return a row for each contender of each contest: its seconds, ratios to each of our backends, and result."""
    backends = [f"minirobust, {backend.name}" for backend in ours.backends()]
    rows = [
        [
            outcomes[0].contest.work.data,
            "contender",
            "seconds",
            *(f"ratio to {name}" for name in backends),
            "result",
            "difference",
        ]
    ]
    for outcome in outcomes:
        title = outcome.contest.title
        for name, seconds in outcome.seconds.items():
            compared = ["1" if name == to else spread(outcome.ratio(name, to)) for to in backends]
            rows.append([title, name, spread(seconds, ".3g"), *compared, *outcome.result(name)])
            title = ""
    return rows


def results(outcomes: list[Outcome]) -> list[list[str]]:
    """Return a row for each contender of each contest: its result, without times."""
    rows = [["", "contender", "result", "difference"]]
    for outcome in outcomes:
        rows += [[outcome.contest.title, name, *outcome.result(name)] for name in outcome.first]
    return rows


def summary(outcomes: list[Outcome]) -> list[list[str]]:
    """Return a row for each contest: our seconds on NumPy, and how many times as long the others take."""
    reference, *others = [f"minirobust, {backend.name}" for backend in ours.backends()]
    others += ["PyTorch", "JAX"]
    rows = [["", f"{reference}, seconds", *others]]
    for outcome in outcomes:
        ratios = [fastest(outcome, library, reference) for library in others]
        rows.append([outcome.contest.title, f"{median(outcome.seconds[reference]):.3g}", *ratios])
    return rows


def fastest(outcome: Outcome, library: str, to: str) -> str:
    """Return the ratio of the fastest of a library's contenders, or nothing if none takes part."""
    found = [outcome.ratio(name, to) for name in outcome.seconds if name.startswith(library)]
    return spread(min(found, key=median)) if found else ""
