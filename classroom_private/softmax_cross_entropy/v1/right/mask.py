import numpy as np


def softmax_cross_entropy(logits, labels, smoothing):
    n, k = logits.shape
    is_label = np.arange(k) == labels.reshape(n, 1)
    top = logits.max(axis=1).reshape(n, 1)
    weights = np.exp(logits - top)
    total = weights.sum(axis=1).reshape(n, 1)
    surprise = np.log(total) - (logits - top)
    target = np.where(is_label, 1 - smoothing, 0) + smoothing / k
    others = np.where(is_label, 0, weights / total - smoothing / k)
    grad = others - is_label * others.sum(axis=1).reshape(n, 1)
    return (target * surprise).sum() / n, (grad / n).astype(logits.dtype)
