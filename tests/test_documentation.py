"""The documentation is correct: its Python code runs, its links and commands exist, and its sessions are real."""

import doctest
import importlib
import io
import pkgutil
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import data_loaders
import minirobust
from minirobust.cli import Later, app

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
MODULES = [
    module.name
    for package in (minirobust, data_loaders)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
]
WITH_EXAMPLES = [name for name in MODULES if ">>> " in Path(find_spec(name).origin).read_text("utf-8")]
# The modules that cannot be imported without an optional library.
NEEDED = {
    "minirobust.backend.numba_kernels": "numba",
    "minirobust.explore.server": "starlette",
    "minirobust.neighbours.torch_modules": "torch",
}


def name_of(page):
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def _quick_code(digits, tiny_audits, monkeypatch):
    """Run pages on few digits and audit with a small budget: their code only has to run."""
    few = replace(digits, train=digits.train[:320], test=digits.test[:50])
    monkeypatch.setattr(data_loaders, "load_mnist", lambda mini: few)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
@pytest.mark.usefixtures("_quick_code")
def test_python_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("continue\n"))  # for a block that enters the debugger
    names = {}
    # A block may be part of a list, and is then indented.
    for block in re.findall(r"^ *```python\n(.*?)^ *```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(textwrap.dedent(block), page.name, "exec"), names)


def anchors(page):
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_to_headings_lead_to_one():
    lost = []
    for page in PAGES:
        links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text("utf-8"))
        lost += [
            (name_of(page), *link)
            for link in links
            if link[1] not in anchors(page.parent / link[0] if link[0] else page)
        ]
    assert lost == []


def test_links_and_commands_name_what_exists():
    missing = []
    for page in PAGES:
        text = page.read_text("utf-8")
        links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
        local = [page.parent / link for link in links if link and not link.startswith("http")]
        named = re.findall(r"\b((?:examples|tests|docs|minirobust|data_loaders)/[\w/.-]+\w)", text)
        places = [*local, *(ROOT / path for path in named)]
        missing += [(name_of(page), str(place)) for place in places if not place.exists() and "yours" not in place.name]
    assert missing == []


def test_the_debugger_session_is_what_pdb_prints():
    page = (ROOT / "docs" / "how-to" / "debugger.md").read_text("utf-8")
    (session,) = re.findall(r"^\$ python -m pdb (\S+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    script, lines = session[0], session[1].splitlines()
    commands = [line.removeprefix("(Pdb) ") for line in lines if line.startswith("(Pdb) ")]
    shown = [line for line in lines if not line.startswith("(Pdb) ")]
    output = subprocess.run(
        [sys.executable, "-m", "pdb", script],
        input="\n".join([*commands, "q"]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    printed = [line.removeprefix("(Pdb) ") for line in output.splitlines()]
    assert [line for line in shown if line not in printed] == []


def test_the_gradcheck_report_is_what_the_example_prints():
    page = (ROOT / "docs" / "how-to" / "custom-layer.md").read_text("utf-8")
    script = "examples/own_layer.py"
    (shown,) = re.findall(rf"^\$ python {script}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    ran = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    # The last digits of relative errors depend on the machine.
    assert re.sub(r"\d+", "#", shown) in re.sub(r"\d+", "#", ran.stdout)


def test_sessions_on_the_command_page_are_what_the_command_prints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "reference" / "command.md").read_text("utf-8")
    sessions = re.findall(r"^```\n\$ minirobust (.*)\n((?:.*\n)+?)^```", page, re.MULTILINE)
    assert len(sessions) == page.count("\n$ ")
    for command, shown in sessions:
        result = CliRunner().invoke(app, shlex.split(command))
        # Seconds, versions and last digits depend on the machine.
        assert re.sub(r"\d+", "#", result.stdout) == re.sub(r"\d+", "#", shown)


def test_every_command_that_a_page_names_exists():
    group, load = typer.main.get_command(app), cache(Later.load)
    for page in PAGES:
        for words in re.findall(r"(?:`|\$ )minirobust ([a-z][^`\n]*)", page.read_text("utf-8")):
            command = group
            for word in shlex.split(words):
                if hasattr(command, "commands"):
                    command = command.commands[word]
                    command = load(command) if isinstance(command, Later) else command
            assert not hasattr(command, "commands"), words
            known = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in shlex.split(words) if word.startswith("-")} <= known, words


def test_every_module_is_imported():
    for name in MODULES:
        if name not in NEEDED or find_spec(NEEDED[name]):
            importlib.import_module(name)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings(name):
    if name in NEEDED:
        pytest.importorskip(NEEDED[name])
    result = doctest.testmod(importlib.import_module(name), extraglobs={"np": __import__("numpy")})
    assert result.attempted > 0
    assert result.failed == 0
