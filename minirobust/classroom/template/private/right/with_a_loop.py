import numpy as np


def mean_square(x):
    total, slopes = 0.0, np.empty(x.shape)
    for place in np.ndindex(x.shape):
        total += x[place] ** 2
        slopes[place] = 2 * x[place] / x.size
    return total / x.size, slopes
