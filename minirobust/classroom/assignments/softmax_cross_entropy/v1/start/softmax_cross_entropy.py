# assignment: softmax_cross_entropy v1
"""Softmax cross entropy with label smoothing, and its gradient. NumPy is all you need."""


def softmax_cross_entropy(logits, labels, smoothing):
    """Return the loss, averaged over the samples, and its gradient with respect to the logits.

    `logits` has the shape (N, K); `labels` holds N integers from 0 to K - 1. The target of a sample is
    (1 - smoothing) at its label, plus smoothing / K at each of the K classes.
    """
    raise NotImplementedError
