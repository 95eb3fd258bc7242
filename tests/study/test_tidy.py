"""Tidy tables: every row holds the number that is stored, pandas accepts them, and CSV files lose no digit."""

import csv
import gzip

import numpy as np
import pandas as pd
import pytest
import synthetic_study
from complete_records import complete

import minirobust as mr
from minirobust.measures import intervals
from minirobust.study import store, tidy
from minirobust.study.store import Study

CONFIG = synthetic_study.config(seeds=(0, 3))


@pytest.fixture
def frames():
    """The tables of a synthetic study, as pandas reads them."""
    found = tidy.tables([("mine", synthetic_study.study(CONFIG))])
    return {name: pd.DataFrame(table) for name, table in found.items()}


def of_task(frame, temperature=4.0, seed=3):
    return frame[(frame.temperature == temperature) & (frame.seed == seed)].drop(columns=list(tidy.TASK))


def record():
    return synthetic_study.record(CONFIG, 4.0, 3)


ROWS_OF_A_TASK = {
    "epochs": 2,
    "classes": 2 * 3,
    "network_robustness": 2 * 2,
    "robustness": 2 * 2 * 3,
    "gradients": 3,
    "pixels": 2 * 3,
    "two_pixels": 12,
    "images": 12,
    "audit": 9 + 2 + 2,  # nine attacks at the main ε, two more at the other ε, a certificate at each
    "checks": 3,
    "sharpened": 3 * (1 + 3 * 2),
}


@pytest.mark.parametrize(("name", "rows"), ROWS_OF_A_TASK.items())
def test_every_task_has_its_rows(name, rows, frames):
    assert list(frames[name].columns[:4]) == list(tidy.TASK)
    assert (frames[name].groupby(["temperature", "seed"]).size() == rows).all()
    assert len(frames[name]) == rows * len(CONFIG.tasks())
    assert set(frames[name].study) == {"mine"}
    assert set(frames[name].dataset) == {"mnist"}


def test_no_observation_comes_twice(frames):
    measured = ("robustness", "low", "high", "accuracy", "success", "success_of_correct", "correlation", "p_value")
    keys = {"epochs": ["epoch"], "images": ["image"], "two_pixels": ["image"], "checks": ["check"]}
    for name, frame in frames.items():
        columns = [*tidy.TASK, *keys[name]] if name in keys else [c for c in frame if c not in measured]
        assert not frame.duplicated(columns).any(), name


def test_table_of_epochs_has_the_stored_numbers(frames):
    frame = of_task(frames["epochs"]).set_index("epoch")
    for name in ("loss", "train_accuracy", "test_accuracy", "linear", "nonlinear", "saturated"):
        np.testing.assert_array_equal(frame[name], record().epochs[name])
    assert list(frame.index) == [1, 2]
    assert frame["slope_mean"].isna().all()  # not in this study
    assert list(frame["training_seconds"]) == [3, 3]


def test_classes_and_robustness_have_each_number_in_its_row(frames):
    expected = record().epochs
    for row in of_task(frames["classes"]).to_dict("records"):
        assert row["accuracy"] == expected["class_accuracy"][row["epoch"] - 1, row["class"]]
    for row in of_task(frames["robustness"]).to_dict("records"):
        place = CONFIG.epsilons.index(row["epsilon"])
        assert row["robustness"] == expected["robustness"][row["epoch"] - 1, place, row["class"]]


def test_network_robustness_is_the_mean_over_the_classes_that_have_images():
    one = record()
    one.epochs["robustness"][:, :, 0] = np.nan
    one.final["fgvm_robustness"] = np.array([[0.1, 0.2, 0.6], [np.nan, 0.0, 0.5]])
    frame = pd.DataFrame(tidy.tables([("mine", Study(CONFIG, [one]))])["network_robustness"])
    by = frame.set_index(["attack", "epoch", "epsilon"])["robustness"]
    for epoch in (1, 2):
        for place, epsilon in enumerate(CONFIG.epsilons):
            expected = one.epochs["robustness"][epoch - 1, place, 1:].mean()
            assert by["FGSM", epoch, epsilon] == pytest.approx(expected)
    assert by["FGVM", 2, 0.1] == pytest.approx(0.3)
    assert by["FGVM", 2, 0.2] == pytest.approx(0.25)
    assert len(by) == 2 * 2 + 2


def test_tables_of_final_results_have_the_stored_numbers(frames):
    final = record().final
    for name in ("gradient_median", "correlation", "p_value"):
        np.testing.assert_array_equal(of_task(frames["gradients"])[name], final[name])
    for row in of_task(frames["pixels"]).to_dict("records"):
        assert row["success"] == final["pixel_success"][row["pixels"] - 1, row["class"]]
        assert row["success_of_correct"] == final["pixel_success_of_correct"][row["pixels"] - 1, row["class"]]
    for name in ("label", "prediction", "confidence", "gradient", "pixel_count"):
        np.testing.assert_array_equal(of_task(frames["images"])[name], final[name])
    pairs = of_task(frames["two_pixels"]).set_index("image")
    np.testing.assert_array_equal(pairs.loc[0, ["label", "pixel_1", "pixel_2"]], [0, 1, 14])  # the second of the twelve
    assert pairs.loc[0, "confidence_before"] == final["two/before"][1]


