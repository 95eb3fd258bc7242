"""The grader's side of the protocol: everything that a child sends is checked before it is used.

A frame contains JSON and raw bytes, never a pickle. `minirobust.classroom.child` packs frames for both sides.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from minirobust.classroom.child import FRAME, pack

__all__ = ["FRAME", "MAX_HEADER", "ProtocolError", "check_lengths", "decode", "encode", "pack", "unpack"]

MAX_HEADER = 64 * 1024
MAX_ARRAYS = 16
DTYPES = {np.dtype(kind).str for kind in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")}


class ProtocolError(Exception):
    """A child sent something that is not an answer."""


def check_lengths(lengths: bytes, most: int) -> tuple[int, int]:
    """Return the lengths of a frame's two parts; the second part may have at most `most` bytes."""
    header, blob = FRAME.unpack(lengths)
    if header > MAX_HEADER or blob > most:
        raise ProtocolError(f"an answer of {header + blob:,} bytes, expected at most {MAX_HEADER + most:,}")
    return header, blob


def unpack(text: bytes, blob: bytes) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Return a frame's header and arrays."""
    try:
        header, described = json.loads(text)
        if type(header) is not dict or len(described) > MAX_ARRAYS:
            raise ValueError
        arrays, start = [], 0
        for dtype, shape in described:
            if dtype not in DTYPES or any(type(length) is not int or length < 0 for length in shape):
                raise ValueError
            end = start + np.dtype(dtype).itemsize * math.prod(shape)
            arrays.append(np.frombuffer(blob[start:end], dtype).reshape(shape))
            start = end
        if start != len(blob):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        raise ProtocolError("something that is not an answer") from None
    return header, arrays


def encode(value: Any, sent: list[np.ndarray], oracles: list[Any]) -> Any:
    """Return a JSON value that stands for an argument; arrays and oracles are appended to the lists."""
    if isinstance(value, np.ndarray):
        sent.append(value)
        return {"array": len(sent) - 1}
    if isinstance(value, tuple | list):
        return {"tuple": [encode(item, sent, oracles) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    oracles.append(value)
    return {"oracle": len(oracles) - 1, "constants": value.constants, "methods": list(value.methods)}


def decode(value: Any, arrays: list[np.ndarray], depth: int = 0) -> Any:
    """Return the value that a child's JSON stands for, with numbers as arrays.

    A value that cannot be sent becomes a `Foreign` object, which has only the name of its type.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        try:
            return np.asarray(float(value))
        except OverflowError:
            return Foreign("int too large for a float")
    try:
        if "tuple" in value and depth < 3:
            return tuple(decode(item, arrays, depth + 1) for item in value["tuple"])
        if "array" in value and type(value["array"]) is int:
            return arrays[value["array"]]
        return Foreign(str(value["type"])[:80])
    except (KeyError, TypeError, IndexError):
        raise ProtocolError("something that is not an answer") from None


class Foreign:
    """A value of a type that no test asks for."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
