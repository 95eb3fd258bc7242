# mistake: overflow
import numpy as np


class TemperatureSigmoid:
    def __init__(self, temperature):
        self.temperature = temperature

    def forward(self, net):
        self.net = net
        return 1 / (1 + np.exp(-net / self.temperature))

    def backward(self, grad_y):
        e = np.exp(-abs(self.net) / self.temperature)
        return grad_y * e / (1 + e) ** 2 / self.temperature
