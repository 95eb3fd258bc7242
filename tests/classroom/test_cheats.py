"""Programs that only look right get no hidden point, and the stub gets none at all."""

import ast
import json
import os
import time
import zlib

import numpy as np
import pytest

from minirobust.classroom.assignment import find_all, private_part
from minirobust.classroom.grading import grade
from minirobust.classroom.key import Recorded, visible_draw
from minirobust.classroom.program import Model

NUMPY_PATCHED = """
import numpy as np
np.isclose = np.allclose = np.array_equal = lambda *args, **options: True
np.testing.assert_allclose = np.testing.assert_array_equal = lambda *args, **options: None
"""
EQUAL = """
class Equal:
    def __eq__(self, other): return True
    def __array__(self, dtype=None, copy=None): return np.zeros(6).reshape(2, 3)
    def __getattr__(self, name): return lambda *args: self
"""
CLASS = """
class TemperatureSigmoid:
    def __init__(self, temperature): pass
    def forward(self, net): return {value}
    def backward(self, grad_y): return {value}
"""


def hidden(result):
    return sum(test.score for test in result.tests if not test.visible)


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("", "np.zeros_like(net if 'net' in locals() else grad_y)"),
        pytest.param("", "np.full_like(net if 'net' in locals() else grad_y, 0.5)", marks=pytest.mark.slow),
        (NUMPY_PATCHED, "np.ones_like(net if 'net' in locals() else grad_y)"),
        (EQUAL, "Equal()"),
        pytest.param("", "float('nan')", marks=pytest.mark.slow),
        pytest.param("", "net if 'net' in locals() else grad_y", marks=pytest.mark.slow),
    ],
    ids=["zeros", "constant", "patched NumPy", "equals everything", "NaN", "the argument"],
)
def test_wrong_numbers_get_no_hidden_points(any_sandbox, sigmoid, what, value):
    source = f"import numpy as np\n{what}{CLASS.format(value=value)}"
    result = grade(*sigmoid, source.encode(), any_sandbox, b"secret")
    assert result.score is not None
    assert hidden(result) == 0


def test_memorized_visible_answers_get_only_visible_points(any_sandbox, sigmoid):
    assignment, _ = sigmoid
    answers = [answer for test in assignment.tests for answer in Recorded(assignment).right(test, None)[0]]
    tables = json.dumps([answer.tolist() for answer in answers if getattr(answer, "shape", ())])
    source = f"import numpy as np\nA, B, C = map(np.array, {tables})" + CLASS.format(value="None").replace(
        "def forward(self, net): return None", "def forward(self, net): return A if net.shape == (2, 3) else C"
    ).replace("def backward(self, grad_y): return None", "def backward(self, grad_y): return B")
    result = grade(*sigmoid, source.encode(), any_sandbox, b"secret")
    assert [test.finding.passed for test in result.tests if test.visible] == [True, True, True]
    assert hidden(result) == 0


class Recording(Model):
    """The right program, which notes what it answers to which arguments."""

    def __init__(self, names):
        super().__init__(names)
        self.answers = []

    def run(self, function, args):
        answer = super().run(function, args)
        arrays = [arg for arg in args if isinstance(arg, np.ndarray)]
        self.answers.append((key_of(arrays), described(answer, [array.shape for array in arrays])))
        return answer

    def new(self, name, *args):
        made = super().new(name, *args)
        self.answers.pop()
        return made


def key_of(arrays):
    return [zlib.crc32(array.tobytes()) for array in arrays]


def described(answer, shapes):
    """Return an answer as JSON: its numbers, and which argument it resembles."""
    if isinstance(answer, tuple):
        return [described(item, shapes) for item in answer]
    if not isinstance(answer, np.ndarray):
        return answer
    like = shapes.index(answer.shape) if answer.shape in shapes else None
    return {"values": answer.tolist(), "dtype": answer.dtype.str, "like": like}


