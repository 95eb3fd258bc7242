"""How the cost grows with images, batch size, hidden units, pixels and temperatures."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import minirobust as mr
from minirobust.study import PRESETS
from minirobust.study.execution import task as run

from .contenders.ours import backends, synchronized
from .data import BATCH
from .timing import ratios, spread, take_turns, timed

FACTORS = (1, 2, 4, 8)
STEPS = 50  # of training in one call

Call = Callable[[], object]
Backend = mr.backend.NumpyBackend


def images(backend: Backend, images: int) -> Call:
    network = mr.models.mlp(1.0, backend=backend)
    x, y = _noise(network, images)
    return lambda: mr.attacks.fgsm(network, x, y)


def batch_size(backend: Backend, batch_size: int) -> Call:
    return _training(mr.models.mlp(1.0, backend=backend), batch_size)


def hidden_units(backend: Backend, hidden: int) -> Call:
    return _training(mr.models.mlp(1.0, hidden=hidden, backend=backend), BATCH)


def pixels(backend: Backend, pixels: int) -> Call:
    return _training(mr.models.mlp(1.0, (14, pixels // 14, 1), backend=backend), BATCH)


def temperatures(backend: Backend, temperatures: int) -> Call:
    config = PRESETS["mnist"].but(dataset="digits", epochs=1, backend=backend.name)

    def call():
        with tempfile.TemporaryDirectory() as folder:
            for temperature in config.temperatures[-temperatures:]:  # the highest
                run.train(config, temperature, 0, Path(folder))

    return call


# What grows, what is computed, the smallest size, and the function that returns the call for a backend and a size.
SERIES = [
    ("images", "FGSM with its evaluation", 1_000, images),
    ("batch size", f"{STEPS} training steps", 16, batch_size),
    ("hidden units", f"{STEPS} training steps", 64, hidden_units),
    ("pixels", f"{STEPS} training steps", 14 * 14, pixels),
    ("temperatures", "a study of 4,000 digits, one epoch each", 1, temperatures),
]


def table(rounds: int, clock: Callable[[], float]) -> list[list[str]]:
    """Return a row for each series on each of our backends: the smallest size's seconds, ratios to it, the exponent."""
    title = ["what grows", "work", "backend", "from", "seconds", *(f"× {factor}" for factor in FACTORS[1:]), "exponent"]
    rows = [title]
    for name, work, smallest, prepare in SERIES:
        for backend in backends():
            calls = {size: synchronized(backend, prepare(backend, smallest * size)) for size in FACTORS}
            rows.append([name, work, backend.name, f"{smallest:,}", *_grown(calls, rounds, clock)])
    return rows


def _grown(calls: dict[int, Call], rounds: int, clock: Callable[[], float]) -> list[str]:
    for call in calls.values():
        call()  # warms up
    first, *others = take_turns({size: timed(call, clock) for size, call in calls.items()}, rounds).values()
    grown = [ratios(seconds, first) for seconds in others]
    exponents = [exponent([1, *costs]) for costs in zip(*grown, strict=True)]
    return [spread(first, ".3g"), *map(spread, grown), spread(exponents)]


def exponent(costs: list[float]) -> float:
    """Return p of the least-squares fit cost ∝ sizeᵖ, for sizes that double."""
    return float(np.polyfit(np.log(FACTORS), np.log(costs), 1)[0])


def _training(network: mr.Network, batch_size: int) -> Call:
    x, y = _noise(network, STEPS * batch_size)
    epochs = mr.epochs(network, mr.Adam(network), (x, y), epochs=1_000_000, batch_size=batch_size)
    return lambda: next(epochs)


def _noise(network: mr.Network, images: int):
    rng = np.random.default_rng(0)
    x, y = rng.random((images, *network.input_shape), dtype=np.float32), rng.integers(0, 10, images)
    return network.backend.asarray(x), network.backend.asarray(y)
