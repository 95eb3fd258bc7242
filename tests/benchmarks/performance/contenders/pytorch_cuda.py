"""PyTorch on CUDA: eager, and with whole steps recorded in a CUDA graph.  For `gpu.py`, not for `all.py`."""

from collections.abc import Iterator
from functools import partial

import torch
from torch.nn.functional import cross_entropy

from ..data import BATCH, Work
from . import Contender
from .pytorch import Attacked, _epochs, _images, _in_our_layout, _network

CHUNK = 10_000


def contenders(function: str, work: Work, arguments: tuple, device: str) -> list[Contender]:
    """Return PyTorch's contenders for a contest; without CUDA the eager one alone, as a rehearsal.

    PyTorch's convolutions round their factors to ten binary digits (TF32) unless told not to.  Ours do not, so the
    contenders "in float32" are the ones to compare with; the others show what TF32 gains.
    """
    graph = device == "cuda"
    if function == "training":
        eager = Contender("PyTorch, fused Adam", _waiting(_epochs(work, fused=True, device=device).__next__, device))
        return (
            [eager, Contender("PyTorch, CUDA graph", _waiting(_recorded(work).__next__, device))] if graph else [eager]
        )
    attacked = Attacked(work, device=device, chunk=CHUNK)
    if function == "input_gradient":
        run = _waiting(attacked.input_gradient, device)
        return [
            Contender("PyTorch", _with_tf32(run, True), _in_our_layout),
            Contender("PyTorch, in float32", _with_tf32(run, False), _in_our_layout),
        ]
    run = partial(getattr(attacked, function), *arguments)
    return [Contender("PyTorch", _waiting(run, device), lambda rows: rows.numpy(force=True))]


def _waiting(call, device):
    """Return a function that makes the call and waits for the device."""

    def run():
        result = call()
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    return run


def _with_tf32(call, allowed):
    """Return a function that makes the call with PyTorch's default, or with convolutions in float32."""

    def run():
        torch.backends.cudnn.allow_tf32 = allowed
        try:
            return call()
        finally:
            torch.backends.cudnn.allow_tf32 = True

    return run


def _recorded(work: Work) -> Iterator[float]:
    """Train as `_epochs` does, each full batch by replaying one recorded step; a smaller last batch runs eagerly."""
    network = _network(work).to("cuda")
    optimizer = torch.optim.Adam(network.parameters(), fused=True, capturable=True)
    x, y = _images(work, False).to("cuda"), torch.from_numpy(work.y).to("cuda")
    images, labels = x[:BATCH].clone(), y[:BATCH].clone()

    def step(images, labels):
        optimizer.zero_grad(set_to_none=False)
        loss = cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    before = [parameter.detach().clone() for parameter in network.parameters()]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # recording needs a few steps on a stream of their own before it
        for _ in range(3):
            step(images, labels)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = step(images, labels)
    with torch.no_grad():  # start where the others start
        for parameter, value in zip(network.parameters(), before, strict=True):
            parameter.copy_(value)
        for state in optimizer.state.values():
            for value in state.values():
                value.zero_()
    epoch = 0
    while True:
        epoch += 1
        total = torch.zeros((), device="cuda")
        for rows in (torch.from_numpy(rows).to("cuda") for rows in work.batches(epoch)):
            if len(rows) == BATCH:
                images.copy_(x[rows])
                labels.copy_(y[rows])
                graph.replay()
                total += recorded * len(rows)
            else:
                total += step(x[rows], y[rows]) * len(rows)
        yield total.item() / len(x)
