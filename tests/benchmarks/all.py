"""Measure every figure on speed and memory in the README and the documentation, and write the tables there.

    python tests/benchmarks/all.py                    # print all tables but that of the study
    python tests/benchmarks/all.py --study --write    # print all of them, and write them between the markers
    python tests/benchmarks/all.py --only mlp,cnn --threads 2
    python tests/benchmarks/all.py --quick            # fewer images and rounds
    python tests/benchmarks/all.py --check            # compare the contenders' results on a few images, time nothing

All contenders compute in one process with the same number of threads and take turns, so that other load on the machine
disturbs all of them.  Their first results must agree: if they do not, nothing more is written and the exit status is 1.
`docs/reference/performance.md` explains the tables.  Not collected as a test.
"""

import argparse
import os
import shlex
import sys
from textwrap import fill
from time import perf_counter, process_time

from performance import pages
from performance.pages import CONTESTS, TABLES

# Read when the libraries are imported, hence set before.  NPROC is the number of XLA's threads.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NPROC",
)


def main():
    options = parse_options()
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(options.threads)))
    mismatches = check() if options.check else measure(options)
    sys.exit("\n".join(mismatches) or 0)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=names, default=TABLES[:-1], metavar="TABLE,...", help=f"of {', '.join(TABLES)}")
    parser.add_argument("--study", action="store_true", help="also time a study, which takes minutes")
    parser.add_argument("--threads", type=int, default=1, help="of every contender (default 1)")
    parser.add_argument("--rounds", type=int, help="after one to warm up (default 5; 2 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, and fewer rounds")
    parser.add_argument("--check", action="store_true", help="only compare results, on a few images")
    parser.add_argument("--write", action="store_true", help="write the tables into the README and the documentation")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    if options.study:
        options.only = tuple(dict.fromkeys((*options.only, "study")))
    if options.write:
        try:
            pages.rewritten({})  # complains of wrong markers now, not when all is measured
        except ValueError as error:
            parser.error(str(error))
    return options


def names(text):
    chosen = text.split(",")
    if unknown := set(chosen) - set(TABLES):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(TABLES)}, got {', '.join(sorted(unknown))}")
    if "summary" in chosen and not set(CONTESTS) <= set(chosen):
        raise argparse.ArgumentTypeError(f"expected {', '.join(CONTESTS)} beside summary, got {text}")
    return [name for name in TABLES if name in chosen]


def check():
    """Print the contenders' results on a few images, and return a sentence for each that does not agree."""
    from performance import contests
    from performance.data import Data

    data = Data(shrink=100)
    outcomes = [contests.hold(contest) for group in CONTESTS for contest in contests.GROUPS[group](data)]
    print(pages.markdown(contests.results(outcomes)))
    return contests.mismatches(outcomes)


def measure(options):
    """Print the tables, write them on request, and return a sentence for each result that does not agree."""
    from performance import contests, growth, processes
    from performance.contenders.ours import backends
    from performance.data import Data

    # CPU seconds leave out what else the machine does, but also a device, and threads that wait for each other.
    wall = options.threads > 1 or any(backend.name == "cupy" for backend in backends())
    clock = perf_counter if wall else process_time
    data = Data(shrink=10 if options.quick else 1)
    outcomes = []
    for name in options.only:
        if name == "start":
            rows = processes.start_table(options.rounds, epochs=1 if options.quick else None)
        elif name == "growth":
            rows = growth.table(options.rounds, clock)
        elif name == "study":
            rows = processes.study_table(options.rounds)
        elif name == "summary":
            rows = contests.summary(outcomes)
        else:
            held = [contests.hold(contest, options.rounds, clock) for contest in contests.GROUPS[name](data)]
            rows = contests.table(held)
            outcomes += held
        note = provenance(options, "wall-clock" if wall or name == "study" else "CPU")
        publish(name, f"{pages.markdown(rows)}\n\n{note}", options.write and not contests.mismatches(outcomes))
    return contests.mismatches(outcomes)


def publish(name, text, write):
    """Print a table and, on request, write it: first, since a failed print should not lose it."""
    if write:
        pages.write({name: text})
    print(f"{name}\n\n{text}\n", flush=True)


def provenance(options, clock):
    """Return the sentences that stand below every table."""
    from performance import machine

    command = shlex.join(["python", "tests/benchmarks/all.py", *sys.argv[1:]])
    threads = "one thread" if options.threads == 1 else f"{options.threads} threads"
    return fill(
        f"Printed by `{command}` on {machine.processor()}, {os.cpu_count()} cores, with {threads}: {clock} seconds, "
        f"medians of {options.rounds} rounds (least to most). {machine.versions()}.",
        width=120,
        break_long_words=False,
        break_on_hyphens=False,
    )


if __name__ == "__main__":
    main()
