"""NumPy's floating-point error mode, which a user may have set to warn or to raise.

exp(-1000) = 0 is an underflow but not a mistake, so the arithmetic of a network ignores all floating-point errors,
whatever mode the user has set.  ``numpy.errstate`` would do the same, but it is Python code, and a debugger that steps
from `Network.backward` into a layer would step through it.  NumPy stores the mode in a context variable, which a single
call into C can set.
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
    # If a version of NumPy stores its mode elsewhere, the user's mode remains in force; nothing else depends on it.
    return changed[0] if changed else (ContextVar("unused"), None)


# ``mode = ERROR_MODE.set(IGNORE)``, and ``ERROR_MODE.reset(mode)`` when the arithmetic is done.
ERROR_MODE, IGNORE = _find_error_mode()
