"""What the documentation shows works: its Python code runs, and what its commands and links name exists."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import data_loaders
import minirobust

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = [
    module.name
    for package in (minirobust, data_loaders)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_commands_name_what_exists(page):
    text = page.read_text()
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    local = [page.parent / link for link in links if link and not link.startswith("http")]
    named = [ROOT / path for path in re.findall(r"\b((?:examples|tests|docs|minirobust|data_loaders)/[\w/.]+\w)", text)]
    missing = [str(path) for path in [*local, *named] if not path.exists() and "yours" not in path.name]
    assert missing == []


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(name), extraglobs={"np": __import__("numpy")})
    assert result.failed == 0
