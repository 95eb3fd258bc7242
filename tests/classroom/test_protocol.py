"""Frames: everything that a child sends is checked before it is used."""

import json

import numpy as np
import pytest

from minirobust.classroom.protocol import FRAME, Foreign, ProtocolError, check_lengths, decode, pack, unpack


def parts(frame):
    header, _ = FRAME.unpack(frame[: FRAME.size])
    return frame[FRAME.size : FRAME.size + header], frame[FRAME.size + header :]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint8", "bool"])
def test_arrays_are_decoded_unchanged(dtype):
    arrays = [np.arange(6).reshape(2, 3).astype(dtype), np.array(1).astype(dtype), np.empty((0, 4), dtype)]
    header, received = unpack(*parts(pack({"a": 1}, arrays)))
    assert header == {"a": 1}
    for sent, got in zip(arrays, received, strict=True):
        assert (got.dtype, got.shape) == (sent.dtype, sent.shape)
        assert np.array_equal(got, sent)


@pytest.mark.parametrize(
    ("described", "blob"),
    [
        ([["|O", [1]]], b"x" * 8),
        ([["<f8", [2]]], b"x" * 8),
        ([["<f8", [1]]], b"x" * 16),
        ([["<f8", [-1]]], b"x" * 8),
        ([["<f8", [1.0]]], b"x" * 8),
        ([["<f8", [2**62, 4]]], b""),
        ([["<U4", [1]]], b"x" * 16),
        ([["<f8"]], b""),
        ([["<f8", [1]]] * 17, b"x" * 8 * 17),
        ([["<f8", 3]], b""),
        (3, b""),
    ],
    ids=lambda value: str(value)[:30],
)
def test_invalid_arrays_raise(described, blob):
    with pytest.raises(ProtocolError):
        unpack(json.dumps([{}, described]).encode(), blob)


@pytest.mark.parametrize("text", [b"", b"[]", b"[1, []]", b"\xff", b"[" * 50_000, b'{"a": 1}', b"null"])
def test_invalid_headers_raise(text):
    with pytest.raises(ProtocolError):
        unpack(text, b"")


def test_oversized_frame_raises_before_it_is_read():
    assert check_lengths(FRAME.pack(10, 20), most=20) == (10, 20)
    for lengths in ((10, 21), (2**20, 0), (2**32 - 1, 2**32 - 1)):
        with pytest.raises(ProtocolError, match="expected at most"):
            check_lengths(FRAME.pack(*lengths), most=20)


def test_values_are_decoded_to_arrays_strings_and_tuples():
    array = np.ones(2)
    assert decode({"tuple": [{"array": 0}, "a", None]}, [array]) == (array, "a", None)
    assert decode(1.5, []) == 1.5
    assert decode(True, []) == 1
    assert isinstance(decode(10**400, []), Foreign)
    assert decode({"type": "dict"}, []).kind == "dict"


@pytest.mark.parametrize("value", [{"array": 1}, {"array": "0"}, {}, [1], {"tuple": 3}, {"array": -5}])
def test_invalid_values_raise(value):
    with pytest.raises(ProtocolError):
        decode(value, [np.ones(2)])
