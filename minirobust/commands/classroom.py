"""`class`: commands for students, for teachers who grade, and for authors of assignments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from minirobust.commands.terminal import FAULT, NO, echo, examples, say, show
from minirobust.saving import atomic

if TYPE_CHECKING:
    from minirobust.classroom.assignment import Assignment
    from minirobust.classroom.course import Course
    from minirobust.classroom.grading import Outcome, Result
    from minirobust.classroom.sandbox import Sandbox

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Work on assignments, and grade them.")
STUDENTS, TEACHERS, AUTHORS = "For students", "For teachers", "For authors of assignments"  # panels of --help


def assignment_names() -> list[str]:
    """Return the names of all assignments, for shell completion."""
    from minirobust.classroom.assignment import find_all

    return [assignment.name for assignment in find_all()]


Name = Annotated[str, typer.Argument(metavar="NAME", help="An assignment's name.", autocompletion=assignment_names)]
CourseFile = Annotated[Path | None, typer.Option("--course", metavar="FILE", help="A course.toml.")]
PrivateFolder = Annotated[
    Path | None,
    typer.Option(
        "--private",
        metavar="DIR",
        help="Folder with the private parts of assignments: classroom_private of the source distribution.",
    ),
]


# For students


@app.command("list", rich_help_panel=STUDENTS)
def list_all(course_file: CourseFile = None) -> None:
    """List the assignments in the order of the course."""
    from minirobust.classroom.assignment import find_all
    from minirobust.tables import table

    found = find_all(read_course(course_file).folders)
    rows = [(str(a.number), a.name, f"v{a.version}", a.title) for a in found]
    show(table([("#", "name", "version", "title"), *rows], left=4))


@app.command(
    rich_help_panel=STUDENTS, epilog=examples("class start temperature_sigmoid", "class start dense --to homework")
)
def start(
    context: typer.Context,
    name: Name,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Parent of the new folder.")] = Path("."),
    course_file: CourseFile = None,
) -> None:
    """Start an assignment: create a folder with the lesson and the file to complete."""
    from minirobust.classroom.assignment import find
    from minirobust.classroom.lesson import percent

    assignment = find(name, None, read_course(course_file).folders)
    folder = to / name
    folder.mkdir(parents=True, exist_ok=True)
    files = {path.name: path.read_text(encoding="utf-8") for path in assignment.start.iterdir() if path.is_file()}
    files |= {"lesson.md": assignment.lesson, "lesson_notebook.py": percent(assignment.lesson)}
    existing = [str(folder / file) for file in files if (folder / file).exists()]
    if existing:
        raise FileExistsError(
            f"start: expected no file at {existing[0]}: rename it, or choose another folder with --to"
        )
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    say(context, f"Read {folder / 'lesson.md'}, complete {folder / assignment.file}, then:")
    say(context, f"  minirobust class check {folder}")


@app.command(
    rich_help_panel=STUDENTS, epilog=examples("class lesson dense", "class lesson dense --notebook dense_notebook.py")
)
def lesson(
    context: typer.Context,
    name: Name,
    notebook: Annotated[
        Path | None,
        typer.Option("--notebook", metavar="FILE.py", help="Write the lesson as a notebook in percent format."),
    ] = None,
    course_file: CourseFile = None,
) -> None:
    """Print an assignment's lesson."""
    from minirobust.classroom.assignment import find
    from minirobust.classroom.lesson import percent

    assignment = find(name, None, read_course(course_file).folders)
    if notebook is None:
        echo(assignment.lesson)
        return
    with atomic.replacing(notebook) as temporary:
        temporary.write_text(percent(assignment.lesson), encoding="utf-8")
    say(context, f"saved in {notebook}")


