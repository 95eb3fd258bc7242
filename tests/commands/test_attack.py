"""`attack` prints the library's results, for the requested samples and options."""

import functools
import json

import numpy as np
import pytest

import minirobust as mr
from minirobust.commands.attack import attack
from minirobust.optimizers import Adam
from minirobust.saving import sealed
from minirobust.study import PRESETS, store

CASES = {
    "apgd": (["--steps", 9, "--starts", 2], functools.partial(mr.attacks.apgd, steps=9, starts=2)),
    "fgsm": ([], mr.attacks.fgsm),
    "fgvm": (["--epsilon", "3/10"], functools.partial(mr.attacks.fgvm, epsilon=0.3)),
    "pgd": (["--steps", 3, "--starts", 3, "--seed", 5], functools.partial(mr.attacks.pgd, steps=3, starts=3, seed=5)),
    "noise": (["--draws", 3, "--epsilon", 0.2], functools.partial(mr.attacks.noise, draws=3, epsilon=0.2)),
    "square": (["--queries", 7], functools.partial(mr.attacks.square, queries=7)),
    "pixel": (["--pixels", 2], functools.partial(mr.attacks.pixel, pixels=2)),
    "brute-force-pixel": ([], mr.attacks.brute_force_pixel),
    "greedy-pixel": (
        ["--pixels", 2, "--shortlist", 5],
        functools.partial(mr.attacks.greedy_pixel, pixels=2, shortlist=5),
    ),
}


@pytest.fixture
def other(tmp_path):
    """A network to make images on."""
    mr.save(tmp_path / "other.h5", mr.models.mlp(1, hidden=8, seed=9))
    return tmp_path / "other.h5"


def rows(text):
    """The cells of the printed table, by class."""
    lines = [line.split() for line in text.splitlines()]
    begin = next(place for place, line in enumerate(lines) if line[:1] == ["class"])
    return {line[0]: line[1:] for line in lines[begin + 1 :] if len(line) == 5}


@pytest.mark.parametrize("name", CASES)
def test_command_runs_the_librarys_attack_with_the_given_options(run, trained, digits, tmp_path, name):
    options, twin = CASES[name]
    result = run(
        "attack", trained, name, "--dataset", "digits", "--samples", 12, *options, "--save", tmp_path / "a.npz"
    )
    assert result.exit_code == 0, result.stderr
    test = digits.test[:12]
    expected = twin(mr.load(trained).network, test.pixels(), test.labels)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as saved:
        assert np.array_equal(saved["images"], expected.images)
        assert np.array_equal(saved["predictions"], expected.predictions)
        assert np.array_equal(saved["clean_correct"], expected.clean_correct)
        assert np.array_equal(saved["labels"], test.labels)
        assert str(saved["attack"]) == name
        if isinstance(expected, mr.attacks.PixelAttack):  # it has no ε, and reports none
            assert int(saved["pixels"]) == len(expected.fooled_at)
            assert f"pixels = {len(expected.fooled_at)}," in result.stdout
            assert "epsilon" not in result.stdout
        else:
            assert float(saved["epsilon"]) == expected.epsilon


def test_transfer_uses_images_that_pgd_made_on_the_source(run, trained, other, digits, tmp_path):
    words = ["--dataset", "digits", "--samples", 20, "--steps", 5, "--epsilon", 0.2, "--save", tmp_path / "a.npz"]
    assert run("attack", trained, "transfer", "--source", other, *words).exit_code == 0
    x, y = digits.test[:20].pixels(), digits.test[:20].labels
    target, source = mr.load(trained).network, mr.load(other).network
    pgd = functools.partial(mr.attacks.pgd, steps=5, epsilon=0.2)
    expected = mr.attacks.transfer(source, target, x, y, pgd)
    with np.load(tmp_path / "a.npz") as saved:
        assert np.array_equal(saved["images"], expected.images)
        assert np.array_equal(saved["predictions"], target.predict(expected.images))


def test_the_table_counts_by_class(run, trained, digits, tmp_path):
    result = run("attack", trained, "--dataset", "digits", "--samples", 300, "--save", tmp_path / "a.npz")
    table = rows(result.stdout)
    with np.load(tmp_path / "a.npz") as saved:
        before, after, labels = saved["clean_correct"], saved["predictions"] == saved["labels"], saved["labels"]
    shares = []
    for digit in range(10):
        mine = [i for i in range(300) if labels[i] == digit]
        known = [i for i in mine if before[i]]
        share = [len(known) / len(mine), sum(after[mine]) / len(mine), sum(after[known]) / len(known)]
        assert table[str(digit)] == [str(len(mine)), *(f"{number:.3f}" for number in share)]
        shares.append(share)
    assert table["network"] == ["300", *(f"{number:.3f}" for number in np.mean(shares, axis=0))]


