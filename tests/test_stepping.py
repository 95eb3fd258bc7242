"""Stepping in a debugger: nothing lies between a network's loops and the layers' arithmetic."""

import inspect
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import groupby, takewhile
from pathlib import Path

import numpy as np
import pytest

import minirobust as mr
from minirobust.network import Evaluation

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PACKAGE = Path(mr.__file__).resolve().parent
ALLOWED = {
    *(PACKAGE / "network.py", PACKAGE / "stack.py"),
    *(PACKAGE / "layers").iterdir(),
    *(PACKAGE / "backend").iterdir(),
}
STEPS = 300  # more than either example takes


@dataclass(frozen=True)
class Stop:
    """One place where the debugger stopped."""

    file: Path
    function: str
    calling: bool  # at a function's entry
    source: str | None
    owner: str  # what ``p self`` printed


def stops(name, *commands):
    """Run the commands in pdb on an example, then ``step`` until its next line; return where each step stopped."""
    commands = [*commands, *["step", "p self"] * STEPS, "quit"]
    environment = os.environ | {
        "HOME": os.devnull,  # without the user's .pdbrc
        "PYTHONPATH": str(PACKAGE.parent),
        "PYTHONIOENCODING": "utf-8",
        "NO_COLOR": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "pdb", str(EXAMPLES / name)],
        input="\n".join(commands) + "\n",
        capture_output=True,
        encoding="utf-8",
        env=environment,
        cwd=EXAMPLES,
        timeout=120,
    )
    replies = ran.stdout.split("(Pdb) ")[1:]  # what each command printed
    replies = replies[len(commands) - 2 * STEPS - 1 :]
    stopped = [stop(*pair) for pair in zip(replies[::2], replies[1::2], strict=False)]
    inside = list(takewhile(lambda s: s.function != "<module>", stopped))
    assert len(inside) < len(stopped), f"the example's next line was not reached:\n{ran.stdout[-2000:]}\n{ran.stderr}"
    return inside


def stop(step, owner):
    place = re.search(r"^> (.+)\(\d+\)([\w<>]+)\(\).*\n(?:-> (.+)$)?", step, re.MULTILINE)
    assert place, f"expected pdb to stop at a line, got:\n{step}"
    file, function, source = place.groups()
    return Stop(Path(file).resolve(), function, "--Call--" in step, source, owner.strip())


def stops_in_backward(name):
    return stops(name, f"tbreak {line_with('net.backward(', name)}", "continue")


def line_with(text, name):
    lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def calls(stopped, folder):
    """Return the functions of a folder of the package that were entered, in order."""
    return [stop for stop in stopped if stop.calling and stop.file.parent == PACKAGE / folder]


@pytest.fixture(scope="module")
def mlp_backward():
    """The session that docs/how-to/debugger.md shows: from ``net.backward(...)`` to the next line."""
    return stops_in_backward("step_through_backprop.py")


@pytest.fixture(scope="module")
def cnn_backward():
    return stops_in_backward("step_through_cnn.py")


@pytest.fixture(scope="module")
def cnn_forward():
    """The other session of that example: from the first layer's `forward` to the next line of the example."""
    door = line_with("net.forward(", "step_through_cnn.py")
    return stops("step_through_cnn.py", f"tbreak {door}", "continue", "tbreak mr.Conv2D.forward", "continue")


def test_first_formula_is_at_most_eight_steps_from_backward(mlp_backward):
    formulas = inspect.getsourcelines(mr.Dense.parameter_gradients)[0][1:]
    steps = next(
        count
        for count, stop in enumerate(mlp_backward, start=1)
        if stop.file.name == "dense.py" and stop.source in map(str.strip, formulas)
    )
    assert steps <= 8


@pytest.mark.parametrize(
    ("session", "layers"),
    [
        ("mlp_backward", ["Dense(2)", "TemperatureSigmoid(0.5)", "Dense(3)"]),
        ("cnn_backward", ["Dense(2)", "Flatten()", "MaxPool2D(2)", "TemperatureSigmoid(0.5)", "Conv2D(1, 2)"]),
    ],
)
def test_stepping_visits_each_layers_gradients_from_the_last_layer_to_the_first(session, layers, request):
    entered = calls(request.getfixturevalue(session), "layers")
    order = [(stop.owner, stop.function) for stop in entered]
    assert order == [(layer, method) for layer in layers for method in ("parameter_gradients", "input_gradient")]


