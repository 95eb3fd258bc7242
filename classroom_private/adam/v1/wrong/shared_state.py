# mistake: shared state
import numpy as np


class Adam:
    state = {"m": 0, "v": 0, "t": 0}

    def __init__(self, learning_rate, beta1, beta2, epsilon, decay):
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.decay = decay

    def step(self, value, gradient):
        self.state["t"] = self.state["t"] + 1
        self.state["m"] = self.beta1 * self.state["m"] + (1 - self.beta1) * gradient
        self.state["v"] = self.beta2 * self.state["v"] + (1 - self.beta2) * gradient**2
        m = self.state["m"] / (1 - self.beta1 ** self.state["t"])
        v = self.state["v"] / (1 - self.beta2 ** self.state["t"])
        new = value - self.learning_rate * m / (np.sqrt(v) + self.epsilon)
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
