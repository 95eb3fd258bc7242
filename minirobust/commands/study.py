"""`study`: run, resume and inspect the study."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from minirobust.commands.arguments import DATASETS, AsJson, located
from minirobust.commands.terminal import NO, echo, echo_json, examples, is_debug, is_quiet, naming, say, show
from minirobust.data import CATALOGUE
from minirobust.saving.sealed import CheckpointError
from minirobust.study.config import PRESETS, StudyConfig, parse
from minirobust.study.store import StudyError, read_config, read_study
from minirobust.tables import table

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Run, resume and inspect the study.")


def preset_names() -> list[str]:
    """Return the names of all presets, for shell completion."""
    return list(PRESETS)


def table_names() -> list[str]:
    """Return the names of all tidy tables, for shell completion."""
    from minirobust.study.tidy import KINDS

    return list(KINDS)


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.")]
Folders = Annotated[list[Path], typer.Argument(metavar="DIR", help="Folders of one or more studies.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Number of processes; by default, the number of cores.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="ADDRESS", help="Run tasks on the Dask cluster at this address, tcp://host:8786."
    ),
]


FIELDS = "Fields of the configuration that replace those of the preset"  # panel of --help


def _field(option: str, text: str) -> Any:
    return typer.Option(option, metavar="VALUE", help=text, rich_help_panel=FIELDS)


Text = str | None  # parsed by `config.parse`


@app.command(
    epilog=examples(
        "study run quick --output results/quick",
        "study run mnist --output results/mnist --temperatures 1/64,1,16 --seeds 0,1,2",
        "study run my-study.toml --output results/mine --scheduler tcp://host:8786",
    )
)
def run(
    context: typer.Context,
    study: Annotated[
        str,
        typer.Argument(
            metavar="PRESET",
            help="A preset (see `minirobust study presets`) or a .toml file.",
            autocompletion=preset_names,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The study's folder.")],
    workers: Workers = None,
    scheduler: Scheduler = None,
    dataset: Annotated[Text, _field("--dataset", f"{DATASETS}.")] = None,
    model: Annotated[Text, _field("--model", "mlp or cnn.")] = None,
    temperatures: Annotated[
        Text, _field("--temperatures", "Temperatures, each with its own networks: 1/64,1,16.")
    ] = None,
    epochs: Annotated[Text, _field("--epochs", "Number of epochs.")] = None,
    seeds: Annotated[Text, _field("--seeds", "Seeds, with one network each at every temperature: 0,1,2.")] = None,
    batch_size: Annotated[Text, _field("--batch-size", "Batch size in training.")] = None,
    learning_rate: Annotated[Text, _field("--learning-rate", "Learning rate of Adam.")] = None,
    epsilon: Annotated[Text, _field("--epsilon", "Main ε of FGSM and of the audit.")] = None,
    epsilons: Annotated[
        Text, _field("--epsilons", "Every ε at which to measure robustness, including the main one: 0.05,0.1.")
    ] = None,
    delta1: Annotated[Text, _field("--delta1", "Threshold of the linear regime.")] = None,
    delta2: Annotated[Text, _field("--delta2", "Threshold of the saturated regime.")] = None,
    pixels: Annotated[Text, _field("--pixels", "Maximum number of pixels that the pixel attack changes.")] = None,
    train_samples: Annotated[
        Text, _field("--train-samples", "Training images for the accuracy on the training set.")
    ] = None,
    audit_samples: Annotated[Text, _field("--audit-samples", "Test images for the audit.")] = None,
    audit_epsilons: Annotated[Text, _field("--audit-epsilons", "Every ε of the audit below the main one.")] = None,
    audit_budget: Annotated[Text, _field("--audit-budget", "quick, standard or full.")] = None,
    sharpen_ratios: Annotated[
        Text, _field("--sharpen-ratios", "Temperatures after training, divided by those in training.")
    ] = None,
    sharpen_samples: Annotated[
        Text, _field("--sharpen-samples", "Test images for the attacks at these temperatures.")
    ] = None,
    backend: Annotated[Text, _field("--backend", "auto, cupy, numba or numpy.")] = None,
    dtype: Annotated[Text, _field("--dtype", "float32 or float64.")] = None,
) -> None:
    """Train, measure, attack and audit one network for every temperature and seed.

    Each network is one file in DIR, replaced after every epoch. To continue
    an interrupted study, use `study resume` or run the same command again.
    Two commands that run in the same DIR at the same time share the work.

    Exit code 1 if a task failed; the other tasks are completed regardless.
    """
    config = _configuration(study)
    texts = {field.name: context.params[field.name] for field in fields(config)}
    values = {}
    for name, text in texts.items():
        if text is not None:
            with naming(f"--{name.replace('_', '-')}"):
                values[name] = parse(name, text)
    config = config.but(**values)
    config = config.but(dataset=located(config.dataset))
    if config.dataset not in CATALOGUE and not Path(config.dataset).exists():
        raise FileNotFoundError(f"study: expected the path of a data set, got {config.dataset}, which does not exist")
    _run_study(context, config, output, workers, scheduler)


def _configuration(study: str) -> StudyConfig:
    """Return a preset, or the configuration in a TOML file."""
    if not study.endswith(".toml"):
        return _preset(study)
    try:
        return StudyConfig.from_toml(Path(study).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{study}: {error}") from error


def _preset(name: str) -> StudyConfig:
    if name not in PRESETS:
        raise ValueError(f"study: expected {', '.join(PRESETS)} or the path of a .toml file, got {name!r}")
    return PRESETS[name]


def _run_study(
    context: typer.Context, config: StudyConfig, folder: Path, workers: int | None, scheduler: str | None
) -> None:
    from minirobust.study.execution import sweep

    try:
        failures = sweep.run_study(config, folder, workers=workers, scheduler=scheduler, quiet=is_quiet(context))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted: all completed epochs are saved; continue with `minirobust study resume {folder}`"
        ) from None
    for failure in failures:
        if is_debug(context):
            echo(failure.traceback, err=True)
        echo(f"minirobust: {failure}", err=True)
    if failures:
        say(context, f"to retry the failed tasks, run `minirobust study resume {folder}`")
        raise typer.Exit(NO)
    say(context, f"finished: {folder}")


@app.command(epilog=examples("study resume results/mnist --workers 2"))
def resume(context: typer.Context, folder: Folder, workers: Workers = None, scheduler: Scheduler = None) -> None:
    """Resume a study from its files, and retry the tasks that failed."""
    _run_study(context, read_config(folder), folder, workers, scheduler)


@app.command(epilog=examples("study status results/mnist", "study status results/mnist --json"))
def status(folder: Folder, as_json: AsJson = False) -> None:
    """Show the state of each task: epochs, final attacks, audit, accuracy, robustness, time left."""
    from minirobust.study.execution import progress

    config, states, damaged = read_config(folder), [], []
    for task in config.tasks():
        try:
            states.append(progress.state(config, folder, *task))
        except (StudyError, CheckpointError) as error:
            damaged.append(error)
    if as_json:
        echo_json({"tasks": [state.to_dict() for state in states], "damaged": [str(error) for error in damaged]})
    elif states:
        show(progress.states_table(states))
    if damaged:
        raise StudyError("\n".join(map(str, damaged))) from damaged[0]


@app.command(epilog=examples("study figures results/mnist results/svhn"))
def figures(
    context: typer.Context,
    folders: Folders,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Output folder.")] = Path("figures"),
) -> None:
    """Draw the study's figures from the results so far."""
    from minirobust.study.report.figures import draw

    studies = [read_study(folder) for folder in folders]
    output.mkdir(parents=True, exist_ok=True)
    for path in draw(studies, output, tell=lambda reason: echo(reason, err=True)):
        say(context, str(path))


