import math

import numpy as np


class Windows:
    def __init__(self, window, stride):
        self.window, self.stride = window, stride

    def look(self, shape):
        """Return y's rows and columns, and the part of an image that belongs to each."""
        down = math.ceil((shape[1] - self.window[0]) / self.stride[0]) + 1
        right = math.ceil((shape[2] - self.window[1]) / self.stride[1]) + 1
        parts = {}
        for i, j in np.ndindex(down, right):
            a, b = i * self.stride[0], j * self.stride[1]
            parts[i, j] = (slice(None), slice(a, a + self.window[0]), slice(b, b + self.window[1]))
        return (shape[0], down, right, shape[3]), parts


class KthLargestPool(Windows):
    def __init__(self, window, stride, k):
        super().__init__(window, stride)
        self.k = k

    def forward(self, x):
        self.shape, self.winners = x.shape, {}
        out, parts = self.look(x.shape)
        y = np.empty(out)
        for (i, j), part in parts.items():
            pixels = x[part].reshape(out[0], -1, out[3])
            order = np.argsort(-pixels, axis=1, kind="stable")[:, : self.k]
            winner = order[:, -1:]
            self.winners[i, j] = winner
            y[:, i, j] = np.take_along_axis(pixels, winner, 1)[:, 0]
        return y

    def backward(self, grad_y):
        grad_x = np.zeros(self.shape)
        for (i, j), part in self.look(self.shape)[1].items():
            number = np.arange(grad_x[part][0, ..., 0].size)[None, :, None]
            hit = np.where(number == self.winners[i, j], grad_y[:, i, j][:, None], 0)
            grad_x[part] += hit.reshape(grad_x[part].shape)
        return grad_x


class AveragePool(Windows):
    def forward(self, x):
        self.shape = x.shape
        out, parts = self.look(x.shape)
        y = np.empty(out)
        for (i, j), part in parts.items():
            y[:, i, j] = x[part].mean(axis=(1, 2))
        return y

    def backward(self, grad_y):
        grad_x = np.zeros(self.shape)
        for (i, j), part in self.look(self.shape)[1].items():
            _, h, w, _ = grad_x[part].shape
            grad_x[part] += grad_y[:, i : i + 1, j : j + 1] / h / w
        return grad_x
