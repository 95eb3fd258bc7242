"""The options of the examples, checked like those of the command `minirobust`, and the way in which an example ends.

Import it first, so that from then on Ctrl-C prints one sentence instead of a traceback.
"""

import argparse
import logging
import os
import sys
import time
from pathlib import Path

BEGIN = time.time()
# Errors whose message says enough, listed by name because their modules may not be imported yet.
SENTENCES = {"BackendError", "CheckpointError", "DataError", "DataNotFoundError", "ModuleNotFoundError"}
folders = []  # to which the example writes


def end(kind, error, trace):
    """Exit with one sentence and the command's exit code; print a traceback for a mistake in the example itself."""
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

import minirobust as mr  # noqa: E402 - Ctrl-C may interrupt the import
from minirobust.commands.arguments import number  # noqa: E402
from minirobust.commands.terminal import sentence  # noqa: E402


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong value in one sentence."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def options(lesson, **defaults):
    """Return the options of an example: the values on the command line, else the defaults.

    Parameters
    ----------
    lesson : str
        The example's docstring, which --help shows.
    defaults
        The default of each option, by its name in `KNOWN`. False makes a switch, a tuple an option with several values.
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
            # argparse parses a string like the command line, so defaults are checked, too.
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
    """Return a default as a person would write it: 1/64 rather than 0.015625."""
    return mr.regimes.temperature_label(value) if isinstance(value, float) and value > 0 else str(value)


def checked(check):
    """Return a parser for an option; `check` returns the option's value or raises an error with a sentence."""

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
    """Return the largest change of a pixel, from 0 to 1."""
    value = number(text)
    if not 0 <= value <= 1:
        raise ValueError(f"expected a number in [0, 1], got {text!r}")
    return value


def whole(least):
    """Return a check for whole numbers of at least `least`."""

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
    """Return a folder that exists or can be created; it is created when something is written."""
    path = Path(text)
    parent = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ValueError(f"expected a folder that can be written, got {text!r}")
    folders.append(path)
    return path


KNOWN = {
    "temperature": (checked(temperature), "temperature of the sigmoids, a number or a fraction such as 1/64"),
    "temperatures": (checked(temperature), "temperatures of the sigmoids, numbers or fractions such as 1/64"),
    "epochs": (checked(whole(1)), "number of training epochs"),
    "epsilon": (checked(epsilon), "largest change of a pixel, a number or a fraction such as 8/255"),
    "epsilons": (checked(epsilon), "largest changes of a pixel, numbers or fractions such as 8/255"),
    "samples": (checked(whole(1)), "number of test images to measure on"),
    "budget": (checked(budget), "how hard the audit tries: quick, standard or full"),
    "backend": (checked(backend), "auto, numpy, numba or cupy"),
    "seed": (checked(whole(0)), "seed of the weights, the shuffling and random draws"),
    "output": (checked(folder), "folder for networks and pictures"),
    "data": (Path, "location of the data: a folder, or an .h5 file if the text above says so"),
    "network": (Path, "a saved network"),
    "full": (None, "learn all of MNIST, not the 5,000 shipped digits"),
    "mini": (None, "learn the 5,000 shipped digits"),
    "report": (None, "also print the full report of every audit"),
}
