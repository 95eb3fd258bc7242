"""What all commands share on their way out: exit codes, what is printed when, and how it reaches any terminal."""

from __future__ import annotations

import codecs
import os
import sys
from typing import TextIO

import typer

from minirobust.tables import printable

NO = 1  # it ran, and the answer is no
UNUSABLE = 2  # wrong usage, or something it needs is missing, unreadable or not writable
FAULT = 3  # a mistake in minirobust itself
INTERRUPTED = 130  # as shells have it: 128 + SIGINT


def is_quiet(context: typer.Context) -> bool:
    """Whether results and errors alone are wanted."""
    return bool(context.find_root().params["quiet"])


def is_debug(context: typer.Context) -> bool:
    """Whether tracebacks are wanted."""
    return bool(context.find_root().params["debug"])


def say(context: typer.Context, text: str) -> None:
    """Print what is no result: progress, and remarks."""
    if not is_quiet(context):
        echo(text)


def echo(text: str, err: bool = False, nl: bool = True) -> None:
    """Print text, with control characters escaped.

    If the reader has closed the pipe, as ``| head`` does, the command still runs to its end and keeps its exit code.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is None:  # it was closed before Python started
        return
    try:
        # `typer.echo` would write UTF-8 to a stream whose encoding is ASCII.
        print(printable(text), end="\n" if nl else "", file=stream, flush=True)
    except OSError as error:
        _discard(stream)
        if not isinstance(error, BrokenPipeError):  # a full disk, for example
            raise


def _discard(stream: TextIO) -> None:
    """Drop what a stream still holds and all that follows: otherwise Python fails again when it flushes it at exit."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, stream.fileno())
    os.close(sink)


# What the project writes beyond ASCII, for terminals and files that have only ASCII or a Windows code page.
PLAIN = {
    "α": "alpha", "β": "beta", "δ": "delta", "ε": "eps", "σ": "sigma", "Δ": "Delta", "Σ": "sum", "∂": "d", "∞": "inf",
    "×": "x", "±": "+-", "−": "-", "·": "*", "≤": "<=", "≥": ">=", "≠": "!=", "→": "->", "²": "^2", "∈": "in",
    "–": "-", "—": "-", "…": "...", "‘": "'", "’": "'", "“": '"', "”": '"',
}  # fmt: skip


def plain(error: UnicodeError) -> tuple[str, int]:
    """Handle what an encoding lacks: write ε as eps, and other characters as `repr` escapes them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(c, c.encode("unicode_escape").decode("ascii")) for c in lacking), error.end


def degrade_output() -> None:
    """Let standard output and standard error write any text, whatever their encoding."""
    codecs.register_error("minirobust", plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="minirobust")
