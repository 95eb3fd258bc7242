"""`audit` prints and saves the library's report, and its exit code is the verdict on the gradient."""

import json

import numpy as np
import pytest

import minirobust as mr
from minirobust import masking
from minirobust.commands.audit import audit

QUICK = ["--epsilon", 0.1, "--budget", "quick"]


@pytest.fixture
def masked(tmp_path):
    """A network whose sigmoids are all so saturated that no gradient is left."""
    network = mr.models.mlp(1 / 64, hidden=16)
    network.layers[1].weight.value[...] *= 1e6
    mr.save(tmp_path / "masked.h5", network)
    return tmp_path / "masked.h5"


def test_command_prints_the_librarys_report(run, trained, masked, digits, tmp_path, tiny_audits):
    options = ["--samples", 30, "--epsilon", "1/5", "--epsilon", 0.1, "--seed", 4, "--source", masked]
    options += ["--budget", "quick", "--quiet"]
    result = run("audit", trained, "--dataset", "digits", *options, "--save", tmp_path / "a.json")
    test = digits.test[:30]
    networks = [mr.load(path).network for path in (trained, masked)]
    report = masking.audit(networks[0], test.pixels(), test.labels, [0.2, 0.1], networks[1:], "quick", seed=4)
    assert result.stdout == f"{report}\n"
    assert result.exit_code == int(report.masked)
    saved = json.loads((tmp_path / "a.json").read_text())
    assert saved == json.loads(json.dumps(report.to_dict()))
    assert json.loads(run("audit", trained, "--dataset", "digits", *options, "--json").stdout) == saved


def test_masked_gradient_exits_with_1_and_is_printed(run, masked, tmp_path, tiny_audits):
    result = run("audit", masked, "--dataset", "digits", "--samples", 20, *QUICK, "--save", tmp_path / "a.json")
    assert result.exit_code == 1
    assert "verdict: the gradient is masked" in result.stdout
    assert json.loads((tmp_path / "a.json").read_text())["masked"] is True


def test_honest_gradient_exits_with_0(run, trained):
    result = run("audit", trained, "--dataset", "digits", "--samples", 20, *QUICK)
    assert "not run" in result.stdout  # check 6: no sources
    assert result.exit_code == 0


def test_every_backend_audits(context, backend, trained, capsys, tiny_audits):
    audit(context, trained, "digits", samples=10, epsilon=[0.1], budget="quick", source=[trained], backend=backend.name)
    assert "verdict: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "digits", "--epsilon", 1.5], "--epsilon: expected epsilon in [0, 1], got 1.5"),
        (["--dataset", "digits", "--epsilon", 0], "expected epsilon to be one or more different numbers above 0"),
        (["--dataset", "digits", "--save", "a.txt"], "--save: expected the name of a .json file, got a.txt"),
        (["--dataset", "digits", "--source", "no.h5"], "--source: no file at no.h5"),
        (["--dataset", "colour-digits"], "--dataset: expected images of shape (28, 28, 1), got (32, 32, 3)"),
        ([], "--dataset: expected a data set"),
    ],
)
def test_wrong_options_are_rejected(run, trained, words, message):
    result = run("audit", trained, *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_source_of_another_shape_is_rejected(run, trained, tmp_path):
    mr.save(tmp_path / "colour.h5", mr.models.cnn(1))
    result = run("audit", trained, "--dataset", "digits", "--source", tmp_path / "colour.h5")
    assert result.exit_code == 2
    assert "(32, 32, 3)" in result.stderr
    assert np.isfinite(mr.load(trained).network.parameters).all()
