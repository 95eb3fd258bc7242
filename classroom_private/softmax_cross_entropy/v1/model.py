"""The right program, the mistakes that it can simulate, and what is known about them."""

import numpy as np

from minirobust.classroom.exercise import Mistake

MISTAKES = [
    Mistake("no shift", "exp overflows for large logits: subtract each sample's largest logit first", 4, "softmax"),
    Mistake(
        "no shift, infinite", "log of a sum of exp overflows: subtract each sample's largest logit first", 4, "softmax"
    ),
    Mistake(
        "shift over the batch", "one maximum is subtracted for the whole batch: each sample has its own", 4, "softmax"
    ),
    Mistake("wrong axis", "softmax runs over the samples, expected over the classes of each sample", 1, "softmax"),
    Mistake("softmax twice", "softmax is applied twice", 1, "softmax"),
    Mistake("label off by one", "the label is off by one: classes count from 0", 2),
    Mistake("smoothing ignored", "the targets are not smoothed", 2, "targets"),
    Mistake(
        "smoothing over the others", "the smoothing goes to the other classes only, expected to all K", 2, "targets"
    ),
    Mistake("label not reduced", "the label keeps its full 1: the targets must add up to 1", 2, "targets"),
    Mistake("smoothing not shared", "every class gets the whole smoothing, expected smoothing / K", 2, "targets"),
    Mistake("gradient without smoothing", "the loss uses smoothed targets, but its gradient does not", 3, "targets"),
    Mistake("loss summed", "the loss is summed over the samples, expected averaged", 2, "loss"),
    Mistake("loss over N K", "the loss is divided by the number of logits, expected by that of samples", 2, "loss"),
    Mistake("sign of the loss", "the loss is negative: the minus of -log p is missing", 2),
    Mistake("logarithm to base 2", "the logarithm has base 2, expected the natural one", 2),
    Mistake("N missing", "the gradient is not divided by N, but the loss is", 3, "1/N"),
    Mistake("N twice", "the gradient is divided by N twice", 3, "1/N"),
    Mistake("N times K", "the gradient is divided by the number of logits, expected by that of samples", 3, "1/N"),
    Mistake("sign of the gradient", "the gradient has the wrong sign", 3),
    Mistake(
        "one subtracted everywhere", "1 is subtracted from every class, expected from the label's only", 3, "gradient"
    ),
    Mistake("gradient for p", "this is the gradient with respect to p: softmax has a derivative, too", 3, "gradient"),
    Mistake("p_y - 1 cancels", "p - 1 rounds to 0 at the label of a confident sample: sum the others", 4, "gradient"),
    Mistake("writes into logits", "the function writes into the logits, which belong to the caller", 4),
    Mistake("float64", "float32 logits get a float64 gradient: compute in the type of the input", 4),
]

SAME = [
    # With the wrong label, or after a second softmax, no sample is confident, and nothing cancels.
    {"p_y - 1 cancels", "softmax twice"},
    {"label off by one", "p_y - 1 cancels"},
    # p - 1 does not contain the targets.
    {"gradient without smoothing", "one subtracted everywhere"},
]
EQUIVALENT = [
    # zip's strict=True only guards against a call with arrays that do not fit together.
    "sample_by_sample.py 6:49 False for True in True",
]


def log_softmax(logits, faults):
    """Return log p."""
    axis = 0 if "wrong axis" in faults else 1
    if "no shift" in faults:
        e = np.exp(logits)
        return np.log(e / e.sum(axis=1, keepdims=True))
    if "no shift, infinite" in faults:
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    if "shift over the batch" in faults:
        e = np.exp(logits - logits.max())
        return np.log(e / e.sum(axis=1, keepdims=True))
    shifted = logits - logits.max(axis=axis, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return log_softmax(np.exp(log_p), frozenset()) if "softmax twice" in faults else log_p


def targets(logits, labels, smoothing, faults):
    """Return the target of every class."""
    n, k = logits.shape
    labels = labels - 1 if "label off by one" in faults else labels
    q = np.zeros((n, k), logits.dtype)
    if "smoothing ignored" in faults:
        smoothing = 0.0
    if "smoothing over the others" in faults:
        q += smoothing / (k - 1)
        q[np.arange(n), labels] = 1 - smoothing
        return q
    q += smoothing if "smoothing not shared" in faults else smoothing / k
    q[np.arange(n), labels] += 1 if "label not reduced" in faults else 1 - smoothing
    return q


def gradient(log_p, q, labels, faults):
    """Return dL/dlogits of the summed loss."""
    p, rows = np.exp(log_p), np.arange(len(labels))
    if "one subtracted everywhere" in faults:
        return p - 1
    if "gradient for p" in faults:
        return -q / p
    grad = p - q
    if "p_y - 1 cancels" not in faults:
        grad[rows, labels] = 0
        # Both p and q add up to 1, unless a mistake changes q.
        grad[rows, labels] = -grad.sum(axis=1) + (1 - q.sum(axis=1).round(6))
    return grad


def program(faults):
    """Return the names that a submission defines."""

    def softmax_cross_entropy(logits, labels, smoothing):
        n, k = logits.shape
        log_p = log_softmax(logits, faults)
        q = targets(logits, labels, smoothing, faults)
        loss = -(q * log_p).sum()
        loss = loss if "loss summed" in faults else loss / (n * k if "loss over N K" in faults else n)
        loss = -loss if "sign of the loss" in faults else loss
        loss = loss / np.log(2) if "logarithm to base 2" in faults else loss
        of_gradient = targets(logits, labels, 0.0, faults) if "gradient without smoothing" in faults else q
        grad = gradient(log_p, of_gradient, labels - ("label off by one" in faults), faults)
        grad = -grad if "sign of the gradient" in faults else grad
        divisors = {"N missing": 1, "N twice": n * n, "N times K": n * k}
        grad = grad / next((divisors[fault] for fault in faults if fault in divisors), n)
        if "writes into logits" in faults:
            logits -= logits.max(axis=1, keepdims=True)
        return loss, grad.astype("float64") if "float64" in faults else grad

    return {"softmax_cross_entropy": softmax_cross_entropy}
