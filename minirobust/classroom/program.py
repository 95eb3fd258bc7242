"""The programs that a test calls: a student's in its own process, or a model of one in this process.

`Student` and `Model` have the same methods, so one script of calls works with both. A `Model` is code by the
assignment's author: the right solution, or one with a named mistake.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from minirobust.classroom.process import Process, Refused
from minirobust.classroom.protocol import Foreign, ProtocolError, decode, encode
from minirobust.classroom.sandbox import MIB, Sandbox

PATIENCE = 4.0  # seconds that calls without an answer may take in total; later calls are not run
MOST_SECONDS = 10  # limit for all calls of a submission together, as a multiple of the limit for one call
Answer = Any  # an array, a string, None, or a tuple of these


class Wrong(Exception):  # noqa: N818  # This is a finding, not an error in this program.
    """A finding about the student's program: a sentence, and the name of the mistake if it has one."""

    def __init__(self, sentence: str, mistake: str = "") -> None:
        super().__init__(sentence)
        self.mistake = mistake


class Oracle:
    """An argument whose methods the grader computes, for example a network that the student attacks.

    Subclass it, list the methods' names in `methods`, and put numbers and strings that the student may read into
    `constants`. Every call is counted.

    Attributes
    ----------
    calls : dict of str to int
        How often each method was called.
    most : int
        The largest number of calls that are answered.
    """

    methods: tuple[str, ...] = ()
    most = 10_000

    def __init__(self, **constants: Any) -> None:
        self.constants = constants
        self.calls = dict.fromkeys(self.methods, 0)
        vars(self).update(constants)
        vars(self).update({method: self._counted(method, getattr(self, method)) for method in self.methods})

    def _counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            self.calls[name] += 1
            if sum(self.calls.values()) > self.most:
                raise Wrong(f"more than {self.most:,} calls of the methods {', '.join(self.methods)}", "too many calls")
            return method(*args)

        return counted


class Program(Protocol):
    """The interface through which a test's script calls a program.

    Attributes
    ----------
    changed : bool
        Whether the last call wrote into one of its arguments.
    warnings : list of str
        The warnings of NumPy or the program during the last call.
    """

    changed: bool
    warnings: list[str]

    def begin(self, sizes: list[int]) -> None:
        """Begin a test: see `Student.begin` and `Model.begin`."""

    def call(self, function: str, *args: Any) -> Answer:
        """Return what a function of the program returns."""

    def new(self, name: str, *args: Any) -> Object:
        """Return an object of one of the program's classes."""


class Object(Protocol):
    """An object of one of the program's classes."""

    def call(self, method: str, *args: Any) -> Answer:
        """Return what a method returns."""

    def get(self, attribute: str) -> Answer:
        """Return an attribute's value."""


# The student's program


