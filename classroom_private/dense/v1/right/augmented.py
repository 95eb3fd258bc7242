import numpy as np


class Dense:
    def __init__(self, weight, bias):
        self.table = np.column_stack([weight, bias])

    def forward(self, x):
        ones = np.ones((x.shape[0], 1), x.dtype)
        self.extended = np.hstack([x, ones])
        return np.inner(self.extended, self.table)

    def backward(self, grad_y):
        table = np.tensordot(grad_y, self.extended, axes=(0, 0))
        self.grad_weight, self.grad_bias = table[:, :-1], table[:, -1]
        return np.inner(grad_y, self.table[:, :-1].T)
