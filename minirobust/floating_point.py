"""NumPy's floating-point error mode, which a user may have set to warn or to raise.

exp(-1000) = 0 is an underflow and not a mistake, so the arithmetic of a network runs with all errors ignored, whatever
the mode around it.  ``numpy.errstate`` would do the same, but it is Python code: a debugger that steps from
`Network.backward` towards a layer would walk through it.  NumPy keeps the mode in a context variable; setting that
variable directly is one call into C.
"""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from typing import Any

import numpy as np


def _find_error_mode() -> tuple[ContextVar[Any], Any]:
    """Return the context variable that holds NumPy's error mode, and its value for "ignore everything"."""
    before, context = dict(copy_context()), copy_context()
    context.run(np.seterr, all="ignore")
    changed = [(variable, value) for variable, value in context.items() if before.get(variable) is not value]
    # A NumPy that keeps its mode elsewhere leaves the user's mode in force: nothing else depends on this.
    return changed[0] if changed else (ContextVar("unused"), None)


# ``mode = ERROR_MODE.set(IGNORE)``, and ``ERROR_MODE.reset(mode)`` when the arithmetic is done.
ERROR_MODE, IGNORE = _find_error_mode()