class Student:
    """A submission in its sandbox. The first call starts the child, and so does the first call after it was ended."""

    def __init__(self, source: bytes, sandbox: Sandbox, seconds: float = 2.0) -> None:
        self.source, self.sandbox, self.seconds = source, sandbox, seconds
        self.process: Process | None = None
        self.printed = b""
        self.spent, self.wasted, self.objects = 0.0, 0.0, 0
        self.broken: Wrong | None = None
        self.begin([])

    def begin(self, sizes: list[int]) -> None:
        """Begin a test, whose calls may return this many bytes each."""
        self.changed, self.warnings = False, list[str]()
        self.sizes = sizes

    def call(self, function: str, *args: Any) -> Answer:
        return self.ask("call", None, function, args, f"{function}(...)")

    def new(self, name: str, *args: Any) -> StudentObject:
        self.objects += 1
        self.ask("new", self.objects, name, args, f"{name}(...)")
        return StudentObject(self, self.objects, name)

    @property
    def stopped(self) -> Wrong | None:
        """Why no further call is run: the file cannot be loaded, or earlier calls used up its time; else None."""
        if self.broken or (self._seconds >= self.seconds / 2 and self.spent <= MOST_SECONDS * self.seconds):
            return self.broken
        return Wrong("not run, because earlier calls took too long", "time")

    @property
    def _seconds(self) -> float:
        """How long the next call may take."""
        return min(self.seconds, max(PATIENCE, self.seconds) - self.wasted)

    def ask(self, do: str, number: int | None, name: str, args: tuple[Any, ...], what: str) -> Answer:
        """Send one request and return the value, or raise `Wrong` with a sentence that says what went wrong."""
        most = 4096 + 16 * (self.sizes.pop(0) if self.sizes else 0)
        if stopped := self.stopped:
            raise stopped
        seconds, process = self._seconds, self._started()
        try:
            reply, arrays = self._exchange(process, do, number, name, args, most, seconds)
        except (Wrong, Refused) as failure:
            self.close()
            self.wasted += min(process.watch.taken(), seconds)
            if isinstance(failure, Wrong):
                raise
            raise Wrong(_explain(what, failure, self.seconds), failure.kind) from None
        finally:
            self.spent += process.watch.taken()
        if "error" in reply:
            raise _explain_error(what, reply)
        self.changed = reply.get("changed") is not False
        notes = reply.get("warnings")
        self.warnings = [str(note) for note in notes] if isinstance(notes, list) else []
        return _checked(what, reply.get("value"), arrays)

    def close(self) -> None:
        """End the child, and keep the beginning of what it printed."""
        if self.process:
            self.process.close()
            self.printed += self.process.printed
            self.process = None

    def _started(self) -> Process:
        if self.process is None:
            process = Process(self.sandbox)
            self.process = process
            source = np.frombuffer(self.source, "uint8")
            request = {"do": "load", "object": None, "name": "", "args": [{"array": 0}]}
            try:
                reply, _ = process.ask(request, [source], self.seconds)
            except Refused as refused:
                self.close()
                self.broken = Wrong(_explain("your file", refused, self.seconds), refused.kind)
                raise self.broken from None
            if "error" in reply:
                self.broken = _explain_error("your file", reply)
                raise self.broken
        return self.process

    def _exchange(
        self, process: Process, do: str, number: int | None, name: str, args: tuple[Any, ...], most: int, seconds: float
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Send a request and answer the child's calls to oracles until the reply comes."""
        sent: list[np.ndarray] = []
        oracles: list[Oracle] = []
        request = {"do": do, "object": number, "name": name, "args": [encode(a, sent, oracles) for a in args]}
        largest = max([most, 64 * 1024, *[2 * array.nbytes for array in sent]]) if oracles else most
        nonce = process.begin(request, sent, seconds)
        while True:
            reply, arrays = process.receive(largest)
            process.check_nonce(reply, nonce)
            if "ask" not in reply:
                return reply, arrays
            process.send(*_answered(reply, arrays, oracles))


class StudentObject:
    """An object in the child."""

    def __init__(self, program: Student, number: int, name: str) -> None:
        self.program, self.number, self.name = program, number, name

    def call(self, method: str, *args: Any) -> Answer:
        return self.program.ask("call", self.number, method, args, f"{self.name}.{method}(...)")

    def get(self, attribute: str) -> Answer:
        return self.program.ask("get", self.number, attribute, (), f"{self.name}.{attribute}")


def _answered(
    question: dict[str, Any], arrays: list[np.ndarray], oracles: list[Oracle]
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Return the frame that answers a child's call to an oracle."""
    try:
        oracle = oracles[question["ask"]]
        method = question["method"]
        if method not in oracle.methods:
            raise ProtocolError("a question to a method that does not exist")
        args = [decode(value, arrays) for value in question["args"]]
    except (KeyError, IndexError, TypeError):
        raise Refused("protocol", "something that is not an answer") from None
    except ProtocolError as error:
        raise Refused("protocol", str(error)) from None
    try:
        value = getattr(oracle, method)(*args)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        return {"refused": f"{method}: {error}"[:300]}, []
    sent: list[np.ndarray] = []
    return {"value": encode(value, sent, [])}, sent


def _checked(what: str, value: Any, arrays: list[np.ndarray]) -> Answer:
    """Return the decoded value of a reply, or raise `Wrong` if no test can use its type."""
    try:
        answer = decode(value, arrays)
    except ProtocolError as error:
        raise Wrong(f"{what} sent {error}", "protocol") from None
    for item in answer if isinstance(answer, tuple) else [answer]:
        if isinstance(item, Foreign):
            raise Wrong(f"{what} returned {item.kind}, expected a NumPy array", "type")
    return answer


def _explain(what: str, refused: Refused, seconds: float) -> str:
    if refused.kind == "time":
        return f"{what} took more than {seconds:g} seconds: is there a loop that never ends?"
    if refused.kind == "protocol":
        return f"{what} sent {refused}"
    return f"{what} failed: {refused}"


def _explain_error(what: str, reply: dict[str, Any]) -> Wrong:
    """Return the finding for an exception in the student's program."""
    kind, text, line, code = (str(reply.get(key, ""))[:300] for key in ("error", "text", "line", "code"))
    if kind == "NotImplementedError":
        return Wrong("not written yet", "not written")
    where = f" in line {line}: {code}" if line not in ("", "0") else ""
    return Wrong(f"{what} raised {kind}: {text}{where}", f"raised {kind}")


# A model of a program


class Model:
    """A program in this process, made from the author's own code.

    Parameters
    ----------
    names : mapping
        The program's functions and classes by name.
    """

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names
        self.begin([])

    def begin(self, sizes: list[int]) -> None:
        """Begin a test. Each call appends the number of bytes that it returns to `sizes`."""
        self.changed, self.warnings = False, list[str]()
        self.sizes = sizes

    def call(self, function: str, *args: Any) -> Answer:
        return self.run(lambda *given: self.names[function](*given), args)

    def new(self, name: str, *args: Any) -> ModelObject:
        made: list[Any] = []
        self.run(lambda *given: made.append(self.names[name](*given)), args)
        return ModelObject(self, made[0])

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Answer:
        """Call a function with copies of the arguments, as the child does."""
        given = [array.copy() if isinstance(array, np.ndarray) else array for array in args]
        with warnings.catch_warnings(record=True) as caught, np.errstate(all="warn", under="ignore"):
            warnings.simplefilter("always")
            value = function(*given)
        self.warnings = [str(warning.message) for warning in caught]
        self.changed = any(
            isinstance(a, np.ndarray) and a.tobytes() != b.tobytes() for a, b in zip(args, given, strict=True)
        )
        answer = _as_answer(value)
        self.sizes.append(_size(answer))
        return answer


class ModelObject:
    """An object of a model."""

    def __init__(self, program: Model, target: Any) -> None:
        self.program, self.target = program, target

    def call(self, method: str, *args: Any) -> Answer:
        return self.program.run(getattr(self.target, method), args)

    def get(self, attribute: str) -> Answer:
        return self.program.run(lambda: getattr(self.target, attribute), ())


def _as_answer(value: Any) -> Answer:
    """Return a value in the form in which a child would send it."""
    if isinstance(value, tuple | list):
        return tuple(_as_answer(item) for item in value)
    if value is None or isinstance(value, str):
        return value
    return np.array(value, dtype=float if isinstance(value, bool | int | float) else None)


def _size(answer: Answer) -> int:
    if isinstance(answer, tuple):
        return sum(map(_size, answer))
    return answer.nbytes if isinstance(answer, np.ndarray) else MIB // 1024
