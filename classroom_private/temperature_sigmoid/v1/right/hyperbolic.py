import numpy as np


class TemperatureSigmoid:
    def __init__(self, temperature):
        self.temperature = temperature

    def forward(self, net):
        self.half = net / self.temperature / 2
        return np.tanh(self.half) / 2 + 0.5

    def backward(self, grad_y):
        return grad_y / self.temperature / (2 * np.cosh(self.half)) ** 2
