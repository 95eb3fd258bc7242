# assignment: gradient_checker v1
"""A program that tests the gradients of other people's layers. NumPy is all you need.

`layer.forward(x, weight)` returns the output y of a layer, an array. `layer.backward(x, weight, grad_y)` returns two
arrays, the gradients with respect to `x` and to `weight`. They may be wrong. Neither method stores anything.
"""


def numeric_gradient(layer, x, weight, cotangent, step):
    """Return the gradients of sum(cotangent * y) with respect to `x` and `weight`, computed from `forward` alone.

    Each element is moved by `step` in both directions, and the difference is divided by the distance between the two.
    """
    raise NotImplementedError


def verdict(layer, x, weight):
    """Return "right" if both gradients of `backward` are right, and "wrong" if not.

    A wrong gradient is off by more than one percent of the largest number in its array, in at least one element. That
    number can be very large, very small, or 0. An element where the function has a kink has no gradient and proves
    nothing.
    """
    raise NotImplementedError
