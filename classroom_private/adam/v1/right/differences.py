"""The averages move towards the gradient; the decay shrinks the value first; correction in the learning rate."""

import numpy as np


class Adam:
    def __init__(self, learning_rate, beta1, beta2, epsilon, decay):
        self.keep = np.array([beta1, beta2])
        self.power = np.ones(2)
        self.rate = learning_rate
        self.epsilon = epsilon
        self.shrink = 1 - learning_rate * decay
        self.averages = None

    def step(self, value, gradient):
        if self.averages is None:
            self.averages = [np.zeros(value.shape), np.zeros(value.shape)]
        self.power = self.power * self.keep
        for average, beta, target in zip(self.averages, self.keep, (gradient, np.square(gradient))):
            average += (1 - beta) * (target - average)
        m, v = self.averages
        root = np.sqrt(1 - self.power[1])
        rate = self.rate * root / (1 - self.power[0])
        return self.shrink * value - rate * m / (np.sqrt(v) + root * self.epsilon)


def train(model, value, x, y, orders, batch_size, learning_rate, decay):
    optimizer = Adam(learning_rate, 0.9, 0.999, 1e-8, decay)
    means = np.empty(orders.shape[0])
    for epoch, order in enumerate(orders):
        cuts = np.arange(batch_size, len(order), batch_size)
        batches = zip(np.split(x[order], cuts), np.split(y[order], cuts))
        seen = []
        for images, labels in batches:
            loss, slope = model.loss_and_gradient(value, images, labels)
            seen += [float(loss)] * len(labels)
            value = optimizer.step(value, slope)
        means[epoch] = np.mean(seen)
    return value, means
