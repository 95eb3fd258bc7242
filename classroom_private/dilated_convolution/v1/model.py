"""The right program, the mistakes that it can simulate, and what is known about them."""

import numpy as np

from minirobust.classroom.exercise import Mistake

MISTAKES = [
    Mistake("kernel flipped", "the kernel is turned around: weight[0, 0] meets the upper left pixel", 1, "kernel"),
    Mistake("rows and columns swapped", "the rows and columns of the kernel are swapped", 1, "kernel"),
    Mistake("channels swapped", "the kernel's last two axes are swapped: input channels come first", 1, "kernel"),
    Mistake("bias missing", "the bias is not added", 1, "bias"),
    Mistake("bias for each weight", "the bias is added once for each weight of the kernel, expected once", 1, "bias"),
    Mistake("dilation ignored", "the dilation is ignored: the window has no gaps", 1, "dilation"),
    Mistake("dilation as stride", "the window moves by the dilation, expected gaps in the window", 1, "dilation"),
    Mistake("dilation off by one", "the dilation is used as the width of the gaps, which is one less", 2, "dilation"),
    Mistake("size off by one", "the last row and column of y are missing", 2, "size"),
    Mistake("size of whole steps", "the size counts k steps of the dilation, expected k - 1", 2, "size"),
    Mistake("padding ignored", 'with the padding "same", there is no border', 3, "padding"),
    Mistake("padding without dilation", "the border does not grow with the dilation", 3, "padding"),
    Mistake(
        "padding before", "the whole border is above and to the left: half belongs to the other side", 3, "padding"
    ),
    Mistake(
        "padding after", "the whole border is below and to the right: half belongs to the other side", 3, "padding"
    ),
    Mistake("uneven padding", "the extra row or column of the border is at the wrong end", 3, "padding"),
    Mistake("edge padding", "the border repeats the edge of the image, expected zeros", 3, "padding"),
    Mistake("= for +=", "each pixel of dL/dx gets the share of only one weight, expected the sum", 4, "sum"),
    Mistake("= for +=, by window", "each pixel of dL/dx gets the share of only one window, expected the sum", 4, "sum"),
    Mistake("grad_x flipped", "the kernel is turned around in dL/dx: go back along the weights of forward", 4, "sum"),
    Mistake("grad_x channels swapped", "dL/dx sums over the kernel's input channels, expected its units", 4),
    Mistake("grad_x dilation ignored", "dL/dx ignores the dilation", 4, "dilation"),
    Mistake("grad_x divided by N", "dL/dx is divided by the number of samples: each sample has its own", 4),
    Mistake("border kept", "dL/dx still has the border", 4, "cut"),
    Mistake("border cut at the end", "the whole border is cut off at the end of dL/dx: it was on both sides", 4, "cut"),
    Mistake("grad_weight flipped", "dL/dW is turned around", 5),
    Mistake("grad_weight dilation ignored", "dL/dW ignores the dilation", 5, "dilation"),
    Mistake("grad_weight swapped", "the last two axes of dL/dW are swapped: it must have the shape of W", 5),
    Mistake("batch not summed", "dL/dW is not summed over the samples", 5, "over samples"),
    Mistake("grad_weight of one sample", "dL/dW uses only the last sample, expected the sum", 5, "over samples"),
    Mistake("grad_weight mean", "dL/dW is averaged over the samples, expected summed", 5, "over samples"),
    Mistake("bias not summed over the batch", "dL/db is not summed over the samples", 5, "grad_bias"),
    Mistake("bias not summed over places", "dL/db is not summed over rows and columns", 5, "grad_bias"),
    Mistake("grad_bias mean", "dL/db is averaged, expected summed over samples, rows and columns", 5, "grad_bias"),
    Mistake("accumulated", "gradients are added to those of the last call, expected overwritten", 6),
    Mistake("shared between objects", "all objects share what forward stores: store it in self", 6, "state"),
    Mistake("first batch kept", "backward uses the first batch forever, expected the last one", 6, "state"),
    Mistake("writes into x", "forward writes into its argument", 6),
    Mistake("writes into grad_y", "backward writes into its argument", 6),
]

SAME = [
    # With a border of the wrong size, backward gets a gradient of another shape and fails before it does anything else.
    *(
        {padding, mistake.name}
        for padding in ("padding ignored", "padding without dilation")
        for mistake in MISTAKES
        if mistake.section >= 4
    ),
    # Without gaps, these sizes are right.
    *(
        {dilation, size}
        for dilation in ("dilation ignored", "dilation as stride")
        for size in ("size of whole steps", "padding without dilation")
    ),
    # There is nothing to cut at the other end.
    {"padding after", "border cut at the end"},
    # Other ways to compute what the mistake replaces altogether.
    {"= for +=, by window", "grad_x channels swapped"},
    {"= for +=, by window", "grad_x dilation ignored"},
    {"batch not summed", "grad_weight flipped"},
]
EQUIVALENT = [
    # Only the first two of these numbers are used.
    "kernel_places.py 14:69 3 for 2 in 2",
    # Windows only meet the first of the pixels that stand for the border.
    "matrix.py 26:71 2 for 1 in 1",
    # reshape takes every negative length for "the rest".
    "matrix.py 26:47 2 for 1 in 1",
    "matrix.py 33:41 2 for 1 in 1",
]


def border(kernel, dilation, padding, faults):
    """Return how many zeros stand before and after the image along one axis."""
    if padding == "valid" or "padding ignored" in faults:
        return 0, 0
    total = (kernel - 1) * (1 if "padding without dilation" in faults else dilation)
    before = total // 2
    if "padding before" in faults:
        before = total
    if "padding after" in faults:
        before = 0
    if "uneven padding" in faults:
        before = total - before
    return before, total - before


