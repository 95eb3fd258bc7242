"""Every example runs on the shipped data, and prints and draws what it promises."""

import ast
import os
import re
import runpy
import signal
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import minirobust as mr

ROOT = Path(__file__).parents[1]


@pytest.fixture
def ends(monkeypatch, capsys):
    """Runs an example in this process, as Python would, and returns its exit code, output and errors."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.delitem(sys.modules, "command_line", raising=False)  # it keeps what an example has written

    def end(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        code = 0
        try:
            try:
                runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
            except (Exception, KeyboardInterrupt):
                import_module("command_line").end(*sys.exc_info())
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return end


@pytest.fixture
def run(ends):
    """Runs an example to its end, and returns its output."""

    def run(name, *arguments):
        code, output, error = ends(name, *arguments)
        assert code == 0, error
        return output

    return run


def interrupted(optimizer, value, grad):
    """Stand in for an optimizer's update, and press Ctrl-C."""
    raise KeyboardInterrupt


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 20_000


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A machine without data and without a network."""
    monkeypatch.delenv("MINIROBUST_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")


def test_mnist_mlp_trains_attacks_draws_and_saves(tmp_path, run):
    output = run("mnist_mlp.py", "--mini", "--epochs", "2", "--temperature", "0.25", "--output", tmp_path)
    epochs = re.findall(
        r"^epoch +(\d+)  loss [\d.]+  test accuracy ([\d.]+)  linear [\d.]+  nonlinear [\d.]+  saturated [\d.]+  "
        r"FGSM robustness ([\d.]+)$",
        output,
        re.MULTILINE,
    )
    assert [epoch for epoch, _, _ in epochs] == ["1", "2"]
    assert float(epochs[-1][1]) > 0.8
    assert len(re.findall(r"^  digit \d  +[01]\.\d+$", output, re.MULTILINE)) == 10
    assert is_png(tmp_path / "mnist_mlp.png")
    network, optimizer, epoch = mr.load(tmp_path / "mnist_mlp.h5")
    assert (epoch, optimizer.t) == (2, 2 * 63)
    assert network.layers[2].temperature == 0.25


def test_mnist_mlp_without_mnist_says_so_and_trains_on_the_shipped_digits(nowhere, tmp_path, ends, monkeypatch):
    monkeypatch.setattr(mr.Adam, "update", interrupted)
    code, output, _ = ends("mnist_mlp.py", "--epochs", "1", "--output", tmp_path)
    assert code == 130
    assert output.splitlines()[0].startswith("MNIST was not found and could not be downloaded")
    assert "digits: 4000 training and 1000 test images" in output


@pytest.mark.slow
def test_cifar10_cnn_without_cifar_trains_on_coloured_digits(nowhere, tmp_path, run):
    output = run("cifar10_cnn.py", "--epochs", "1", "--samples", "200", "--output", tmp_path)
    assert output.splitlines()[0].startswith("CIFAR-10 was not found and could not be downloaded")
    assert is_png(tmp_path / "cifar10_cnn.png")


def test_cifar10_cnn_on_a_custom_file(tmp_path, run, trusted_files, colour_digits):
    from data_loaders import Dataset, save_hdf5

    few = Dataset("few", colour_digits.train[:50], colour_digits.test[:20], colour_digits.class_names)
    save_hdf5(tmp_path / "few.h5", few)
    output = run("cifar10_cnn.py", "--data", tmp_path / "few.h5", "--epochs", "1", "--output", tmp_path)
    assert output.startswith("few: 50 training images, evaluated on 20 test images")
    assert is_png(tmp_path / "cifar10_cnn.png")
    assert mr.load(tmp_path / "cifar10_cnn.h5").epoch == 1


@pytest.mark.parametrize(("name", "data_set"), [("mnist_mlp.py", "MNIST"), ("cifar10_cnn.py", "CIFAR-10")])
def test_a_folder_without_the_data_is_named_and_nothing_is_trained(name, data_set, tmp_path, ends):
    code, _, error = ends(name, "--data", tmp_path / "nowhere", "--output", tmp_path)
    assert code == 2
    assert f"{data_set} was not found. Looked in:\n  {tmp_path / 'nowhere'}" in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_false_zeros_shows_that_the_stable_gradient_is_the_true_one(run):
    output = run("false_zeros.py", "--mini")
    wrong = re.findall(r"^(textbook|stable).* ([\d.]+)% +[\d.]+% ", output, re.MULTILINE)
    assert [name for name, _ in wrong] == ["textbook", "stable"]
    assert float(wrong[0][1]) > 0.1
    assert float(wrong[1][1]) < 0.01


def test_fgsm_epsilon_prints_and_draws_how_robustness_falls(tmp_path, run):
    output = run(
        *("fgsm_epsilon.py", "--temperatures", "1/4", "1", "--epochs", "2", "--samples", "300", "--output", tmp_path)
    )
    rows = re.findall(r"^T = (\S+) +([\d. ]+)$", output, re.MULTILINE)
    assert [temperature for temperature, _ in rows] == ["1/4", "1"]
    for _, numbers in rows:
        robustness = [float(number) for number in numbers.split()]
        assert len(robustness) == 7
        assert robustness[0] > 0.8
        assert robustness[-1] < 0.1
        assert robustness == sorted(robustness, reverse=True)
    assert is_png(tmp_path / "fgsm_epsilon.png")


@pytest.mark.slow
def test_sharpen_after_training_fools_fgsm_and_no_stronger_attack(tmp_path, run):
    output = run(
        "sharpen_after_training.py", "--epochs", "8", "--samples", "30", "--epsilons", "0.1", "--output", tmp_path
    )
    rows = re.findall(r"^T'/T = (\S+) +[\d.]+ +([\d. ]+)$", output, re.MULTILINE)
    rates = {ratio: [float(number) for number in numbers.split()] for ratio, numbers in rows}
    assert list(rates) == ["1/64", "1/16", "1/4", "1", "4", "16", "64"]
    for accuracy, fgsm, strongest, certificate in rates.values():
        assert accuracy >= fgsm >= strongest >= certificate
    sharp, trained = rates["1/64"], rates["1"]
    assert sharp[0] > trained[0] - 0.05
    assert sharp[1] > trained[1] + 0.1  # looks more robust
    assert sharp[2] < 0.2  # and is not
    assert is_png(tmp_path / "sharpen_after_training.png")


@pytest.mark.slow
def test_pixel_attack_prints_success_of_one_two_and_three_pixels(tmp_path, run):
    output = run("pixel_attack.py", "--epochs", "10", "--output", tmp_path)
    rows = re.findall(r"^(?:digit \d|network) +([\d.% ]+)$", output, re.MULTILINE)
    shares = [[float(number.rstrip("%")) for number in row.split()] for row in rows]
    assert [len(row) for row in shares] == 11 * [6]
    for row in shares:
        every, correct = row[:3], row[3:]
        assert every == sorted(every)
        assert correct == sorted(correct)
        assert all(less <= more for less, more in zip(correct, every, strict=True))
    fooled, at_border = re.search(r"(\d+) images were fooled .*\n(\d+) of them", output).groups()
    assert 0 < int(at_border) < int(fooled)
    assert is_png(tmp_path / "pixel_attack.png")


@pytest.mark.slow
def test_ugly_images_are_those_that_the_network_gets_wrong(tmp_path, run):
    output = run("ugly_images.py", "--epochs", "5", "--output", tmp_path)
    rows = re.findall(r"^digit \d +(\S+) +(\S+) +(\S+)$", output, re.MULTILINE)
    assert len(rows) == 10
    assert all(float(median) > 0 > float(correlation) for median, correlation, _ in rows)
    assert all(float(p_value) < 1e-6 for _, _, p_value in rows)
    assert float(re.search(r"(\d+) times the median", output).group(1)) > 1
    assert 0.9 < float(re.search(r"ROC curve of (\S+)", output).group(1)) <= 1
    assert is_png(tmp_path / "ugly_images.png")


LABORATORY = (
    "adversarial_training.py",
    "audit_low_temperature.py",
    "fgsm_epsilon.py",
    "pixel_attack.py",
    "sharpen_after_training.py",
    "ugly_images.py",
)
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")


@pytest.mark.parametrize("name", [*LABORATORY, pytest.param("audit_torch_module.py", marks=needs_torch)])
def test_missing_mnist_is_one_message_and_no_picture(name, nowhere, tmp_path, monkeypatch, ends):
    monkeypatch.chdir(tmp_path)
    code, _, error = ends(name, "--full")
    assert code == 2
    assert "MNIST was not found. Looked in:" in error
    assert "Traceback" not in error
    assert not (tmp_path / "results").exists()


ALL = sorted(path.name for path in (ROOT / "examples").glob("*.py") if path.name != "command_line.py")


@pytest.mark.parametrize("name", [name for name in ALL if name != "audit_torch_module.py"])
def test_every_example_has_help(name, ends):
    code, output, error = ends(name, "--help")
    assert (code, error) == (0, "")
    lesson = ast.get_docstring(ast.parse((ROOT / "examples" / name).read_text(encoding="utf-8")))
    assert lesson.splitlines()[0] in output
    if "samples=" in (ROOT / "examples" / name).read_text(encoding="utf-8"):
        assert "--samples SAMPLES" in output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--epochs", "0"], "argument --epochs: expected a whole number of at least 1, got '0'"),
        (["--samples", "1.5"], "argument --samples: expected a whole number of at least 1, got '1.5'"),
        (["--temperature", "0"], "argument --temperature: expected temperature in (0, inf), got 0.0"),
        (["--temperature", "1/0"], "argument --temperature: expected a number such as 0.25 or 1/4, got '1/0'"),
        (["--epsilon", "51/50"], "argument --epsilon: expected a number in [0, 1], got '51/50'"),
        (["--seed", "-1"], "argument --seed: expected a whole number of at least 0, got '-1'"),
        (["--backend", "abacus"], "argument --backend: expected one of "),
        (["--output", "file/folder"], "argument --output: expected a folder that can be written, got 'file/folder'"),
        (["--nope"], "unrecognized arguments: --nope"),
    ],
    ids=lambda value: value[0].strip("-") if isinstance(value, list) else None,
)
def test_wrong_option_is_rejected_with_one_sentence_before_any_work(words, sentence, tmp_path, monkeypatch, ends):
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    code, output, error = ends("mnist_mlp.py", *words)
    assert (code, output) == (2, "")
    assert error.startswith(f"mnist_mlp.py: {sentence}")
    assert len(error.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_options_accept_fractions(ends):
    assert ends("audit_low_temperature.py", "--temperatures", "1/4", "1/0")[2] == (
        "audit_low_temperature.py: argument --temperatures: expected a number such as 0.25 or 1/4, got '1/0'\n"
    )


@pytest.mark.parametrize("module", ["minirobust", "matplotlib.figure"])
def test_ctrl_c_during_imports_is_one_sentence(module, tmp_path):
    code = f"""
