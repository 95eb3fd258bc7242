"""Several threads, each with its own networks: they do not affect each other."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np

import minirobust as mr

THREADS = 4


def networks(thread, backend):
    """An MLP and a convolutional network with dropout; other seeds in every thread."""
    convolutional = [
        mr.Conv2D(4, 3, padding="same"),
        mr.TemperatureSigmoid(0.5),
        mr.MaxPool2D(2),
        mr.Flatten(),
        mr.Dropout(0.2),
        mr.Dense(10),
    ]
    return [
        mr.models.mlp(0.25, (8, 8, 1), hidden=16, backend=backend, seed=thread),
        mr.Network(convolutional, (8, 8, 1), backend=backend, seed=100 + thread),
    ]


def work(thread, backend, start=lambda: None):
    """Trains both networks in turn, asks them things in between, and gives everything that came out, as bytes."""
    rng = np.random.default_rng(thread)
    x, y = rng.random((96, 8, 8, 1)).astype("float32"), rng.integers(0, 10, 96)
    nets = networks(thread, backend)
    runs = [mr.epochs(net, mr.Adam(net, lr=0.01), (x, y), epochs=4, batch_size=16, seed=thread) for net in nets]
    start()
    results = []
    for records in zip(*runs, strict=True):
        results += [record.loss for record in records]
        for net in nets:
            answers = net.predict(x), net.predict_proba(x), net.input_gradient(x[:20], y[:20]), net.parameters
            results += [backend.to_numpy(answer).tobytes() for answer in answers]
    return results


def test_threads_with_separate_networks_get_the_same_results_as_alone(backend):
    alone = [work(thread, backend) for thread in range(THREADS)]
    together = Barrier(THREADS, timeout=30)
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(work, thread, backend, together.wait) for thread in range(THREADS)]
        at_once = [future.result() for future in futures]
    assert at_once == alone
    assert alone[0] != alone[1]
