"""Plant sampled faults (mutants) into modules, one at a time, and show which of them the tests do not notice.

    python tests/benchmarks/mutants.py --modules network.py "layers/*.py" --count 100 --log mutants.jsonl

A mutant differs from the library in one place: another comparison or operator, a constant plus 1, a condition that
always holds, a statement left out, and the like (see `Mutations`).  `--count` and `--seed` choose among all such
places; a larger count adds mutants and keeps the others.  Each mutant is tested by the tests that `TESTS` names for its
module.  With `--full`, those that survive are tested by the whole suite without its slow tests.  A mutant is caught if
a test fails or the tests take too long.  Not every survivor points at a missing test: some compute the same in another
way, or change only a message.

Everything happens in copies of the tree, one for each job.  With `--log`, results are appended to that file, and those
in it are not computed again.  Not collected as a test: it takes up to a minute for each mutant, and the time of the
whole suite for each one that `--full` tests.
"""

import argparse
import ast
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import count, pairwise
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter

ROOT = Path(__file__).resolve().parents[2]

# The tests that should notice a fault in a module, the likeliest first.  Patterns that match no file are ignored; the
# first key that matches counts, and a module that no key matches is tested by the whole suite.
CORE = [
    "tests/test_network.py",
    "tests/test_state.py",
    "tests/test_evaluation.py",
    "tests/test_losses.py",
    "tests/test_optimizers.py",
    "tests/test_scale.py",
    "tests/gradients/test_trace.py",
    "tests/test_training.py",
]
TESTS = {
    "network.py": [
        *CORE,
        "tests/test_stepping.py",
        "tests/saving/test_checkpoint.py",
        "tests/measures/test_robustness.py",
    ],
    "stack.py": [*CORE, "tests/test_stepping.py", "tests/attacks/test_fgsm.py", "tests/attacks/pixel"],
    "layers/*.py": [
        *CORE,
        "tests/layers",
        "tests/gradients/test_check.py",
        "tests/saving/test_checkpoint.py",
        "tests/test_temperature_equivalence.py",
        "tests/peers/test_torch_layers.py",
    ],
    "losses.py": [*CORE, "tests/peers/test_torch_losses.py", "tests/attacks/test_fgsm.py"],
    "optimizers.py": [*CORE, "tests/saving/test_checkpoint.py", "tests/peers/test_torch_optimizers.py"],
    "training.py": [*CORE, "tests/saving/test_checkpoint.py", "tests/peers/test_torch_training.py"],
    "samples.py": CORE,
    "watch.py": CORE,
    "arguments.py": [*CORE, "tests/layers", "tests/saving/test_checkpoint.py"],
    "validation.py": [*CORE, "tests/layers", "tests/attacks/test_fgsm.py", "tests/saving/test_checkpoint.py"],
    "floating_point.py": ["tests/test_evaluation.py"],
    "saving/checkpoint.py": ["tests/saving/test_checkpoint.py", "tests/test_training.py", "tests/study/test_store.py"],
    "saving/sealed.py": ["tests/saving/test_checkpoint.py", "tests/study/test_store.py"],
    "saving/atomic.py": ["tests/saving/test_atomic.py", "tests/saving/test_checkpoint.py", "tests/study/test_store.py"],
    "study/execution/progress.py": ["tests/study/execution/test_progress.py"],
    "study/execution/workers.py": ["tests/study/execution/test_workers.py"],
    "study/execution/*.py": ["tests/study/execution"],
    "study/claims/*.py": ["tests/study/claims"],
    "study/report/*.py": ["tests/study/report"],
    "study/fields.py": ["tests/study/test_hostile_tasks.py"],
    "study/store.py": ["tests/study/test_store.py", "tests/study/test_hostile_tasks.py"],
    "study/config.py": ["tests/study/test_config.py", "tests/study/test_store.py", "tests/commands/test_study.py"],
    "commands/terminal.py": ["tests/commands/test_output.py", "tests/test_cli.py"],
    "commands/*.py": ["tests/commands", "tests/test_cli.py"],
    "../data_loaders/download.py": ["tests/data_loaders/test_download.py", "tests/data_loaders/test_search.py"],
    "../data_loaders/hdf5.py": ["tests/data_loaders/test_hdf5.py", "tests/data_loaders/test_hostile_files.py"],
    "../data_loaders/svhn.py": ["tests/data_loaders/test_svhn.py", "tests/data_loaders/test_hostile_files.py"],
    "../data_loaders/cifar10.py": ["tests/data_loaders/test_cifar10.py", "tests/data_loaders/test_hostile_files.py"],
    "../data_loaders/gunzip.py": ["tests/data_loaders/test_hostile_files.py", "tests/data_loaders/test_idx.py"],
    "../data_loaders/idx.py": ["tests/data_loaders/test_idx.py", "tests/data_loaders/test_*mnist.py"],
    "../data_loaders/atomic.py": ["tests/saving/test_atomic.py"],
    "../data_loaders/*.py": ["tests/data_loaders", "tests/test_data.py"],
    "gradients/trace.py": ["tests/gradients/test_trace.py", "tests/test_training.py"],
    "gradients/c*.py": ["tests/gradients/test_check.py"],
}
WHOLE_SUITE = ("tests",)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", nargs="+", default=list(TESTS), metavar="GLOB", help="below minirobust/")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--full", action="store_true", help="test survivors with the whole suite")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--log", type=Path, metavar="FILE", help="JSON lines: results, which are not computed again")
    parser.add_argument(
        "--deselect", action="append", default=[], metavar="TEST", help="one that fails without mutants"
    )
    parser.add_argument("--memory", type=float, default=8, help="GiB of address space that a process may take")
    parser.add_argument("--list", action="store_true", help="show the mutants and test nothing")
    options = parser.parse_args()
    # The tests run in sessions of their own, and would go on without this script.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [Path(folder) / str(job) for job in range(options.jobs)]
        for copy, tree in zip(copies, [ROOT, *copies], strict=False):
            shutil.copytree(tree, copy, ignore=not_copied)
        chosen, among = sample(copies[0], options.modules, options.count, options.seed)
        print(f"{len(chosen)} of {among:,} mutants")
        if options.list:
            print(*chosen, sep="\n")
            return
        bench = Bench(copies, options)
        try:
            survivors = bench.test(chosen, "quick", {mutant: tests_for(copies[0], mutant.module) for mutant in chosen})
            if options.full:
                survivors = bench.test(survivors, "full", dict.fromkeys(survivors, WHOLE_SUITE))
        finally:
            bench.kill()
    summary(chosen, survivors)


