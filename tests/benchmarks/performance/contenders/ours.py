"""minirobust on every backend that runs here."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

import minirobust as mr

from ..data import BATCH, Work
from . import Contender


@cache
def backends() -> list[mr.backend.NumpyBackend]:
    """Return the backends that run here, NumPy first, and print why the others do not."""
    found = []
    for name in sorted(mr.backend.BACKENDS, key=lambda name: name != "numpy"):
        try:
            found.append(mr.backend.get(name))
        except mr.backend.BackendError as error:
            print(f"left out: {error}")
    return found


def synchronized(backend: mr.backend.NumpyBackend, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that makes the call and waits for the device, if there is one."""
    if backend.name != "cupy":
        return call

    def run():
        result = call()
        backend.xp.cuda.get_current_stream().synchronize()
        return result

    return run


def training(work: Work) -> list[Contender]:
    def start(network, x, y):
        epochs = mr.epochs(network, mr.Adam(network), (x, y), epochs=1_000_000, batch_size=BATCH)
        return lambda: next(epochs).loss

    return _on_every_backend(work, start)


def input_gradient(work: Work) -> list[Contender]:
    return _on_every_backend(work, lambda network, x, y: lambda: network.input_gradient(x, y))


def fgsm(work: Work, epsilon: float) -> list[Contender]:
    return _attacks(work, mr.attacks.fgsm, epsilon=epsilon)


def pgd(work: Work, epsilon: float, steps: int, starts: int) -> list[Contender]:
    return _attacks(work, mr.attacks.pgd, epsilon=epsilon, steps=steps, starts=starts)


def square(work: Work, epsilon: float, queries: int) -> list[Contender]:
    return _attacks(work, mr.attacks.square, epsilon=epsilon, queries=queries)


def pixel(work: Work, pixels: int) -> list[Contender]:
    def start(network, x, y):
        return lambda: mr.attacks.pixel(network, x, y, pixels).fooled_at

    return _on_every_backend(work, start)


def _attacks(work: Work, attack: Callable[..., mr.attacks.Attack], **arguments: float) -> list[Contender]:
    def start(network, x, y):
        return lambda: attack(network, x, y, **arguments)

    def to_numpy(backend, result):
        return np.stack([~backend.to_numpy(result.clean_correct), backend.to_numpy(result.fooled)])

    return _on_every_backend(work, start, to_numpy)


def _on_every_backend(
    work: Work,
    start: Callable[..., Callable[[], Any]],
    to_numpy: Callable[[mr.backend.NumpyBackend, Any], np.ndarray] = lambda backend, result: backend.to_numpy(result),
) -> list[Contender]:
    """Return a contender for each backend; `start` gets a network, images and labels, and returns the call to time."""
    contenders = []
    for backend in backends():
        network = getattr(mr.models, work.model)(1.0, backend=backend)
        network.parameters = backend.asarray(np.concatenate([value.ravel() for value in work.parameters]))
        run = start(network, backend.asarray(work.x), backend.asarray(work.y))
        name = f"minirobust, {backend.name}"
        contenders.append(Contender(name, synchronized(backend, run), partial(to_numpy, backend)))
    return contenders
