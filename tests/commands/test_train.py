"""`train` trains the same network as the library, saves every complete epoch, and resumes from it."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import minirobust as mr
from data_loaders import load_hdf5
from minirobust.commands.train import train
from minirobust.saving import sealed

LINE = re.compile(r"^epoch +(\d+)  loss (\d\.\d{4})  test accuracy ([01]\.\d{4})  \d+\.\d s$", re.MULTILINE)


def same(one, other):
    """Whether two checkpoints hold the same network and optimizer, bit for bit."""
    (_, a), (_, b) = sealed.read(one), sealed.read(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_command_trains_the_same_network_as_the_library(run, tmp_path, few):
    path, data = tmp_path / "net.h5", load_hdf5(few)
    options = ["--temperature", "1/4", "--epochs", 2, "--seed", 3, "--lr", 0.002, "--batch-size", 50]
    result = run("train", few, "-o", path, *options)
    assert result.exit_code == 0
    network = mr.models.mlp(0.25, seed=3)
    losses = [epoch.loss for epoch in mr.fit(network, mr.Adam(network, lr=0.002), data, 2, 50, seed=3)]
    saved, optimizer, epoch = mr.load(path)
    assert np.array_equal(saved.parameters, network.parameters)
    assert (epoch, optimizer.lr, saved.dtype) == (2, 0.002, "float32")
    lines = LINE.findall(result.stdout)
    assert [line[:2] for line in lines] == [("1", f"{losses[0]:.4f}"), ("2", f"{losses[1]:.4f}")]
    accuracy = np.mean(network.predict(data.test.pixels()) == data.test.labels)
    assert lines[-1][2] == f"{accuracy:.4f}"


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_every_backend_trains(context, backend, tmp_path, few, model):
    train(context, str(few), tmp_path / "net.h5", model=model, epochs=1, dtype="float64", backend=backend.name)
    network = mr.load(tmp_path / "net.h5").network
    assert (network.dtype, network.output_shape) == ("float64", (10,))


def test_quiet_prints_nothing(run, tmp_path, few):
    for words in (["--quiet", "train"], ["train", "-q", "--overwrite"]):
        result = run(*words, few, "--epochs", 1, "-o", tmp_path / "net.h5")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_resumed_training_equals_uninterrupted_training(run, tmp_path, few):
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    assert run("train", few, "--epochs", 3, "-o", whole).exit_code == 0
    for epochs in (1, 3):  # the first finds no file to go on with, and begins
        result = run("train", few, "--epochs", epochs, "-o", parts, "--resume")
        assert result.exit_code == 0
    assert [line[0] for line in LINE.findall(result.stdout)] == ["2", "3"]
    assert same(whole, parts)


def test_resuming_takes_the_options_from_the_checkpoint(run, tmp_path, few):
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    options = ["--temperature", "1/4", "--seed", 3, "--lr", "1/500", "--batch-size", 50, "--dtype", "float64"]
    assert run("train", few, *options, "--epochs", 2, "-o", whole).exit_code == 0
    assert run("train", few, *options, "--epochs", 1, "-o", parts).exit_code == 0
    result = run("train", "--resume", "-o", parts, "--epochs", 2)
    assert (result.exit_code, [line[0] for line in LINE.findall(result.stdout)]) == (0, ["2"])
    assert same(whole, parts)
    assert "already contains 2 epochs" in run("train", "--resume", "-o", parts).stdout


def test_resuming_continues_to_the_original_number_of_epochs(run, tmp_path, few):
    path = tmp_path / "net.h5"
    assert run("train", few, "--epochs", 1, "-o", path).exit_code == 0
    description, arrays = sealed.read(path)
    sealed.write(path, description | {"trained": description["trained"] | {"epochs": 3}}, arrays)  # as if interrupted
    assert [line[0] for line in LINE.findall(run("train", "--resume", "-o", path).stdout)] == ["2", "3"]


def test_json_contains_the_history(run, tmp_path, few):
    path = tmp_path / "net.h5"
    result = run("train", few, "--epochs", 2, "--temperature", "1/4", "-o", path, "--json")
    found = json.loads(result.stdout)
    assert (found["temperature"], found["checkpoint"], found["dataset"]) == (0.25, str(path), str(few))
    lines = LINE.findall(result.stderr)
    assert [(f"{e['epoch']}", f"{e['loss']:.4f}", f"{e['test_accuracy']:.4f}") for e in found["history"]] == lines


def test_finished_training_is_not_repeated(run, tmp_path, few):
    path = tmp_path / "net.h5"
    run("train", few, "--epochs", 2, "-o", path)
    before = path.read_bytes()
    result = run("train", few, "--epochs", 2, "-o", path, "--resume")
    assert result.exit_code == 0
    assert f"{path} already contains 2 epochs" in result.stdout
    assert path.read_bytes() == before


def test_checkpoint_is_not_replaced_without_resume(run, tmp_path, few):
    path = tmp_path / "net.h5"
    path.write_text("precious")
    result = run("train", few, "--epochs", 1, "-o", path)
    assert result.exit_code == 2
    assert f"--output: {path} exists already: --resume continues from it, --overwrite replaces it" in result.stderr
    assert path.read_text() == "precious"
    assert run("train", few, "--epochs", 1, "-o", path, "--overwrite").exit_code == 0
    assert mr.load(path).epoch == 1


def test_other_options_are_rejected_when_resuming(run, tmp_path, few):
    path = tmp_path / "net.h5"
    run("train", few, "--epochs", 1, "-o", path)
    before = path.read_bytes()
    for option, value, values in (
        ("--temperature", 2, "1.0, got 2.0"),
        ("--seed", 1, "0, got 1"),
        ("--lr", 0.1, "0.001, got 0.1"),
        ("--batch-size", 5, "64, got 5"),
        ("--dtype", "float64", "float32, got float64"),
        ("--model", "cnn", "mlp, got cnn"),
    ):
        result = run("train", few, "--epochs", 2, "-o", path, "--resume", option, value)
        assert result.exit_code == 2
        message = f"{option}: {path} was trained with {values}: leave the option out to resume"
        assert result.stderr == f"minirobust: {message}\n"
        assert path.read_bytes() == before


def test_moved_data_are_accepted_and_changed_data_rejected(run, tmp_path, few):
    path = tmp_path / "net.h5"
    run("train", few, "--epochs", 1, "-o", path)
    moved = few.rename(tmp_path / "moved.h5")
    assert run("train", moved, "--epochs", 2, "-o", path, "--resume").exit_code == 0
    result = run("train", "digits", "--epochs", 3, "-o", path, "--resume")
    assert result.exit_code == 2
    assert "was trained on, got those of digits" in result.stderr


def test_checkpoint_from_elsewhere_is_not_resumed(run, trained, tmp_path):
    result = run("train", "digits", "-o", trained, "--resume", "--epochs", 9)
    assert result.exit_code == 2
    assert "expected a checkpoint of `minirobust train`" in result.stderr


def test_overflow_exits_with_1_and_keeps_the_last_complete_epoch(run, tmp_path, few):
    path = tmp_path / "net.h5"
    result = run("train", few, "--lr", 1e38, "--epochs", 5, "-o", path)
    assert result.exit_code == 1
    assert re.match(r"minirobust: epoch \d, batch \d", result.stderr)
    assert not path.exists() or mr.load(path).epoch < 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mnits"], "DATASET: expected mnist, fashion-mnist"),
        (["nothing.h5"], "nothing.h5: expected an HDF5 file, found none"),
        (["digits", "-o", "no/such/folder/net.h5"], "expected an existing folder"),
        (["digits", "-o", "."], "--output: . exists already"),
        (["digits", "--temperature", "0"], "--temperature: expected temperature in (0, inf), got 0.0"),
        (["digits", "--temperature", "1/0"], "expected a number such as 0.25 or 1/4"),
        (["digits", "--temperature", "warm"], "expected a number such as 0.25 or 1/4"),
        (["digits", "--epochs", "0"], "--epochs"),
        (["digits", "--backend", "tpu"], "--backend"),
    ],
)
def test_wrong_options_are_rejected_and_leave_no_file(run, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    result = run("train", *words)
    assert result.exit_code == 2
    assert " ".join(message.split()) in " ".join(result.stderr.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_unavailable_data_are_reported_with_the_searched_locations(run, nowhere, tmp_path):
    result = run("train", "mnist", "-o", tmp_path / "net.h5")
    assert result.exit_code == 2
    assert f"Looked in:\n  {tmp_path}/cache/mnist: no such folder\n" in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_keeps_the_last_complete_epoch(tmp_path, few, run):
    path = tmp_path / "net.h5"
    command = [sys.executable, "-m", "minirobust", "train", few, "-o", path, "--epochs", "100000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("epoch   3"):
            break
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.strip() == f"minirobust: interrupted: {path} contains the last complete epoch; use --resume"
    done = mr.load(path).epoch
    assert done >= 3
    assert [entry.name for entry in tmp_path.iterdir() if "part" in entry.name] == []
    whole = tmp_path / "whole.h5"
    run("train", few, "-o", whole, "--epochs", done)
    assert same(path, whole)
