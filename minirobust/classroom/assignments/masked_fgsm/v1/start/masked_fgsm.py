# assignment: masked_fgsm v1
"""Two attacks that change only some of the pixels. NumPy is all you need.

`network.input_gradient(x, y)` returns the gradient of each image's loss with respect to that image, for labels y.
`network.logits(x)` returns the logits. Images have the shape (N, H, W, C) and pixels from 0 to 1.
"""


def fgsm(network, x, y, epsilon, mask):
    """Return the images after one step of the fast gradient sign method.

    Every pixel where `mask` (of the shape of x) is 1 moves by `epsilon` in the direction in which the loss grows, or
    not at all if its gradient is 0. Where the mask is 0, nothing changes. Pixels stay between 0 and 1.
    """
    raise NotImplementedError


def fgvm(network, x, y, epsilon, mask):
    """Return the images after one step of the fast gradient value method.

    Pixels move in proportion to their gradient. In each image, the pixel with the largest gradient among those that the
    mask allows moves by `epsilon`. An image whose allowed pixels all have gradient 0 does not change.
    """
    raise NotImplementedError