@app.command(
    rich_help_panel=STUDENTS,
    epilog=examples("class check", "class check temperature_sigmoid --hint", "class check --watch"),
)
def check(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Your folder, or a single file.")] = Path("."),
    watch: Annotated[bool, typer.Option("--watch", help="Check again whenever the file changes.")] = False,
    hint: Annotated[bool, typer.Option("--hint", help="Show the lesson's section on the first mistake.")] = False,
    course_file: CourseFile = None,
) -> None:
    """Run the visible tests on your work.

    Exit code 1 if a test fails.
    """
    from minirobust.classroom.probing import find_sandbox

    found = find_submissions(folder, read_course(course_file))
    if not found:
        raise FileNotFoundError(
            f"check: expected a file with a line like '# assignment: temperature_sigmoid v1' in {folder}, found none: "
            f"start with `minirobust class start temperature_sigmoid`"
        )
    sandbox = find_sandbox()
    if watch:
        for place, (path, assignment) in enumerate(found):
            watch_one(context, path, assignment, sandbox, hint, place + 1 == len(found))
        return
    results = [check_one(path, assignment, sandbox, hint) for path, assignment in found]
    finish(results)


def find_submissions(folder: Path, course: Course) -> list[tuple[Path, Assignment]]:
    """Return the files that record an assignment, in the order of the course."""
    from minirobust.classroom.assignment import find, marked

    paths = [folder] if folder.is_file() else sorted([*folder.glob("*.py"), *folder.glob("*/*.py")])
    found = []
    for path in paths:
        mark = marked(path.read_text(encoding="utf-8", errors="replace"))
        if mark:
            found.append((path, find(*mark, course.folders)))
    return sorted(found, key=lambda pair: pair[1].number)


def check_one(path: Path, assignment: Assignment, sandbox: Sandbox, hint: bool) -> Result:
    """Check one file, and print the results."""
    from minirobust.classroom.grading import check
    from minirobust.classroom.lesson import section

    result = check(assignment, path.read_bytes(), sandbox)
    echo(f"{assignment.title} ({path})")
    for test in result.tests:
        echo(test_line(test))
    if result.printed:
        echo(f"your program printed:\n{result.printed}")
    failed = next((test for test in result.tests if not test.finding.passed), None)
    if hint and failed:
        echo(f"\n{section(assignment.lesson, failed.finding.section)}")
    return result


def test_line(test: Outcome) -> str:
    """Return a line with the outcome of a test."""
    if test.fault:
        return f"? {test.name}: the grader failed, not your program: {test.fault}"
    points = f"{test.score:g}/{test.points:g}"
    if test.finding.passed:
        return f"✓ {test.name}  {points}"
    return f"✗ {test.name}  {points}: {test.finding.sentence} (lesson, section {test.finding.section})"


def finish(results: list[Result]) -> None:
    """End with the exit code for these results."""
    if any(test.fault for result in results for test in result.tests):
        raise typer.Exit(FAULT)
    if not all(result.passed for result in results):
        raise typer.Exit(NO)


def watch_one(
    context: typer.Context, path: Path, assignment: Assignment, sandbox: Sandbox, hint: bool, is_last: bool
) -> None:
    """Check one file after every change until all tests pass and the student wants to continue."""
    for _ in changes(path):
        echo("")
        if check_one(path, assignment, sandbox, hint).passed:
            break
        say(context, f"waiting for changes to {path}; press Ctrl-C to stop")
    if not is_last:
        typer.prompt("All tests pass. Press Enter to continue", default="", show_default=False)


def changes(path: Path) -> Iterator[None]:
    """Yield now, and again whenever the file changes."""
    import time

    known = None
    while True:
        # Editors replace a file, so it may not exist for a moment.
        state = (path.stat().st_mtime_ns, path.stat().st_size) if path.exists() else known
        if state != known:
            known = state
            yield
        time.sleep(0.2)


# For teachers