def not_copied(folder, names):
    """Return what a copy lacks; studies' results lie at the top, and those that the documentation shows are needed."""
    made = {"results", "build", "dist"} if Path(folder) == ROOT else set()
    patterns = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info")
    return made | patterns(folder, names)


def summary(chosen, survivors):
    print(f"\n{len(survivors)} of {len(chosen)} survived")
    for mutant in survivors:
        print(mutant)
    print(f"\n{'':<40}{'mutants':>8}{'caught':>8}")
    survived = Counter(mutant.module for mutant in survivors)
    for module, number in sorted(Counter(mutant.module for mutant in chosen).items()):
        print(f"{module:<40}{number:>8}{number - survived[module]:>8}")


def tests_for(tree, module):
    for pattern, tests in TESTS.items():
        if fnmatch(module, pattern):
            return tuple(str(path.relative_to(tree)) for test in tests for path in sorted(tree.glob(test)))
    return WHOLE_SUITE


# What can be changed in a module


@dataclass(frozen=True)
class Mutant:
    """A module in which the bytes from `start` to `end` are replaced by `text`."""

    module: str
    kind: str
    start: int
    end: int
    text: str
    source: bytes

    @property
    def mutated(self):
        return self.source[: self.start] + self.text.encode() + self.source[self.end :]

    @property
    def line(self):
        return self.source.count(b"\n", 0, self.start) + 1

    @property
    def key(self):
        """What a log knows the mutant by: it changes with the module's text."""
        return f"{self.module}:{self.start}-{self.end}:{self.text}:{hashlib.sha256(self.source).hexdigest()[:16]}"

    def __str__(self):
        before, after = (text.split(b"\n")[self.line - 1].strip().decode() for text in (self.source, self.mutated))
        return f"minirobust/{self.module}:{self.line}: {self.kind}\n    - {before}\n    + {after}"


def sample(tree, modules, number, seed):
    """Return the mutants chosen from the modules that the globs match, and how many there are to choose from."""
    package = tree / "minirobust"
    paths = sorted({path for glob in modules for path in package.glob(glob)})
    if not paths:
        raise SystemExit(f"expected globs of modules below {package}, got {' '.join(modules)}")
    mutants = [mutant for path in paths for mutant in mutants_of(path, str(path.relative_to(package)))]
    random.Random(seed).shuffle(mutants)
    return mutants[:number], len(mutants)


