# assignment: NAME v1
"""The mean of squares, and its gradient. NumPy is all you need."""


def mean_square(x):
    """Return the mean of the squares of x, and its gradient with respect to x."""
    raise NotImplementedError
