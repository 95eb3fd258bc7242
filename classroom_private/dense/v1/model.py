"""The right program, the mistakes that it can simulate, and what is known about them."""

import numpy as np

from minirobust.classroom.exercise import Mistake

MISTAKES = [
    Mistake("weight not transposed", "x is multiplied by W, expected by its transpose", 1),
    Mistake("bias missing", "the bias is not added", 1, "bias"),
    Mistake("bias subtracted", "the bias is subtracted, expected added", 1, "bias"),
    Mistake("grad_x transposed", "grad_y is multiplied by the transpose of W, expected by W itself", 2),
    Mistake("grad_x divided by N", "dL/dx is divided by the number of samples: each sample has its own", 2),
    Mistake(
        "bias in grad_x", "the bias is added in the backward pass: it is a constant, so it adds nothing to dL/dx", 2
    ),
    Mistake("sign of grad_x", "dL/dx has the wrong sign", 2),
    Mistake("grad_weight transposed", "dL/dW is transposed: it must have the shape of W", 3),
    Mistake("grad_weight mean", "dL/dW is averaged over the samples, expected summed", 3, "over samples"),
    Mistake("grad_weight of one sample", "dL/dW uses only the last sample, expected the sum", 3, "over samples"),
    Mistake("sign of grad_weight", "dL/dW has the wrong sign: a gradient is not a descent step", 3),
    Mistake("bias not summed", "dL/db is not summed over the samples", 3, "grad_bias"),
    Mistake("bias summed over units", "dL/db is summed over the units, expected over the samples", 3, "grad_bias"),
    Mistake("grad_bias mean", "dL/db is averaged over the samples, expected summed", 3, "grad_bias"),
    Mistake("grad_bias of ones", "dL/db counts the samples: grad_y is missing", 3, "grad_bias"),
    Mistake("accumulated", "gradients are added to those of the last call, expected overwritten", 4),
    Mistake("shared between objects", "all objects share what forward stores: store it in self", 4, "state"),
    Mistake("first batch kept", "backward uses the first batch forever, expected the last one", 4, "state"),
    Mistake("weight changed", "backward changes the weight: the optimizer does that, not the layer", 4),
    Mistake("writes into x", "forward writes into its argument", 4),
    Mistake("writes into grad_y", "backward writes into its argument", 4),
    Mistake("float64", "float32 arrays become float64: compute in the type of the input", 4),
]


def grad_bias(grad_y, faults):
    """Return dL/db."""
    if "bias not summed" in faults:
        return grad_y
    if "bias summed over units" in faults:
        return grad_y.sum(axis=1)
    if "grad_bias mean" in faults:
        return grad_y.mean(axis=0)
    if "grad_bias of ones" in faults:
        return np.full(grad_y.shape[1], float(len(grad_y)))
    return grad_y.sum(axis=0)


def grad_weight(grad_y, x, faults):
    """Return dL/dW."""
    if "grad_weight of one sample" in faults:
        grad_y, x = grad_y[-1:], x[-1:]
    grad = grad_y.T @ x
    if "grad_weight mean" in faults:
        grad = grad / len(x)
    if "sign of grad_weight" in faults:
        grad = -grad
    return grad.T if "grad_weight transposed" in faults else grad


def program(faults):
    """Return the names that a submission defines."""
    store = {}

    class Dense:
        def __init__(self, weight, bias):
            self.weight, self.bias = weight, bias
            self.grad_weight = self.grad_bias = 0

        def forward(self, x):
            kept = store if "shared between objects" in faults else vars(self)
            if "first batch kept" not in faults or "x" not in kept:
                kept["x"] = x.copy()
            y = x @ (self.weight if "weight not transposed" in faults else self.weight.T)
            if "bias missing" not in faults:
                y = y - self.bias if "bias subtracted" in faults else y + self.bias
            if "writes into x" in faults:
                x += 1
            return y.astype("float64") if "float64" in faults else y

        def backward(self, grad_y):
            x = (store if "shared between objects" in faults else vars(self))["x"]
            grad_x = grad_y @ (self.weight.T if "grad_x transposed" in faults else self.weight)
            grad_x = grad_x / len(x) if "grad_x divided by N" in faults else grad_x
            grad_x = -grad_x if "sign of grad_x" in faults else grad_x
            grad_x = grad_x + self.bias[:1] if "bias in grad_x" in faults else grad_x
            again = 1 if "accumulated" in faults else 0
            self.grad_weight = again * self.grad_weight + grad_weight(grad_y, x, faults)
            self.grad_bias = again * self.grad_bias + grad_bias(grad_y, faults)
            if "weight changed" in faults:
                self.weight = self.weight - 0.1 * self.grad_weight.reshape(self.weight.shape)
            if "writes into grad_y" in faults:
                grad_y *= 2
            return grad_x

    return {"Dense": Dense}


EQUIVALENT = [
    # zip's strict=True only guards against a call with arrays that do not fit together.
    "sample_by_sample.py 17:61 False for True in True",
]
