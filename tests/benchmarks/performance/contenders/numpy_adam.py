"""Adam in NumPy, for libraries that compute gradients of NumPy arrays."""

import numpy as np

LR, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


class TextbookAdam:
    """Array by array, as in the paper."""

    def __init__(self, values):
        self.parameters = [value.copy() for value in values]
        self.m, self.v, self.t = [0 * value for value in values], [0 * value for value in values], 0

    def step(self, gradients):
        self.t += 1
        for i, gradient in enumerate(gradients):
            self.m[i] = BETA1 * self.m[i] + (1 - BETA1) * gradient
            self.v[i] = BETA2 * self.v[i] + (1 - BETA2) * gradient**2
            m_hat = self.m[i] / (1 - BETA1**self.t)
            v_hat = self.v[i] / (1 - BETA2**self.t)
            self.parameters[i] -= LR * m_hat / (np.sqrt(v_hat) + EPSILON)


class FlatAdam:
    """On one flat array, as in minirobust; `parameters` are views of it."""

    def __init__(self, values):
        self.flat = np.concatenate([value.ravel() for value in values])
        ends = np.cumsum([value.size for value in values])[:-1]
        pieces = np.split(self.flat, ends)
        self.parameters = [piece.reshape(value.shape) for piece, value in zip(pieces, values, strict=True)]
        self.m, self.v, self.t = np.zeros_like(self.flat), np.zeros_like(self.flat), 0

    def step(self, gradients):
        self.t += 1
        gradient = np.concatenate([g.ravel() for g in gradients])
        self.m *= BETA1
        self.m += (1 - BETA1) * gradient
        self.v *= BETA2
        self.v += (1 - BETA2) * gradient * gradient
        denominator = np.sqrt(self.v / (1 - BETA2**self.t))
        denominator += EPSILON
        self.flat -= (LR / (1 - BETA1**self.t)) * self.m / denominator
