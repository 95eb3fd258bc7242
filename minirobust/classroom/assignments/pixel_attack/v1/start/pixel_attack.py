# assignment: pixel_attack v1
"""An attack that writes 0 or 1 into a few pixels, with a limited number of queries. NumPy is all you need.

`network.input_gradient(x, y)` returns the gradient of each image's loss with respect to that image, for labels y.
`network.logits(x)` returns the logits. Images have the shape (N, H, W, C) and pixels from 0 to 1.
"""


def pixel_attack(network, x, y, pixels, budget):
    """Write 0 or 1 into the channels of at most `pixels` pixels of each image, until the network misclassifies it.

    The score of a pixel is the mean of the gradient's absolute value over its channels. The attack uses the `pixels`
    pixels with the largest scores. Candidates change one of them, then two, and so on: first the best pixel alone, then
    the second alone, ...; then the best and the second, the best and the third, ... Every combination of 0 and 1 is
    written into the k chosen pixels, 2 ** (k * C) in all, in counting order 00, 01, 10, 11. The first digit is the
    first channel of the better pixel. A candidate that leaves one of its pixels unchanged is skipped, because it was
    tried before, with fewer pixels. The attack on an image ends when a candidate fools the network, or after `budget`
    candidates.

    Return three arrays: the images, where each is the candidate that fooled the network, or x itself if none did; for
    each image, the number k of pixels of that candidate, or 0; and for each image, how many candidates were shown to
    the network. An image that is misclassified before the attack is not attacked: it is returned unchanged, with 0 and
    0.

    The grader counts the images that `logits` sees: each image of x once, and the candidates.
    """
    raise NotImplementedError