import runpy, sys
class Interrupt:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
sys.path.insert(0, {str(ROOT / "examples")!r})
runpy.run_path({str(ROOT / "examples" / "mnist_mlp.py")!r}, run_name="__main__")
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr.strip()) == (130, "interrupted")


def test_ctrl_c_names_the_files_that_were_written(tmp_path):
    (tmp_path / "earlier.png").write_text("")
    os.utime(tmp_path / "earlier.png", (0, 0))
    command = [sys.executable, ROOT / "examples/mnist_mlp.py", "--mini", "--epochs", "100000", "--output", tmp_path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("epoch   1"):
            break
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.startswith("auto takes <backend")
    assert error.splitlines()[-1] == f"interrupted; written so far: {tmp_path / 'mnist_mlp.h5'}"
    assert mr.load(tmp_path / "mnist_mlp.h5").epoch >= 1


def test_a_mistake_in_an_example_shows_where_it_is(tmp_path):
    (tmp_path / "mistake.py").write_text("import command_line\n[][0]\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "examples")}
    result = subprocess.run([sys.executable, tmp_path / "mistake.py"], capture_output=True, text=True, env=environment)
    assert result.returncode == 1
    assert "mistake.py" in result.stderr
    assert result.stderr.endswith("IndexError: list index out of range\n")


@pytest.mark.parametrize("name", LABORATORY)
def test_ctrl_c_is_one_sentence(name, tmp_path, monkeypatch, ends):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mr.Adam, "update", interrupted)
    code, _, error = ends(name)
    assert (code, error.strip()) == (130, "interrupted")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_audit_low_temperature_shows_that_only_fgsm_finds_it_robust(run):
    output = run("audit_low_temperature.py", "--temperatures", "1/64", "1", "--samples", "100", "--backend", "numpy")
    rows = {T: [float(rate) for rate in rates.split()] for T, rates in re.findall(r"^ +(1|1/64) +(0.*)$", output, re.M)}
    clean, fgsm, pgd, white, smoothed, transfer, square, worst, _, _ = np.array([rows["1/64"], rows["1"]]).T
    assert (clean > 0.85).all()
    assert fgsm[0] > fgsm[1] + 0.2  # looks robust
    assert pgd[0] < fgsm[0] - 0.2  # and is not
    assert smoothed[0] < white[0] - 0.05
    assert (worst <= np.minimum.reduce([clean, fgsm, pgd, white, smoothed, transfer, square])).all()
    assert worst[0] < 0.03
    assert re.search(r"^T = 1/64: the gradient is masked .*FGSM is too weak here", output, re.MULTILINE)
    assert re.search(r"^T = 1: no sign of masking", output, re.MULTILINE)


@pytest.mark.slow
def test_adversarial_training_makes_a_network_robust_and_hides_no_gradient(run):
    output = run("adversarial_training.py", "--epochs", "4", "--samples", "150")
    rows = {
        name: (float(clean), float(worst))
        for name, clean, worst in re.findall(r"^(plainly|adversarially) +([\d.]+) +([\d.]+)$", output, re.MULTILINE)
    }
    assert min(clean for clean, _ in rows.values()) > 0.85
    assert rows["adversarially"][1] > rows["plainly"][1] + 0.2
    verdicts = re.findall(r"^trained (plainly|adversarially): (.*): robustness", output, re.MULTILINE)
    assert verdicts == [("plainly", "no sign of masking"), ("adversarially", "no sign of masking")]


@pytest.mark.slow
@needs_torch
def test_audit_torch_module_shows_that_a_module_without_a_gradient_is_not_robust(run):
    output = run("audit_torch_module.py", "--epochs", "3", "--samples", "50")
    rows = re.findall(r"^(plain|rounded) +([\d. ]+)$", output, re.MULTILINE)
    rates = {name: [float(rate) for rate in numbers.split()] for name, numbers in rows}
    for clean, *others, worst in rates.values():
        assert clean > 0.85
        assert worst <= min(others)
    clean, fgsm, pgd, white, _, _, _ = rates["plain"]
    assert white <= pgd <= fgsm < clean - 0.2
    clean, fgsm, _, white, transfer, square, _ = rates["rounded"]
    assert fgsm == clean  # looks robust
    assert max(square, transfer) < white - 0.2  # and is not
    verdicts = re.findall(r"^(plain|rounded): (.*): robustness", output, re.MULTILINE)
    assert verdicts == [("plain", "no sign of masking"), ("rounded", "the gradient is masked (checks 1, 3, 6, 7)")]


def test_audit_torch_module_without_pytorch_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = [sys.executable, ROOT / "examples" / "audit_torch_module.py"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert result.stderr.strip() == "this example needs PyTorch: python -m pip install torch"


@needs_torch
def test_ctrl_c_in_audit_torch_module_is_one_sentence(monkeypatch, ends):
    import torch

    def interrupted(optimizer):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim.Adam, "step", interrupted)
    code, output, error = ends("audit_torch_module.py")
    assert output.startswith("digits: 4000 images")
    assert (code, error.strip()) == (130, "interrupted")


def test_own_layer_finds_the_mistake_and_then_none(run):
    output = run("own_layer.py")
    assert "1 over the batch size N = 4: a mean for a sum" in output
    assert output.count("every gradient is right") == 2


def test_batch_norm_is_right_learns_and_is_copied_and_saved(run):
    output = run("batch_norm.py")
    assert output.count("every gradient is right") == 3
    assert float(re.search(r"^test accuracy ([\d.]+)$", output, re.MULTILINE).group(1)) > 0.85
    assert re.findall(r"^(.*): largest difference of logits (.*)$", output, re.MULTILINE) == [
        ("copy", "0"),
        ("loaded file", "0"),
    ]


@pytest.mark.parametrize("name", ["step_through_backprop.py", "step_through_cnn.py"])
def test_breakpoints_are_where_the_text_says(name, run):
    lines = (ROOT / "examples" / name).read_text(encoding="utf-8").splitlines()
    breakpoints = re.findall(r"break (?:at line )?(\d+)", "\n".join(lines))
    methods = [re.search(r"net\.(\w+)\(", lines[int(line) - 1]).group(1) for line in breakpoints]
    assert methods == ["backward", "forward"][: len(breakpoints)]
    assert "∂L/∂x" in run(name)
