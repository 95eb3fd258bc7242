# mistake: writes into x
import numpy as np


class KthLargestPool:
    def __init__(self, window, stride, k):
        self.window = window
        self.stride = stride
        self.k = k

    def forward(self, x):
        self.x = x
        N, H, W, C = x.shape
        h, w = self.window
        a, b = self.stride
        rows = int(np.ceil((H - h) / a)) + 1
        columns = int(np.ceil((W - w) / b)) + 1
        y = np.zeros((N, rows, columns, C))
        self.winner = {}
        for n in range(N):
            for i in range(rows):
                for j in range(columns):
                    for c in range(C):
                        patch = x[n, i * a : i * a + h, j * b : j * b + w, c]
                        order = np.argsort(-patch.ravel(), kind="stable")
                        best = order[min(self.k, patch.size) - 1]
                        y[n, i, j, c] = patch.ravel()[best]
                        row, column = divmod(best, patch.shape[1])
                        self.winner[n, i, j, c] = i * a + row, j * b + column
        x -= 1
        return y

    def backward(self, grad_y):
        grad_x = np.zeros(self.x.shape)
        for (n, i, j, c), (row, column) in self.winner.items():
            grad_x[n, row, column, c] += grad_y[n, i, j, c]
        return grad_x


class AveragePool:
    def __init__(self, window, stride):
        self.window = window
        self.stride = stride

    def forward(self, x):
        self.shape = x.shape
        N, H, W, C = x.shape
        h, w = self.window
        a, b = self.stride
        rows = int(np.ceil((H - h) / a)) + 1
        columns = int(np.ceil((W - w) / b)) + 1
        y = np.zeros((N, rows, columns, C))
        for i in range(rows):
            for j in range(columns):
                y[:, i, j] = x[:, i * a : i * a + h, j * b : j * b + w].mean(axis=(1, 2))
        x -= 1
        return y

    def backward(self, grad_y):
        grad_x = np.zeros(self.shape)
        h, w = self.window
        a, b = self.stride
        for i in range(grad_y.shape[1]):
            for j in range(grad_y.shape[2]):
                patch = grad_x[:, i * a : i * a + h, j * b : j * b + w]
                patch += grad_y[:, i, j][:, None, None] / (patch.shape[1] * patch.shape[2])
        return grad_x
