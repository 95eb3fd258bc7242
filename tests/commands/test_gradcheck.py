"""`gradcheck` prints the library's report; a wrong gradient gives exit code 1."""

import numpy as np
import pytest

import minirobust as mr
from minirobust.commands.gradcheck import gradcheck


def test_command_prints_the_librarys_report(run, trained, digits):
    result = run("gradcheck", trained, "--dataset", "digits", "--limit", 9, "--seed", 3, "--samples", 3)
    x = digits.test[:3].pixels(dtype="float64")
    assert result.stdout == f"{mr.gradcheck(mr.load(trained).network, x, limit=9, seed=3)}\n"
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("options", "network"),
    [
        (["--model", "mlp", "--temperature", "1/8"], mr.models.mlp(0.125, dtype="float64")),
        (["--model", "cnn"], mr.models.cnn(0.25, dtype="float64")),
        (["--model", "cnn", "--dataset", "digits"], mr.models.cnn(0.25, (28, 28, 1), dtype="float64")),
    ],
)
def test_a_fresh_network_is_the_one_that_was_described(run, options, network):
    first = run("gradcheck", *options, "--limit", 1, "--samples", 1).stdout.splitlines()[0]
    assert first.startswith(f"gradcheck of {network!r} on input {(1, *network.input_shape)}")


def test_random_images_are_right_for_the_convolutional_network_too(run):
    result = run("gradcheck", "--model", "cnn", "--temperature", "1/4", "--limit", 12, "--samples", 1)
    assert (result.exit_code, result.stdout.count("  ok  ")) == (0, 9)


def test_wrong_gradient_exits_with_1_and_its_cause_is_named(run, monkeypatch):
    right = mr.TemperatureSigmoid.input_gradient
    monkeypatch.setattr(mr.TemperatureSigmoid, "input_gradient", lambda self, g: right(self, g) * self.temperature)
    result = run("gradcheck", "--limit", 20)
    assert result.exit_code == 1
    assert "WRONG" in result.stdout
    assert "temperature" in result.stdout
    assert result.stderr == ""


def test_step_and_tolerance_are_passed_on(run):
    assert "(tolerance 0.001)" in run("gradcheck", "--limit", 5, "--tolerance", 1e-3).stdout
    assert run("gradcheck", "--limit", 50, "--step", 0.5).exit_code == 1


def test_every_backend_is_checked(context, backend, trained, capsys):
    gradcheck(context, trained, limit=3, backend=backend.name)
    assert "every gradient is right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tolerance", 0], "expected tolerance"),
        (["--step", -1], "expected step"),
        (["no.h5"], "no file at no.h5"),
        (["--dataset", "mnits"], "--dataset: expected mnist"),
    ],
)
def test_wrong_options_are_rejected(run, words, message):
    result = run("gradcheck", "--limit", 1, *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_data_of_another_shape_are_rejected(run, trained):
    result = run("gradcheck", trained, "--dataset", "colour-digits")
    assert result.exit_code == 2
    assert "--dataset: expected images of shape (28, 28, 1)" in result.stderr
    assert np.isfinite(mr.load(trained).network.parameters).all()
