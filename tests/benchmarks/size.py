"""Count lines: of code in the core, and of the library that one batch, one input gradient and one attack execute.

    python tests/benchmarks/size.py --checkout PATH

A line of code holds something other than a docstring or a comment.  An executed line is a distinct (file, line) under
`minirobust/` that ran at least once, however often, argument checks included, on the 784-256-10 network at T = 1:

- one training batch: the whole call of `mr.epochs` (`mr.fit` where that is the generator) and the loop over it, for
  one epoch of one batch of 64 samples;
- one input gradient: `network.input_gradient(x, y)` of the same 64 samples;
- one FGSM: `mr.attacks.fgsm(network, x, y)`, its evaluation included.

All three run once on another network before they are traced, which leaves imports out.  This definition gives 195, 101
and 148 lines for the tree that the goals were set against.  With `--checkout`, another tree is counted beside this one.
Not collected as a test.
"""

import argparse
import ast
import io
import json
import os
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What is counted, the most lines that it should have, and where it lies.  Files that a tree lacks are left out.
GROUPS = [
    ("core", 850, ["network.py", "losses.py", "optimizers.py", "training.py", "layers/*.py"]),
    ("gradient checker", 320, ["gradients/check.py", "gradients/causes.py", "gradient_check.py", "gradient_causes.py"]),
]
GOALS = {"one training batch": 110, "one input gradient": 60, "one FGSM": 80}
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, action="append", default=[], metavar="PATH", help="another tree")
    parser.add_argument("--trace", action="store_true", help=argparse.SUPPRESS)  # in a process that measures one tree
    options = parser.parse_args()
    if options.trace:
        print(json.dumps(executed_lines()))
        return
    trees = [ROOT, *(checkout.resolve() for checkout in options.checkout)]
    show("lines of code", trees, code_rows(trees))
    show("distinct lines executed", trees, executed_rows(trees))


def show(title, trees, rows):
    """Print a row (name, one value for each tree, goal or None) per line."""
    width = 2 + max(len(name) for name, _, _ in rows)
    columns = [max(8, 2 + len(str(tree))) for tree in trees]

    def line(name, values, goal):
        cells = "".join(f"{value!s:>{column}}" for value, column in zip(values, columns, strict=True))
        print(f"{name:<{width}}{cells}{goal:>8}".rstrip())

    line(title, trees, "goal")
    for name, values, goal in rows:
        line(name, values, f"<= {goal}" if goal else "")
    print()


# Lines of code


def code_rows(trees):
    rows = []
    for group, goal, patterns in GROUPS:
        counts = [
            {
                str(path.relative_to(tree)): len(code_lines(path.read_text(encoding="utf-8")))
                for pattern in patterns
                for path in sorted((tree / "minirobust").glob(pattern))
            }
            for tree in trees
        ]
        rows += summed(group, counts, goal)
    return rows


def summed(total, counts, goal):
    """Return a row for each file that a tree has, and their sum; `counts` holds {file: lines} of each tree."""
    names = dict.fromkeys(name for count in counts for name in count)
    rows = [(f"  {name}", [count.get(name, "-") for count in counts], None) for name in names]
    return [*rows, (total, [sum(count.values()) for count in counts], goal)]


def code_lines(source):
    """Return the numbers of the lines that hold code."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


# Lines executed


def executed_rows(trees):
    traced = [trace(tree) for tree in trees]
    return [
        row for action, goal in GOALS.items() for row in summed(action, [counts[action] for counts in traced], goal)
    ]


def trace(tree):
    """Return the result of `executed_lines` in a process that imports minirobust from `tree`."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--trace"]
    result = subprocess.run(command, env=environment, cwd=tree, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        raise SystemExit(f"{tree}: expected a tree that imports and runs, got the error above")
    package, counts = json.loads(result.stdout)
    if Path(package) != tree / "minirobust":
        raise SystemExit(f"expected minirobust from {tree}, got {package}")
    return counts


def executed_lines():
    """Return the folder of the minirobust that was imported and, for each action, the number of lines by file."""
    import numpy as np

    import minirobust as mr

    package = Path(mr.__file__).resolve().parent
    epochs = getattr(mr, "epochs", mr.fit)  # before there was `epochs`, `fit` was the generator
    rng = np.random.default_rng(0)
    x, y = rng.random((64, 28, 28, 1), dtype=np.float32), rng.integers(0, 10, 64)

    def actions():
        network = mr.models.mlp(1.0)
        optimizer = mr.Adam(network)
        return {
            "one training batch": lambda: list(epochs(network, optimizer, (x, y), epochs=1)),
            "one input gradient": lambda: network.input_gradient(x, y),
            "one FGSM": lambda: mr.attacks.fgsm(network, x, y),
        }

    for action in actions().values():
        action()
    return str(package), {name: lines_by_file(action, package) for name, action in actions().items()}


def lines_by_file(action, package):
    seen = set()
    prefix = os.path.join(package, "")

    def tracer(frame, event, argument):
        if not frame.f_code.co_filename.startswith(prefix):
            return None
        if event == "line":
            seen.add((frame.f_code.co_filename.removeprefix(prefix), frame.f_lineno))
        return tracer

    sys.settrace(tracer)
    try:
        action()
    finally:
        sys.settrace(None)
    counts = {}
    for name, _ in sorted(seen):
        counts[name] = counts.get(name, 0) + 1
    return counts


if __name__ == "__main__":
    main()
