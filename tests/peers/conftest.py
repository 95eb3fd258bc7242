"""The meaning of "agrees with another library" in this folder: shape, float64, and the largest difference.

What is compared stands in the tests; here is only how, and the way of images between channels last and channels first.
"""

import numpy as np
import pytest


@pytest.fixture
def assert_agrees(backend):
    """``assert_agrees(name, ours, theirs, tolerance)``: the largest difference, relative to their largest entry.

    Ours is copied to the host; theirs is a tensor or a NumPy array.  A reference that is zero everywhere proves
    nothing and is refused.
    """

    def check(name, ours, theirs, tolerance=1e-9):
        ours = backend.to_numpy(ours)
        theirs = theirs if isinstance(theirs, np.ndarray) else theirs.detach().numpy()
        assert ours.shape == theirs.shape, name
        assert ours.dtype == theirs.dtype == np.float64, name
        largest = np.abs(theirs).max()
        assert largest > 0, f"{name}: the reference is zero everywhere"
        error = np.abs(ours - theirs).max() / largest
        assert error <= tolerance, f"{name}: differs by {error:.2e} of the largest entry, allowed is {tolerance:.0e}"

    return check
