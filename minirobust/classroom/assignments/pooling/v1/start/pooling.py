# assignment: pooling v1
"""Pooling over windows that may extend beyond the edge of the image. NumPy is all you need.

Images are channels last: x has the shape (N, H, W, C). Each channel is pooled separately. `window` and `stride` are
pairs (rows, columns). A stride is never longer than its window, and no window is larger than the image.

The first window starts at the upper left pixel. Windows follow each other at the stride until the last row and column
are covered. If a window extends beyond the edge, only its pixels inside the image count.
"""


class KthLargestPool:
    """The k-th largest value of each window: k = 1 is the maximum.

    Among equal values, the first one, row by row, counts as the larger one. If a window has fewer than k pixels, take
    its smallest value.
    """

    def __init__(self, window, stride, k):
        self.window = window
        self.stride = stride
        self.k = k

    def forward(self, x):
        """Return y of shape (N, rows, columns, C). Keep what `backward` needs."""
        raise NotImplementedError

    def backward(self, grad_y):
        """Return dL/dx, given dL/dy at the last `x`."""
        raise NotImplementedError


class AveragePool:
    """The mean of each window's pixels."""

    def __init__(self, window, stride):
        self.window = window
        self.stride = stride

    def forward(self, x):
        """Return y of shape (N, rows, columns, C). Keep what `backward` needs."""
        raise NotImplementedError

    def backward(self, grad_y):
        """Return dL/dx, given dL/dy at the last `x`."""
        raise NotImplementedError
