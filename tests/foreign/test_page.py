"""The code on docs/how-to/pytorch.md that needs other libraries, which the test of all pages leaves out."""

import re
from importlib.util import find_spec
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "pytorch.md"


def test_code_runs_where_its_libraries_are_installed():
    names = {}
    for block in re.findall(r"^```py(?:thon)?\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        libraries = re.findall(r"^(?:import|from) (torch|jax|foolbox|art)\b", block, re.MULTILINE)
        if all(map(find_spec, libraries)):
            exec(compile(block, PAGE.name, "exec"), names)
    assert names["attack"].fooled.any()
