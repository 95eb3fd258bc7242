import numpy as np


class Convolution:
    def __init__(self, weight, bias, dilation, padding):
        self.weight = weight
        self.bias = bias
        self.dilation = dilation
        self.padding = padding

    def forward(self, x):
        self.shape = x.shape
        rows, columns = (np.arange(k) * self.dilation for k in self.weight.shape[:2])
        self.first = [0, 0]
        if self.padding == "same":
            self.first = [rows[-1] // 2, columns[-1] // 2]
            x = np.pad(
                x,
                [
                    (0, 0),
                    (rows[-1] // 2, rows[-1] - rows[-1] // 2),
                    (columns[-1] // 2, columns[-1] - columns[-1] // 2),
                    (0, 0),
                ],
            )
        self.padded = x
        self.offsets = rows[:, None], columns
        y = []
        for i in range(x.shape[1] - rows[-1]):
            y.append([])
            for j in range(x.shape[2] - columns[-1]):
                window = x[:, i + rows[:, None], j + columns]
                y[-1].append(np.tensordot(window, self.weight, 3) + self.bias)
        return np.moveaxis(np.array(y), 2, 0)

    def backward(self, grad_y):
        self.grad_weight = np.zeros_like(self.weight)
        self.grad_bias = np.zeros_like(self.bias)
        grad = np.zeros_like(self.padded)
        rows, columns = self.offsets
        for i, j in np.ndindex(grad_y.shape[1:3]):
            g = grad_y[:, i, j]
            self.grad_bias = self.grad_bias + g.sum(axis=0)
            self.grad_weight = self.grad_weight + np.tensordot(self.padded[:, i + rows, j + columns], g, [[0], [0]])
            grad[:, i + rows, j + columns] += np.tensordot(g, self.weight, [[1], [3]])
        top, start = self.first
        return grad[:, top : top + self.shape[1], start : start + self.shape[2]]
