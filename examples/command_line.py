"""What the examples share: their options, checked as the command `minirobust` checks them, and how an example ends.

Import it first: from then on, Ctrl-C is one sentence.
"""

import argparse
import logging
import os
import sys
import time
from pathlib import Path

BEGIN = time.time()
# Errors whose message says all there is to say, by name, because their modules may not be imported yet.
SENTENCES = {"BackendError", "CheckpointError", "DataError", "DataNotFoundError", "ModuleNotFoundError"}
folders = []  # in which the example writes


def end(kind, error, trace):
    """End with one sentence and the exit code of the command; a mistake in the example itself shows where it is."""
    if issubclass(kind, KeyboardInterrupt):
        files = sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir())
        written = [str(path) for path in files if path.stat().st_mtime >= BEGIN]
        print("\ninterrupted" + (f"; written so far: {', '.join(written)}" if written else ""), file=sys.stderr)
        sys.exit(130)
    if SENTENCES & {parent.__name__ for parent in kind.__mro__}:
        print(error, file=sys.stderr)
        sys.exit(2)
    sys.__excepthook__(kind, error, trace)


sys.excepthook = end

import minirobust as mr  # noqa: E402 - an import can be interrupted
from minirobust.commands.arguments import number  # noqa: E402
from minirobust.commands.terminal import sentence  # noqa: E402


class Parser(argparse.ArgumentParser):
    """A parser that refuses a wrong value with one sentence."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def options(lesson, **defaults):
    """Return the options of an example, from the command line or else the defaults.

    Parameters
    ----------
    lesson : str
        What --help shows: the example's docstring.
    defaults
        Each is an option of that name, see `KNOWN`. False is a switch, and a tuple an option with several values.
    """
    parser = Parser(description=lesson, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        read, text = KNOWN[name]
        if default is False:
            parser.add_argument(f"--{name}", action="store_true", help=text)
            continue
        several = isinstance(default, tuple)
        shown = " ".join(map(label, default)) if several else label(default)
        parser.add_argument(
            f"--{name}",
            type=read,
            # argparse reads a text as it reads the command line, so defaults are checked, too.
            default=default if several or default is None else str(default),
            nargs="+" if several else None,
            metavar=name.upper().rstrip("S") if several else name.upper(),
            help=text if default is None else f"{text} (default {shown})",
        )
    found = parser.parse_args()
    if "backend" in defaults:
        logging.basicConfig(level=logging.INFO, format="%(message)s")  # says which backend "auto" takes
        found.backend = mr.backend.get(found.backend)
    return found


def label(value):
    """Return a default as one would write it: 1/64 rather than 0.015625."""
    return mr.regimes.temperature_label(value) if isinstance(value, float) and value > 0 else str(value)


def checked(check):
    """Return a reader of an option whose value `check` returns or refuses with a sentence."""

    def read(text):
        try:
            return check(text)
        except (ValueError, RuntimeError) as error:  # a BackendError is a RuntimeError
            raise argparse.ArgumentTypeError(sentence(error)) from None

    return read


def temperature(text):
    """Return a temperature at which the regimes exist."""
    value = number(text)
    mr.regimes.bounds(value)
    return value


def epsilon(text):
    """Return a largest change of a pixel: from 0 to 1."""
    value = number(text)
    if not 0 <= value <= 1:
        raise ValueError(f"expected a number in [0, 1], got {text!r}")
    return value


def whole(least):
    """Return a check of whole numbers from `least` on."""

    def check(text):
        if not text.isdecimal() or int(text) < least:
            raise ValueError(f"expected a whole number of at least {least}, got {text!r}")
        return int(text)

    return check


def backend(text):
    """Return the name of a backend that runs here."""
    mr.backend.get(text)
    return text


def budget(text):
    """Return the name of a budget of the audit."""
    from minirobust.masking import BUDGETS

    if text not in BUDGETS:
        raise ValueError(f"expected {', '.join(BUDGETS)}, got {text!r}")
    return text


def folder(text):
    """Return a folder that is there or can be made; it is made when something is written."""
    path = Path(text)
    parent = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ValueError(f"expected a folder that can be written, got {text!r}")
    folders.append(path)
    return path


KNOWN = {
    "temperature": (checked(temperature), "of the sigmoids, also as 1/64"),
    "temperatures": (checked(temperature), "of the sigmoids, also as 1/64"),
    "epochs": (checked(whole(1)), "of training"),
    "epsilon": (checked(epsilon), "largest change of a pixel, also as 8/255"),
    "epsilons": (checked(epsilon), "largest changes of a pixel, also as 8/255"),
    "samples": (checked(whole(1)), "how many test images to measure on, from the first"),
    "budget": (checked(budget), "how hard the audit tries: quick, standard or full"),
    "backend": (checked(backend), "auto, numpy, numba or cupy"),
    "seed": (checked(whole(0)), "of weights, shuffling and random draws"),
    "output": (checked(folder), "folder for networks and pictures"),
    "data": (Path, "where the data are: a folder, or an .h5 file where the text above says so"),
    "network": (Path, "a saved network"),
    "full": (None, "learn all of MNIST, not the 5,000 shipped digits"),
    "mini": (None, "learn the 5,000 shipped digits"),
    "report": (None, "also print the full report of every audit"),
}