def mutants_of(path, module):
    source = path.read_bytes()
    mutations = Mutations(source)
    mutations.visit(ast.parse(source))
    for (start, end, text), kind in sorted(mutations.found.items()):
        mutant = Mutant(module, kind, start, end, text, source)
        if compiles(mutant.mutated):
            yield mutant


def compiles(source):
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


# By the node of the operator: the pattern of its text, and what replaces it.
COMPARISONS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
}
ARITHMETIC = {
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
    ast.Pow: (r"\*\*", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: (r"\|", "&"),
}


class Mutations(ast.NodeVisitor):
    """Collect what can be changed, as {(first byte, byte after the last, text instead): kind}.

    Annotations are left out, as are f-strings: they are mostly messages, and before Python 3.12 the positions of what
    is in them are wrong.
    """

    def __init__(self, source):
        self.source = source
        self.found = {}
        self.line_starts = [0]
        for line in source.splitlines(keepends=True):
            self.line_starts.append(self.line_starts[-1] + len(line))

    def start(self, node):
        return self.line_starts[node.lineno - 1] + node.col_offset

    def end(self, node):
        return self.line_starts[node.end_lineno - 1] + node.end_col_offset

    def replace(self, kind, node, text):
        self.found[self.start(node), self.end(node), text] = kind

    def replace_between(self, kind, before, after, pattern, text):
        """Replace an operator: it has no position in the tree, but it stands between its operands."""
        begin, end = self.end(before), self.start(after)
        match = re.search(pattern.encode(), self.source[begin:end])
        self.found[begin + match.start(), begin + match.end(), text] = kind

    # Expressions

    def visit_Compare(self, node):
        for (before, after), operator in zip(pairwise([node.left, *node.comparators]), node.ops, strict=True):
            self.replace_between("comparison", before, after, *COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BinOp(self, node):
        if type(node.op) in ARITHMETIC:
            self.replace_between("arithmetic", node.left, node.right, *ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        operator, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for before, after in pairwise(node.values):
            self.replace_between("and/or", before, after, operator, other)
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.Not | ast.USub):
            operator = "not" if isinstance(node.op, ast.Not) else "-"
            start = self.start(node)
            rest = self.source[start + len(operator) : self.end(node)].decode()
            self.found[start, self.end(node), rest.lstrip()] = f"{operator} dropped"
        self.generic_visit(node)

    def visit_Constant(self, node):
        value = node.value
        if isinstance(value, bool):
            self.replace("constant", node, str(not value))
        elif isinstance(value, int | float):
            self.replace("constant", node, repr(value + 1))

    def visit_Slice(self, node):
        for kind, bound in (("start dropped", node.lower), ("stop dropped", node.upper)):
            if bound is not None:
                self.replace(kind, bound, "")
        self.generic_visit(node)

    def visit_IfExp(self, node):
        self.force(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node):
        for test in node.ifs:
            self.force(test)
        self.generic_visit(node)

    def force(self, test):
        self.replace("condition", test, "True")
        self.replace("condition", test, "False")

    def visit_JoinedStr(self, node):
        pass

    # Statements

    def visit_If(self, node):
        if {"TYPE_CHECKING", "__name__"} & {name.id for name in ast.walk(node.test) if isinstance(name, ast.Name)}:
            return
        self.force(node.test)
        self.generic_visit(node)

    def visit_Return(self, node):
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.replace("return None", node.value, "None")
        self.generic_visit(node)

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Call):
            self.replace("statement removed", node, "pass")
        self.generic_visit(node)

    def visit_Raise(self, node):
        self.replace("statement removed", node, "pass")
        self.generic_visit(node)

    def visit_Assign(self, node):
        if any(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self.replace("statement removed", node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node):
        self.replace("statement removed", node, "pass")
        if type(node.op) in ARITHMETIC:
            operator, other = ARITHMETIC[type(node.op)]
            self.replace_between("arithmetic", node.target, node.value, f"{operator}=", f"{other}=")
        self.generic_visit(node)

    # Annotations are not visited

    def visit_AnnAssign(self, node):
        if node.value is not None:
            if isinstance(node.target, ast.Attribute):
                self.replace("statement removed", node, "pass")
            self.visit(node.value)

    def visit_arg(self, node):
        pass

    def visit_FunctionDef(self, node):
        for child in (*node.decorator_list, node.args, *node.body):
            self.visit(child)


# How a mutant is tested


class Bench:
    """Copies of the tree, one for each job, and the results so far."""

    def __init__(self, copies, options):
        self.options = options
        self.copies = SimpleQueue()
        for copy in copies:
            self.copies.put(copy)
        self.limits = {}
        self.running = set()
        # Python recompiles a module if the size or the second of its source has changed.  A mutant often has the same
        # size, and is written within the same second: so each version gets a second of its own.
        self.seconds = count(1)
        self.log = {}
        if options.log and options.log.exists():
            for line in options.log.read_text(encoding="utf-8").splitlines():
                result = json.loads(line)
                self.log[result["key"], result["stage"]] = result

    def test(self, mutants, stage, tests):
        """Return the mutants that survive their tests, in order; print each result as it comes."""
        new = [mutant for mutant in mutants if (mutant.key, stage) not in self.log]
        for needed in dict.fromkeys(tests[mutant] for mutant in new):
            self.limits[needed] = self.measure_without_mutant(needed)
        with ThreadPoolExecutor(self.options.jobs) as pool:
            futures = {pool.submit(self.result, mutant, stage, tests[mutant]): mutant for mutant in new}
            try:
                for number, future in enumerate(as_completed(futures), 1):
                    self.keep(futures[future], future.result(), f"{stage} {number}/{len(new)}")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.kill()
                raise
        return [mutant for mutant in mutants if self.log[mutant.key, stage]["verdict"] == "survived"]

    def keep(self, mutant, result, progress):
        self.log[result["key"], result["stage"]] = result
        if self.options.log:
            with self.options.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
        place = f"{mutant.module}:{mutant.line}"
        outcome = f"{result['verdict']:<9} {result['seconds']:4.0f} s  {result['by']}"
        print(f"{progress} {place:<32} {outcome}".rstrip(), flush=True)

    def measure_without_mutant(self, tests):
        """Return the seconds that tests may take: several times of what they take when all is well."""
        copy = self.copies.get()
        begin = perf_counter()
        verdict, by = self.verdict(copy, tests, limit=None)
        seconds = perf_counter() - begin
        self.copies.put(copy)
        if verdict != "survived":
            raise SystemExit(f"expected tests that pass without a mutant, got {by}: fix it, or give --deselect")
        print(f"without a mutant {seconds:4.0f} s  {' '.join(tests)}", flush=True)
        return 60 + 3 * self.options.jobs * seconds

    def result(self, mutant, stage, tests):
        copy = self.copies.get()
        path = copy / "minirobust" / mutant.module
        begin = perf_counter()
        try:
            self.write(path, mutant.mutated)
            verdict, by = self.verdict(copy, tests, self.limits[tests])
        finally:
            self.write(path, mutant.source)
            self.copies.put(copy)
        return {
            "key": mutant.key,
            "stage": stage,
            "verdict": verdict,
            "by": by,
            "seconds": round(perf_counter() - begin, 1),
            "file": mutant.module,
            "line": mutant.line,
            "mutant": str(mutant),
        }

    def write(self, path, source):
        path.write_bytes(source)
        os.utime(path, (next(self.seconds),) * 2)

    def verdict(self, copy, tests, limit):
        """Run the tests on a copy; return "survived", "caught" or "timeout", and the first test that failed."""
        deselected = [f"--deselect={test}" for test in self.options.deselect]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
        environment = os.environ | {"PYTHONPATH": str(copy), "OPENBLAS_NUM_THREADS": "1"}
        with subprocess.Popen(
            [*command, *deselected, *tests],
            cwd=copy,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that what the tests start can be ended with them
        ) as process:
            self.running.add(process)
            try:
                limit_memory(process.pid, self.options.memory)
                output, _ = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                return "timeout", f"after {limit:.0f} s"
            finally:
                end(process)
                self.running.discard(process)
        if process.returncode == 0:
            return "survived", ""
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", output, re.MULTILINE)
        return "caught", failed[1] if failed else output.strip().rpartition("\n")[2]

    def kill(self):
        for process in list(self.running):
            end(process)


def end(process):
    """End a process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def limit_memory(pid, gibibytes):
    """Keep a mutant from taking all the memory of the machine."""
    if hasattr(resource, "prlimit"):
        most = int(gibibytes * 2**30)
        resource.prlimit(pid, resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main()
