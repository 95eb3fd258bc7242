"""A forged checkpoint with a right checksum raises CheckpointError before it costs time or memory."""

import json
import os
import reprlib
import socket
import time
from contextlib import contextmanager

import h5py
import numpy as np
import pytest

import minirobust as mr
from minirobust.saving import checkpoint, sealed
from minirobust.saving.sealed import CheckpointError

posix = pytest.mark.skipif(os.name != "posix", reason="pipes and sockets are those of POSIX")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "net.h5"
    network = mr.Network([mr.Flatten(), mr.Dense(4), mr.TemperatureSigmoid(0.5), mr.Dense(3)], (2, 3, 1))
    mr.save(path, network, mr.Adam(network), epoch=1)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.h5"


@contextmanager
def forged(sound, path):
    """Copy a file, let the block change it, and seal it again."""
    path.write_bytes(sound.read_bytes())
    with h5py.File(path, "a") as file:
        yield file
    sealed.seal(path)


@contextmanager
def described(sound, path):
    with forged(sound, path) as file:
        description = json.loads(file.attrs["description"])
        yield description
        file.attrs["description"] = json.dumps(description)


def refused(path, match=None):
    """Assert that loading ends in a CheckpointError soon, and return its message."""
    begin = time.perf_counter()
    with pytest.raises(CheckpointError, match=match) as caught:
        mr.load(path)
    assert time.perf_counter() - begin < 5  # one second on a machine that does nothing else
    message = str(caught.value)
    assert str(path) in message
    assert len(message) < 1_100
    return message


# Architectures


@pytest.mark.parametrize(
    ("layers", "input_shape"),
    [
        ([["Flatten", {}], ["Dense", {"units": 10**9}]], [2, 3, 1]),
        ([["Flatten", {}], ["Dense", {"units": 10**30}]], [2, 3, 1]),
        ([["Flatten", {}], ["Dense", {"units": 10**6}], ["Dense", {"units": 10**6}]], [2, 3, 1]),
        ([["Conv2D", {"filters": 1, "kernel_size": 3, "padding": 10**6}]], [2, 3, 1]),
        ([["Conv2D", {"filters": 1, "kernel_size": 3, "padding": 10**30}]], [2, 3, 1]),
        ([["MaxPool2D", {"window": 10**6, "padding": 5 * 10**5}]], [2, 3, 1]),
        ([["AvgPool2D", {"window": 3000}]], [3000, 3000, 1]),
        ([["AvgPool2D", {"window": [1, 10**6]}]], [1, 10**6, 1]),
        ([["Flatten", {}]], [10**6, 10**6, 10**6]),
        ([["Flatten", {}]], [10**18] * 500_000),
        ([["Flatten", {}]], 6),
        ([["Flatten", {}], *[["ReLU", {}]] * 100_000], [2, 3, 1]),
        ([["Flatten", {}], *[["Dense", {"units": 1}]] * 100_000], [2, 3, 1]),
        ([["Flatten", {}], *[["os:system", {}]] * 900], [2, 3, 1]),
        ([["TemperatureSigmoid", {"temperature": 10**400}]], [2, 3, 1]),
        ([["TemperatureSigmoid", {"temperature": float("inf")}]], [2, 3, 1]),
        ([["Dropout", {"rate": float("nan")}]], [2, 3, 1]),
        ([["x" * 10**6, {}]], [2, 3, 1]),
        ([["Flatten", {"x" * 10**6: 1}]], [2, 3, 1]),
        ([["Flatten", {}]], []),
        ([], [2, 3, 1]),
    ],
    ids=reprlib.repr,
)
def test_hostile_architecture_is_refused_before_it_is_built(path, sound, layers, input_shape):
    with described(sound, path) as description:
        description |= {"layers": layers, "draws": [0] * len(layers), "input_shape": input_shape}
    refused(path)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("epoch", float("inf")),
        ("epoch", float("nan")),
        ("epoch", -3),
        ("epoch", True),
        ("draws", [0, 0, 0, -1]),
        ("seed", -1),
        ("seed", 1.5),
        ("input_range", [0, 10**400]),
        ("input_range", [0, float("inf")]),
        ("dtype", "object"),
        ("dtype", "x" * 10**6),
        ("optimizer", ["Adam", {}, -1]),
        ("optimizer", ["Adam", {}, float("inf")]),
        ("optimizer", ["Adam", {"beta1": 10**400}, 1]),
    ],
    ids=reprlib.repr,
)
def test_impossible_number_is_refused(path, sound, entry, value):
    with described(sound, path) as description:
        description[entry] = value
    refused(path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000 + "]" * 50_000,
        '{"layers": ' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"a": ' * 50_000 + "1" + "}" * 50_000,
        '{"layers": ' + "9" * 5_000 + "}",
        "x" * 10**6,
        json.dumps(["x" * 10**6]),
    ],
    ids=["lists", "a list in an object", "objects", "long number", "text", "list of text"],
)
def test_json_that_is_nested_or_foreign_is_refused(path, sound, text):
    with forged(sound, path) as file:
        file.attrs["description"] = text
    refused(path)


