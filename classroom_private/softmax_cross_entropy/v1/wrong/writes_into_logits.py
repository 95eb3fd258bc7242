# mistake: writes into logits
import numpy as np


def softmax_cross_entropy(logits, labels, smoothing):
    n, k = logits.shape
    rows = np.arange(n)
    logits -= logits.max(axis=1, keepdims=True)
    shifted = logits
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    q = np.full((n, k), smoothing / k)
    q[rows, labels] += 1 - smoothing
    loss = -(q * log_p).sum() / n
    grad = np.exp(log_p) - smoothing / k
    grad[rows, labels] = 0
    grad[rows, labels] = -grad.sum(axis=1)
    return loss, grad / n
