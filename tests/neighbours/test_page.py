"""The page on neighbouring tools: its code runs, one block after the other, where the libraries are installed."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import synthetic_study
from complete_records import complete

import minirobust as mr
from minirobust.study import store

(PAGE,) = (Path(__file__).parents[2] / "docs").rglob("neighbours.md")


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A working folder that holds the study which the page reads."""
    monkeypatch.chdir(tmp_path)
    config = synthetic_study.config(temperatures=(1.0,))
    store.open_folder(tmp_path / "results" / "mnist", config)
    network = mr.models.mlp(1.0, (4, 4, 1), hidden=2)
    path = store.task_path(tmp_path / "results" / "mnist", 1.0, 0)
    store.write(path, complete(config, 1.0, 0, 2), network, None)


def test_code_runs_where_its_libraries_are_installed(results):
    text = PAGE.read_text(encoding="utf-8")
    if not all(map(find_spec, ("torch", "onnx", "onnxruntime", "sklearn"))):
        pytest.skip("needs PyTorch and the extra interop")
    names = {}
    for block in re.findall(r"^```py\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, PAGE.name, "exec"), names)
    assert names["search"].best_score_ > 0.9
    assert (Path.cwd() / "net.onnx").exists()
    assert set(re.findall(r"^\| `(\w+)` \| task", text, re.MULTILINE)) == set(names["tables"])