@app.command(
    rich_help_panel=TEACHERS,
    epilog=examples(
        "class grade submissions --assignment dense --roster r.csv --secret secret -o results --private private"
    ),
)
def grade(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with submissions: ID.py or ID/FILE.py.")],
    assignment: Annotated[str, typer.Option("--assignment", metavar="NAME", help="An assignment's name.")],
    roster: Annotated[Path, typer.Option("--roster", metavar="FILE", help="A CSV file with the columns id and name.")],
    secret: Annotated[
        Path, typer.Option("--secret", metavar="FILE", help="File with a secret from which all seeds are derived.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results, one file per student.")
    ],
    private: PrivateFolder = None,
    course_file: CourseFile = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="Number of submissions to grade at the same time; by default, the number of cores."
        ),
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run submissions even if they cannot be isolated.")] = False,
) -> None:
    """Grade a class. Unchanged submissions are not graded again.

    Exit code 3 if the grader failed on a submission, whose grade is then left
    blank.
    """
    from minirobust.classroom.assignment import find, private_part
    from minirobust.classroom.batch import FAULT as GRADER_FAULT
    from minirobust.classroom.batch import Batch
    from minirobust.classroom.roster import read_roster
    from minirobust.cores import core_count

    course = read_course(course_file)
    private = private_folder(private, course)
    newest = find(assignment, None, course.folders)
    course.applied(newest, private_part(newest, private))  # raise errors in course.toml before grading
    batch = Batch(folder, assignment, course, private, read_secret(secret), safe_sandbox(context, trust), output)
    students = read_roster(roster)
    if not folder.is_dir():
        raise NotADirectoryError(f"grade: expected a folder with submissions, got {folder}")
    output.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}

    def done(student: object, status: str) -> None:
        counts[status] = counts.get(status, 0) + 1

    batch.grade_all(students, workers or core_count(), done)
    say(context, f"{', '.join(f'{n} {status}' for status, n in sorted(counts.items()))}: {output}")
    if counts.get(GRADER_FAULT):
        raise typer.Exit(FAULT)


def read_course(path: Path | None) -> Course:
    """Return the course that a file describes; by default, that of course.toml in this folder if it exists."""
    from minirobust.classroom.course import read_course

    here = Path("course.toml")
    return read_course(path or (here if here.is_file() else None))


def private_folder(given: Path | None, course: Course) -> Path:
    """Return the folder with the private parts of assignments."""
    folder = given or course.private
    if folder is None:
        raise ValueError(
            "--private: expected the folder classroom_private of the source distribution, got nothing: "
            "unpack it from `pip download --no-deps --no-binary minirobust minirobust`"
        )
    return folder


def read_secret(path: Path) -> bytes:
    """Return the content of the secret file."""
    how = "make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
    if not path.is_file():
        raise FileNotFoundError(f"--secret: expected a file with random text, got {path}, which does not exist; {how}")
    content = path.read_bytes().strip()
    if len(content) < 16:
        raise ValueError(f"--secret: expected at least 16 characters in {path}, got {len(content)}; {how}")
    return content


def safe_sandbox(context: typer.Context, trust: bool) -> Sandbox:
    """Return the strongest isolation that works; without any, require that the teacher trusts the submissions."""
    from minirobust.classroom.probing import REMEDY, find_sandbox
    from minirobust.classroom.sandbox import USER

    sandbox = find_sandbox()
    if not sandbox.is_barrier and not trust:
        raise ValueError(
            f"grade: expected isolation by bubblewrap, which does not work here: {REMEDY}; "
            f"or read the programs and grade them with --trust"
        )
    say(context, f"isolation: {sandbox.level}")
    if sandbox.level == USER:
        say(context, f"bubblewrap does not work here, so submissions can reach the network: {REMEDY}")
    return sandbox


@app.command(rich_help_panel=TEACHERS, epilog=examples("class results results --csv grades.csv"))
def results(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `grade` wrote.")],
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the table to this file.")] = None,
) -> None:
    """Show the grades of a class and its most frequent mistakes."""
    import itertools
    from collections import Counter

    from minirobust.classroom.roster import grades, read_results

    found = read_results(folder)
    if not found:
        raise FileNotFoundError(f"results: expected results of `minirobust class grade` in {folder}, found none")
    if csv is not None:
        with atomic.replacing(csv) as temporary:
            temporary.write_text(grades(found), encoding="utf-8")
        say(context, f"saved in {csv}")
        return
    for result in found:
        score = "blank" if result["score"] is None else f"{result['score']:g}"
        echo(f"{result['student']['id']}  {score}  {result['status']}{'  late' if result['late'] else ''}")
    names = [sorted({test["mistake"] for test in result["tests"]} - {""}) for result in found]
    mistakes = Counter(itertools.chain.from_iterable(names))
    for name, students in mistakes.most_common(5):
        say(context, f"{students} of {len(found)}: {name}")


