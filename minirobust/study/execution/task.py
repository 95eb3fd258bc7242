"""One task of a study: train a network at one temperature, measure it after every epoch, and attack it at the end.

`sweep` determines which tasks there are and where they run.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from minirobust import attacks
from minirobust.attacks.fgsm import sign_step, value_step
from minirobust.data import Dataset, Split, load
from minirobust.losses import SoftmaxCrossEntropy
from minirobust.masking import audit
from minirobust.measures import robustness, saliency
from minirobust.measures.regimes import fractions
from minirobust.model import most_likely
from minirobust.network import Network
from minirobust.optimizers import Adam
from minirobust.stack import Evaluation
from minirobust.study import store
from minirobust.study.config import MODELS, StudyConfig
from minirobust.study.execution.sharpening import sharpen, stacked
from minirobust.study.store import Arrays, Record
from minirobust.training import epochs

UGLY = 10  # images of Fig. 7
SHOWN = 8  # images of Fig. 10
STEP = 1_000  # test images attacked at a time, which limits memory and does not change the results


def train(config: StudyConfig, temperature: float, seed: int, folder: Path) -> None:
    """Train, measure and attack one network, and replace its file after every epoch.

    Training continues after the last epoch in the file. If another process works on the same task, wait for it.

    Parameters
    ----------
    config : StudyConfig
    temperature : float
    seed : int
    folder : Path
        The study's folder.

    Raises
    ------
    StudyError
        If the task's file belongs to another configuration or other data, or was begun on another backend.
    DataNotFoundError
        If the data set is not found and cannot be downloaded.
    OSError
        If the file cannot be written. It is then unchanged.
    """
    data = load(config.dataset)
    path = store.task_path(folder, temperature, seed)
    with store.held(path):
        record, network, optimizer = _begin(config, temperature, seed, path, data)
        began = perf_counter()
        for epoch in epochs(network, optimizer, data, config.epochs, config.batch_size, seed, start=record.epoch):
            trained = perf_counter()
            measured = measure(network, config, temperature, data)
            record.append("epochs", {"loss": epoch.loss} | measured)
            record.append("timing", {"training": trained - began, "evaluation": perf_counter() - trained})
            store.write(path, record, network, optimizer)
            began = perf_counter()
        if not record.final:
            record.final = attack(network, config, data.test)
            record.timing["final"] = np.array(perf_counter() - began)
            store.write(path, record, network, optimizer)


def audit_trained(config: StudyConfig, temperature: float, seed: int, folder: Path) -> None:
    """Audit a trained network, with the folder's trained networks at all other temperatures as sources of transfer.

    See `train` for the arguments and errors.
    """
    path = store.task_path(folder, temperature, seed)
    with store.held(path):
        record, (network, optimizer, _) = store.read_with_network(path, config.backend)
        if record.audit is not None:
            return
        store.check_backend(path, record, network.backend)
        began = perf_counter()
        test = load(config.dataset).test[: config.audit_samples]
        x, y = test.pixels(dtype=config.dtype), test.labels
        report = audit(
            network,
            x,
            y,
            config.audit_epsilons,
            sources=list(_sources(config, temperature, seed, folder)),
            budget=config.audit_budget,
            seed=seed,
        )
        record.audit, few = report.to_dict(), report.pixel_samples
        record.audited = {f"fooled/{name}": fooled for name, fooled in report.fooled.items()}
        greedy = attacks.greedy_pixel(network, x[few], y[few], min(config.pixels, x.shape[1] * x.shape[2]))
        record.audited["fooled/greedy pixel"] = network.backend.to_numpy(greedy.fooled)
        record.audited["pixel_samples"] = few
        record.audited["sandwich/epsilon"] = np.array([each.epsilon for each in report.sandwiches])
        record.audited |= {f"sandwich/{name}": rows for name, rows in stacked(report.sandwiches).items()}
        first = slice(config.sharpen_samples)
        record.sharpened = sharpen(network, x[first], y[first], config, seed)
        record.timing["audit"] = np.array(perf_counter() - began)
        store.write(path, record, network, optimizer)


def _sources(config: StudyConfig, temperature: float, seed: int, folder: Path) -> Iterator[Network]:
    """Yield the folder's other trained networks of the same seed, whichever call trained them."""
    for T in store.read_config(folder).temperatures:
        path = store.task_path(folder, T, seed)
        if temperature != T and path.exists():
            record, (network, _, _) = store.read_with_network(path, config.backend)
            if record.final:
                yield network


def new_network(config: StudyConfig, temperature: float, seed: int, data: Dataset) -> Network:
    """Return a task's network before training; raise ValueError if it does not fit the data."""
    return MODELS[config.model](
        temperature,
        data.train.images.shape[1:],
        classes=len(data.class_names),
        backend=config.backend,
        dtype=config.dtype,
        seed=seed,
    )


