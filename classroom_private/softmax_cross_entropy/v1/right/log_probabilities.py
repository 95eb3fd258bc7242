import numpy as np


def softmax_cross_entropy(logits, labels, smoothing):
    samples, classes = logits.shape
    z = logits - np.max(logits, 1, keepdims=True)
    log_p = z - np.log(np.sum(np.exp(z), 1, keepdims=True))
    own = np.take_along_axis(log_p, labels[:, None], axis=1)
    loss = -(1 - smoothing) * own.mean() - smoothing * log_p.mean()
    grad = np.exp(log_p) - smoothing / classes
    np.put_along_axis(grad, labels[:, None], 0, axis=1)
    np.put_along_axis(grad, labels[:, None], -grad.sum(1, keepdims=True), axis=1)
    return loss, grad / samples