def windows(images, kernel, dilation, rows, columns):
    """Yield each place of the kernel, and the pixels that it meets."""
    for a, b in np.ndindex(*kernel):
        top, start = a * dilation, b * dilation
        yield (a, b), images[:, top : top + rows, start : start + columns]


def spread(grad_y, weight, padded, dilation, faults):
    """Return the gradient with respect to the padded images."""
    grad = np.zeros_like(padded)
    if "= for +=, by window" in faults:
        reach = [dilation * (k - 1) + 1 for k in weight.shape[:2]]
        for i, j in np.ndindex(grad_y.shape[1:3]):
            share = np.einsum("nu,abcu->nabc", grad_y[:, i, j], weight)
            grad[:, i : i + reach[0] : dilation, j : j + reach[1] : dilation] = share
        return grad
    step = 1 if "grad_x dilation ignored" in faults else dilation
    for place, window in windows(grad, weight.shape[:2], step, *grad_y.shape[1:3]):
        window *= 0 if "= for +=" in faults else 1
        matrix = weight[place]
        window += grad_y @ (matrix if "grad_x channels swapped" in faults else matrix.T)
    return grad


def weight_gradient(padded, grad_y, shape, dilation, faults):
    """Return dL/dW."""
    if "batch not summed" in faults:
        return np.stack([weight_gradient(padded[[n]], grad_y[[n]], shape, dilation, set()) for n in range(len(padded))])
    if "grad_weight of one sample" in faults:
        padded, grad_y = padded[-1:], grad_y[-1:]
    grad, axes = np.zeros(shape), ([0, 1, 2], [0, 1, 2])
    for place, window in windows(padded, shape[:2], dilation, *grad_y.shape[1:3]):
        grad[place] = np.tensordot(window, grad_y, axes)
    grad = grad[::-1, ::-1] if "grad_weight flipped" in faults else grad
    return grad / len(padded) if "grad_weight mean" in faults else grad


def bias_gradient(grad_y, faults):
    """Return dL/db."""
    if "bias not summed over the batch" in faults:
        return grad_y.sum(axis=(1, 2))
    if "bias not summed over places" in faults:
        return grad_y.sum(axis=0)
    return grad_y.mean(axis=(0, 1, 2)) if "grad_bias mean" in faults else grad_y.sum(axis=(0, 1, 2))


def as_read(weight, faults):
    """Return the kernel as forward reads it."""
    if "kernel flipped" in faults:
        return weight[::-1, ::-1]
    if "rows and columns swapped" in faults:
        return weight.swapaxes(0, 1)
    return weight.swapaxes(2, 3) if "channels swapped" in faults else weight


def program(faults):
    """Return the names that a submission defines."""
    store = {}

    class Convolution:
        def __init__(self, weight, bias, dilation, padding):
            self.weight, self.bias, self.padding = weight, bias, padding
            self.stride = dilation if "dilation as stride" in faults else 1
            self.dilation = 1 if {"dilation ignored", "dilation as stride"} & faults else dilation
            self.dilation += "dilation off by one" in faults
            self.grad_weight = self.grad_bias = 0

        def pad(self, x, kernel):
            self.border = [border(k, self.dilation, self.padding, faults) for k in kernel]
            mode = "edge" if "edge padding" in faults else "constant"
            return np.pad(x, ((0, 0), *self.border, (0, 0)), mode)

        def forward(self, x):
            kept = store if "shared between objects" in faults else vars(self)
            weight = as_read(self.weight, faults)
            if "first batch kept" not in faults or "x" not in kept:
                kept["x"] = x.copy()
            padded = self.pad(x, weight.shape[:2])
            steps = [k if "size of whole steps" in faults else k - 1 for k in weight.shape[:2]]
            extra = {"size of whole steps": 1, "size off by one": -1}
            extra = next((extra[fault] for fault in faults if fault in extra), 0)
            size = [n - self.dilation * k + extra for n, k in zip(padded.shape[1:3], steps, strict=True)]
            y = sum(window @ weight[place] for place, window in windows(padded, weight.shape[:2], self.dilation, *size))
            if "bias missing" not in faults:
                y = y + self.bias * (np.prod(weight.shape[:2]) if "bias for each weight" in faults else 1)
            if "writes into x" in faults:
                x += 1
            return y[:, :: self.stride, :: self.stride]

        def backward(self, grad_y):
            x = (store if "shared between objects" in faults else vars(self))["x"]
            kernel, again = self.weight.shape[:2], "accumulated" in faults
            padded = self.pad(x, kernel)
            weight = self.weight[::-1, ::-1] if "grad_x flipped" in faults else self.weight
            grad_x = spread(grad_y, weight, padded, self.dilation, faults)
            step = 1 if "grad_weight dilation ignored" in faults else self.dilation
            grad_weight = weight_gradient(padded, grad_y, self.weight.shape, step, faults)
            grad_weight = grad_weight.swapaxes(-1, -2) if "grad_weight swapped" in faults else grad_weight
            self.grad_weight = again * self.grad_weight + grad_weight
            self.grad_bias = again * self.grad_bias + bias_gradient(grad_y, faults)
            if "border kept" not in faults:
                top, start = (0, 0) if "border cut at the end" in faults else (before for before, _ in self.border)
                grad_x = grad_x[:, top : top + x.shape[1], start : start + x.shape[2]]
            if "writes into grad_y" in faults:
                grad_y *= 2
            return grad_x / len(x) if "grad_x divided by N" in faults else grad_x

    return {"Convolution": Convolution}
