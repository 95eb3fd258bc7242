# mistake: grad_weight of one sample
import numpy as np


class Convolution:
    def __init__(self, weight, bias, dilation, padding):
        self.weight = weight
        self.bias = bias
        self.dilation = dilation
        self.padding = padding

    def forward(self, x):
        self.shape = x.shape
        kh, kw = self.weight.shape[:2]
        d = self.dilation
        self.top = self.left = 0
        if self.padding == "same":
            rows, columns = d * (kh - 1), d * (kw - 1)
            self.top, self.left = rows // 2, columns // 2
            x = np.pad(x, ((0, 0), (self.top, rows - self.top), (self.left, columns - self.left), (0, 0)))
        self.x = x
        h, w = x.shape[1] - d * (kh - 1), x.shape[2] - d * (kw - 1)
        y = np.zeros((len(x), h, w, len(self.bias)))
        for i in range(h):
            for j in range(w):
                window = x[:, i : i + d * (kh - 1) + 1 : d, j : j + d * (kw - 1) + 1 : d]
                y[:, i, j] = np.einsum("nabc,abcu->nu", window, self.weight) + self.bias
        return y

    def backward(self, grad_y):
        kh, kw = self.weight.shape[:2]
        d = self.dilation
        grad_x = np.zeros(self.x.shape)
        self.grad_weight = np.zeros(self.weight.shape)
        self.grad_bias = grad_y.sum(axis=(0, 1, 2))
        for i in range(grad_y.shape[1]):
            for j in range(grad_y.shape[2]):
                place = np.s_[:, i : i + d * (kh - 1) + 1 : d, j : j + d * (kw - 1) + 1 : d]
                self.grad_weight += np.einsum("abc,u->abcu", self.x[place][-1], grad_y[-1, i, j])
                grad_x[place] += np.einsum("nu,abcu->nabc", grad_y[:, i, j], self.weight)
        return grad_x[:, self.top : self.top + self.shape[1], self.left : self.left + self.shape[2]]
