"""A student's program and a model answer through one interface, oracles included."""

import numpy as np
import pytest

from minirobust.classroom import process
from minirobust.classroom import program as programs
from minirobust.classroom.assignment import find, private_part
from minirobust.classroom.grading import grade
from minirobust.classroom.oracles import SmallNetwork
from minirobust.classroom.program import Model, Oracle, Student, Wrong
from minirobust.classroom.proxy import StudentLayer

SOURCE = """
import warnings
import numpy as np
class Counter:
    def __init__(self, start):
        self.total = start
    def add(self, x):
        self.total = self.total + x
        return self.total
def double(x): return 2 * x
def several(x): return x, 1, 2.5, True, "text", None, np.float32(3)
def change(x):
    x[0] = 7
    return 1.0
def warn(): warnings.warn("careful")
def overflow(x): return np.exp(x)
def ask(oracle, x): return oracle.square(x) + oracle.offset
def ask_often(oracle, n):
    for _ in range(int(n)): oracle.square(1.0)
    return 1.0
def ask_wrongly(oracle): return oracle.square("text")
def ask_other(oracle): return oracle.count
def nothing(): pass
def ask_forever(oracle):
    while True: oracle.square(1.0)
def loop():
    while True: pass
def sleep(seconds):
    import time
    time.sleep(seconds)
"""


class Square(Oracle):
    methods = ("square",)
    most = 20

    def __init__(self):
        super().__init__(offset=3)

    def square(self, x):
        return x**2


@pytest.fixture(params=["student", "model"])
def program(request, any_sandbox):
    """The same program, in a process of its own and in this one."""
    if request.param == "model":
        names = {}
        exec(SOURCE, names)
        yield Model(names)
    else:
        made = Student(SOURCE.encode(), any_sandbox, 10.0)
        yield made
        made.close()


def test_values_come_back_as_arrays_and_strings(program):
    x = np.array([[1, 2]], "int32")
    first, *rest = program.call("several", x)
    assert (first.dtype, first.shape) == ("int32", (1, 2))
    assert rest[3:5] == ["text", None]
    assert [float(value) for value in (*rest[:3], rest[5])] == [1, 2.5, 1, 3]
    assert all(isinstance(value, np.ndarray) for value in rest[:3])
    assert program.call("nothing") is None


def test_objects_keep_their_state_apart(program):
    a, b = program.new("Counter", np.zeros(2)), program.new("Counter", np.ones(2))
    a.call("add", np.array([1.0, 2.0]))
    assert np.array_equal(a.get("total"), [1, 2])
    assert np.array_equal(b.call("add", np.array([1.0, 2.0])), [2, 3])


def test_changed_and_warnings_are_those_of_the_last_call(program):
    x = np.ones(3)
    program.call("change", x)
    assert program.changed
    assert np.array_equal(x, np.ones(3))  # the program got a copy
    program.call("warn")
    assert (program.changed, program.warnings) == (False, ["careful"])
    program.call("overflow", np.array([1000.0]))
    assert "overflow" in program.warnings[0]
    program.call("double", x)
    assert program.warnings == []


def test_oracle_is_computed_and_counted_in_the_grader(program):
    oracle = Square()
    assert np.array_equal(program.call("ask", oracle, np.array([1.0, 2.0])), [4, 7])
    assert oracle.calls == {"square": 1}


def test_oracle_answers_a_limited_number_of_calls(program):
    assert program.call("ask_often", Square(), 20) == 1
    with pytest.raises(Wrong, match="more than 20 calls"):
        program.call("ask_often", Square(), 21)
    assert program.call("double", np.ones(1)) == 2


def test_student_can_reach_only_the_methods_and_constants_of_an_oracle(any_sandbox):
    program = Student(SOURCE.encode(), any_sandbox, 10.0)
    with pytest.raises(Wrong, match="AttributeError"):
        program.call("ask_other", Square())
    with pytest.raises(Wrong, match="RuntimeError: square: "):
        program.call("ask_wrongly", Square())
    forged = "import numpy as np\ndef f(oracle):\n    return type(oracle.square)\ndef g(oracle):\n"
    forged += "    runner = oracle.square.__closure__[1].cell_contents\n    return runner.ask(0, '_counted', ())\n"
    other = Student(forged.encode(), any_sandbox, 10.0)
    with pytest.raises(Wrong):
        other.call("g", Square())
    program.close()
    other.close()


