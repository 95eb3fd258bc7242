"""autograd: the MLP with the Adam that it ships, and with one on flat arrays, which leaves the price of the graph."""

from collections.abc import Iterator

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from autograd.misc.optimizers import adam
from autograd.scipy.special import expit, logsumexp

from ..data import Work
from . import Contender
from .numpy_adam import BETA1, BETA2, EPSILON, LR, FlatAdam


def training(work: Work) -> list[Contender]:
    if work.model != "mlp":
        return []  # it has no convolution that one would train with
    return [
        Contender("autograd, its Adam", _epochs_with_its_adam(work).__next__),
        Contender("autograd, flat Adam", _epochs_with_flat_adam(work).__next__),
    ]


def _loss(parameters, x, targets):
    weight1, bias1, weight2, bias2 = parameters
    logits = anp.dot(expit(anp.dot(x, weight1) + bias1), weight2) + bias2
    return anp.mean(logsumexp(logits, axis=1) - anp.sum(logits * targets, axis=1))


_loss_and_gradient = value_and_grad(_loss)


def _epochs_with_its_adam(work: Work) -> Iterator[float]:
    """Yield mean losses; the optimizer starts again with averages of zero in every epoch."""
    x, targets = work.flat, np.eye(10, dtype="float32")[work.y]
    parameters, epoch = [value.copy() for value in work.parameters], 0
    while True:
        epoch += 1
        batches, losses = work.batches(epoch), []

        def gradient(parameters, step, batches=batches, losses=losses):
            rows = batches[step]
            loss, gradients = _loss_and_gradient(parameters, x[rows], targets[rows])
            losses.append(loss * len(rows))
            return gradients

        parameters = adam(gradient, parameters, num_iters=len(batches), step_size=LR, b1=BETA1, b2=BETA2, eps=EPSILON)
        yield sum(losses) / len(x)


def _epochs_with_flat_adam(work: Work) -> Iterator[float]:
    x, targets = work.flat, np.eye(10, dtype="float32")[work.y]
    optimizer, epoch = FlatAdam(work.parameters), 0
    while True:
        epoch += 1
        total = 0.0
        for rows in work.batches(epoch):
            loss, gradients = _loss_and_gradient(optimizer.parameters, x[rows], targets[rows])
            optimizer.step(gradients)
            total += loss * len(rows)
        yield total / len(x)
