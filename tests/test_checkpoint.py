"""Checkpoints: what is loaded goes on as if never stopped, and no file that is not whole gets through."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirobust as mr
from minirobust.checkpoint import CheckpointError
from minirobust.sealed import SEAL, seal


def network(backend="numpy", dtype="float32"):
    layers = [
        mr.Conv2D(3, (3, 2), padding="same"),
        mr.TemperatureSigmoid(0.5),
        mr.MaxPool2D(2, stride=(2, 1)),
        mr.Flatten(),
        mr.Dropout(0.3),
        mr.Dense(4),
    ]
    return mr.Network(layers, (6, 5, 2), backend=backend, dtype=dtype, seed=9, input_range=(-1, 1))


@pytest.fixture
def data(rng):
    return rng.random((90, 6, 5, 2)), rng.integers(0, 4, 90)


@pytest.mark.parametrize("make", [mr.SGD, mr.Momentum, lambda net: mr.Adam(net, weight_decay=0.01)])
def test_training_resumed_equals_training_never_interrupted_bit_for_bit(make, data, backend, tmp_path):
    path = tmp_path / "net.h5"
    whole = network(backend)
    list(mr.fit(whole, make(whole), data, epochs=4, batch_size=16, seed=5))

    first = network(backend)
    list(mr.fit(first, make(first), data, epochs=2, batch_size=16, seed=5, checkpoint=path))
    resumed, optimizer, epoch = mr.load(path, backend=backend)
    assert epoch == 2
    records = list(mr.fit(resumed, optimizer, data, epochs=4, batch_size=16, seed=5, start=epoch))
    assert [record.epoch for record in records] == [3, 4]
    np.testing.assert_array_equal(backend.to_numpy(resumed.parameters), backend.to_numpy(whole.parameters))


def test_everything_about_the_network_comes_back(tmp_path):
    net = network()
    net.layers[4].draws = 17
    mr.save(tmp_path / "net.h5", net, epoch=3)
    loaded = mr.load(tmp_path / "net.h5")
    assert repr(loaded.network) == repr(net)
    assert loaded.network.layers[4].draws == 17
    assert loaded.optimizer is None
    assert loaded.epoch == 3
    np.testing.assert_array_equal(loaded.network.parameters, net.parameters)


def test_learning_rates_that_are_arrays_come_back(tmp_path, data):
    net = network()
    rates = np.linspace(1e-4, 1e-3, net.parameters.size, dtype="float32")
    optimizer = mr.Adam(net, lr=rates, epsilon=rates / 10)
    list(mr.fit(net, optimizer, data, epochs=1, checkpoint=tmp_path / "net.h5"))
    loaded = mr.load(tmp_path / "net.h5").optimizer
    for name in ("lr", "epsilon", "m", "v"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(optimizer, name))
    assert loaded.t == optimizer.t


def test_a_network_crosses_backends_and_dtypes(backend, tmp_path, data):
    net = network(backend)
    optimizer = mr.Adam(net)
    list(mr.fit(net, optimizer, data, epochs=1, checkpoint=tmp_path / "net.h5"))
    home = mr.load(tmp_path / "net.h5", backend="numpy", dtype="float64")
    assert home.network.dtype == "float64"
    assert home.optimizer.m.dtype == "float64"
    np.testing.assert_array_equal(home.network.parameters, backend.to_numpy(net.parameters).astype("float64"))


class Twice(mr.Layer):
    def __init__(self, factor=2.0):
        self.factor = factor

    def forward(self, x):
        return self.factor * x

    def input_gradient(self, grad_y):
        return self.factor * grad_y


def test_layers_of_ones_own_are_handed_to_load(tmp_path):
    net = mr.Network([Twice(3.0), mr.Dense(2)], input_shape=(2,))
    mr.save(tmp_path / "net.h5", net)
    with pytest.raises(CheckpointError, match=r"layer Twice is not known here: .*layers=\[Twice\]"):
        mr.load(tmp_path / "net.h5")
    assert repr(mr.load(tmp_path / "net.h5", layers=[Twice]).network) == repr(net)


def test_what_cannot_be_saved_is_refused_before_training(tmp_path):
    net = mr.Network([mr.Dense(2, initializer=lambda generator, shape: np.zeros(shape))], input_shape=(2,))
    with pytest.raises(TypeError, match=r"expected the arguments of layer 0.*got initializer=<function"):
        mr.fit(net, mr.SGD(net), (np.ones((2, 2)), [0, 1]), epochs=1, checkpoint=tmp_path / "net.h5")
    assert not list(tmp_path.iterdir())


def test_anothers_optimizer_is_refused(tmp_path):
    net = network()
    with pytest.raises(ValueError, match="expected the optimizer of this network"):
        mr.save(tmp_path / "net.h5", net.copy(), mr.SGD(net))


# Nothing is lost, nothing half written


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "net.h5"
    mr.save(path, network())
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(OSError, match="No space left"):
        mr.save(path, network(dtype="float64"))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["missing/net.h5", "."])
def test_a_path_that_cannot_be_written(tmp_path, where):
    with pytest.raises(OSError, match="expected"):
        mr.save(tmp_path / where, network())


def test_an_interrupted_run_leaves_the_last_whole_epoch(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, numpy as np, minirobust as mr
            rng = np.random.default_rng(0)
            x, y = rng.random((2000, 20)), rng.integers(0, 3, 2000)
            net = mr.Network([mr.Dense(30), mr.Tanh(), mr.Dropout(0.1), mr.Dense(3)], (20,), seed=1)
            for record in mr.fit(net, mr.Adam(net), (x, y), epochs=10**6, batch_size=8, checkpoint=sys.argv[1]):
                print(record.epoch, flush=True)
            """
        )
    )
    path = tmp_path / "net.h5"
    process = subprocess.Popen(
        [sys.executable, str(script), str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for expected in range(1, 4):
        assert int(process.stdout.readline()) == expected
    process.send_signal(signal.SIGINT)
    rest, error = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in error
    last = max([3, *map(int, rest.split())])
    resumed, optimizer, epoch = mr.load(path)
    assert epoch in (last, last + 1)  # a whole epoch may have been saved that was not printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.h5", "run.py"]

    rng = np.random.default_rng(0)
    data = rng.random((2000, 20)), rng.integers(0, 3, 2000)
    whole = mr.Network([mr.Dense(30), mr.Tanh(), mr.Dropout(0.1), mr.Dense(3)], (20,), seed=1)
    list(mr.fit(whole, mr.Adam(whole), data, epochs=epoch + 1, batch_size=8))
    list(mr.fit(resumed, optimizer, data, epochs=epoch + 1, batch_size=8, start=epoch))
    np.testing.assert_array_equal(resumed.parameters, whole.parameters)


def test_ctrl_c_while_a_checkpoint_is_written_takes_effect_when_it_is_whole(tmp_path, monkeypatch):
    create = h5py.Group.create_dataset

    def interrupted(*args, **kwargs):
        signal.raise_signal(signal.SIGINT)
        return create(*args, **kwargs)

    monkeypatch.setattr(h5py.Group, "create_dataset", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        mr.save(tmp_path / "net.h5", network(), epoch=5)
    assert signal.getsignal(signal.SIGINT) is handler
    assert mr.load(tmp_path / "net.h5").epoch == 5
    assert [path.name for path in tmp_path.iterdir()] == ["net.h5"]


def test_a_thread_of_its_own_saves_too(tmp_path):
    thread = threading.Thread(target=mr.save, args=(tmp_path / "net.h5", network()))
    thread.start()
    thread.join()
    assert mr.load(tmp_path / "net.h5").epoch == 0


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    (tmp_path / ".net.h5.part").write_bytes(b"half a checkpoint")
    mr.save(tmp_path / "net.h5", network())
    assert [path.name for path in tmp_path.iterdir()] == ["net.h5"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    mr.save(tmp_path / "net.h5", network())
    (tmp_path / "other").write_text("")
    assert (tmp_path / "net.h5").stat().st_mode == (tmp_path / "other").stat().st_mode


# Files that are no checkpoint


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "net.h5"
    net = network()
    mr.save(path, net, mr.Adam(net))
    return path


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file at .*net\.h5"):
        mr.load(tmp_path / "net.h5")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n", b"minirobust checkpoint", b"\xff" * 600])
def test_a_file_of_another_kind(tmp_path, content):
    (tmp_path / "net.h5").write_bytes(content)
    with pytest.raises(CheckpointError, match="expected a minirobust checkpoint, got another kind of file"):
        mr.load(tmp_path / "net.h5")


def test_another_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(CheckpointError, match="expected a minirobust checkpoint, got another kind of file"):
        mr.load(tmp_path / "net.h5")


def test_a_version_that_never_was(tmp_path, whole_file):
    path = tmp_path / "net.h5"
    path.write_bytes(whole_file.read_bytes().replace(b"minirobust checkpoint 1 ", b"minirobust checkpoint 0 ", 1))
    with pytest.raises(CheckpointError, match="expected version 1 to 1, got 0"):
        mr.load(path)


def test_a_newer_file(tmp_path, whole_file):
    path = tmp_path / "net.h5"
    path.write_bytes(whole_file.read_bytes().replace(b"minirobust checkpoint 1 ", b"minirobust checkpoint 2 ", 1))
    with pytest.raises(CheckpointError, match="expected version 1 or older, got 2: update minirobust"):
        mr.load(path)


def test_it_is_an_hdf5_file_that_other_programs_read(whole_file):
    with h5py.File(whole_file) as file:
        np.testing.assert_array_equal(file["parameters"], mr.load(whole_file).network.parameters)


@given(share=st.floats(0, 0.999))
@settings(deadline=None, max_examples=30)
def test_a_truncated_file(tmp_path_factory, whole_file, share):
    path = tmp_path_factory.mktemp("cut") / "net.h5"
    content = whole_file.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError):
        mr.load(path)


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(deadline=None, max_examples=150)
def test_a_flipped_bit(tmp_path_factory, whole_file, place, bit):
    path = tmp_path_factory.mktemp("flip") / "net.h5"
    content = bytearray(whole_file.read_bytes())
    # The seal's line and everything behind its block; what fills the block up says nothing.
    position = int(place * len(content))
    content[position] ^= 1 << bit
    path.write_bytes(content)
    if content.index(b"\n") < position < SEAL:
        mr.load(path)
    else:
        with pytest.raises(CheckpointError):
            mr.load(path)


@contextmanager
def forged(original, path):
    """A copy to change, sealed again as a forger would."""
    path.write_bytes(original.read_bytes())
    with h5py.File(path, "a") as file:
        yield file
    seal(path)


def test_parameters_of_another_number(tmp_path, whole_file):
    path = tmp_path / "net.h5"
    with forged(whole_file, path) as file:
        del file["parameters"]
        file["parameters"] = np.zeros(3)
    with pytest.raises(CheckpointError, match=r"expected \d+ parameters, got 3"):
        mr.load(path)


@pytest.mark.parametrize(
    ("known", "forgery", "message"),
    [
        ('"Flatten"', '"Network"', "layer Network is not known here"),
        ('"Adam"', '"Optimizer"', "optimizer Optimizer is not known here"),
        ('"units": 4', '"units": "4"', "cannot be rebuilt: Dense: expected units"),
        ('"draws"', '"drawn"', "cannot be rebuilt: 'draws'"),
        ("[", "<", "cannot be rebuilt"),
    ],
)
def test_loading_executes_nothing_and_believes_nothing(tmp_path, whole_file, known, forgery, message):
    with forged(whole_file, tmp_path / "net.h5") as file:
        file.attrs["description"] = file.attrs["description"].replace(known, forgery)
    with pytest.raises(CheckpointError, match=message):
        mr.load(tmp_path / "net.h5")


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_read_only_folder(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        mr.save(tmp_path / "net.h5", network())
