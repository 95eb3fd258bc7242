"""Stepping through backprop in a debugger: nothing stands between `Network.backward` and the layers' arithmetic."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import minirobust as mr

SCRIPT = """\
import os

import numpy as np

import minirobust as mr

net = mr.Network([mr.Dense(5), mr.TemperatureSigmoid(0.5), mr.Dense(3)], input_shape=(4,), seed=1)
logits = net.forward(np.linspace(0, 1, 8, dtype="float32").reshape(2, 4))
gradient = np.ones_like(logits)
net.backward(gradient)
print("the", "end", flush=True)
os._exit(0)  # or the debugger would begin again
"""
LINE = SCRIPT.splitlines().index("net.backward(gradient)") + 1
STEPS = 400  # many more than it takes

PACKAGE = Path(mr.__file__).resolve().parent
LIBRARIES = [Path(np.__file__).resolve().parent]


@dataclass(frozen=True)
class Frame:
    """Where the debugger stood: file, function, and `self` as shown there."""

    file: Path
    function: str
    owner: str


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Every place at which ``step`` stopped from `net.backward(...)` to the script's next line."""
    folder = tmp_path_factory.mktemp("stepping")
    script = folder / "small_network.py"
    script.write_text(SCRIPT, encoding="utf-8")
    commands = [f"tbreak {LINE}", "continue", *["step", "p self"] * STEPS, "quit"]
    environment = {
        **os.environ,
        "HOME": str(folder),  # no .pdbrc of anyone's
        "PYTHONPATH": str(PACKAGE.parent),
        "PYTHONIOENCODING": "utf-8",
        "NO_COLOR": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-u", "-m", "pdb", str(script)],
        input="\n".join(commands) + "\n",
        capture_output=True,
        encoding="utf-8",
        env=environment,
        cwd=folder,
        timeout=60,
    )
    # Between two prompts stands what one command printed.
    replies = ran.stdout.split("(Pdb) ")
    assert any("the end" in reply for reply in replies), f"the script did not end:\n{ran.stdout[-2000:]}\n{ran.stderr}"
    return list(_frames(replies))


def _frames(replies):
    for reply, shown in pairwise(replies):
        if "the end" in reply:
            return
        place = re.search(r"^> (.+)\(\d+\)([\w<>]+)\(\)", reply, re.MULTILINE)
        if place and not place[1].startswith("<"):  # <frozen ...> and other files that are none
            yield Frame(Path(place[1]).resolve(), place[2], shown.strip())


def test_stepping_visits_each_layers_gradient_methods_from_the_last_to_the_first(frames):
    visited = [
        (frame.owner, frame.function) for frame in frames if frame.function in ("parameter_gradients", "input_gradient")
    ]
    order = [entry for i, entry in enumerate(visited) if i == 0 or entry != visited[i - 1]]
    assert order == [
        ("Dense(3)", "parameter_gradients"),
        ("Dense(3)", "input_gradient"),
        ("TemperatureSigmoid(0.5)", "parameter_gradients"),
        ("TemperatureSigmoid(0.5)", "input_gradient"),
        ("Dense(5)", "parameter_gradients"),
        ("Dense(5)", "input_gradient"),
    ]


def test_the_layers_run_their_own_methods_and_nothing_around_them(frames):
    visited = {(frame.file.parent.name, frame.function) for frame in frames}
    assert {function for folder, function in visited if folder == "layers"} == {
        "backward",
        "parameter_gradients",
        "input_gradient",
    }
    assert ("backend", "sigmoid_derivative") in visited


def test_no_file_is_visited_but_the_networks_the_layers_and_the_backends(frames):
    strangers = {
        frame.file
        for frame in frames
        if frame.file.name != "small_network.py" and not any(library in frame.file.parents for library in LIBRARIES)
    }
    allowed = {PACKAGE / "network.py", *(PACKAGE / "layers").iterdir(), *(PACKAGE / "backend").iterdir()}
    assert strangers - allowed == set()
