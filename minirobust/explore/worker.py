"""A process that computes for the page: ``python -m minirobust.explore.worker NICE [CHECKPOINT]``.

It reads one job per line, as JSON, from standard input, and writes one answer per line to standard output.  It ends as
soon as standard input is closed, so it never outlives the server, however the server ends.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minirobust import models
from minirobust.explore import shipped
from minirobust.explore.laboratory import EPSILONS, EXPONENTS, WALL, Answer, CancelledError, Laboratory, encoded, grey
from minirobust.layers import TemperatureSigmoid
from minirobust.network import Network
from minirobust.optimizers import Adam
from minirobust.saving.checkpoint import load

EPOCHS = 30
CACHED = ("fgsm", "strongest", "certificate", "wall", "units")


class Worker:
    """A laboratory, the generation of its weights, and a cache of answers."""

    def __init__(self, checkpoint: Path | None) -> None:
        self.checkpoint = checkpoint
        self.x, self.y = shipped.digits()
        self.replace(None, 0)

    def answer(self, task: str, arguments: dict[str, Any], check: Callable[[], None]) -> Iterator[Answer]:
        """Yield the answers to one job."""
        if task == "train":
            yield from train(self.x, self.y, check, **arguments)
        elif task == "replace":
            self.replace(**arguments)
        elif task == "describe":
            yield describe(self.laboratory)
        elif task == "digit":
            pixels = np.frombuffer(base64.b64decode(arguments["pixels"]), "uint8").reshape(28, 28, 1)
            yield self.laboratory.digit(pixels, arguments["label"], arguments["t"], arguments["e"], check)
        elif task in CACHED:
            key = (task, *map(str, arguments.values()))
            if key not in self.answers:
                self.answers[key] = getattr(self.laboratory, task)(**arguments, check=check)
            yield self.answers[key]

    def replace(self, parameters: str | None, generation: int) -> None:
        """Use other weights in the study's network at T = 1, or without parameters, the original network."""
        if parameters is None:
            network = opened(self.checkpoint)
        else:
            network = models.mlp(1.0)
            network.parameters = np.frombuffer(base64.b64decode(parameters), "float32")
        self.laboratory, self.generation = Laboratory(network, self.x, self.y), generation
        self.answers: dict[tuple[str, ...], Answer] = {}


def describe(laboratory: Laboratory) -> Answer:
    """Return the information that the page needs before it asks for numbers."""
    return {
        "exponents": list(EXPONENTS),
        "epsilons": list(EPSILONS),
        "images": grey(laboratory.x[:WALL]),
        "labels": laboratory.y[:WALL].tolist(),
        "default": laboratory.default_digit(),
        "samples": len(laboratory.y),
    }


def train(x: np.ndarray, y: np.ndarray, check: Callable[[], None], epochs: int = EPOCHS) -> Iterator[Answer]:
    """Train on the shipped digits, and yield the weights after every epoch."""
    from minirobust.data import load as load_data
    from minirobust.training import epochs as train_epochs

    network = models.mlp(1.0)
    for epoch in train_epochs(network, Adam(network, lr=1e-3), load_data("digits"), epochs):
        check()
        accuracy = float((network.predict(x) == y).mean())
        yield {"epoch": epoch.epoch, "of": epochs, "accuracy": accuracy, "parameters": encoded(network.parameters)}


def opened(checkpoint: Path | None) -> Network:
    """Return the network of a checkpoint, or the shipped one.

    Raises
    ------
    ValueError
        If the page cannot show the network: it must take greyscale images of 28 × 28 pixels, have ten classes, and have
        a temperature sigmoid as its last activation.
    """
    if checkpoint is None:
        return shipped.network()
    network = load(checkpoint).network
    shapes = f"{network.input_shape} to {network.output_shape}"
    if (network.input_shape, network.output_shape) != ((28, 28, 1), (10,)):
        raise ValueError(f"CHECKPOINT: expected a network from (28, 28, 1) to (10,), got {shapes}")
    network.expect_logits()
    if not isinstance(network.last_activation, TemperatureSigmoid):
        raise ValueError(f"CHECKPOINT: expected TemperatureSigmoid as last activation, got {network.last_activation!r}")
    return network


class Jobs:
    """The jobs that a thread reads from standard input, and the numbers of those that were cancelled."""

    def __init__(self) -> None:
        self.waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.cancelled: set[int] = set()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        """Queue jobs, note cancellations, and end the process when standard input is closed."""
        for line in sys.stdin:
            job = json.loads(line)
            if "cancel" in job:
                self.cancelled.add(job["cancel"])
            else:
                self.waiting.put(job)
        os._exit(0)

    def check(self, number: int) -> None:
        """Raise CancelledError if the job was cancelled."""
        if number in self.cancelled:
            raise CancelledError


def respond(worker: Worker, jobs: Jobs, job: dict[str, Any]) -> Iterator[str]:
    """Yield one line per answer to a job, and one for its end."""
    number = job["number"]
    end: Answer = {"end": True}
    try:
        jobs.check(number)
        for answer in worker.answer(job["task"], job["arguments"], partial(jobs.check, number)):
            line = {"number": number, "answer": answer | {"generation": worker.generation}}
            yield json.dumps(line, allow_nan=False)
    except CancelledError:
        pass  # the server no longer listens
    except Exception as error:
        end["error"] = f"{type(error).__name__}: {error}"
    jobs.cancelled.discard(number)
    yield json.dumps({"number": number} | end)


def main() -> None:
    """Answer jobs until standard input is closed."""
    answers, sys.stdout = sys.stdout, sys.stderr  # other output must not look like an answer
    jobs = Jobs()
    nice, *checkpoint = sys.argv[1:]
    if hasattr(os, "nice"):
        os.nice(int(nice))
    worker = Worker(Path(checkpoint[0]) if checkpoint else None)
    while True:
        for line in respond(worker, jobs, jobs.waiting.get()):
            try:
                print(line, file=answers, flush=True)
            except BrokenPipeError:  # the server was killed
                os._exit(0)


if __name__ == "__main__":
    main()