def test_the_audit_has_the_figures_of_its_report_and_those_of_every_epsilon(frames):
    frame = of_task(frames["audit"]).set_index(["attack", "epsilon"])
    rates = record().audit["robustness"]
    for attack in ("FGSM", "PGD", "worst case"):
        np.testing.assert_array_equal(frame.loc[attack, 0.1], list(rates[attack].values()))
    assert ("clean", 0.0) in frame.index
    assert frame.loc["brute-force pixel"].index.isna().all()  # a pixel may change by any amount
    # Of six images of three classes, the strongest attack fools the last two within 0.05, and two are proven.
    assert frame.loc[("worst case", 0.05), "robustness"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert frame.loc[("certificate", 0.05), "robustness"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert frame.loc[("certificate", 0.1), "robustness"] == 0
    labels, fooled = np.arange(6) % 3, synthetic_study.images(4, 5)
    np.testing.assert_array_equal(frame.loc["worst case", 0.05], list(intervals.network(fooled, labels, 3)))


def test_checks_and_changed_temperatures(frames):
    checks = of_task(frames["checks"])
    assert list(checks["check"]) == [1, 4, 6]
    assert list(checks["result"]) == ["passed", "flagged", "not run"]
    frame = of_task(frames["sharpened"]).set_index(["ratio", "attack", "epsilon"])["robustness"]
    assert frame[4, "clean", 0] == pytest.approx((1 + 1 + 0) / 3 + (0 + 0 + 1 / 2) / 3)
    assert frame[0.25, "FGSM", 0.1] == 1
    assert frame[4, "worst case", 0.1] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)


def test_tasks_that_have_only_begun_have_only_epochs():
    begun = Study(CONFIG, [synthetic_study.record(CONFIG, 1.0, 0, epochs=1, attacked=False, audited=False)])
    found = tidy.tables([("mine", begun)])
    assert {name for name, table in found.items() if len(table["seed"])} == {
        *("epochs", "classes", "network_robustness", "robustness")
    }
    assert all(pd.DataFrame(table).columns.size > 4 for table in found.values())


@pytest.fixture
def folder(tmp_path):
    """A study on disk with one finished task and one that has begun."""
    config = synthetic_study.config(seeds=(0,), temperatures=(1.0, 4.0), model="mlp")
    folder = tmp_path / "small study"
    store.open_folder(folder, config)
    gradient = np.random.default_rng(0).random(6)
    done = complete(config, 1.0, 0, 2, attacked=True, audited=True, final_gradient=gradient)
    begun = complete(config, 4.0, 0, 1)
    for each in (done, begun):
        network = mr.models.mlp(each.temperature, (4, 4, 1), hidden=2)
        store.write(store.task_path(folder, each.temperature, 0), each, network, None)
    return folder


def test_folders_are_loaded_one_after_the_other(folder):
    one, two = mr.study.load(folder), mr.study.load(str(folder), folder)
    assert set(one["epochs"]["study"]) == {"small study"}
    for name, table in one.items():
        assert len({len(column) for column in table.values()}) == 1
        assert len(two[name]["seed"]) == 2 * len(table["seed"])
    assert set(pd.DataFrame(one["robustness"]).query("epoch == 2 and temperature == 1").attack) == {"FGSM", "FGVM"}


def test_csv_files_hold_the_same_numbers_bit_for_bit(folder, tmp_path):
    for name, table in mr.study.load(folder).items():
        tidy.write_csv(table, tmp_path / f"{name}.csv")
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        assert header == list(table)
        for texts, values in zip(zip(*rows, strict=True), table.values(), strict=len(rows) > 0):
            np.testing.assert_array_equal(np.array([text or "nan" for text in texts]).astype(values.dtype), values)
        assert pd.read_csv(tmp_path / f"{name}.csv").shape == pd.DataFrame(table).shape


def test_a_compressed_file_holds_the_same_text_and_is_the_same_file_each_time(tmp_path, monkeypatch):
    table = {"name": np.array(["FGSM"]), "value": np.array([1 / 3])}
    tidy.write_csv(table, tmp_path / "table.csv")
    for name, now in (("one", 1e9), ("two", 2e9)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        tidy.write_csv(table, tmp_path / f"{name}.csv.gz")
    content = (tmp_path / "one.csv.gz").read_bytes()
    assert gzip.decompress(content) == (tmp_path / "table.csv").read_bytes()
    assert content == (tmp_path / "two.csv.gz").read_bytes()


def test_text_that_a_spreadsheet_would_run_is_quoted(tmp_path):
    table = {"name": np.array(["=1+1", "FGSM"]), "value": np.array([-1.5, np.nan])}
    tidy.write_csv(table, tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "name,value\n'=1+1,-1.5\nFGSM,\n"


def test_folder_without_a_study_raises(tmp_path):
    with pytest.raises(store.StudyError, match="expected a study's folder"):
        mr.study.load(tmp_path)
    with pytest.raises(ValueError, match=r"study.load: expected one or more folders, got none"):
        mr.study.load()


def test_the_command_writes_the_tables_that_load_returns(folder, tmp_path):
    from typer.testing import CliRunner

    from minirobust.cli import app

    def export(*options):
        return CliRunner().invoke(app, ["study", "export", str(folder), "--csv", str(tmp_path / "csv"), *options])

    assert export("--table", "epochs").exit_code == 0
    assert [path.name for path in (tmp_path / "csv").iterdir()] == ["epochs.csv"]
    result = export()
    assert result.stdout.splitlines() == [str(tmp_path / "csv" / f"{name}.csv") for name in tidy.KINDS]
    tidy.write_csv(mr.study.load(folder)["audit"], tmp_path / "expected.csv")
    assert (tmp_path / "csv" / "audit.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()
    assert export("--table", "audit", "--gzip").stdout.split() == [str(tmp_path / "csv" / "audit.csv.gz")]
    assert gzip.decompress((tmp_path / "csv" / "audit.csv.gz").read_bytes()) == (tmp_path / "expected.csv").read_bytes()
    wrong = export("--table", "epoch")
    assert wrong.exit_code == 2
    assert "--table: expected one of epochs, classes, " in wrong.stderr
