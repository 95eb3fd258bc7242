"""The leak check: what of a right solution can be read in files that students have."""

from __future__ import annotations

import functools
import io
import tokenize
from collections.abc import Iterable
from pathlib import Path

RUN = 10  # tokens in a row that are no coincidence
KINDS = {tokenize.NAME, tokenize.NUMBER, tokenize.OP}


def tokens(text: str) -> list[str]:
    """Return the names, numbers and operators of Python code; of other text, as many as can be read."""
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
    """Return where a right solution can be read: one line for each public file that holds a part of it.

    What the stub holds is given to the student and is no leak.
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
