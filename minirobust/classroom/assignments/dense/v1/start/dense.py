# assignment: dense v1
"""A dense layer with its weights stored by output unit: y = x Wᵀ + b. NumPy is all you need."""


class Dense:
    """y[n, u] = sum over f of x[n, f] weight[u, f], plus bias[u].

    After `backward`, `grad_weight` and `grad_bias` hold the gradients of the loss, which is summed over the samples.
    """

    def __init__(self, weight, bias):
        self.weight = weight
        self.bias = bias

    def forward(self, x):
        """Return y of shape (N, units) for x of shape (N, features). Keep what `backward` needs."""
        raise NotImplementedError

    def backward(self, grad_y):
        """Return dL/dx, given dL/dy at the last `x`, and set `grad_weight` and `grad_bias`."""
        raise NotImplementedError
