import numpy as np


class Adam:
    def __init__(self, learning_rate, beta1, beta2, epsilon, decay):
        self.rate = learning_rate
        self.b1, self.b2 = beta1, beta2
        self.epsilon = epsilon
        self.decay = decay
        self.mean, self.square, self.count = 0, 0, 0

    def step(self, value, gradient):
        self.count += 1
        self.mean = self.b1 * self.mean + (1 - self.b1) * gradient
        self.square = self.b2 * self.square + (1 - self.b2) * gradient**2
        mean = self.mean / (1 - self.b1**self.count)
        square = self.square / (1 - self.b2**self.count)
        return value - self.rate * (mean / (np.sqrt(square) + self.epsilon) + self.decay * value)


def train(model, value, x, y, orders, batch_size, learning_rate, decay):
    adam = Adam(learning_rate, 0.9, 0.999, 1e-8, decay)
    losses = []
    for order in orders:
        total = 0
        for start in range(0, order.size, batch_size):
            batch = order[start : start + batch_size]
            loss, gradient = model.loss_and_gradient(value, x[batch], y[batch])
            value = adam.step(value, gradient)
            total += loss * batch.size
        losses.append(total / order.size)
    return value, np.array(losses)
