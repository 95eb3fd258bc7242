"""What all commands share: exit codes, the examples in --help, error messages, and printing to any terminal."""

from __future__ import annotations

import codecs
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import typer

from minirobust.tables import printable

NO = 1  # the command ran, and the answer is no
UNUSABLE = 2  # wrong usage, or something it needs is missing, unreadable or not writable
FAULT = 3  # a bug in minirobust itself
INTERRUPTED = 130  # as in shells: 128 + SIGINT


def examples(*lines: str) -> str:
    """Return the examples at the end of a command's ``--help``."""
    return "\n".join(["Examples:", "", *(f"  $ minirobust {line}" for line in lines)])


@contextmanager
def naming(option: str) -> Iterator[None]:
    """Start the message of an error with the option that caused it, instead of a part of the library."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        if getattr(error, "filename", None) is None:  # else the message names the file
            error.args = (f"{option}: {sentence(error)}",)
        raise


def sentence(error: Exception) -> str:
    """Return the message of a library error without the name of the part that raised it."""
    return re.sub(r"^[A-Za-z_' ]+: ", "", str(error))


# What is printed


def is_quiet(context: typer.Context) -> bool:
    """Return whether to print only results and errors."""
    return bool(context.find_root().params["quiet"])


def is_debug(context: typer.Context) -> bool:
    """Return whether to print tracebacks."""
    return bool(context.find_root().params["debug"])


def say(context: typer.Context, text: str) -> None:
    """Print progress or a remark, unless --quiet is given; with --json, print it to standard error."""
    if not is_quiet(context):
        echo(text, err=bool(context.params.get("as_json")))


def echo_json(document: Any) -> None:
    """Print a result as one JSON document."""
    echo(to_json(document))


def to_json(document: Any) -> str:
    """Return plain values as JSON; NaN and infinity, which JSON lacks, become null."""

    def finite(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: finite(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [finite(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(finite(document), indent=1, allow_nan=False)


# How parts of a result look on a terminal: a style, and the pattern of the text that gets it.
STYLES = {
    "green": r"^ *\d+ +pass\b|^verdict: no sign of masking|\bsound$|\bruns\b|(?<=  )ok\b",
    "bold red": r"^ *\d+ +FLAG\b|^verdict: .*the gradient is masked|not as it should be$|(?<=  )WRONG\b",
    "yellow": r"^verdict: (?!no sign|.*the gradient is masked).*?(?=:)|^check \d+, [^:]*",
    "dim": r"^ *\d+ +not run\b|\bnot (begun|found|installed)\b|does not run here",
}


def show(text: str) -> None:
    """Print a result, with outcomes and verdicts in colour on a terminal."""
    stream = sys.stdout
    if stream is None or not stream.isatty() or os.environ.get("NO_COLOR"):
        echo(text)
        return
    from rich.console import Console
    from rich.text import Text

    coloured = Text(printable(text))
    for style, pattern in STYLES.items():
        coloured.highlight_regex(f"(?m){pattern}", style)
    console = Console(file=stream)
    with console.capture() as capture:
        console.print(coloured, soft_wrap=True)
    _write(capture.get(), stream)


def echo(text: str, err: bool = False, nl: bool = True) -> None:
    """Print text, with control characters escaped.

    If the reader has closed the pipe, as ``| head`` does, the command still completes and keeps its exit code.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is not None:  # None if it was closed before Python started
        _write(printable(text) + "\n" * nl, stream)


def _write(text: str, stream: TextIO) -> None:
    try:
        # `typer.echo` would write UTF-8 to a stream whose encoding is ASCII.
        print(text, end="", file=stream, flush=True)
    except OSError as error:
        _discard(stream)
        if not isinstance(error, BrokenPipeError):  # a full disk, for example
            raise


def _discard(stream: TextIO) -> None:
    """Discard a stream's buffered and further output, so that Python does not fail again when it flushes at exit."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, stream.fileno())
    os.close(sink)


# Replacements for the project's non-ASCII characters, for terminals and files limited to ASCII or a Windows code page.
PLAIN = {
    "α": "alpha", "β": "beta", "δ": "delta", "ε": "eps", "σ": "sigma", "Δ": "Delta", "Σ": "sum", "∂": "d", "∞": "inf",
    "×": "x", "±": "+-", "−": "-", "·": "*", "≤": "<=", "≥": ">=", "≠": "!=", "→": "->", "²": "^2", "∈": "in",
    "–": "-", "—": "-", "…": "...", "‘": "'", "’": "'", "“": '"', "”": '"',
}  # fmt: skip


def plain(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks: write ε as eps, and escape others as `repr` does."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(c, c.encode("unicode_escape").decode("ascii")) for c in lacking), error.end


def degrade_output() -> None:
    """Allow standard output and standard error to write any text, whatever their encoding."""
    codecs.register_error("minirobust", plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="minirobust")
