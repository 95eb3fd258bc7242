"""`load`: the numbers of studies as tidy tables, one observation per row; `write_csv` writes one of them.

A table is a dictionary of columns, NumPy arrays of one length, which ``pandas.DataFrame(table)`` accepts.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minirobust.measures import intervals
from minirobust.saving import atomic
from minirobust.study.store import Arrays, Record, Study, mean_of_present, read_study

Table = dict[str, np.ndarray]

TASK = ("study", "dataset", "temperature", "seed")  # the first columns of every table
REGIMES = ("linear", "nonlinear", "saturated")
ACCURACIES = ("loss", "train_accuracy", "test_accuracy")
SLOPES = ("slope_mean", "slope_share", "gradient_mean")
SANDWICH = {"FGSM": "fgsm", "worst case": "fooled", "certificate": "certified"}
OF_AN_IMAGE = ("label", "prediction", "confidence", "gradient", "brightness", "pixel_count")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# The ε of what the audit does not bound by its own ε.
OTHER_EPSILON = {"clean": 0.0, "brute-force pixel": np.nan, "headroom pixel": np.nan}


def load(*folders: str | Path) -> dict[str, Table]:
    """Return the results of studies so far, as tidy tables.

    Each table begins with the columns `study` (the folder's name), `dataset`, `temperature` and `seed`, which name the
    task. A number that is not stored is NaN. A table without rows still has its columns.

    Parameters
    ----------
    *folders : path
        Folders of one or more studies.

    Returns
    -------
    dict of str to dict of str to ndarray
        The tables by name. Each has one row for every:

        - "epochs": task and epoch. Loss, accuracies, regimes, slopes, mean G, seconds.
        - "classes": task, epoch and class. Accuracy, median of G, confidence.
        - "network_robustness": task, epoch, attack and ε. The mean over classes of "robustness".
        - "robustness": task, epoch, attack, ε and class. R_c against FGSM, after the last epoch also against FGVM.
        - "gradients": task and class after the last epoch. Median of G, its correlation with the confidence, p-value.
        - "pixels": task, number of pixels and class. Success of the pixel attack.
        - "two_pixels": task and image that exactly two pixels fool. Their places, confidences before and after.
        - "images": task and test image. Label, prediction, confidence, G, mean pixel, number of pixels that fooled it.
        - "audit": task, attack and ε. Robustness and its 95 % interval; "certificate" is the lower bound.
        - "checks": task and check of the audit. Its result, with its figures as text.
        - "sharpened": task, temperature after training over that in training, attack and ε. Robustness.

    Raises
    ------
    StudyError, CheckpointError
        If a folder holds no study, or a file in it is damaged or belongs to another study.
    ValueError
        If no folder is given.

    See Also
    --------
    minirobust.study.store : The meaning of every number.

    Examples
    --------
    ::

        tables = mr.study.load("results/mnist")
        epochs = pandas.DataFrame(tables["epochs"])
        epochs.groupby("temperature")["test_accuracy"].last()
    """
    if not folders:
        raise ValueError("study.load: expected one or more folders, got none")
    return tables((Path(folder).resolve().name, read_study(Path(folder))) for folder in folders)


def tables(studies: Iterable[tuple[str, Study]]) -> dict[str, Table]:
    """Return the tables of studies, each given with its name in the column `study`: see `load`."""
    records = [(name, record) for name, study in studies for record in study.records]
    return {kind: _joined(records, rows, columns) for kind, (rows, columns) in KINDS.items()}


def write_csv(table: Table, path: Path) -> None:
    """Write a table as a CSV file, which is replaced as a whole. NaN is an empty cell.

    Numbers have enough digits to be read back exactly. Text that a spreadsheet would read as a formula is quoted.

    Parameters
    ----------
    table : dict of str to ndarray
        One of the tables that `load` returns.
    path : Path
        The file is compressed if the name ends in ``.gz``. `pandas.read_csv` reads both.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*map(_cells, table.values()), strict=True))
    content = file.getvalue().encode("utf-8")
    with atomic.replacing(path) as temporary:
        # Without a time in it, the same table is always the same file.
        temporary.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _cells(column: np.ndarray) -> Iterator[str]:
    for text in column.astype(str):
        if column.dtype.kind == "f":
            yield "" if text == "nan" else text
        else:
            yield f"'{text}" if column.dtype.kind == "U" and text.startswith(FORMULA) else text


