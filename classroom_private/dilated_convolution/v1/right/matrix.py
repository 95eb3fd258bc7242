import numpy as np


class Convolution:
    """The layer as one matrix, found by asking where each pixel of an image of pixel numbers goes."""

    def __init__(self, weight, bias, dilation, padding):
        self.weight, self.bias, self.dilation, self.padding = weight, bias, dilation, padding

    def numbers(self, height, width):
        """Number of the pixel under each place of the kernel in each window; height * width is the border."""
        down, across = (self.dilation * (k - 1) for k in self.weight.shape[:2])
        table = np.arange(height * width).reshape(height, width)
        if self.padding == "same":
            table = np.pad(
                table,
                ((down // 2, (down + 1) // 2), (across // 2, (across + 1) // 2)),
                constant_values=height * width,
            )
        view = np.lib.stride_tricks.sliding_window_view(table, (down + 1, across + 1))
        return view[:, :, :: self.dilation, :: self.dilation]

    def forward(self, x):
        self.shape = n, high, wide, depth = x.shape
        self.index = self.numbers(high, wide)
        pixels = np.concatenate([x.reshape(n, -1, depth), np.zeros((n, 1, depth))], axis=1)
        self.patches = pixels[:, self.index]
        return np.einsum("nijabc,abcu->niju", self.patches, self.weight) + self.bias

    def backward(self, grad_y):
        n, high, wide, depth = self.shape
        self.grad_weight = np.einsum("nijabc,niju->abcu", self.patches, grad_y)
        self.grad_bias = grad_y.reshape(-1, grad_y.shape[-1]).sum(axis=0)
        shares = np.einsum("niju,abcu->nijabc", grad_y, self.weight)
        grad = np.zeros((n, high * wide + 1, depth))
        np.add.at(grad, (slice(None), self.index), shares)
        return grad[:, :-1].reshape(self.shape)
