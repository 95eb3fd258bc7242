# mistake: epsilon inside the root
import numpy as np


class Adam:
    def __init__(self, learning_rate, beta1, beta2, epsilon, decay):
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.decay = decay
        self.m = 0
        self.v = 0
        self.t = 0

    def step(self, value, gradient):
        self.t = self.t + 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * gradient
        self.v = self.beta2 * self.v + (1 - self.beta2) * gradient**2
        m = self.m / (1 - self.beta1**self.t)
        v = self.v / (1 - self.beta2**self.t)
        new = value - self.learning_rate * m / np.sqrt(v + self.epsilon)
        return new - self.learning_rate * self.decay * value


def train(model, value, x, y, orders, batch_size, learning_rate, decay):
    adam = Adam(learning_rate, 0.9, 0.999, 1e-8, decay)
    losses = []
    for order in orders:
        total = 0
        for i in range(0, len(x), batch_size):
            batch = order[i : i + batch_size]
            loss, gradient = model.loss_and_gradient(value, x[batch], y[batch])
            value = adam.step(value, gradient)
            total = total + loss * len(batch)
        losses.append(total / len(x))
    return value, np.array(losses)
