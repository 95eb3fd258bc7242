# mistake: mean
import numpy as np


class TemperatureSigmoid:
    def __init__(self, temperature):
        self.temperature = temperature

    def forward(self, net):
        self.net = net
        e = np.exp(-abs(net) / self.temperature)
        return np.where(net >= 0, 1 / (1 + e), e / (1 + e))

    def backward(self, grad_y):
        e = np.exp(-abs(self.net) / self.temperature)
        return grad_y * e / (1 + e) ** 2 / self.temperature / len(grad_y)
