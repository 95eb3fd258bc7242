"""Run a command and print its peak resident memory.

    python tests/benchmarks/memory.py -- python examples/mnist_mlp.py --epochs 1

With --limit, fail if the peak is higher.  Of a process's children only the largest counts, not their sum.
Not collected as a test.
"""

import argparse
import os
import shlex
import subprocess
import sys
from time import perf_counter

# The unit of ru_maxrss: bytes on macOS, 1024 bytes elsewhere.
UNIT = 1 if sys.platform == "darwin" else 1024


def run(command):
    """Run a command with this script's output streams; return its exit status, peak resident bytes and seconds."""
    begin = perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * UNIT, perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=float, metavar="MB", help="exit with status 1 if the peak is higher")
    parser.add_argument("command", nargs="+", help="after --")
    arguments = parser.parse_args()
    status, peak, seconds = run(arguments.command)
    command = shlex.join(arguments.command)
    print(f"peak resident memory {peak / 1e6:.0f} MB, {seconds:.1f} s, exit status {status}: {command}")
    if arguments.limit is not None and peak > arguments.limit * 1e6:
        sys.exit(f"above the limit of {arguments.limit:g} MB")
    sys.exit(status)


if __name__ == "__main__":
    main()
