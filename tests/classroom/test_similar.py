"""Similarity: names and layout do not hide a copy, and short answers are not compared."""

import pytest

from minirobust.classroom.similar import similar

STUB = "import numpy as np\n\n\ndef f(a, b):\n    '''Sum up.'''\n    raise NotImplementedError\n"


def program(seed, lines=25):
    """Return a program whose structure depends on `seed`."""
    import random

    generator = random.Random(seed)
    forms = ["{0} = {1} * {0} + 1", "{0} = [{1}, {0}, 3]", "if {0} > {1}: {1} -= {0}", "{0} = max({1}, -{0})",
             "for {1} in range({0}): {0} += {1}", "{0}[{1}] = {0} @ {1}", "{0} = {1} if {0} else {1}.T"]  # fmt: skip
    body = [generator.choice(forms).format(*generator.sample("abcd", 2)) for _ in range(lines)]
    return STUB.replace("    raise NotImplementedError\n", "".join(f"    {line}\n" for line in body))


def test_renamed_copy_is_found():
    import re

    copy = re.sub(r"\b([abcd])\b", r"variable_\1", program(1)).replace("    ", "        ") + "# my own work\n"
    pairs, short = similar({"ann": program(1), "bob": copy, "carl": program(2)}, STUB)
    assert [(pair.a, pair.b) for pair in pairs] == [("ann", "bob")]
    assert pairs[0].share == pytest.approx(1)
    assert short == []


def test_short_and_unfinished_files_are_not_compared():
    pairs, short = similar({"ann": STUB, "bob": STUB, "carl": program(1, 3), "dan": "def f(:"}, STUB)
    assert pairs == []
    assert short == ["ann", "bob", "carl", "dan"]
