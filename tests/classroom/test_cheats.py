"""Programs that only look right get no hidden point, and the stub gets none at all."""

import json

import pytest

from minirobust.classroom.assignment import find_all, private_part
from minirobust.classroom.grading import grade
from minirobust.classroom.key import Recorded

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
def test_no_hidden_point_without_right_numbers(any_sandbox, sigmoid, what, value):
    source = f"import numpy as np\n{what}{CLASS.format(value=value)}"
    result = grade(*sigmoid, source.encode(), any_sandbox, b"secret")
    assert result.score is not None
    assert hidden(result) == 0


def test_visible_answers_give_visible_points_only(any_sandbox, sigmoid):
    assignment, _ = sigmoid
    answers = [answer for test in assignment.tests for answer in Recorded(assignment).right(test, None)[0]]
    tables = json.dumps([answer.tolist() for answer in answers if getattr(answer, "shape", ())])
    source = f"import numpy as np\nA, B, C = map(np.array, {tables})" + CLASS.format(value="None").replace(
        "def forward(self, net): return None", "def forward(self, net): return A if net.shape == (2, 3) else C"
    ).replace("def backward(self, grad_y): return None", "def backward(self, grad_y): return B")
    result = grade(*sigmoid, source.encode(), any_sandbox, b"secret")
    assert [test.finding.passed for test in result.tests if test.visible] == [True, True, True]
    assert hidden(result) == 0


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


def test_child_that_is_taken_over_can_only_send_numbers(any_sandbox, sigmoid):
    result = grade(*sigmoid, HIJACK.encode(), any_sandbox, b"secret")
    assert result.score == 0


def test_file_that_is_no_program_scores_zero(any_sandbox, sigmoid):
    for content in (b"\xff\xfe\x00", b"", b"x" * 300_000, b"def f(:\n", b"import minirobust\n"):
        result = grade(*sigmoid, content, any_sandbox, b"secret")
        assert result.score == 0
        assert not any(test.fault for test in result.tests)
