"""Access to `data_loaders`: the commands and the study import it from here; the rest of minirobust needs no data.

A package of that name in the current directory hides ours from Python. We detect it by its location, before any of its
code runs.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def _check_place() -> None:
    """Raise ImportError if `data_loaders` is another package than the one beside minirobust."""
    spec = find_spec("data_loaders")
    found = Path(spec.origin) if spec and spec.origin else None
    if found and found.resolve() != Path(__file__).resolve().parents[1] / "data_loaders" / "__init__.py":
        raise ImportError(
            f"data_loaders: expected the package that comes with minirobust, found {found}: "
            "rename that package, or run from another folder",
            name="data_loaders",
        )


_check_place()

from data_loaders import (  # noqa: E402 - only after the check
    CATALOGUE,
    DataError,
    DataNotFoundError,
    Dataset,
    Split,
    load,
    verify,
)

__all__ = ["CATALOGUE", "DataError", "DataNotFoundError", "Dataset", "Split", "load", "verify"]
