"""The process that runs a student's file: it answers calls, and contains no tests, answers or seeds.

This file runs alone, with only NumPy and the standard library. `minirobust` cannot be imported where it runs.
"""

from __future__ import annotations

import json
import linecache
import os
import struct
import sys
import traceback
import warnings
from typing import Any, NoReturn

FILE = "submission.py"  # the name of the student's file in error messages
FRAME = struct.Struct("<II")  # lengths of the header (JSON) and of the arrays' bytes


def pack(header: dict[str, Any], arrays: list[Any]) -> bytes:
    """Return a frame: the header and the arrays' types and shapes as JSON, then their raw bytes."""
    blobs = [array.tobytes() for array in arrays]
    described = [[array.dtype.str, list(array.shape)] for array in arrays]
    text = json.dumps([header, described]).encode()
    return FRAME.pack(len(text), sum(map(len, blobs))) + text + b"".join(blobs)


def limit_resources(limits: dict[str, int], strict: bool) -> None:
    """Set limits that neither this process nor its children can raise again."""
    try:
        import resource

        for name, value in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    except (ImportError, OSError, ValueError):  # Windows has no limits, and macOS refuses some.
        if strict:
            raise


def become(user: int) -> None:
    """Give up root for an ordinary user."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def import_numpy(folder: str) -> Any:
    """Import NumPy from a folder with other packages, without making these importable."""
    sys.path.insert(0, folder)
    import numpy as np

    sys.path.remove(folder)
    return np


class Channel:
    """The pipes to the grader. The student's output goes to the error stream instead."""

    def __init__(self, np: Any) -> None:
        self.np = np
        self.incoming, self.outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace")

    def send(self, header: dict[str, Any], arrays: list[Any]) -> None:
        self.outgoing.write(pack(header, arrays))
        self.outgoing.flush()

    def receive(self) -> tuple[dict[str, Any], list[Any]]:
        """Return the next header and its arrays; end the process when the grader has closed the pipe."""
        lengths = self.incoming.read(FRAME.size)
        if len(lengths) < FRAME.size:
            os._exit(0)
        text, size = FRAME.unpack(lengths)
        header, described = json.loads(self.incoming.read(text))
        blob, arrays, start = self.incoming.read(size), [], 0
        for dtype, shape in described:
            # A separate array, because the student may write into it.
            array = self.np.empty(shape, dtype)
            end = start + array.nbytes
            array[...] = self.np.frombuffer(blob[start:end], dtype).reshape(shape)
            arrays.append(array)
            start = end
        return header, arrays


class Oracle:
    """The student's view of an argument such as a network: attributes, and methods that the grader computes."""

    def __init__(self, runner: Runner, number: int, constants: dict[str, Any], methods: list[str]) -> None:
        self.__dict__.update(constants)
        for method in methods:
            self.__dict__[method] = lambda *args, method=method: runner.ask(number, method, args)


class Runner:
    """The student's module, the objects made of its classes, and the calls that the grader makes."""

    def __init__(self, np: Any, channel: Channel) -> None:
        self.np, self.channel = np, channel
        self.module: dict[str, Any] = {}
        self.objects: dict[int, Any] = {}
        self.nonce = ""

    def serve(self) -> NoReturn:
        while True:
            request, arrays = self.channel.receive()
            self.nonce = request["nonce"]
            reply, sent = self.answer(request, arrays)
            self.channel.send({"nonce": self.nonce, **reply}, sent)

    def answer(self, request: dict[str, Any], arrays: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        """Return the reply to one request, and the arrays that belong to it."""
        before = [array.copy() for array in arrays]
        sent: list[Any] = []
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                args = [self.decode(value, arrays) for value in request["args"]]
                value = self.perform(request, args)
            encoded = self.encode(value, sent)
        except MemoryError:
            return {"error": "MemoryError", "text": "more memory than is allowed", "line": 0, "code": ""}, []
        except BaseException as error:
            return self.describe(error), []
        changed = any(a.tobytes() != b.tobytes() for a, b in zip(before, arrays, strict=True))
        notes = sorted({str(warning.message)[:200] for warning in caught})
        return {"value": encoded, "changed": changed, "warnings": notes[:20]}, sent

    def perform(self, request: dict[str, Any], args: list[Any]) -> Any:
        do, name = request["do"], request["name"]
        if do == "load":
            source = args[0].tobytes().decode("utf-8")
            # Error messages quote lines of the file, which does not exist here.
            linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)
            self.module["__name__"] = "submission"
            exec(compile(source, FILE, "exec"), self.module)
            return None
        if do == "new":
            self.objects[request["object"]] = self.find(name)(*args)
            return None
        if do == "get":
            return getattr(self.objects[request["object"]], name)
        if request["object"] is None:
            return self.find(name)(*args)
        return getattr(self.objects[request["object"]], name)(*args)

    def find(self, name: str) -> Any:
        if name not in self.module:
            raise NameError(f"{name} is not defined in this file")
        return self.module[name]

    def ask(self, number: int, method: str, args: tuple[Any, ...]) -> Any:
        """Call a method of an oracle: the grader computes it and counts the call."""
        sent: list[Any] = []
        encoded = [self.encode(value, sent) for value in args]
        self.channel.send({"nonce": self.nonce, "ask": number, "method": method, "args": encoded}, sent)
        reply, arrays = self.channel.receive()
        if "refused" in reply:
            raise RuntimeError(reply["refused"])
        return self.decode(reply["value"], arrays)

    def decode(self, value: Any, arrays: list[Any]) -> Any:
        if not isinstance(value, dict):
            return value
        if "array" in value:
            return arrays[value["array"]]
        if "tuple" in value:
            return tuple(self.decode(item, arrays) for item in value["tuple"])
        return Oracle(self, value["oracle"], value["constants"], value["methods"])

    def encode(self, value: Any, sent: list[Any]) -> Any:
        """Return a JSON value that stands for `value`; its arrays are appended to `sent`."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) in (tuple, list) and len(value) <= 16:
            return {"tuple": [self.encode(item, sent) for item in value]}
        if isinstance(value, self.np.generic):
            value = self.np.asarray(value)
        if type(value) is self.np.ndarray and value.dtype.kind in "fiub":
            sent.append(value)
            return {"array": len(sent) - 1}
        kind = type(value).__name__
        return {"type": f"{kind} of {value.dtype}" if isinstance(value, self.np.ndarray) else kind}

    def describe(self, error: BaseException) -> dict[str, Any]:
        """Return what went wrong, and in which line of the student's file."""
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
        line = frames[-1].lineno if frames else getattr(error, "lineno", None)
        code = linecache.getline(FILE, line or 0).strip()
        return {"error": type(error).__name__, "text": str(error)[:300], "line": line or 0, "code": code[:200]}


def main() -> None:
    settings = json.loads(sys.argv[1])
    if settings["user"] is not None:
        become(settings["user"])
    np = import_numpy(settings["numpy"])
    limit_resources(settings["limits"], settings["strict"])
    channel = Channel(np)
    channel.send({"ready": True}, [])
    Runner(np, channel).serve()


if __name__ == "__main__":
    main()
