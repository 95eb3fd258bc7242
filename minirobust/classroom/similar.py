"""Similarity of submissions: a hint for teachers, never evidence.

Names, numbers, layout and the contents of the stub are ignored. Short files are not compared, because any two programs
that compute one formula in ten lines are alike.
"""

from __future__ import annotations

import io
import itertools
import keyword
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

RUN, WINDOW = 8, 4  # winnowing (Schleimer, Wilkerson, Aiken, 2003): tokens per run, and runs of which one is kept
FEWEST = 40  # fingerprints in addition to the stub's: about 100 tokens


@dataclass(frozen=True)
class Pair:
    """Two submissions, and the share of fingerprints that they have in common."""

    a: str
    b: str
    share: float


def similar(sources: Mapping[str, str], stub: str, least: float = 0.5) -> tuple[list[Pair], list[str]]:
    """Return pairs of similar submissions, most similar first, and those that are too short to compare."""
    known = fingerprints(stub, keep_all=True)
    prints = {name: fingerprints(source) - known for name, source in sources.items()}
    compared = {name: marks for name, marks in prints.items() if len(marks) >= FEWEST}
    pairs = []
    for (a, of_a), (b, of_b) in itertools.combinations(compared.items(), 2):
        share = len(of_a & of_b) / len(of_a | of_b)
        if share >= least:
            pairs.append(Pair(a, b, share))
    short = [name for name in sources if name not in compared]
    return sorted(pairs, key=lambda pair: (-pair.share, pair.a, pair.b)), short


def fingerprints(source: str, keep_all: bool = False) -> set[int]:
    """Return hashes of runs of tokens: the smallest of each window, or all."""
    tokens = _tokens(source)
    hashes = [crc32("\0".join(tokens[start : start + RUN]).encode()) for start in range(len(tokens) - RUN + 1)]
    if keep_all:
        return set(hashes)
    return {min(hashes[start : start + WINDOW]) for start in range(len(hashes) - WINDOW + 1)}


def _tokens(source: str) -> list[str]:
    """Return the tokens of a program without comments and strings, with one name for all names."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.NAME:
                found.append(token.string if keyword.iskeyword(token.string) else "name")
            elif token.type == tokenize.NUMBER:
                found.append("number")
            elif token.type == tokenize.OP:
                found.append(token.string)
    except (tokenize.TokenError, SyntaxError):
        pass  # The tokens before the error are compared.
    return found
