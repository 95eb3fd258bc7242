"""What all commands share on their way out: exit codes, what is printed when, and tables."""

from __future__ import annotations

import typer

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
    """Prints what is no result: progress, and remarks."""
    if not is_quiet(context):
        typer.echo(text)
