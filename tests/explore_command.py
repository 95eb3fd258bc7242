"""`minirobust explore` as a process of its own."""

import subprocess
import sys
from contextlib import contextmanager

import pytest


@contextmanager
def command(*words, **options):
    """Start the command, and yield its process and the address that it prints; kill it in the end."""
    for needed in ("starlette", "uvicorn"):
        pytest.importorskip(needed, reason="the page needs the extra explore")
    start = [sys.executable, "-m", "minirobust", "explore", "--port", "0", *words]
    with subprocess.Popen(start, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()
