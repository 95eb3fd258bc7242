"""Fuzzers: each spends a number of seconds on random damage.

They run only on request, ``pytest -m fuzz``. `MINIROBUST_FUZZ_SECONDS` is the budget of each (5 by default), and
`MINIROBUST_FUZZ_SEED` (0) its seed. A failure prints the round that repeats it.
"""

import os
import time

import numpy as np
import pytest

SECONDS = float(os.environ.get("MINIROBUST_FUZZ_SECONDS", "5"))
SEED = int(os.environ.get("MINIROBUST_FUZZ_SEED", "0"))
SLOWEST = 5.0  # seconds for one file; a second on a machine that does nothing else


@pytest.fixture
def fuzz(record_property):
    """Return a function that calls another with a fresh generator until the budget is spent."""

    def repeat(attempt):
        end = time.monotonic() + SECONDS
        number = 0
        while time.monotonic() < end:
            begin = time.monotonic()
            try:
                attempt(np.random.default_rng((SEED, number)))
            except BaseException as error:
                error.add_note(f"MINIROBUST_FUZZ_SEED={SEED}, round {number}")
                raise
            assert time.monotonic() - begin < SLOWEST, f"round {number} of seed {SEED} was too slow"
            number += 1
        assert number > 0
        record_property("rounds", number)
        print(f"{number} rounds")

    return repeat


@pytest.fixture
def damaged():
    """Return a function that changes a few bytes, cuts, repeats or extends a content."""

    def damage(rng, content):
        content = bytearray(content)
        for _ in range(rng.integers(0, 5)):
            place = rng.integers(len(content))
            kind = rng.integers(4)
            if kind == 0:
                content[place] = rng.integers(256)
            elif kind == 1:
                content[place] ^= 1 << rng.integers(8)
            elif kind == 2:
                content[place : place + 4] = rng.choice([b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff" * 4, b"\0\0\0\x80"])
            else:
                content[place:place] = content[place : place + rng.integers(64)]
        if rng.random() < 0.2:
            del content[rng.integers(len(content)) :]
        return bytes(content) + (rng.bytes(rng.integers(9)) if rng.random() < 0.1 else b"")

    return damage
