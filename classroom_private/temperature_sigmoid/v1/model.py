"""The right program, the mistakes that it can simulate, and what is known about them."""

import numpy as np

from minirobust.classroom.exercise import Mistake

MISTAKES = [
    Mistake("T missing in forward", "forward ignores the temperature: this is 1/(1 + exp(-net))", 1, "T"),
    Mistake("T inverted in forward", "forward multiplies net by T, expected net divided by T", 1, "T"),
    Mistake("T outside", "1/T is in front of the fraction, expected in the exponent", 1, "T"),
    Mistake("sign of net", "the sign in the exponent is wrong: y must rise with net", 1),
    Mistake("tanh", "this is tanh(net/T), which lies between -1 and 1; the sigmoid lies between 0 and 1", 1, "exp"),
    Mistake("overflow", "exp overflows for large |net|/T: choose a form whose exponent is never positive", 3, "exp"),
    Mistake(
        "overflow to NaN",
        "infinity divided by infinity is NaN: choose a form whose exponent is never positive",
        3,
        "exp",
    ),
    Mistake("float64", "a float32 array becomes float64: compute in the type of the input", 3),
    Mistake("1/T missing", "the factor 1/T is missing, the derivative of net/T", 2, "1/T"),
    Mistake("1/T inverted", "the gradient is multiplied by T, expected divided by T", 2, "1/T"),
    Mistake("1/T doubled", "the factor 1/T occurs twice", 2, "1/T"),
    Mistake("grad_y missing", "grad_y is not used: the chain rule multiplies by it", 2),
    Mistake("sign of the gradient", "the sign of the gradient is wrong", 2),
    Mistake("derivative of tanh", "1 - y² is the derivative of tanh, not of the sigmoid", 2, "slope"),
    Mistake("1 - y missing", "the derivative lacks the factor 1 - y", 2, "slope"),
    Mistake("y missing", "the derivative lacks the factor y", 2, "slope"),
    Mistake("net for y", "the derivative is written in terms of the output y, not of net", 2, "slope"),
    Mistake("sigmoid twice", "the sigmoid is applied to y again, but y is the sigmoid already", 2, "slope"),
    Mistake("false zeros", "1 - y rounds to 0 where y is nearly 1: the gradient is lost", 3, "slope"),
    Mistake("mean", "the gradient is divided by the number of samples: each sample has its own", 2, "reduce"),
    Mistake("sum", "the gradient is summed over the samples: each sample has its own", 2, "reduce"),
    Mistake("shared between objects", "all objects share what forward stores: store it in self", 4, "state"),
    Mistake("first batch kept", "backward uses the first batch forever, expected the last one", 4, "state"),
    Mistake("writes into net", "forward writes into its argument", 4),
    Mistake("writes into grad_y", "backward writes into its argument", 4),
]


def logistic(a, faults):
    """Return 1/(1 + exp(-a))."""
    if "tanh" in faults:
        return np.tanh(a)
    if "overflow" in faults:
        return 1 / (1 + np.exp(-a))
    if "overflow to NaN" in faults:
        e = np.exp(a)
        return e / (1 + e)
    e = np.exp(-abs(a))
    return np.where(a >= 0, 1, e) / (1 + e)


def derivative(net, y, a, faults):
    """Return dy/da."""
    if "derivative of tanh" in faults:
        return 1 - y**2
    if "1 - y missing" in faults:
        return y
    if "y missing" in faults:
        return 1 - y
    if "net for y" in faults:
        return net * (1 - net)
    if "sigmoid twice" in faults:
        twice = 1 / (1 + np.exp(-y))
        return twice * (1 - twice)
    if "false zeros" in faults:
        return y * (1 - y)
    e = np.exp(-abs(a))
    return e / (1 + e) ** 2


def program(faults):
    """Return the names that a submission defines."""
    store = {}

    class TemperatureSigmoid:
        def __init__(self, temperature):
            self.temperature = temperature

        def forward(self, net):
            T = self.temperature
            kept = store if "shared between objects" in faults else vars(self)
            power = {"T missing in forward": 0, "T outside": 0, "T inverted in forward": -1}
            a = net / T ** next((power[fault] for fault in faults if fault in power), 1)
            y = logistic(-a if "sign of net" in faults else a, faults)
            y = y / T if "T outside" in faults else y
            y = y.astype("float64") if "float64" in faults else y
            if "first batch kept" not in faults or "net" not in kept:
                kept.update(net=net.copy(), y=y.copy())
            if "writes into net" in faults:
                net[...] = y
            return y

        def backward(self, grad_y):
            T = self.temperature
            kept = store if "shared between objects" in faults else vars(self)
            net, y = kept["net"], kept["y"]
            slope = derivative(net, y, net / T, faults)
            power = {"1/T missing": 0, "1/T inverted": -1, "1/T doubled": 2}
            slope = slope * T ** -next((power[fault] for fault in faults if fault in power), 1)
            slope = -slope if "sign of the gradient" in faults else slope
            grad = slope if "grad_y missing" in faults else slope * grad_y
            if "writes into grad_y" in faults:
                grad_y[...] = grad
            if "mean" in faults:
                return grad / len(grad)
            return np.zeros_like(grad) + grad.sum(axis=0) if "sum" in faults else grad

    return {"TemperatureSigmoid": TemperatureSigmoid}
