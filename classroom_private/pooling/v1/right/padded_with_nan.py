import numpy as np


class Base:
    def cut(self, x):
        """Return all windows, (N, rows, columns, C, pixels), with NaN outside the image."""
        over = [(w - n) % s for n, w, s in zip(x.shape[1:], self.window, self.stride)]
        x = np.pad(x, [(0, 0), *((0, rest) for rest in over), (0, 0)], constant_values=np.nan)
        view = np.lib.stride_tricks.sliding_window_view(x, tuple(self.window), axis=(1, 2))
        view = view[:, :: self.stride[0], :: self.stride[1]]
        return view.reshape(*view.shape[:4], -1)

    def forward(self, x):
        self.shape = x.shape
        numbers = np.arange(float(x.size)).reshape(x.shape)
        self.pixels = self.cut(numbers)
        windows = self.cut(x)
        self.weight = self.influence(windows)
        return np.nansum(np.where(self.weight > 0, windows, 0) * self.weight, axis=-1)

    def backward(self, grad_y):
        share = self.weight * np.expand_dims(grad_y, -1)
        inside = ~np.isnan(self.pixels)
        total = np.bincount(self.pixels[inside].astype(int), weights=share[inside], minlength=np.prod(self.shape))
        return total.reshape(self.shape)


class KthLargestPool(Base):
    def __init__(self, window, stride, k):
        self.window, self.stride, self.k = window, stride, k

    def influence(self, windows):
        rank = np.argsort(np.argsort(-windows, kind="stable"), kind="stable")  # NaN is sorted to the end
        present = (windows == windows).sum(axis=-1, keepdims=True)
        return (rank == np.minimum(self.k, present) - 1).astype(float)


class AveragePool(Base):
    def __init__(self, window, stride):
        self.window, self.stride = window, stride

    def influence(self, windows):
        inside = 1.0 - np.isnan(windows)
        return inside / inside.sum(axis=-1, keepdims=True)