def test_answer_much_larger_than_expected_is_rejected(any_sandbox):
    program = Student(b"import numpy as np\ndef f(n): return np.ones(int(n))\n", any_sandbox, 10.0)
    program.begin([8000])
    assert program.call("f", 2000).shape == (2000,)
    program.begin([8000])
    with pytest.raises(Wrong, match="expected at most") as found:
        program.call("f", 20_000)
    assert found.value.mistake == "protocol"
    program.close()


class Patient(Square):
    most = 10**9


@pytest.mark.parametrize(("function", "args"), [("loop", ()), ("ask_forever", (Patient(),)), ("sleep", (60,))])
def test_calls_without_an_answer_share_one_time_limit(any_sandbox, monkeypatch, function, args):
    monkeypatch.setattr(programs, "PATIENCE", 0.5)
    program = Student(SOURCE.encode(), any_sandbox, 0.4)
    for sentence in ("more than 0.4 seconds", "not run"):
        with pytest.raises(Wrong, match=sentence) as found:
            program.call(function, *args)
        assert found.value.mistake == "time"
    assert program.wasted == 0.4
    program.close()


def test_waiting_for_a_busy_processor_does_not_count(any_sandbox, monkeypatch):
    monkeypatch.setattr(process, "_usage", lambda number: (0, 0.0, True))
    program = Student(SOURCE.encode(), any_sandbox, 0.6)
    program.call("sleep", 0.9)
    with pytest.raises(Wrong, match=r"more than 0\.6 seconds"):
        program.call("sleep", 60)  # even a busy machine runs it at some time
    program.close()


def test_all_calls_share_one_time_limit(any_sandbox):
    program = Student(b"import time\ndef f(): time.sleep(0.4)\n", any_sandbox, 0.8)
    program.spent = 9.0
    with pytest.raises(Wrong, match="not run") as found:
        program.call("f")
    assert found.value.mistake == "time"
    program.close()


def test_error_names_the_line(any_sandbox):
    program = Student(b"def f(x):\n    y = 1\n    return x / zero\n", any_sandbox, 10.0)
    with pytest.raises(Wrong, match="raised NameError: .* in line 3: return x / zero"):
        program.call("f", 1.0)
    program.close()


def test_network_of_the_attack_assignment_has_the_gradient_of_its_loss():
    network = SmallNetwork(np.random.default_rng(0), (2, 3, 1))
    x, y = np.random.default_rng(1).uniform(size=(2, 2, 3, 1)), np.array([3, 1])

    def losses(x):
        logits = network.logits(x)
        return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(2), y]

    gradient, h = network.input_gradient(x, y), 1e-6
    for place in np.ndindex(2, 3, 1):
        step = np.zeros_like(x)
        step[:, *place] = h
        assert gradient[:, *place] == pytest.approx((losses(x + step) - losses(x - step)) / (2 * h), abs=1e-8)
    assert not gradient[:, 0, 0].any()
    with pytest.raises(ValueError, match="expected images of shape"):
        network.logits(x[0])
    with pytest.raises(ValueError, match="expected 2 integer labels"):
        network.input_gradient(x, np.ones(2))


def test_gradcheck_examines_a_layer_in_the_sandbox(any_sandbox, private_root):
    assignment = find("dense")
    right = (private_part(assignment, private_root).folder / "right" / "matrix_products.py").read_text()
    for source, cause in (
        (right, ""),
        (
            right.replace("grad_y.sum(axis=0)", "grad_y.sum(axis=0) * 1.5"),
            "gradcheck of bias: every value is 1.5 times",
        ),
        (right.replace("return grad_y @ self.weight", "return grad_y @ self.weight + 1"), "gradcheck of input"),
    ):
        program = Student(source.encode(), any_sandbox, 10.0)
        program.begin([10_000] * 10_000)
        layer = StudentLayer("Dense", (3,), parameters={"weight": (2, 3), "bias": (2,)})
        found = layer.probable_cause(program)
        assert found.startswith(cause)
        assert bool(found) == bool(cause)
        program.close()


def test_unexplained_numbers_get_the_cause_that_gradcheck_suspects(any_sandbox, sigmoid):
    assignment, private = sigmoid
    source = (private.folder / "right" / "symmetric.py").read_text().replace("** 2)", "** 2) + 0.1 * self.decay")
    result = grade(assignment, private, source.encode(), any_sandbox, b"secret")
    (backward,) = (outcome for outcome in result.tests if outcome.name == "backward at T = 1/4")
    assert "; gradcheck of input: " in backward.finding.sentence
