"""Time calls that take turns, and write their times as a median with its spread."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from statistics import median
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def timed(call: Callable[[], object], clock: Callable[[], float]) -> Callable[[], float]:
    """Return a function that makes the call and returns its seconds."""

    def seconds() -> float:
        begin = clock()
        call()
        return clock() - begin

    return seconds


def take_turns(calls: Mapping[Name, Callable[[], float]], rounds: int) -> dict[Name, list[float]]:
    """Return what each call returned in each round; every second round goes backwards."""
    results: dict[Name, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in list(calls)[:: -1 if number % 2 else 1]:
            results[name].append(calls[name]())
    return results


def ratios(times: Iterable[float], reference: Iterable[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(times, reference, strict=True)]


def spread(values: list[float], form: str = ".2f") -> str:
    """Return "median (least to most)"."""
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"
