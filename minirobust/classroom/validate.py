"""`validate` tests the tests, with right programs, wrong ones, and automatic mutants."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from minirobust.classroom.assignment import Assignment, Private, marked
from minirobust.classroom.exercise import Mistake, Test
from minirobust.classroom.grading import grade
from minirobust.classroom.judge import Finding, judge
from minirobust.classroom.key import Computed, Draw, record, visible_draw
from minirobust.classroom.leaks import leaks
from minirobust.classroom.mistakes import combinations, errors
from minirobust.classroom.mutants import mutants
from minirobust.classroom.program import Answer, Model, Wrong
from minirobust.classroom.sandbox import Sandbox

NAMED_MUTANTS = 0.4
FEWEST_RIGHT = 3


@dataclass
class Report:
    """The findings of `validate`: problems, and figures that describe the assignment."""

    problems: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    def expect(self, condition: bool, problem: str) -> None:
        """Record a problem unless `condition` holds."""
        if not condition:
            self.problems.append(problem)


def validate(assignment: Assignment, private: Private, sandbox: Sandbox, seeds: int, public: Iterable[Path]) -> Report:
    """Test an assignment.

    Parameters
    ----------
    assignment, private
    sandbox : Sandbox
        The sandbox in which the stub, the right solutions and the wrong programs run once. All else runs in this
        process.
    seeds : int
        How many times right solutions and mistakes are tested, each time with new inputs.
    public : iterable of Path
        The files that students have.
    """
    report = Report()
    check_files(report, assignment, private)
    check_leaks(report, assignment, private, public)
    check_submissions(report, assignment, private, sandbox)
    check_right(report, assignment, private, seeds)
    check_mistakes(report, assignment, private, max(1, seeds // 10))
    check_pairs(report, assignment, private)
    check_mutants(report, assignment, private)
    return report


def check_files(report: Report, assignment: Assignment, private: Private) -> None:
    """Check that there are enough files, that names are unique, and that sections exist."""
    mark = (assignment.name, assignment.version)
    report.expect(marked(assignment.stub) == mark, f"the stub lacks the line # assignment: {assignment}")
    report.expect(_imports(assignment.stub) <= {"numpy"}, "the stub imports more than NumPy")
    report.expect(len(private.right) >= FEWEST_RIGHT, f"expected {FEWEST_RIGHT} right solutions, which differ")
    for names in ([m.name for m in private.mistakes], [t.name for t in [*assignment.tests, *private.tests]]):
        report.expect(len(set(names)) == len(names), f"a name is used twice among {names}")
    items: list[Test | Mistake] = [*assignment.tests, *private.tests, *private.mistakes]
    for item in items:
        report.expect(
            f"\n## {item.section} " in assignment.lesson, f"{item.name}: the lesson has no section {item.section}"
        )
    path = assignment.folder / "visible.json"
    recorded = path.read_text(encoding="utf-8") if path.is_file() else ""
    report.expect(recorded == record(assignment, private), "visible.json is out of date: run validate with --update")


def _imports(source: str) -> set[str]:
    """Return the packages that a program imports."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def check_leaks(report: Report, assignment: Assignment, private: Private, public: Iterable[Path]) -> None:
    """Check that students cannot read a right solution in a file."""
    right = [path.read_text(encoding="utf-8") for path in private.right]
    report.problems += leaks(right, assignment.stub, public)


def check_submissions(report: Report, assignment: Assignment, private: Private, sandbox: Sandbox) -> None:
    """Grade the stub, the right solutions and the wrong programs as submissions."""
    secret = b"validate"
    stub = grade(assignment, private, assignment.stub.encode(), sandbox, secret)
    unwritten = all(test.finding.mistake == "not written" for test in stub.tests)
    report.expect(stub.score == 0 and unwritten, "the stub does not score 0 with the sentence 'not written yet'")
    for path in private.right:
        result = grade(assignment, private, path.read_bytes(), sandbox, secret)
        report.expect(result.passed, f"{path.name}: {_first_failure(result)}")
    for path in private.wrong:
        source = path.read_text(encoding="utf-8")
        wanted = source.partition("\n")[0].removeprefix("# mistake: ")
        result = grade(assignment, private, source.encode(), sandbox, secret)
        names = [test.finding.mistake for test in result.tests if not test.finding.passed]
        report.expect(bool(names), f"{path.name} gets full marks")
        report.expect(wanted in names, f"{path.name}: expected the mistake {wanted!r}, got {sorted(set(names))}")


def _first_failure(result: Any) -> str:
    test = next((test for test in result.tests if test.fault or not test.finding.passed), None)
    return f"{test.name}: {test.fault or test.finding.sentence}" if test else ""


def check_right(report: Report, assignment: Assignment, private: Private, seeds: int) -> None:
    """Check that right solutions get full marks with every seed."""
    key = Remembered(private)
    seeds = min(seeds, assignment.seeds or seeds)
    sources = {path.name: path.read_text(encoding="utf-8") for path in private.right}
    for seed in range(seeds):
        for test, draw in _draws(assignment, private, seed):
            for name, source in sources.items():
                finding = judge(test, Imported(source), key, draw, show_numbers=True)
                report.expect(finding.passed, f"{name}: {test.name} with seed {seed}: {finding.sentence}")
        key.forget()