def _begin(
    config: StudyConfig, temperature: float, seed: int, path: Path, data: Dataset
) -> tuple[Record, Network, Any]:
    """Return the task as it is stored in its file, or a new one."""
    checksum = data.checksum()
    if not path.exists():
        network = new_network(config, temperature, seed, data)
        environment = _environment(network) | {"data": checksum}
        return Record(config, temperature, seed, environment), network, Adam(network, lr=config.learning_rate)
    record, (network, optimizer, _) = store.read_with_network(path, config.backend)
    store.check_same(path, record.config, config)
    if record.environment["data"] != checksum:
        raise store.StudyError(f"study: {path} was made with data that differ from {config.dataset}")
    if not record.final:
        store.check_backend(path, record, network.backend)
    return record, network, optimizer


def _environment(network: Network) -> dict[str, str]:
    """Return the date, the versions of the code and the machine with which a task begins."""
    libraries = {name: version(name) for name in ("minirobust", "numpy", "scipy", "h5py")}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        **_commit(Path(__file__).parents[3]),
        **libraries,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "backend": repr(network.backend),
    }


def _commit(root: Path) -> dict[str, str]:
    """Return the commit of a checkout, with "-dirty" if it has been changed; nothing for an installed package."""
    if not (root / ".git").exists():  # git would search the parent folders, and might report another project's commit
        return {}
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):  # no git, or a checkout that it does not trust
        return {}
    return {"commit": found}


# After every epoch


def measure(network: Network, config: StudyConfig, temperature: float, data: Dataset) -> dict[str, Any]:
    """Return one row of every series below ``epochs/`` except for the loss.

    Parameters
    ----------
    network : Network
    config : StudyConfig
        Its ε, the thresholds of the regimes, and `train_samples` are used.
    temperature : float
        Temperature of the network.
    data : Dataset
        The network is attacked and measured on the test images; the first training images give its training accuracy.

    Returns
    -------
    dict
        The arrays that `store` describes, without the axis of epochs, on the host.
    """
    y = data.test.labels
    classes = len(data.class_names)
    answers = _Answers.to(data.test)
    fooled = np.empty((len(config.epsilons), len(y)), bool)
    net_values, slopes = [], []
    to_numpy = network.backend.to_numpy
    model = Evaluation(network)
    for rows, x, labels in _chunks(model, data.test):
        net, input_gradient = answers.take(model, rows, x, labels)
        for row, epsilon in enumerate(config.epsilons):
            fooled[row, rows] = to_numpy(model.predict(sign_step(model, x, input_gradient, epsilon)) != labels)
        net_values.append(to_numpy(net).ravel())
        slopes.append(to_numpy(network.backend.sigmoid_derivative(net, temperature)).ravel())
    regimes = fractions(np.concatenate(net_values), temperature, config.delta1, config.delta2)
    slope = np.concatenate(slopes, dtype="float64")
    tenth = len(slope) // 10
    return {
        "train_accuracy": _accuracy(model, data.train[: config.train_samples]),
        "test_accuracy": (answers.prediction == y).mean(),
        "class_accuracy": robustness.by_class(answers.prediction != y, y, classes),
        **regimes._asdict(),
        "slope_mean": slope.mean(),
        "slope_share": np.partition(slope, -tenth)[-tenth:].sum() / slope.sum(),
        "robustness": [robustness.by_class(row, y, classes) for row in fooled],
        "gradient_median": _by_class(np.median, answers.gradient, y, classes),
        "gradient_mean": answers.gradient.mean(),
        "confidence": _by_class(np.mean, answers.confidence, y, classes),
    }


def _chunks(model: Evaluation, split: Split) -> Iterator[tuple[slice, Any, Any]]:
    """Yield the rows of each chunk, and their pixels and labels on the model's backend."""
    asarray = model.backend.asarray
    for rows in model.chunks(len(split)):
        yield rows, asarray(split.pixels(rows, model.dtype)), asarray(split.labels[rows])


def _accuracy(model: Evaluation, split: Split) -> np.floating:
    right = [model.backend.to_numpy(model.predict(x) == labels) for _, x, labels in _chunks(model, split)]
    return np.concatenate(right).mean()


@dataclass
class _Answers:
    """The results for each image, on the host: the predicted class, the probability of the true class, and G(x)."""

    prediction: np.ndarray
    confidence: np.ndarray
    gradient: np.ndarray

    @classmethod
    def to(cls, split: Split) -> _Answers:
        """Return empty arrays for all images of a split."""
        return cls(np.empty(len(split), "int64"), np.empty(len(split)), np.empty(len(split)))

    def take(self, model: Evaluation, rows: slice, x: Any, labels: Any) -> tuple[Any, Any]:
        """Fill in the rows of one chunk; return the net values of the last hidden layer and the input gradient.

        All of this takes one forward and one backward pass.
        """
        to_numpy, last = model.backend.to_numpy, model.network.last_activation.index
        net = model.run(x, stop=last)
        logits = model.run(net, start=last)
        _, input_gradient = model.loss_gradient(logits, labels, SoftmaxCrossEntropy())
        probabilities = to_numpy(model.backend.softmax(logits))
        self.prediction[rows] = to_numpy(most_likely(model.backend, logits))
        self.confidence[rows] = probabilities[np.arange(len(x)), to_numpy(labels)]
        self.gradient[rows] = to_numpy(saliency.mean_magnitude(input_gradient))
        return net, input_gradient


