"""The processor and the versions, which every table states."""

import platform
from importlib.metadata import version
from pathlib import Path

from .contenders import LIBRARIES, installed
from .contenders.ours import backends


def processor() -> str:
    """Return the name of the processor's model, as far as the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> str:
    """Return the versions of Python and of all contenders' libraries, and what our backends compute with."""
    libraries = [LIBRARIES[module.__name__.rpartition(".")[2]] for module in installed()]
    ours, *others = [f"{name} {version(name)}" for name in libraries]
    computing = "; ".join(backend.describe() for backend in backends())
    return ", ".join([f"Python {platform.python_version()}", f"{ours} ({computing})", *others])
