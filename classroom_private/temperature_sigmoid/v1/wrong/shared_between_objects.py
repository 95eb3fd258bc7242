# mistake: shared between objects
import numpy as np


class TemperatureSigmoid:
    kept = {}  # noqa: RUF012

    def __init__(self, temperature):
        self.temperature = temperature

    def forward(self, net):
        self.kept["net"] = net
        e = np.exp(-abs(net) / self.temperature)
        return np.where(net >= 0, 1 / (1 + e), e / (1 + e))

    def backward(self, grad_y):
        e = np.exp(-abs(self.kept["net"]) / self.temperature)
        return grad_y * e / (1 + e) ** 2 / self.temperature
