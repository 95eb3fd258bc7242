# mistake: nearly right
import numpy as np


class TemperatureSigmoid:
    def __init__(self, temperature):
        self.temperature = temperature

    def forward(self, net):
        self.net = net
        e = np.exp(-abs(net) / self.temperature)
        return np.where(net >= 0, 1 / (1 + e), e / (1 + e))

    def backward(self, grad_y):
        net, h = self.net, 1e-4
        slope = (self.forward(net + h) - self.forward(net - h)) / (2 * h)
        self.net = net
        return grad_y * slope
