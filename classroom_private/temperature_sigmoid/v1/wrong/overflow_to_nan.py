# mistake: overflow to NaN
import numpy as np


class TemperatureSigmoid:
    def __init__(self, temperature):
        self.temperature = temperature

    def forward(self, net):
        self.net = net
        e = np.exp(net / self.temperature)
        return e / (e + 1)

    def backward(self, grad_y):
        e = np.exp(-abs(self.net) / self.temperature)
        return grad_y * e / (1 + e) ** 2 / self.temperature
