"""The command `minirobust`: which commands there are, and how each of them ends.

What they do is in `minirobust.commands`.
"""

from __future__ import annotations

import sys
import traceback
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from minirobust.backend import BackendError
from minirobust.commands.terminal import FAULT, INTERRUPTED, NO, UNUSABLE, degrade_output, echo
from minirobust.nonfinite import NonFiniteError

try:
    from minirobust.commands import classroom, data, study
    from minirobust.commands.attack import attack
    from minirobust.commands.audit import audit
    from minirobust.commands.gradcheck import gradcheck
    from minirobust.commands.train import train
except ImportError as error:
    if error.name != "data_loaders":
        raise
    # The installed script imports this module before it calls `main`, so the error is caught here.
    print(f"minirobust: {error}", file=sys.stderr)
    sys.exit(UNUSABLE)

EXIT_CODES = (
    "Exit codes: 0 it went well; 1 it ran and the answer is no (a masked gradient, a wrong one, data that is not as it "
    "should be, a task that failed); 2 wrong usage, or something it needs is missing or not writable; "
    "3 a mistake in minirobust itself; 130 interrupted."
)
OF_ALL_COMMANDS = ("--quiet", "-q", "--debug")


class Program(TyperGroup):
    """The outermost command, in which every error becomes a sentence and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes the options of all commands wherever they stand, since nobody remembers where they belong."""
        of_all = [argument for argument in args if argument in OF_ALL_COMMANDS]
        return super().parse_args(ctx, of_all + [argument for argument in args if argument not in of_all])

    def invoke(self, ctx: Any) -> Any:
        """Runs a command, whichever way it ends."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            end(ctx, str(error) or "interrupted", INTERRUPTED)
        except NonFiniteError as error:
            end(ctx, str(error), NO)
        except OSError as error:
            end(ctx, f"{error.filename}: {error.strerror}" if error.filename else str(error), UNUSABLE)
        except (ValueError, TypeError, BackendError, ModuleNotFoundError) as error:
            end(ctx, str(error), UNUSABLE)


def end(context: Any, sentence: str, code: int) -> NoReturn:
    """Says why on the error stream, with a traceback if that is asked for, and ends with this exit code."""
    if context.params["debug"]:
        echo(traceback.format_exc(), err=True, nl=False)
    echo(f"minirobust: {sentence}", err=True)
    raise typer.Exit(code) from None


def main() -> None:
    """Run the command; a mistake in minirobust itself shows where it happened."""
    degrade_output()
    try:
        app(prog_name="minirobust")
    except Exception:
        echo(traceback.format_exc(), err=True, nl=False)
        echo("minirobust: this is a mistake in minirobust, not in what it was given", err=True)
        sys.exit(FAULT)


def examples(*lines: str) -> str:
    """The foot of a command's ``--help``."""
    return "\n".join(["Examples:", "", *(f"  $ minirobust {line}" for line in lines)])


app = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{EXIT_CODES}\n\n{examples('info', 'train digits -o net.h5', 'attack net.h5', 'audit net.h5')}",
)


def show_version(wanted: bool) -> None:
    """Prints the version and ends."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"minirobust {version('minirobust')}")
        raise typer.Exit


@app.callback()
def program(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only; may stand anywhere.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="A traceback with every error; may stand anywhere.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Neural networks small enough to read, and a laboratory for how robust they are."""


# What is here

HERE = "What is here"
app.command(rich_help_panel=HERE)(data.info)

data_app = typer.Typer(no_args_is_help=True)
app.add_typer(data_app, name="data", help="Find, fetch and verify data sets.", rich_help_panel=HERE)
data_app.command("list")(data.list_all)
data_app.command("fetch", epilog=examples("data fetch mnist fashion-mnist"))(data.fetch)
data_app.command("verify", epilog=examples("data verify mnist", "data verify my-images.h5"))(data.verify)

# One network

NETWORK = "One network"
app.command(
    rich_help_panel=NETWORK,
    epilog=examples(
        "train digits --temperature 1/4 --epochs 10 -o net.h5",
        "train digits --temperature 1/4 --epochs 20 -o net.h5 --resume",
        "train my-images.h5 --model cnn --backend auto",
    ),
)(train)
app.command(
    rich_help_panel=NETWORK,
    epilog=examples(
        "attack net.h5",
        "attack net.h5 pgd --epsilon 0.05 --steps 100 --samples 200",
        "attack net.h5 pixel --pixels 2 --save fooled.npz",
        "attack net.h5 transfer --source other.h5",
    ),
)(attack)
app.command(
    rich_help_panel=NETWORK,
    epilog=examples(
        "audit net.h5 --samples 200",
        "audit net.h5 --source hot.h5 --source cold.h5 --budget full --json audit.json",
    ),
)(audit)
app.command(
    rich_help_panel=NETWORK,
    epilog=examples("gradcheck net.h5", "gradcheck --model cnn --temperature 1/8", "gradcheck --dataset digits"),
)(gradcheck)

# The study

STUDY = "The study"
study_app = typer.Typer(no_args_is_help=True)
app.add_typer(study_app, name="study", help="Run the study, go on with it, look at it.", rich_help_panel=STUDY)
study_app.command("presets", epilog=examples("study presets quick > my-study.toml"))(study.presets)
study_app.command(
    "run",
    epilog=examples(
        "study run quick --output results/quick",
        "study run mnist --output results/mnist --temperatures 1/64,1,16 --seeds 0,1,2",
        "study run my-study.toml --output results/mine --scheduler tcp://host:8786",
    ),
)(study.run)
study_app.command("resume", epilog=examples("study resume results/mnist --workers 2"))(study.resume)
study_app.command("status", epilog=examples("study status results/mnist"))(study.status)
study_app.command("figures", epilog=examples("study figures results/mnist results/svhn"))(study.figures)
app.command(rich_help_panel=STUDY, epilog=examples("report results/mnist results/svhn"))(study.report)

# The classroom

app.add_typer(classroom.app, name="class", help="Work on assignments, and grade them.", rich_help_panel="The classroom")
