"""A laboratory with a few digits."""

import pytest

from minirobust.explore import shipped
from minirobust.explore.laboratory import Laboratory


@pytest.fixture(scope="session")
def laboratory():
    x, y = shipped.digits()
    return Laboratory(shipped.network(), x[:40], y[:40])
