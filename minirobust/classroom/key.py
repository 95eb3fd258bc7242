"""Answer keys: the right answers of a test, and the answers that each mistake would give.

`Computed` runs the author's models. `Recorded` reads visible.json, which contains only numbers, so `check` does not
need a program that computes a right answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from minirobust.classroom.assignment import Assignment, Private
from minirobust.classroom.exercise import Mistake, Test
from minirobust.classroom.mistakes import Explained, combinations, errors
from minirobust.classroom.program import Answer, Model

Draw = Callable[[], np.random.Generator]
PAIRS = 2
FAILED = object()  # equals no answer


class Key(Protocol):
    """The questions that `judge` asks about a test."""

    def right(self, test: Test, draw: Draw) -> tuple[list[Answer], list[int]]:
        """Return the right answers, and how many bytes each call returns."""

    def models(self, test: Test, draw: Draw) -> Iterator[Explained]:
        """Yield sets of mistakes and their answers, single mistakes first."""


def visible_draw() -> np.random.Generator:
    """Return the generator of every visible test, whose inputs are the same for everyone."""
    return np.random.default_rng(0)


class Computed:
    """The key that the private part of an assignment computes."""

    def __init__(self, private: Private) -> None:
        self.private = private

    def right(self, test: Test, draw: Draw) -> tuple[list[Answer], list[int]]:
        if draw is not visible_draw:
            return self._right(test, draw)
        kept = self.private.visible
        if test.name not in kept:
            kept[test.name] = self._right(test, draw)
        answers, sizes = kept[test.name]
        return answers, list(sizes)

    def _right(self, test: Test, draw: Draw) -> tuple[list[Answer], list[int]]:
        program = Model(self.private.program(frozenset()))
        return test.outcome(program, draw()), program.sizes

    def models(self, test: Test, draw: Draw) -> Iterator[Explained]:
        for size in range(1, PAIRS + 1):
            for mistakes in combinations(self.private.mistakes, size):
                yield mistakes, self.answers(test, draw, mistakes)

    def answers(self, test: Test, draw: Draw, mistakes: tuple[Mistake, ...]) -> Iterator[Answer]:
        """Yield the answers of a program with these mistakes; if it fails, yield `FAILED` and stop."""
        program = Model(self.private.program(frozenset(mistake.name for mistake in mistakes)))
        try:
            yield from test.script(program, draw())
        except Exception:  # What a faulty model raises is as unpredictable as what a student's program raises.
            yield FAILED


class OfOneProgram(Computed):
    """The key for one program, in which each test uses what earlier tests found.

    Mistakes that explained an earlier test are tried first. A pair that did not is never tried again: there are
    hundreds, and a program that none of them explains would be compared with all of them in every test.
    """

    def __init__(self, private: Private) -> None:
        super().__init__(private)
        self.sets = [list(combinations(private.mistakes, size)) for size in range(1, PAIRS + 1)]
        self.found: set[tuple[Mistake, ...]] = set()

    def models(self, test: Test, draw: Draw) -> Iterator[Explained]:
        for sets in self.sets:
            for mistakes in sorted(sets, key=lambda mistakes: mistakes not in self.found):
                self.found.add(mistakes)
                yield mistakes, self.answers(test, draw, mistakes)
                # This point is reached only if these mistakes do not explain the test.
                self.found.remove(mistakes)
                if len(mistakes) > 1:
                    sets.remove(mistakes)


class Recorded:
    """The key of the visible tests, read from a file of numbers."""

    def __init__(self, assignment: Assignment) -> None:
        path = assignment.folder / "visible.json"
        self.content = json.loads(path.read_text(encoding="utf-8"))
        self.mistakes = {name: Mistake(name, *rest) for name, *rest in self.content["mistakes"]}

    def right(self, test: Test, draw: Draw) -> tuple[list[Answer], list[int]]:
        recorded = self.content["tests"][test.name]
        return list(map(_from_json, recorded["right"])), list(recorded["bytes"])

    def models(self, test: Test, draw: Draw) -> Iterator[Explained]:
        for name, answers in self.content["tests"][test.name]["wrong"]:
            yield (self.mistakes[name],), list(map(_from_json, answers))


def record(assignment: Assignment, private: Private) -> str:
    """Return the text of visible.json: the answers that the private part computes for the visible tests."""
    key, tests = Computed(private), {}
    for test in assignment.tests:
        right, sizes = key.right(test, visible_draw)
        models = [(mistake.name, list(key.answers(test, visible_draw, (mistake,)))) for mistake in private.mistakes]
        # A mistake that this test cannot see explains nothing.
        wrong = [
            (name, list(map(_to_json, answers)))
            for name, answers in models
            if not _failed(answers) and errors(answers, right, test) > test.tolerance
        ]
        tests[test.name] = {"right": list(map(_to_json, right)), "bytes": sizes, "wrong": wrong}
    mistakes = [(mistake.name, mistake.sentence, mistake.section) for mistake in private.mistakes]
    return json.dumps({"mistakes": mistakes, "tests": tests}, indent=1, ensure_ascii=False) + "\n"


def _failed(answers: list[Answer]) -> bool:
    return any(answer is FAILED for answer in answers)


def _to_json(answer: Answer) -> Any:
    if isinstance(answer, tuple):
        return {"tuple": list(map(_to_json, answer))}
    if isinstance(answer, np.ndarray):
        return {"dtype": answer.dtype.str, "shape": answer.shape, "values": answer.ravel().tolist()}
    return answer


def _from_json(value: Any) -> Answer:
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(map(_from_json, value["tuple"]))
    return np.array(value["values"], value["dtype"]).reshape(value["shape"])
