# assignment: dilated_convolution v1
"""A two-dimensional convolution whose kernel has gaps. NumPy is all you need.

Images are channels last: x has the shape (N, H, W, C).
"""


class Convolution:
    """y[n, i, j, u] = bias[u] + sum over a, b, c of x[n, i + a d, j + b d, c] weight[a, b, c, u], with the dilation d.

    `weight` has the shape (height, width, C, units), `bias` the shape (units,). `padding` is "valid", for no border, or
    "same", for a border of zeros with which y has as many rows and columns as x. If the number of border rows or
    columns is odd, the extra one is at the end.

    After `backward`, `grad_weight` and `grad_bias` hold the gradients of the loss, which is summed over the samples.
    """

    def __init__(self, weight, bias, dilation, padding):
        self.weight = weight
        self.bias = bias
        self.dilation = dilation
        self.padding = padding

    def forward(self, x):
        """Return y. Keep what `backward` needs."""
        raise NotImplementedError

    def backward(self, grad_y):
        """Return dL/dx, given dL/dy at the last `x`, and set `grad_weight` and `grad_bias`."""
        raise NotImplementedError
