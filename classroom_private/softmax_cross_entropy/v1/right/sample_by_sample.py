import numpy as np


def softmax_cross_entropy(logits, labels, smoothing):
    grads, losses = [], []
    for row, label in zip(logits, labels, strict=True):
        share = smoothing / row.size
        log_total = np.logaddexp.reduce(row)
        losses.append((1 - smoothing) * (log_total - row[label]) + share * (log_total - row).sum())
        grad = np.exp(row - log_total) - share
        grad[label] = 0
        grad[label] -= grad.sum()
        grads.append(grad)
    return np.mean(losses), np.stack(grads) / len(losses)
