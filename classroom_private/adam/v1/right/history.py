"""Keeps every gradient, and computes the averages as weighted sums: their weights add up to 1 without a correction."""

import numpy as np


def weighted(values, beta):
    weights = beta ** np.arange(len(values))[::-1]
    return np.tensordot(weights / weights.sum(), np.array(values), 1)


class Adam:
    def __init__(self, learning_rate, beta1, beta2, epsilon, decay):
        self.constants = learning_rate, beta1, beta2, epsilon, decay
        self.gradients = []

    def step(self, value, gradient):
        learning_rate, beta1, beta2, epsilon, decay = self.constants
        self.gradients.append(np.array(gradient))
        direction = weighted(self.gradients, beta1)
        spread = weighted([g * g for g in self.gradients], beta2) ** 0.5
        moved = value - learning_rate * direction / (spread + epsilon)
        return moved - learning_rate * decay * value


def batches(orders, size):
    for epoch, order in enumerate(orders):
        order = list(order)
        while order:
            yield epoch, order[:size]
            del order[:size]


def train(model, value, x, y, orders, batch_size, learning_rate, decay):
    adam = Adam(learning_rate, 0.9, 0.999, 1e-8, decay)
    losses = np.zeros(len(orders))
    for epoch, batch in batches(orders, batch_size):
        loss, gradient = model.loss_and_gradient(value, x[batch], y[batch])
        losses[epoch] += loss * len(batch) / len(x)
        value = adam.step(value, gradient)
    return value, losses
