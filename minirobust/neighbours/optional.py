"""`import_optional`: import a library that is not required."""

from __future__ import annotations

import importlib
from typing import Any


def import_optional(name: str, owner: str, install: str) -> Any:
    """Return the module `name`, or raise ImportError with the command that installs it.

    Parameters
    ----------
    name : str
    owner : str
        The public function that needs it; the message begins with this name.
    install : str
        The argument of ``pip install``.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{owner} needs {name}, which cannot be imported ({error}): pip install {install}") from error