@app.command(
    epilog=examples(
        "study export results/mnist results/svhn --csv tables",
        "study export results/mnist --csv tables --table epochs --table audit",
    )
)
def export(
    context: typer.Context,
    folders: Folders,
    csv: Annotated[Path, typer.Option("--csv", metavar="DIR", help="Folder for the CSV files, one per table.")],
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table", metavar="NAME", help="Write only this table; may be repeated.", autocompletion=table_names
        ),
    ] = None,
    compress: Annotated[bool, typer.Option("--gzip", help="Compress the files, as .csv.gz.")] = False,
) -> None:
    """Write the numbers behind the figures as CSV files, one observation per row.

    In Python, `minirobust.study.load` returns the same tables.
    """
    from minirobust.study.tidy import load, write_csv

    found = load(*folders)
    for name in table or []:
        if name not in found:
            raise ValueError(f"--table: expected one of {', '.join(found)}, got {name!r}")
    csv.mkdir(parents=True, exist_ok=True)
    for name in table or found:
        path = csv / f"{name}.csv{'.gz' if compress else ''}"
        write_csv(found[name], path)
        say(context, str(path))


@app.command(epilog=examples("study presets quick > my-study.toml"))
def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="PRESET", help="Print this one as TOML.", autocompletion=preset_names)
    ] = None,
) -> None:
    """List the presets, or print one as TOML, to edit and run."""
    if name is not None:
        echo(_preset(name).to_toml(), nl=False)
        return
    rows = [("preset", "data set", "model", "temperatures", "epochs")]
    for preset, config in PRESETS.items():
        temperatures = ", ".join(str(Fraction(T)) for T in config.temperatures)
        rows.append((preset, config.dataset, config.model, temperatures, str(config.epochs)))
    show(table(rows, left=4))
