"""The command `minirobust`: which commands there are, and how each of them ends.

What they do is in `minirobust.commands`. The module of a command is imported when the command is run or explained, so
that `minirobust --help` and the shell's completion answer at once.
"""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from minirobust.commands.terminal import FAULT, INTERRUPTED, NO, UNUSABLE, degrade_output, echo, examples

EXIT_CODES = (
    "Exit codes: 0 success; 1 the command ran and the answer is no (a masked or a wrong gradient, wrong or missing "
    "data, a failed task); 2 wrong usage, or something that is needed is missing or not writable; "
    "3 a bug in minirobust; 130 interrupted."
)
OF_ALL_COMMANDS = ("--quiet", "-q", "--debug")


class Later(TyperCommand):
    """A command as the list of commands shows it, whose module is not imported yet."""

    def __init__(self, name: str, panel: str, summary: str, module: str = "") -> None:
        super().__init__(name, help=summary, rich_help_panel=panel)
        self.module = module or name

    def load(self) -> Any:
        """Import the command's module, and return the command itself."""
        return typer.main.get_command(import_module(f"minirobust.commands.{self.module}").app)


HERE, NETWORK, STUDY, CLASS = "What is here", "One network", "The study", "The classroom"  # panels of --help
COMMANDS = (
    Later("info", HERE, "Show versions, the backends that run here, and where each data set was found."),
    Later("data", HERE, "Find, fetch and verify data sets."),
    Later("train", NETWORK, "Train a network and save it after every epoch."),
    Later("attack", NETWORK, "Attack a network on test images and print how robust each class is."),
    Later("audit", NETWORK, "Attack a network in many ways, and judge whether its robustness is real."),
    Later("explore", NETWORK, "Turn a trained network's temperature on a page, and watch its attacks."),
    Later("gradcheck", NETWORK, "Compare every gradient of a network with central differences, in float64."),
    Later("study", STUDY, "Run the study, continue it, look at it."),
    Later("report", STUDY, "Write one HTML page: what was run, every claim with its verdict, all figures, the audits."),
    Later("class", CLASS, "Work on assignments, and grade them.", module="classroom"),
)


class Program(TyperGroup):
    """The outermost command, in which every error becomes a sentence and an exit code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {str(command.name): command for command in COMMANDS}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accept the options of all commands in any position."""
        of_all = [argument for argument in args if argument in OF_ALL_COMMANDS]
        return super().parse_args(ctx, of_all + [argument for argument in args if argument not in of_all])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name of the command that is run, explained or completed, the command, and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Later) else command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command, whichever way it ends."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            end(ctx, str(error) or "interrupted", INTERRUPTED)
        except OSError as error:
            end(ctx, f"{error.filename}: {error.strerror}" if error.filename else str(error), UNUSABLE)
        except (ValueError, TypeError, ModuleNotFoundError) as error:
            end(ctx, str(error), UNUSABLE)
        except ImportError as error:
            if error.name != "data_loaders":  # see `minirobust.data`
                raise
            end(ctx, str(error), UNUSABLE)
        except (RuntimeError, ArithmeticError) as error:
            from minirobust.backend import BackendError
            from minirobust.nonfinite import NonFiniteError

            if isinstance(error, BackendError):
                end(ctx, str(error), UNUSABLE)
            if isinstance(error, NonFiniteError):
                end(ctx, str(error), NO)
            raise


def end(context: Any, sentence: str, code: int) -> NoReturn:
    """Say why on the error stream, with a traceback if that is asked for, and end with this exit code."""
    if context.params["debug"]:
        echo(traceback.format_exc(), err=True, nl=False)
    echo(f"minirobust: {sentence}", err=True)
    raise typer.Exit(code) from None


def main() -> None:
    """Run the command; a bug in minirobust shows where it is."""
    degrade_output()
    try:
        app(prog_name="minirobust")
    except Exception:
        echo(traceback.format_exc(), err=True, nl=False)
        echo("minirobust: this is a mistake in minirobust, not in what it was given", err=True)
        sys.exit(FAULT)


app = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{EXIT_CODES}\n\n{examples('info', 'train digits -o net.h5', 'attack net.h5', 'audit net.h5')}",
)


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"minirobust {version('minirobust')}")
        raise typer.Exit


@app.callback()
def program(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print results and errors only; works in any position.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print a traceback with an error; works in any position.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Neural networks small enough to read, and a laboratory for how robust they are."""