def test_long_description_is_neither_written_nor_parsed(path, sound, monkeypatch):
    size = len(h5py.File(sound).attrs["description"])
    monkeypatch.setattr(sealed, "MAX_DESCRIPTION", size)
    assert mr.load(sound).epoch == 1
    monkeypatch.setattr(sealed, "MAX_DESCRIPTION", size - 1)
    path.write_bytes(sound.read_bytes())
    refused(path, f"expected a description of at most {size - 1} characters, got {size}")
    path.unlink()
    with pytest.raises(ValueError, match="expected a description of at most"):
        sealed.write(path, {"text": "x" * size}, {})
    assert not path.exists()


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [("MAX_LAYERS", 2, "at most 2 layers, got 3"), ("MAX_OUTPUT", 6, "at most 6 numbers"), ("MAX_WINDOW", 3, "pixels")],
)
def test_save_refuses_what_load_would_refuse(path, monkeypatch, limit, value, message):
    network = mr.Network([mr.AvgPool2D(2), mr.Flatten(), mr.Dense(7)], (2, 4, 1))
    monkeypatch.setattr(checkpoint, limit, value)
    with pytest.raises(ValueError, match=f"save: the file could not be loaded: expected .*{message}"):
        mr.save(path, network)
    assert not path.exists()
    monkeypatch.setattr(checkpoint, limit, value + 1)
    mr.save(path, network)
    assert len(mr.load(path).network.layers) == 3


# Arrays


def replace(file, name, **storage):
    """Store an array under a name of the file in another way, with the same shape and dtype."""
    old = file[name]
    shape, dtype = old.shape, old.dtype
    del file[name]
    return file.create_dataset(name, shape, dtype, **storage)


@pytest.mark.parametrize("name", ["parameters", "optimizer/m"])
def test_array_kept_in_another_file_is_refused(path, sound, tmp_path, name):
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 4096)
    with forged(sound, path) as file:
        replace(file, name, external=[(str(secret), 0, file[name].nbytes)])
    refused(path, f"expected {name} to be stored in this file")