def _joined(
    records: Sequence[tuple[str, Record]], rows: Callable[[Record], Iterator[Table]], columns: Sequence[str]
) -> Table:
    """Return the rows of all records in one table, with the columns of their tasks before them."""
    parts = []
    for name, record in records:
        task = (name, Path(record.config.dataset).stem, record.temperature, record.seed)
        for part in rows(record):
            length = len(next(iter(part.values())))
            parts.append({key: np.full(length, value) for key, value in zip(TASK, task, strict=True)} | part)
    return {
        column: np.concatenate([part[column] for part in parts]) if parts else np.empty(0)
        for column in (*TASK, *columns)
    }


def _long(axes: Mapping[str, Any], values: Mapping[str, np.ndarray | None]) -> Table:
    """Return a row for every combination of the axes' labels, with the values there, or NaN if there are none."""
    shape = tuple(map(len, axes.values()))
    grid = np.meshgrid(*axes.values(), indexing="ij")
    columns = {name: labels.ravel() for name, labels in zip(axes, grid, strict=True)}
    for name, array in values.items():
        columns[name] = np.full(shape, np.nan).ravel() if array is None else np.reshape(array, shape).ravel()
    return columns


def _some(arrays: Arrays, *names: str) -> dict[str, np.ndarray | None]:
    return {name: arrays.get(name) for name in names}


def _from_1(count: int) -> np.ndarray:
    return np.arange(1, count + 1)


# One function for each table


def _epochs(record: Record) -> Iterator[Table]:
    seconds = {f"{name}_seconds": record.timing.get(name) for name in ("training", "evaluation")}
    series = _some(record.epochs, *ACCURACIES, *REGIMES, *SLOPES)
    yield _long({"epoch": _from_1(record.epoch)}, series | seconds)


def _classes(record: Record) -> Iterator[Table]:
    epochs, classes = record.epochs["class_accuracy"].shape
    values = {"accuracy": record.epochs["class_accuracy"], **_some(record.epochs, "gradient_median", "confidence")}
    yield _long({"epoch": _from_1(epochs), "class": np.arange(classes)}, values)