def _by_class(statistic: Any, values: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """Return a statistic over the values of each class; NaN for a class without a sample."""
    return np.array([statistic(values[y == c]) if (y == c).any() else np.nan for c in range(classes)])


# After the last epoch


def attack(network: Network, config: StudyConfig, test: Split) -> Arrays:
    """Return all datasets below ``final/``.

    Parameters
    ----------
    network : Network
    config : StudyConfig
        Its `pixels` and `epsilons` are used.
    test : Split

    Returns
    -------
    dict of str to ndarray
        The arrays that `store` describes, on the host; without ``two/...`` if no image needs exactly two pixels.
    """
    y, classes = test.labels, network.output_shape[0]
    answers = _Answers.to(test)
    fooled = np.empty((len(config.epsilons), len(y)), bool)
    model = Evaluation(network)
    for rows, x, labels in _chunks(model, test):
        _, input_gradient = answers.take(model, rows, x, labels)
        for row, epsilon in enumerate(config.epsilons):
            predictions = model.predict(value_step(model, x, input_gradient, epsilon))
            fooled[row, rows] = network.backend.to_numpy(predictions != labels)
    medians, correlations, p_values = saliency.by_class(answers.gradient, answers.confidence, y, classes)
    ugly = saliency.largest(answers.gradient, min(UGLY, len(y)))
    return {
        "label": y,
        "brightness": test.pixels(dtype="float32").mean(axis=(1, 2, 3)),
        **vars(answers),
        "gradient_median": medians,
        "correlation": correlations,
        "p_value": p_values,
        "fgvm_robustness": np.array([robustness.by_class(row, y, classes) for row in fooled]),
        "ugly/index": ugly,
        "ugly/image": test.images[ugly],
        **_pixel_attack(network, config, test, answers.prediction == y),
    }


def _pixel_attack(network: Network, config: StudyConfig, test: Split, correct: np.ndarray) -> Arrays:
    """Return how many images are fooled with 1, 2, ..., n pixels, and details of those that need exactly two."""
    y, classes = test.labels, network.output_shape[0]
    to_numpy = network.backend.to_numpy
    count = np.empty(len(y), "int64")
    pairs: list[Arrays] = []
    for start in range(0, len(y), STEP):
        rows = slice(start, min(start + STEP, len(y)))
        x = test.pixels(rows, network.dtype)
        found = attacks.pixel(network, x, y[rows], min(config.pixels, x.shape[1] * x.shape[2]))
        count[rows] = to_numpy(found.count)
        two = np.flatnonzero(count[rows] == 2)
        if len(two):
            adversarials = to_numpy(found.images)[two]
            pairs.append(
                {
                    "index": start + two,
                    "pixels": to_numpy(found.pixels)[two, :2],
                    "prediction": to_numpy(found.predictions)[two],
                    "before": _confidence(network, x[two]),
                    "after": _confidence(network, adversarials),
                    "adversarial": adversarials,
                }
            )
    fooled = [~correct | ((count > 0) & (count <= n)) for n in range(1, config.pixels + 1)]
    of_correct = [robustness.by_class_of_correct(row, correct, y, classes) for row in fooled]
    return {
        "pixel_success": 1 - np.array([robustness.by_class(row, y, classes) for row in fooled]),
        "pixel_success_of_correct": 1 - np.array(of_correct),
        "pixel_count": count,
        **_closer(pairs, test),
    }


def _confidence(network: Network, images: np.ndarray) -> np.ndarray:
    """Return the probability of the class that the network predicts for each image."""
    return network.backend.to_numpy(network.predict_proba(images)).max(axis=1)


def _closer(pairs: list[Arrays], test: Split) -> Arrays:
    """Join the two-pixel adversarials of all chunks, and add pictures of the most confident ones."""
    if not pairs:
        return {}
    two = {f"two/{name}": np.concatenate([pair[name] for pair in pairs]) for name in pairs[0]}
    shown = saliency.largest(two["two/after"], min(SHOWN, len(two["two/after"])))
    two["two/shown"] = shown
    two["two/image"] = test.images[two["two/index"][shown]]
    two["two/adversarial"] = np.rint(two["two/adversarial"][shown] * 255).astype("uint8")
    return two