def test_json_contains_the_numbers_of_the_table(run, trained, tmp_path):
    words = ["attack", trained, "pgd", "--dataset", "digits", "--samples", 12, "--steps", 3, "--epsilon", "8/255"]
    result = run(*words, "--json")
    found = json.loads(result.stdout)
    assert found["epsilon"] == 8 / 255
    assert (found["attack"], found["dataset"], found["samples"]) == ("pgd", "digits", 12)
    assert found["queries"] > 0
    assert found["gradients"] > 0
    table = rows(run(*words).stdout)
    for row in (*found["classes"], {"class": "network"} | found["network"]):
        shares = [row[name] for name in ("accuracy", "robustness", "of_correct")]
        cells = [str(row["images"]), *("-" if share is None else f"{share:.3f}" for share in shares)]
        assert table[row["class"]] == cells
    assert "pgd on 12 test images" in result.stderr  # remarks do not disturb the document


@pytest.mark.parametrize("command", ["attack", "gradcheck"])
def test_asking_for_too_many_samples_is_reported(run, trained, few, command):
    result = run(command, trained, "--dataset", few, "--samples", 51)
    assert "--samples 51: the data set has only 50 test images, which are all used" in result.stdout
    assert "all are used" not in run(command, trained, "--dataset", few, "--samples", 50).stdout


def test_class_without_images_has_no_rate(run, trained, digits):
    table = rows(run("attack", trained, "--dataset", "digits", "--samples", 3).stdout)
    present = {str(label) for label in digits.test.labels[:3]}
    assert {name for name, row in table.items() if row != ["0", "-", "-", "-"]} == {*present, "network"}


def test_every_backend_attacks(context, backend, trained, tmp_path, capsys):
    words = {"dataset": "digits", "samples": 20, "backend": backend.name}
    attack(context, trained, "pgd", save=tmp_path / "a.npz", steps=2, **words)
    attack(context, trained, "transfer", source=trained, steps=2, **words)
    assert capsys.readouterr().out.count("network") == 2


def test_attack_uses_the_data_set_of_the_training(run, few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("train", few.name, "--epochs", 1, "-o", "net.h5")  # by a path that holds in this folder alone
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = run("attack", "../net.h5")
    assert "fgsm on 50 test images of few" in result.stdout


def test_a_study_s_task_can_be_attacked(run, tmp_path):
    config = PRESETS["quick"]
    network = mr.models.mlp(1.0)
    path = tmp_path / "task.h5"
    store.write(path, store.Record(config, 1.0, 0, {}), network, Adam(network))
    assert "test images of digits" in run("attack", path, "--samples", 10).stdout


def test_quiet_prints_only_the_table(run, trained):
    result = run("attack", trained, "--dataset", "digits", "--samples", 10, "-q")
    assert result.stdout.startswith("class")
    assert len(result.stdout.splitlines()) == 12


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fgsm", "--steps", 3], "--steps: fgsm has no such option"),
        (["pixel", "--epsilon", 0.1], "--epsilon: pixel has no such option"),
        (["pixel", "--shortlist", 5], "--shortlist: pixel has no such option"),
        (["transfer", "--queries", 3], "--queries: transfer has no such option"),
        (["transfer"], "--source: expected a checkpoint for transfer, and none for other attacks"),
        (["pgd", "--source", "net.h5"], "--source: expected a checkpoint for transfer, and none for other attacks"),
        (["--epsilon", 2, "--dataset", "digits"], "--epsilon: expected epsilon in [0, 1], got 2.0"),
        (["--dataset", "colour-digits"], "--dataset: expected images of shape (28, 28, 1), got (32, 32, 3)"),
        (["--dataset", "mnits"], "--dataset: expected mnist, "),
        ([], "--dataset: expected a data set, because the checkpoint does not record its own"),
        (["--dataset", "digits", "--save", "a.h5"], "--save: expected the name of a .npz file, got a.h5"),
        (
            ["--dataset", "digits", "--save", "no/folder/a.npz"],
            "--save: save no/folder/a.npz: expected an existing folder, got no/folder",
        ),
    ],
)
def test_wrong_options_are_rejected(run, trained, words, message):
    result = run("attack", trained, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize("kind", ["missing", "text", "torn", "data"])
def test_file_that_is_not_a_checkpoint_is_named(run, trained, few, tmp_path, kind):
    path = tmp_path / "net.h5"
    if kind == "text":
        path.write_text("hello")
    elif kind == "torn":
        path.write_bytes(trained.read_bytes()[:-10])
    elif kind == "data":
        path.write_bytes(few.read_bytes())
    result = run("attack", path, "--dataset", "digits")
    assert result.exit_code == 2
    assert str(path) in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_old_result_stays_until_the_new_one_is_complete(run, trained, tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    path.write_text("old")

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(np, "savez", fail)
    result = run("attack", trained, "--dataset", "digits", "--samples", 5, "--save", path)
    assert (result.exit_code, result.stderr) == (2, f"minirobust: {path}: No space left on device\n")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]


def test_missing_folder_is_reported_before_the_attack(run, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(sealed, "read", lambda path: pytest.fail("worked before it looked"))
    assert run("attack", trained, "--save", tmp_path / "no/a.npz").exit_code == 2


def test_one_image_is_enough_and_zero_is_rejected(run, trained):
    assert run("attack", trained, "fgsm", "--dataset", "digits", "--samples", 1).exit_code == 0
    refused = run("attack", trained, "fgsm", "--dataset", "digits", "--samples", 0)
    assert refused.exit_code == 2
    assert "--samples" in refused.stderr