def _against(record: Record) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield the axes and the values of R_c against each attack, (epochs, attacks, ε, classes)."""
    series = record.epochs["robustness"]
    against = [("FGSM", _from_1(record.epoch), series)]
    if "fgvm_robustness" in record.final:
        against.append(("FGVM", np.array([record.epoch]), record.final["fgvm_robustness"][None]))
    for attack, epochs, rates in against:
        axes = {"epoch": epochs, "attack": [attack], "epsilon": record.config.epsilons}
        yield axes | {"class": np.arange(series.shape[-1])}, rates[:, None]


def _robustness(record: Record) -> Iterator[Table]:
    for axes, rates in _against(record):
        yield _long(axes, {"robustness": rates})


def _network_robustness(record: Record) -> Iterator[Table]:
    for axes, rates in _against(record):
        del axes["class"]
        yield _long(axes, {"robustness": mean_of_present(rates, axis=-1)})


def _gradients(record: Record) -> Iterator[Table]:
    if record.final:
        values = _some(record.final, "gradient_median", "correlation", "p_value")
        yield _long({"class": np.arange(len(record.final["p_value"]))}, values)


def _pixels(record: Record) -> Iterator[Table]:
    if record.final:
        counts, classes = record.final["pixel_success"].shape
        values = {"success": record.final["pixel_success"]}
        values["success_of_correct"] = record.final["pixel_success_of_correct"]
        yield _long({"pixels": _from_1(counts), "class": np.arange(classes)}, values)


def _two_pixels(record: Record) -> Iterator[Table]:
    if "two/index" in record.final:
        two = {name: record.final[f"two/{name}"] for name in ("index", "prediction", "before", "after", "pixels")}
        values = {"label": record.final["label"][two["index"]], "prediction": two["prediction"]}
        values |= {"confidence_before": two["before"], "confidence_after": two["after"]}
        yield _long({"image": two["index"]}, values | {"pixel_1": two["pixels"][:, 0], "pixel_2": two["pixels"][:, 1]})


def _images(record: Record) -> Iterator[Table]:
    if record.final:
        yield _long({"image": np.arange(len(record.final["label"]))}, _some(record.final, *OF_AN_IMAGE))


def _audit(record: Record) -> Iterator[Table]:
    if record.audit is None:
        return
    for attack, rate in record.audit["robustness"].items():
        epsilon = OTHER_EPSILON.get(attack, record.config.epsilon)
        yield _estimates(attack, epsilon, [rate["value"], rate["low"], rate["high"]])
    for row, epsilon in enumerate(record.audited.get("sandwich/epsilon", ())):
        for attack, name in SANDWICH.items():
            known = attack in record.audit["robustness"] and epsilon == record.config.epsilon
            if f"sandwich/{name}" in record.audited and not known:
                mask = record.audited[f"sandwich/{name}"][row]
                yield _estimates(attack, epsilon, _robust(record, ~mask if name == "certified" else mask))


def _estimates(attack: str, epsilon: float, estimate: Sequence[float]) -> Table:
    return _long(
        {"attack": [attack], "epsilon": [epsilon]},
        dict(zip(("robustness", "low", "high"), map(np.asarray, estimate), strict=True)),
    )


def _robust(record: Record, fooled: np.ndarray) -> intervals.Estimate:
    """Return the robustness over the first test images, of which `fooled` are fooled."""
    return intervals.network(fooled, record.final["label"][: len(fooled)], len(record.final["p_value"]))


def _checks(record: Record) -> Iterator[Table]:
    checks = record.audit["checks"] if record.audit else []
    if checks:
        results = {True: "flagged", False: "passed", None: "not run"}
        values = {"check": [check["number"] for check in checks], "name": [check["name"] for check in checks]}
        values["result"] = [results[check["flagged"]] for check in checks]
        values["figures"] = [check["text"] for check in checks]
        yield {name: np.array(column) for name, column in values.items()}


def _sharpened(record: Record) -> Iterator[Table]:
    found = record.sharpened
    if not found:
        return
    masks = {("clean", 0.0): ~found["correct"]}
    for attack, name in SANDWICH.items():
        if name in found:
            for row, epsilon in enumerate(record.config.audit_epsilons):
                fooled = found[name][:, row]
                masks[attack, epsilon] = ~fooled if name == "certified" else fooled
    for (attack, epsilon), fooled in masks.items():
        rates = np.array([_robust(record, of_ratio).value for of_ratio in fooled])
        yield _long({"ratio": found["ratio"], "attack": [attack], "epsilon": [epsilon]}, {"robustness": rates})


KINDS: Mapping[str, tuple[Callable[[Record], Iterator[Table]], tuple[str, ...]]] = {
    "epochs": (_epochs, ("epoch", *ACCURACIES, *REGIMES, *SLOPES, "training_seconds", "evaluation_seconds")),
    "classes": (_classes, ("epoch", "class", "accuracy", "gradient_median", "confidence")),
    "network_robustness": (_network_robustness, ("epoch", "attack", "epsilon", "robustness")),
    "robustness": (_robustness, ("epoch", "attack", "epsilon", "class", "robustness")),
    "gradients": (_gradients, ("class", "gradient_median", "correlation", "p_value")),
    "pixels": (_pixels, ("pixels", "class", "success", "success_of_correct")),
    "two_pixels": (
        _two_pixels,
        ("image", "label", "prediction", "confidence_before", "confidence_after", "pixel_1", "pixel_2"),
    ),
    "images": (_images, ("image", *OF_AN_IMAGE)),
    "audit": (_audit, ("attack", "epsilon", "robustness", "low", "high")),
    "checks": (_checks, ("check", "name", "result", "figures")),
    "sharpened": (_sharpened, ("ratio", "attack", "epsilon", "robustness")),
}