def test_stepping_back_through_the_cnn_visits_the_kernels_in_order(cnn_backward):
    kernels = [function for function, _ in groupby(stop.function for stop in calls(cnn_backward, "backend"))]
    assert kernels == [
        *("max_pool_gradient", "window_positions"),
        "sigmoid_derivative",
        *("conv2d_parameter_gradients", "_conv_chunks", "chunks", "im2col", "pad", "output_size", "chunks"),
        *("conv2d_input_gradient", "_conv_chunks", "chunks", "col2im", "output_size", "window_positions", "chunks"),
    ]


def test_stepping_forward_through_the_cnn_visits_layers_and_kernels_in_order(cnn_forward):
    layers = [(stop.owner, stop.function) for stop in calls(cnn_forward, "layers")]
    # The session starts inside `Conv2D.forward`.
    assert layers == [
        (layer, "forward") for layer in ("TemperatureSigmoid(0.5)", "MaxPool2D(2)", "Flatten()", "Dense(2)")
    ]
    kernels = [function for function, _ in groupby(stop.function for stop in calls(cnn_forward, "backend"))]
    assert kernels == [
        *("conv2d", "output_size", "_conv_chunks", "chunks", "im2col", "pad", "output_size", "chunks"),
        "sigmoid",
        *("max_pool", "pad", "output_size", "window_positions"),
    ]


@pytest.mark.parametrize("session", ["mlp_backward", "cnn_backward", "cnn_forward"])
def test_stepping_visits_only_the_network_its_layers_and_its_backend(session, request):
    assert {stop.file for stop in request.getfixturevalue(session)} - ALLOWED == set()


# `pdb` sees a small network; the profiler sees every layer, and what a layer does in training.

EVERY_LAYER = {
    "images": (
        (9, 9, 2),
        lambda: [
            mr.Conv2D(3, 3, stride=2, padding="same"),
            mr.TemperatureSigmoid(0.5),
            mr.MaxPool2D(3, stride=1, padding=1),
            mr.Conv2D(2, 2),
            mr.Tanh(),
            mr.AvgPool2D(2, stride=1),
            mr.Flatten(),
            mr.Dense(4),
        ],
    ),
    "features": ((6,), lambda: [mr.Dense(5), mr.ReLU(), mr.Dropout(0.5), mr.Dense(3), mr.Softmax()]),
}


@pytest.mark.parametrize("stack", EVERY_LAYER)
def test_loops_over_the_layers_enter_no_function_of_a_library(stack):
    shape, layers = EVERY_LAYER[stack]
    network = mr.Network(layers(), shape)
    x = np.random.default_rng(0).random((2, *shape), dtype="float32")
    network.training = True
    y, entered = profiled(network.run, x)
    assert mr.Network.run.__code__ in entered
    assert strangers(entered) == set()
    _, entered = profiled(network.backward, np.ones_like(y))
    assert strangers(entered) == set()
    network.training = False
    model = Evaluation(network)
    y, entered = profiled(model.run, x)
    assert strangers(entered) == set()
    _, entered = profiled(model.back, np.ones_like(y))
    assert Evaluation.back.__code__ in entered
    assert strangers(entered) == set()


def test_every_built_in_layer_is_profiled():
    profiled = {type(layer) for _, layers in EVERY_LAYER.values() for layer in layers()}
    built_in = {value for value in vars(mr.layers).values() if inspect.isclass(value) and issubclass(value, mr.Layer)}
    assert built_in - profiled == {mr.Layer}


def profiled(function, *arguments):
    """Return the function's result, and the code of every Python function it entered with its caller's code."""
    entered = {}

    def note(frame, event, _):
        if event == "call":
            entered.setdefault(frame.f_code, frame.f_back.f_code)

    sys.setprofile(note)
    try:
        result = function(*arguments)
    finally:
        sys.setprofile(None)
    return result, entered


def strangers(entered):
    """Return where calls left the network, the layers and the backend.

    One detour cannot be avoided: `Dropout` seeds a generator for every batch, so that its stream's whole state is a
    counter, and NumPy's `SeedSequence`, which is compiled, calls `numpy.concatenate` and `numpy.errstate`.
    """
    return {
        (Path(caller.co_filename).name, caller.co_name, code.co_filename, code.co_name)
        for code, caller in entered.items()
        if Path(code.co_filename).resolve() not in ALLOWED and caller is not mr.backend.NumpyBackend.random.__code__
    }
