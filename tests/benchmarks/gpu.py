"""Run the tests on CUDA, a comparison with PyTorch and a quick study in under four minutes, on a machine with a GPU.

    python tests/benchmarks/gpu.py --output gpu.json
    python tests/benchmarks/gpu.py --rehearse      # small, on the CPU: does the script itself work?

Each stage has a limit, and its result is written to the file before the next one begins.  PyTorch must have been
installed with CUDA.  Seconds are wall-clock medians; the contenders take turns.  Not collected as a test.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

import minirobust as mr

ROOT = Path(__file__).resolve().parents[2]
TESTS = (
    "tests/backend",
    "tests/layers",
    "tests/test_losses.py",
    "tests/test_optimizers.py",
    "tests/attacks",
    "tests/test_replay.py",
)
SECONDS = {"tests": 90, "study": 60}  # the table takes about a minute


def main():
    options = parse_options()
    backend = mr.backend.get("numpy" if options.rehearse else "cupy")
    found = {"device": backend.describe(), "python": sys.version.split()[0], "minirobust": mr.__version__}
    stages = {"tests": tests, "table": table, "study": study}
    for name in options.only:
        began = perf_counter()
        found[name] = stages[name](backend, options)
        found[f"{name}, seconds"] = round(perf_counter() - began, 1)
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {json.dumps(found[name], indent=1)}", flush=True)


def tests(backend, options):
    """Return how the tests end that run on this backend; subnormal numbers are compared with `backend.smallest`."""
    chosen = TESTS[:1] if options.rehearse else TESTS
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "auto",
        "-k",
        backend.name,
        "-p",
        "no:cacheprovider",
        *chosen,
    ]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS["tests"])
    except subprocess.TimeoutExpired as late:
        return {"ended": False, "output": str(late.stdout)[-2000:]}
    lines = done.stdout.splitlines()
    return {"ended": True, "summary": lines[-1], "failed": [line for line in lines if line.startswith("FAILED")]}


def table(backend, options):
    """Return, for each piece of work, each contender's seconds and how far its first result is from ours."""
    from performance.contenders import ours, pytorch_cuda
    from performance.data import Data
    from performance.timing import take_turns, timed

    device = "cpu" if options.rehearse else "cuda"
    rows = {}
    for title, function, work, arguments in contests(Data(shrink=100 if options.rehearse else 1)):
        entered = [each for each in getattr(ours, function)(work, *arguments) if backend.name in each.name]
        if function != "square":
            entered += pytorch_cuda.contenders(function, work, arguments, device)
        first = {each.name: np.asarray(each.to_numpy(each.run())) for each in entered}
        reference = next(iter(first.values()))
        seconds = take_turns({each.name: timed(each.run, perf_counter) for each in entered}, options.rounds)
        rows[title] = {
            name: {"seconds": median(taken), "difference": difference(reference, first[name])}
            for name, taken in seconds.items()
        }
    return rows


def contests(data):
    """Yield the rows of the table: title, function of the contenders, work, arguments."""
    images, fewer = data.mlp_test(10_000), data.mlp_test(1_000)
    yield "MLP epoch", "training", data.mlp_training(), ()
    yield "CNN, 50 steps", "training", data.cnn(50 * 64), ()
    for count in (1_000, 5_000):
        yield f"CNN input gradient, {count:,}", "input_gradient", data.cnn(count), ()
    yield "FGSM, 10,000", "fgsm", images, (0.1,)
    yield "PGD 40 x 10,000", "pgd", images, (0.1, 40, 1)
    yield "pixel attack, n = 3, 10,000", "pixel", images, (3,)
    yield "Square, 300 queries x 1,000", "square", fewer, (0.1, 300)


def difference(ours, theirs):
    """Return the relative distance of two results, or the share of images in which they differ."""
    theirs = theirs.reshape(ours.shape)
    if ours.dtype == bool:
        return float((ours != theirs).mean())
    return float(np.linalg.norm(theirs - ours) / np.linalg.norm(ours))


def study(backend, options):
    """Return how a quick study on this backend ends."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["study", "run", "quick", "--backend", backend.name, "--output", f"{folder}/quick"]
        words += ["--temperatures", "1/16,1", "--audit-samples", "100", "--sharpen-samples", "20"]
        if options.rehearse:
            words += ["--epochs", "1", "--temperatures", "1", "--audit-samples", "20", "--sharpen-samples", "5"]
        command = [sys.executable, "-m", "minirobust", *words]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS["study"])
        except subprocess.TimeoutExpired:
            return {"ended": False}
        return {"ended": True, "exit code": done.returncode, "output": (done.stdout + done.stderr)[-1000:]}


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("gpu.json"), metavar="FILE", help="default gpu.json")
    parser.add_argument("--only", nargs="+", choices=("tests", "table", "study"), default=("tests", "table", "study"))
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default 5")
    parser.add_argument("--rehearse", action="store_true", help="small, on the CPU")
    options = parser.parse_args()
    options.rounds = 1 if options.rehearse else options.rounds
    return options


if __name__ == "__main__":
    main()
