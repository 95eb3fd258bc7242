"""The command `minirobust`: the list of its subcommands, and their exit codes.

`minirobust.commands` implements the subcommands. The module of a subcommand is imported only when the subcommand is run
or its help is shown, so that `minirobust --help` and shell completion are fast.
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
    "Exit codes: 0 success; 1 the command ran, and the answer is no (a masked or wrong gradient, invalid or missing "
    "data, a failed task); 2 wrong usage, or a required file or package is missing or a file is not writable; "
    "3 a bug in minirobust; 130 interrupted."
)
OF_ALL_COMMANDS = ("--quiet", "-q", "--debug")


class Later(TyperCommand):
    """An entry in the list of commands; the command's module has not been imported yet."""

    def __init__(self, name: str, panel: str, summary: str, module: str = "") -> None:
        super().__init__(name, help=summary, rich_help_panel=panel)
        self.module = module or name

    def load(self) -> Any:
        """Import the command's module and return the command itself."""
        return typer.main.get_command(import_module(f"minirobust.commands.{self.module}").app)


HERE, NETWORK, STUDY, CLASS = "This machine", "One network", "The study", "The classroom"  # panels of --help
COMMANDS = (
    Later("info", HERE, "Show versions, the backends that work here, and where each data set was found."),
    Later("data", HERE, "Find, fetch and verify data sets."),
    Later("train", NETWORK, "Train a network and save it after every epoch."),
    Later("attack", NETWORK, "Attack a network on test images and print the robustness of each class."),
    Later("audit", NETWORK, "Attack a network in many ways, and decide whether its robustness is real."),
    Later("explore", NETWORK, "Change a trained network's temperature on a web page, and watch the attacks on it."),
    Later("gradcheck", NETWORK, "Compare every gradient of a network with central differences, in float64."),
    Later("study", STUDY, "Run, resume and inspect the study."),
    Later("report", STUDY, "Write an HTML page with the studies' settings, claims and verdicts, figures, and audits."),
    Later("class", CLASS, "Work on assignments, and grade them.", module="classroom"),
)


class Program(TyperGroup):
    """The top-level command, which turns every error into a one-sentence message and an exit code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {str(command.name): command for command in COMMANDS}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accept the options of all commands in any position."""
        of_all = [argument for argument in args if argument in OF_ALL_COMMANDS]
        return super().parse_args(ctx, of_all + [argument for argument in args if argument not in of_all])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name, the command and the arguments of the subcommand to run, explain or complete."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Later) else command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command, and end it with the exit code for any error."""
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
    """Print a message, and a traceback with --debug, to standard error; exit with `code`."""
    if context.params["debug"]:
        echo(traceback.format_exc(), err=True, nl=False)
    echo(f"minirobust: {sentence}", err=True)
    raise typer.Exit(code) from None


def main() -> None:
    """Run the command, and print a traceback if there is a bug in minirobust."""
    degrade_output()
    try:
        app(prog_name="minirobust")
    except Exception:
        echo(traceback.format_exc(), err=True, nl=False)
        echo("minirobust: this is a bug in minirobust, not in your input", err=True)
        sys.exit(FAULT)


app = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{EXIT_CODES}\n\n{examples('info', 'train digits -o net.h5', 'attack net.h5', 'audit net.h5')}",
)


def show_version(wanted: bool) -> None:
    """Print the version and exit."""
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
    """Neural networks that are small enough to read, and a laboratory for their robustness."""
