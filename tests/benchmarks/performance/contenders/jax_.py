"""JAX: a compiled step with Adam from the paper, and compiled gradients.

PGD and the pixel attack are left out: compiled shapes are fixed, so images that are fooled already could not leave.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ..data import Work
from . import Contender
from .numpy_adam import BETA1, BETA2, EPSILON, LR

CHUNK = {"mlp": 1000, "cnn": 250}  # images at a time outside training: the fastest of 125, 250, 500, 1000, ...


def training(work: Work) -> list[Contender]:
    return [Contender("JAX", _epochs(work).__next__)]


def input_gradient(work: Work) -> list[Contender]:
    return [Contender("JAX", _on_chunks(work, lambda parameters, x, y: _gradient(work.model, parameters, x, y)[1]))]


def fgsm(work: Work, epsilon: float) -> list[Contender]:
    def attack(parameters, x, y):
        logits, gradient = _gradient(work.model, parameters, x, y)
        images = jnp.clip(x + epsilon * jnp.sign(gradient), 0, 1)
        after = _logits(work.model, parameters, images)
        return jnp.stack([logits.argmax(1) != y, after.argmax(1) != y], axis=1)

    run = _on_chunks(work, attack)
    return [Contender("JAX", run, lambda columns: np.asarray(columns).T)]


def _logits(model, parameters, x):
    if model == "cnn":
        *convolutions, weight1, bias1, weight2, bias2 = parameters
        for weight, bias in zip(convolutions[::2], convolutions[1::2], strict=True):
            x = jax.lax.conv_general_dilated(x, weight, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = _max_pool(jax.nn.sigmoid(x + bias))
        x = x.reshape(len(x), -1)
    else:
        weight1, bias1, weight2, bias2 = parameters
    return jax.nn.sigmoid(x @ weight1 + bias1) @ weight2 + bias2


def _max_pool(x):
    # The gradient of `reduce_window` is slower on a CPU than that of a maximum over a reshaped array.
    samples, height, width, channels = x.shape
    return x.reshape(samples, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def _losses(model, parameters, x, y):
    """Return the loss of each sample, and the logits."""
    logits = _logits(model, parameters, x)
    own = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - own, logits


def _gradient(model, parameters, x, y):
    def summed(x):
        losses, logits = _losses(model, parameters, x, y)
        return losses.sum(), logits

    gradient, logits = jax.grad(summed, has_aux=True)(x)
    return logits, gradient


def _arrays(work: Work):
    x = work.flat if work.model == "mlp" else work.x
    return [jnp.array(value) for value in work.parameters], jnp.array(x), jnp.array(work.y)


def _on_chunks(work: Work, function):
    """Return a call that computes `function(parameters, x, y)` in chunks, compiled, and waits for the result."""
    parameters, x, y = _arrays(work)
    compiled = jax.jit(function)
    chunk = CHUNK[work.model]

    def run():
        results = [compiled(parameters, x[i : i + chunk], y[i : i + chunk]) for i in range(0, len(x), chunk)]
        return jnp.concatenate(results).block_until_ready()

    return run


def _epochs(work: Work) -> Iterator[float]:
    @partial(jax.jit, donate_argnums=(0, 1))
    def step(parameters, state, total, x, y, rows):
        def mean_loss(parameters):
            return _losses(work.model, parameters, x[rows], y[rows])[0].mean()

        loss, gradients = jax.value_and_grad(mean_loss)(parameters)
        return *adam_step(parameters, gradients, state), total + loss * len(rows)

    parameters, x, y = _arrays(work)
    state, epoch = adam_state(parameters), 0
    while True:
        epoch += 1
        total = jnp.zeros(())
        for rows in work.batches(epoch):
            parameters, state, total = step(parameters, state, total, x, y, rows)
        yield float(total) / len(x)


def adam_state(parameters):
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return zeros, jax.tree.map(jnp.zeros_like, parameters), jnp.zeros(())


def adam_step(parameters, gradients, state):
    """Return the parameters and the state after a step of Algorithm 1 of Kingma & Ba (2015)."""
    m, v, t = state
    t += 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g**2, v, gradients)

    def updated(parameter, m, v):
        return parameter - LR * (m / (1 - BETA1**t)) / (jnp.sqrt(v / (1 - BETA2**t)) + EPSILON)

    return jax.tree.map(updated, parameters, m, v), (m, v, t)