@app.command(rich_help_panel=TEACHERS, epilog=examples("class similar submissions --assignment dense"))
def similar(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with submissions: ID.py or ID/FILE.py.")],
    assignment: Annotated[str, typer.Option("--assignment", metavar="NAME", help="An assignment's name.")],
    course_file: CourseFile = None,
) -> None:
    """List pairs of similar submissions: a reason for a conversation, never evidence."""
    from minirobust.classroom.assignment import find
    from minirobust.classroom.similar import similar

    found = find(assignment, None, read_course(course_file).folders)
    paths = sorted({*folder.glob("*.py"), *folder.glob(f"*/{found.file}")})
    sources = {str(path.relative_to(folder)): path.read_text(encoding="utf-8", errors="replace") for path in paths}
    pairs, short = similar(sources, found.stub)
    for pair in pairs:
        echo(f"{pair.share:.0%}  {pair.a}  {pair.b}")
    say(context, f"{len(pairs)} similar pairs of {len(sources)} submissions, {len(short)} too short to compare")


@app.command(
    rich_help_panel=TEACHERS,
    epilog=examples("class export gradescope dense -o autograder.zip --private classroom_private"),
)
def export(
    context: typer.Context,
    system: Annotated[Literal["gradescope"], typer.Argument(metavar="SYSTEM", help="gradescope.")],
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.zip", help="The autograder.")],
    private: PrivateFolder = None,
    wheel: Annotated[
        Path | None,
        typer.Option("--wheel", metavar="FILE.whl", help="Wheel of this library; by default, the released version."),
    ] = None,
    course_file: CourseFile = None,
) -> None:
    """Create an autograder for a learning platform."""
    from minirobust.classroom import gradescope
    from minirobust.classroom.assignment import find

    course = read_course(course_file)
    assignment = find(name, None, course.folders)
    files = gradescope.export(assignment, private_folder(private, course), wheel)
    with atomic.replacing(output) as temporary:
        gradescope.write_zip(temporary, files)
    say(context, f"saved in {output}, which contains hidden tests: do not give it to students")


# For authors


@app.command(rich_help_panel=AUTHORS, epilog=examples("class new my_assignment"))
def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and _.")],
) -> None:
    """Create a new assignment: a small, complete example to edit step by step."""
    from minirobust.classroom.author import create

    create(name, Path("."))
    say(context, f"Students see assignments/{name}/v1, but not private/{name}/v1; both are named")
    say(context, f"in course.toml. Edit them, and test them with: minirobust class validate {name}")


@app.command(
    rich_help_panel=AUTHORS,
    epilog=examples("class validate dense --private classroom_private", "class validate my_assignment --update"),
)
def validate(
    context: typer.Context,
    name: Name,
    private: PrivateFolder = None,
    update: Annotated[bool, typer.Option("--update", help="Recompute visible.json.")] = False,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of runs with fresh inputs.")] = 100,
    course_file: CourseFile = None,
) -> None:
    """Test an assignment's tests with correct programs, wrong programs, and automatic mutants.

    Exit code 1 if a test is not good enough.
    """
    from minirobust.classroom import validate as checks
    from minirobust.classroom.assignment import find, private_part
    from minirobust.classroom.author import public_files
    from minirobust.classroom.key import record
    from minirobust.classroom.probing import find_sandbox

    course = read_course(course_file)
    assignment = find(name, None, course.folders)
    hidden = private_part(assignment, private_folder(private, course))
    if update:
        with atomic.replacing(assignment.folder / "visible.json") as temporary:
            temporary.write_text(record(assignment, hidden), encoding="utf-8")
    report = checks.validate(assignment, hidden, find_sandbox(), seeds, public_files(assignment))
    for line in report.problems:
        echo(f"✗ {line}")
    for line in report.figures:
        say(context, line)
    if report.problems:
        raise typer.Exit(NO)
    say(context, f"{assignment} is sound")
