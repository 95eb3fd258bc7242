"""mygrad: the MLP.  mygrad ships no Adam: a user writes the paper's, or one on flat arrays, as in minirobust."""

from collections.abc import Iterator

import mygrad as mg
from mygrad.nnet.activations import sigmoid
from mygrad.nnet.losses import softmax_crossentropy

from ..data import Work
from . import Contender
from .numpy_adam import FlatAdam, TextbookAdam


def training(work: Work) -> list[Contender]:
    if work.model != "mlp":
        return []
    return [
        Contender("mygrad, Adam", _epochs(work, TextbookAdam(work.parameters)).__next__),
        Contender("mygrad, flat Adam", _epochs(work, FlatAdam(work.parameters)).__next__),
    ]


def _epochs(work: Work, optimizer: TextbookAdam | FlatAdam) -> Iterator[float]:
    mg.turn_memory_guarding_off()  # a safety check that costs time in every operation
    x, y = work.flat, work.y
    weight1, bias1, weight2, bias2 = tensors = [mg.tensor(value, copy=False) for value in optimizer.parameters]
    epoch = 0
    while True:
        epoch += 1
        total = 0.0
        for rows in work.batches(epoch):
            hidden = sigmoid(mg.matmul(x[rows], weight1) + bias1)
            loss = softmax_crossentropy(mg.matmul(hidden, weight2) + bias2, y[rows])
            loss.backward()
            optimizer.step([tensor.grad for tensor in tensors])
            total += loss.item() * len(rows)
        yield total / len(x)