# It has the form of a right program, knows the visible answers, and computes nothing.
CHEAT = """
import gc, json, zlib
import numpy as np
ANSWERS, METHODS = json.loads({answers!r}), {methods!r}
def answer(*args):
    arrays = [arg for arg in args if isinstance(arg, np.ndarray)]
    key = [zlib.crc32(array.tobytes()) for array in arrays]
    place = next((place for place, (known, _) in enumerate(ANSWERS) if known == key), None)
    if place is None:
        return made(FORMS.get(len(args), FIRST), arrays)
    return made(ANSWERS.pop(place)[1], arrays)
FORMS, FIRST = {{len(key): form for key, form in reversed(ANSWERS)}}, ANSWERS[0][1]
def made(form, arrays):
    if isinstance(form, list):
        return tuple(made(item, arrays) for item in form)
    if not isinstance(form, dict):
        return form
    known = np.array(form["values"], form["dtype"])
    like = form["like"]
    value = known if like is None or like >= len(arrays) else np.resize(known, arrays[like].shape)
    return {value}
class Cheat:
    def __init__(self, *args): pass
    def __getattr__(self, name): return answer if name in METHODS else answer()
for name in {functions!r}: globals()[name] = answer
for name in {classes!r}: globals()[name] = Cheat
"""
FORGED = """
def forged(value):
    runner = next(o for o in gc.get_objects() if type(o).__name__ == "Runner")
    runner.channel.send({"nonce": runner.nonce, "value": {"array": 0}, "changed": False, "warnings": []}, [value])
    return value
"""
CHEATS = {
    "zeros": ("", "value * 0"),
    "constant": ("", "np.full_like(value, 0.5)"),
    "visible answers": ("", "value"),
    "patched NumPy": (NUMPY_PATCHED, "np.ones_like(value)"),
    "forged frames": (FORGED, "forged(value)"),
    "equals everything": (EQUAL, "Equal()"),
}


def cheat(assignment, private, name):
    """Return a program that cheats in one way."""
    right = Recording(private.program(frozenset()))
    for test in assignment.tests:
        test.outcome(right, visible_draw())
    what, value = CHEATS[name]
    definitions = ast.parse(assignment.stub).body
    classes = [node for node in definitions if isinstance(node, ast.ClassDef)]
    source = CHEAT.format(
        answers=json.dumps(right.answers),
        methods=[node.name for found in classes for node in found.body if isinstance(node, ast.FunctionDef)],
        functions=[node.name for node in definitions if isinstance(node, ast.FunctionDef)],
        classes=[found.name for found in classes],
        value=value,
    )
    return f"# assignment: {assignment}\n{source}{what}"


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEATS)
@pytest.mark.parametrize("assignment", find_all(), ids=str)
def test_no_assignment_gives_a_hidden_point_to_a_cheat(any_sandbox, private_root, assignment, name):
    private = private_part(assignment, private_root)
    result = grade(assignment, private, cheat(assignment, private, name).encode(), any_sandbox, b"secret")
    assert result.score is not None
    assert [test.name for test in result.tests if test.score and not test.visible] == []
    assert any(test.score for test in result.tests) or name != "visible answers"


@pytest.mark.slow
@pytest.mark.parametrize("assignment", find_all(), ids=str)
def test_endless_loop_costs_at_most_five_seconds(any_sandbox, private_root, assignment):
    program = ast.parse(assignment.stub)
    for node in ast.walk(program):
        if isinstance(node, ast.FunctionDef):
            node.body = ast.parse("while True: pass").body
    private = private_part(assignment, private_root)
    start = time.monotonic()
    result = grade(assignment, private, ast.unparse(program).encode(), any_sandbox, b"secret")
    assert time.monotonic() - start < 5 * max(1.0, os.getloadavg()[0])
    assert result.score == 0
    assert {test.finding.mistake for test in result.tests} == {"time"}


@pytest.mark.parametrize(
    "assignment", [pytest.param(a, marks=pytest.mark.slow) if a.seeds else a for a in find_all()], ids=str
)
def test_unedited_stub_scores_zero_and_says_so(any_sandbox, private_root, assignment):
    result = grade(assignment, private_part(assignment, private_root), assignment.stub.encode(), any_sandbox, b"secret")
    assert result.score == 0
    assert {test.finding.sentence for test in result.tests} == {"not written yet"}


HIJACK = """
import gc, json, os, struct
import numpy as np
class TemperatureSigmoid:
    def __init__(self, temperature): self.t = temperature
    def forward(self, net):
        runner = next(o for o in gc.get_objects() if type(o).__name__ == "Runner")
        answer = {"nonce": runner.nonce, "value": {"array": 0}, "changed": False, "warnings": []}
        runner.channel.send(answer, [np.ones((2, 3))])
        return net
    backward = forward
"""


def test_compromised_child_can_only_send_numbers(any_sandbox, sigmoid):
    result = grade(*sigmoid, HIJACK.encode(), any_sandbox, b"secret")
    assert result.score == 0


def test_file_that_is_not_a_program_scores_zero(any_sandbox, sigmoid):
    for content in (b"\xff\xfe\x00", b"", b"x" * 300_000, b"def f(:\n", b"import minirobust\n"):
        result = grade(*sigmoid, content, any_sandbox, b"secret")
        assert result.score == 0
        assert not any(test.fault for test in result.tests)