def test_virtual_array_is_refused(path, sound, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.zeros(h5py.File(sound)["parameters"].shape, "float32")
    with forged(sound, path) as file:
        shape, dtype = file["parameters"].shape, file["parameters"].dtype
        layout = h5py.VirtualLayout(shape, dtype)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", shape)
        del file["parameters"]
        file.create_virtual_dataset("parameters", layout)
    refused(path, "expected parameters to be stored in this file")


@pytest.mark.parametrize("link", [h5py.SoftLink("/copy"), h5py.ExternalLink("other.h5", "/secret")], ids=repr)
def test_link_is_not_followed(path, sound, tmp_path, link):
    with h5py.File(sound) as file, h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = file["parameters"][...]
    with forged(sound, path) as file:
        file["copy"] = file["parameters"][...]
        del file["parameters"]
        file["parameters"] = link
    refused(path, "expected parameters to be an array or a group, got a link")


@pytest.mark.parametrize(
    "storage",
    [{"chunks": True}, {"compression": "gzip"}, {}, {"maxshape": (None,)}],
    ids=["chunks", "gzip", "never written", "resizable"],
)
def test_array_that_is_not_stored_plainly_is_refused(path, sound, storage):
    with forged(sound, path) as file:
        replace(file, "parameters", **storage)
    refused(path, "expected parameters to be stored in this file, uncompressed and in one piece")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("parameters", np.zeros(43, complex), "expected parameters to be floats of shape"),
        ("parameters", np.zeros(43, int), "expected parameters to be floats of shape"),
        ("parameters", np.full(43, b"text"), "expected parameters to be numbers"),
        ("parameters", np.full(43, "text", h5py.string_dtype()), "expected parameters to be numbers"),
        ("parameters", np.zeros(43, [("a", "f4"), ("b", "f4")]), "expected parameters to be numbers"),
        ("parameters", np.zeros((43, 1)), "expected parameters to be floats of shape"),
        ("parameters", np.zeros(()), "expected parameters to be floats of shape"),
        ("optimizer/m", np.zeros(1), "expected optimizer/m to be floats of shape"),
        ("optimizer/v", np.zeros((43, 1)), "expected optimizer/v to be floats of shape"),
        ("optimizer/v", np.zeros(43, complex), "expected optimizer/v to be floats of shape"),
        ("optimizer/other", np.zeros(43), "expected the averages"),
        ("buffers", np.zeros(1), "expected buffers to be floats of shape"),
        ("layers/1/units", np.zeros(1), "cannot be rebuilt"),
    ],
)
def test_array_of_another_shape_or_kind_is_refused(path, sound, name, array, message):
    with forged(sound, path) as file:
        assert file["parameters"].shape == (43,)
        if name in file:
            del file[name]
        file[name] = array
    refused(path, message)


@pytest.mark.parametrize("name", ["undeclared", "optimizer/undeclared"])
def test_undeclared_array_of_gigabytes_is_not_read(path, sound, name):
    with forged(sound, path) as file:
        file.create_dataset(name, (6 * 10**9,), "uint8", compression="gzip", chunks=(10**6,))
    assert path.stat().st_size < 10**6
    if name == "undeclared":
        assert mr.load(path).epoch == 1  # other programs may add arrays; they are not read
    else:
        refused(path, "expected optimizer/undeclared to be stored in this file")


def test_one_array_under_many_names_is_refused(path, sound):
    with forged(sound, path) as file:
        large = file.create_dataset("optimizer/large", data=np.zeros(100_000))
        for number in range(100):
            file[f"optimizer/copy-{number}"] = large
    refused(path, "to be stored in this file")


def test_endlessly_nested_groups_are_refused(path, sound):
    with forged(sound, path) as file:
        for number in range(20):
            file[f"optimizer/{number}"] = file["optimizer"]
    refused(path, "expected at most 5,000 names, 4 groups deep")
    with forged(sound, path) as file:
        file["optimizer/deep"] = file["optimizer"]
    refused(path, "expected at most 5,000 names, 4 groups deep")


def test_many_names_are_refused(path, sound):
    with forged(sound, path) as file:
        group = file["optimizer"]
        for number in range(sealed.MAX_NAMES):
            group[str(number)] = h5py.SoftLink("/parameters")
    refused(path, "expected at most 5,000 names")


def test_control_characters_and_long_names_do_not_fill_the_message(path, sound):
    with described(sound, path) as description:
        description["layers"][0][0] = "\x1b[2J" * 10**5
    assert refused(path).endswith(" …")


# What else a path can be


@posix
def test_pipe_is_refused_at_once(path):
    os.mkfifo(path)
    refused(path, "expected a regular file, got a device, pipe or socket")


@posix
def test_socket_is_refused(path, monkeypatch):
    monkeypatch.chdir(path.parent)  # the address of a socket has room for about 100 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
        refused(path, "expected a regular file, got a device, pipe or socket")


def test_damaged_hdf5_with_a_valid_checksum_is_refused(path, sound):
    content = bytearray(sound.read_bytes())
    for position in range(sealed.SEAL, sealed.SEAL + 8):  # HDF5's own signature
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        sealed.seal(path)
        refused(path, "cannot be read: OSError")