def check_mistakes(report: Report, assignment: Assignment, private: Private, seeds: int) -> None:
    """Check that every mistake is caught and named with every seed."""
    key = Remembered(private)
    seeds = min(seeds, assignment.seeds or seeds)
    for seed in range(seeds):
        tests = list(_draws(assignment, private, seed))
        for mistake in private.mistakes:
            names = set()
            for test, draw in tests:
                finding = judge(test, _faulty(private, mistake), key, draw, show_numbers=True)
                names |= set() if finding.passed else {finding.mistake}
                if mistake.name in names:
                    break
            report.expect(bool(names), f"{mistake.name} is not caught with seed {seed}")
            report.expect(mistake.name in names, f"{mistake.name} is called {sorted(names)} with seed {seed}")
        key.forget()
    report.figures.append(f"{len(private.mistakes)} mistakes, each caught and named on {seeds} seeds")


def _faulty(private: Private, mistake: Mistake) -> Imported:
    return Imported(private.program(frozenset([mistake.name])))


def check_pairs(report: Report, assignment: Assignment, private: Private) -> None:
    """Check that no pair of mistakes gives the same answers as the right program or as another set."""
    tests = list(_draws(assignment, private, 0))
    key, known = Computed(private), {}
    known[frozenset[str]()] = [key.right(test, draw)[0] for test, draw in tests]
    for size in (1, 2):
        for mistakes in combinations(private.mistakes, size):
            names = frozenset(mistake.name for mistake in mistakes)
            answers = [list(key.answers(test, draw, mistakes)) for test, draw in tests]
            if names not in private.same:
                twin = next((other for other, theirs in known.items() if _alike(answers, theirs, tests)), None)
                report.expect(twin is None, f"{_sum(names)} equals {_sum(twin or ())}: list it in SAME or test it")
            known[names] = answers


def _sum(names: Iterable[str]) -> str:
    return " + ".join(sorted(names)) or "the right program"


def _alike(a: list[list[Answer]], b: list[list[Answer]], tests: list[tuple[Test, Draw]]) -> bool:
    """Return whether two programs answer the same in every test."""
    return all(errors(x, y, test) <= test.tolerance for x, y, (test, _) in zip(a, b, tests, strict=True))


def check_mutants(report: Report, assignment: Assignment, private: Private) -> None:
    """Check that every mutant of a right solution is caught, and that many are named."""
    if assignment.seeds:
        return
    key = Remembered(private)
    tests = list(_draws(assignment, private, 0))
    total = named = 0
    for path in private.right:
        for what, source in mutants(path.read_text(encoding="utf-8")):
            findings = [_tried(test, source, key, draw) for test, draw in tests]
            title = f"{path.name} {what}"
            if title in private.equivalent:
                report.expect(all(f.passed for f in findings), f"{title}: listed as equivalent, but caught")
                continue
            total += 1
            named += any(finding.mistake for finding in findings)
            report.expect(not all(f.passed for f in findings), f"{title}: a mutant that no test catches")
    share = named / max(total, 1)
    report.figures.append(f"{total} mutants, {share:.0%} named")
    report.expect(share >= NAMED_MUTANTS, f"{share:.0%} of the mutants are named, expected {NAMED_MUTANTS:.0%}")


def _tried(test: Test, source: str, key: Computed, draw: Draw) -> Finding:
    """Return a test's finding for a mutant, whose import may already fail."""
    try:
        return judge(test, Imported(source), key, draw, show_numbers=True)
    except Wrong as wrong:
        return Finding(False, str(wrong), wrong.mistake)


def _draws(assignment: Assignment, private: Private, seed: int) -> Iterator[tuple[Test, Draw]]:
    """Yield every test with its random numbers."""
    for test in assignment.tests:
        yield test, visible_draw
    for place, test in enumerate(private.tests):
        yield test, functools.partial(np.random.default_rng, [seed, place])


class Imported(Model):
    """The author's program in this process, which answers like a student's: an exception is a finding."""

    def __init__(self, program: str | dict[str, Any]) -> None:
        names = program if isinstance(program, dict) else _namespace(program)
        super().__init__(names)

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Answer:
        try:
            return super().run(function, args)
        except Wrong:
            raise
        except NotImplementedError:
            raise Wrong("not written yet", "not written") from None
        except Exception as error:
            raise Wrong(f"raised {type(error).__name__}: {error}", f"raised {type(error).__name__}") from None


@functools.cache
def _compiled(source: str) -> CodeType:
    return compile(source, "submission.py", "exec")


def _namespace(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "submission"}
    try:
        exec(_compiled(source), names)
    except Exception as error:
        raise Wrong(f"raised {type(error).__name__}: {error}", f"raised {type(error).__name__}") from None
    return names


class Remembered(Computed):
    """A key that computes the answers of each model once."""

    def __init__(self, private: Private) -> None:
        super().__init__(private)
        self.forget()

    def forget(self) -> None:
        """Forget the answers, to start with new random numbers."""
        self.remembered: dict[Any, Any] = {}

    def right(self, test: Test, draw: Draw) -> tuple[list[Answer], list[int]]:
        place = test.name, None
        if place not in self.remembered:
            self.remembered[place] = super().right(test, draw)
        answers, sizes = self.remembered[place]
        return answers, list(sizes)

    def answers(self, test: Test, draw: Draw, mistakes: tuple[Mistake, ...]) -> Iterator[Answer]:
        place = test.name, mistakes
        if place not in self.remembered:
            self.remembered[place] = list(super().answers(test, draw, mistakes))
        return iter(self.remembered[place])
