import numpy as np


def places(size, window, stride):
    """Return lists of rows (or columns), one for each window."""
    starts = range(0, size - window + stride, stride)
    return [[number for number in range(start, start + window) if number < size] for start in starts]


class KthLargestPool:
    def __init__(self, window, stride, k):
        self.window, self.stride, self.k = window, stride, k

    def pixels(self, n, c, rows, columns):
        """Return the pixels of a window as (-value, row, column), largest first."""
        return sorted((-self.x[n, r, s, c], r, s) for r in rows for s in columns)

    def forward(self, x):
        self.x = np.array(x)
        self.rows = places(x.shape[1], self.window[0], self.stride[0])
        self.columns = places(x.shape[2], self.window[1], self.stride[1])
        y = np.zeros((len(x), len(self.rows), len(self.columns), x.shape[3]))
        self.source = {}
        for n, i, j, c in np.ndindex(y.shape):
            ranked = self.pixels(n, c, self.rows[i], self.columns[j])
            value, row, column = ranked[: self.k].pop()
            output = n, i, j, c
            y[output], self.source[output] = -value, (n, row, column, c)
        return y

    def backward(self, grad_y):
        grad = np.zeros_like(self.x)
        for output, pixel in self.source.items():
            grad[pixel] += grad_y[output]
        return grad


class AveragePool:
    def __init__(self, window, stride):
        self.window, self.stride = window, stride

    def matrices(self, shape):
        """Averaging is linear: one matrix for the rows, one for the columns."""
        made = []
        for size, window, stride in zip(shape[1:], self.window, self.stride):
            matrix = np.array([np.isin(np.arange(size), p) / len(p) for p in places(size, window, stride)])
            made.append(matrix)
        return made

    def forward(self, x):
        self.down, self.across = self.matrices(x.shape)
        return np.einsum("ir,js,nrsc->nijc", self.down, self.across, x)

    def backward(self, grad_y):
        return np.einsum("ir,js,nijc->nrsc", self.down, self.across, grad_y)
