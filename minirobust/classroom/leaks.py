"""The leak check: which parts of a right solution students can read in the files that they have."""

from __future__ import annotations

import functools
import io
import tokenize
from collections.abc import Iterable
from pathlib import Path

RUN = 10  # this many equal tokens in a row are not a coincidence
KINDS = {tokenize.NAME, tokenize.NUMBER, tokenize.OP}


def tokens(text: str) -> list[str]:
    """Return the names, numbers and operators of Python code, up to the first that cannot be read."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in KINDS:
                found.append(token.string)
    except (tokenize.TokenError, IndentationError, SyntaxError):
        pass
    return found


@functools.cache
def runs(text: str) -> frozenset[tuple[str, ...]]:
    """Return every run of `RUN` tokens."""
    found = tokens(text)
    return frozenset(tuple(found[start : start + RUN]) for start in range(len(found) - RUN + 1))


def leaks(right: Iterable[str], stub: str, public: Iterable[Path]) -> list[str]:
    """Return one line for each public file that contains a part of a right solution.

    The contents of the stub do not count, because the student gets them.
    """
    secret = frozenset().union(*map(runs, right)) - runs(stub)
    found = []
    for path in public:
        text = path.read_text(encoding="utf-8", errors="ignore")
        blocks = text.split("```") if path.suffix == ".md" else [text]
        common = secret & frozenset().union(*map(runs, blocks))
        if common:
            found.append(f"{path.name} holds a part of a right solution: {' '.join(min(common))}")
    return found
