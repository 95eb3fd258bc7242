"""The right program, the mistakes that it can simulate, and what is known about them."""

import numpy as np

from minirobust.classroom.exercise import Mistake

MISTAKES = [
    Mistake("wrong axis", "rows and columns of the window and the stride are swapped", 1, "edge"),
    Mistake("stride ignored", "the stride is ignored: windows do not overlap", 1, "edge"),
    Mistake(
        "remainder dropped",
        "the remainder that does not fill a window is dropped: the last window extends beyond the edge",
        2,
        "edge",
    ),
    Mistake("one window too many", "windows start up to the edge, expected only until one covers it", 2, "edge"),
    Mistake("last window moved", "the last window is moved into the image, expected cut off at the edge", 2, "edge"),
    Mistake("padded with 0", "the border counts as 0: pixels outside the image do not exist", 2, "edge"),
    Mistake(
        "padded with -infinity", "the border counts as -infinity: a window may have fewer than k pixels", 2, "edge"
    ),
    Mistake("largest", "k is ignored: this is the largest value", 3, "k"),
    Mistake("k from 0", "k counts from 0, expected from 1", 3, "k"),
    Mistake("k-th smallest", "this is the k-th smallest value, expected the k-th largest", 3, "k"),
    Mistake("distinct values", "equal values count once, expected separately", 3, "k"),
    Mistake("channels mixed", "the position is the same for all channels: each has its own", 3, "choice"),
    Mistake("all ties", "the gradient goes to all pixels that equal the k-th largest, expected to one", 4, "ties"),
    Mistake("shared among ties", "the gradient is shared among equal pixels, expected given to one", 4, "ties"),
    Mistake("last of ties", "among equal values the last counts as the larger one, expected the first", 4, "ties"),
    Mistake("first of ties", "of equal pixels the first gets the gradient, expected the k-th in the order", 4, "ties"),
    Mistake(
        "gradient to the largest", "the gradient goes to the largest pixel, expected to the k-th largest", 4, "ties"
    ),
    Mistake("gradient to all", "the gradient goes to all pixels of the window, expected to one", 4, "ties"),
    Mistake(
        "overlap overwritten", "where windows overlap, the last gradient overwrites the others, expected the sum", 4
    ),
    Mistake("not divided", "this is the sum of the window, expected the mean", 5, "mean"),
    Mistake("divided by the window", "at the edge the mean is divided by the whole window", 5, "mean"),
    Mistake("gradient not divided", "the gradient of the mean lacks the factor 1/n", 5, "slope"),
    Mistake("gradient divided by the window", "at the edge the gradient is divided by the whole window", 5, "slope"),
    Mistake(
        "overlapping means overwritten", "where windows overlap, the last gradient of the mean overwrites the others", 5
    ),
    Mistake("divided by N", "the gradient is divided by the number of samples: each sample has its own", 6),
    Mistake("shared between objects", "all objects share what forward stores: store it in self", 6, "state"),
    Mistake("first batch kept", "backward uses the first batch forever, expected the last one", 6, "state"),
    Mistake("writes into x", "forward writes into its argument", 6),
    Mistake("writes into grad_y", "backward writes into its argument", 6),
]

SAME = [
    # Windows that do not overlap overwrite nothing.
    {"stride ignored", "overlap overwritten"},
    {"stride ignored", "overlapping means overwritten"},
    # No window hangs over the edge.
    {"remainder dropped", "divided by the window"},
    {"remainder dropped", "gradient divided by the window"},
    {"last window moved", "divided by the window"},
    {"last window moved", "gradient divided by the window"},
    # The first of equal pixels is the largest one, and the only one of its value that counts.
    {"largest", "first of ties"},
    {"largest", "gradient to the largest"},
    {"distinct values", "first of ties"},
    {"distinct values", "last of ties"},
    # The largest pixel of a window is never in a border of -infinity.
    {"largest", "padded with -infinity"},
    # Which pixel was chosen makes no difference.
    {"gradient to all", "shared between objects"},
    {"gradient to all", "first batch kept"},
    # Backward fails before it writes.
    {"wrong axis", "writes into grad_y"},
    {"one window too many", "writes into grad_y"},
    {"one window too many", "first batch kept"},
    {"one window too many", "shared between objects"},
]
EQUIVALENT = [
    # reshape takes every negative length for "the rest".
    "padded_with_nan.py 11:46 2 for 1 in 1",
    "window_by_window.py 31:46 2 for 1 in 1",
    # The weight of these pixels is 0.
    "padded_with_nan.py 19:60 1 for 0 in 0",
    # Every sample and every channel has as many pixels.
    "window_by_window.py 41:44 1 for 0 in 0",
    "window_by_window.py 41:52 1 for 0 in 0",
]


def spans(size, window, stride, faults):
    """Return where windows start and end along one axis."""
    count = -(-(size - window) // stride) + 1
    if "remainder dropped" in faults:
        count = (size - window) // stride + 1
    if "one window too many" in faults:
        count = -(-size // stride)
    starts = [number * stride for number in range(count)]
    if "last window moved" in faults:
        starts = [min(start, size - window) for start in starts]
    return [(start, start + window) for start in starts]


def chosen(pixels, k, faults):
    """Return which pixel of each window and channel is the k-th largest: (N, C)."""
    k = 1 if "largest" in faults else k + ("k from 0" in faults)
    if "channels mixed" in faults:
        pixels = np.zeros_like(pixels) + pixels.sum(axis=2, keepdims=True)
    if "distinct values" in faults:
        return np.array([[first_distinct(column, k) for column in window.T] for window in pixels])
    if "last of ties" in faults:
        order = pixels.shape[1] - 1 - np.argsort(-pixels[:, ::-1], axis=1, kind="stable")
    else:
        order = np.argsort(-pixels, axis=1, kind="stable")
    k = min(k, pixels.shape[1])
    return order[:, -k if "k-th smallest" in faults else k - 1]


def first_distinct(column, k):
    """Return where the k-th largest of the distinct values stands first."""
    places = np.unique(-column, return_index=True)[1]
    return places[min(k, len(places)) - 1]


def share(pixels, k, faults):
    """Return how much of the gradient each pixel of a window gets: (N, pixels, C)."""
    place = chosen(pixels, k, faults)[:, None]
    value = np.take_along_axis(pixels, place, axis=1)
    ties = (pixels == value).astype("float64")
    if "all ties" in faults:
        return ties
    if "shared among ties" in faults:
        return ties / ties.sum(axis=1, keepdims=True)
    if "gradient to all" in faults:
        return np.ones_like(ties)
    if "first of ties" in faults:
        place = ties.argmax(axis=1)[:, None]
    if "gradient to the largest" in faults:
        place = pixels.argmax(axis=1)[:, None]
    one = np.zeros_like(ties)
    np.put_along_axis(one, place, 1.0, axis=1)
    return one


def program(faults):
    """Return the names that a submission defines."""
    store = {}
    border = {"padded with 0": 0.0, "padded with -infinity": -np.inf}
    border = next((border[fault] for fault in faults if fault in border), None)

    class Pool:
        def __init__(self, window, stride, k=0):
            swapped = -1 if "wrong axis" in faults else 1
            self.k, self.window = k, tuple(window)[::swapped]
            self.stride = self.window if "stride ignored" in faults else tuple(stride)[::swapped]

        def windows(self, x):
            """Yield the place in y, the slices of x, and the pixels (N, pixels, C)."""
            for i, (top, bottom) in enumerate(spans(self.size[0], self.window[0], self.stride[0], faults)):
                for j, (start, end) in enumerate(spans(self.size[1], self.window[1], self.stride[1], faults)):
                    place = np.s_[:, top:bottom, start:end]
                    yield i, j, place, x[place].reshape(len(x), -1, x.shape[3])

        def padded(self, x):
            self.size = x.shape[1:3]
            if border is None or not self.k:
                return x
            return np.pad(x, ((0, 0), (0, self.window[0]), (0, self.window[1]), (0, 0)), constant_values=border)

        def forward(self, x):
            kept = store if "shared between objects" in faults else vars(self)
            if "first batch kept" not in faults or "x" not in kept:
                kept["x"] = x.copy()
            values = {(i, j): self.value(pixels) for i, j, _, pixels in self.windows(self.padded(x))}
            rows, columns = np.add(max(values), 1)
            y = np.stack([values[place] for place in np.ndindex(rows, columns)], axis=1)
            if "writes into x" in faults:
                x += 1
            return y.reshape(len(x), rows, columns, -1)

        def backward(self, grad_y):
            original = (store if "shared between objects" in faults else vars(self))["x"]
            x = self.padded(original)
            grad_x = np.zeros_like(x)
            for i, j, place, pixels in self.windows(x):
                window = grad_x[place]
                window *= self.keeps
                window += (self.slope(pixels) * grad_y[:, i, j, None]).reshape(window.shape)
            if "writes into grad_y" in faults:
                grad_y *= 2
            grad_x = grad_x[:, : original.shape[1], : original.shape[2]]
            return grad_x / len(x) if "divided by N" in faults else grad_x

    class KthLargestPool(Pool):
        keeps = "overlap overwritten" not in faults

        def value(self, pixels):
            return np.take_along_axis(pixels, chosen(pixels, self.k, faults)[:, None], axis=1)[:, 0]

        def slope(self, pixels):
            return share(pixels, self.k, faults)

    class AveragePool(Pool):
        keeps = "overlapping means overwritten" not in faults

        def value(self, pixels):
            area = pixels.shape[1] if "divided by the window" not in faults else np.prod(self.window)
            return pixels.sum(axis=1) / (1 if "not divided" in faults else area)

        def slope(self, pixels):
            area = pixels.shape[1] if "gradient divided by the window" not in faults else np.prod(self.window)
            return np.ones_like(pixels) / (1 if "gradient not divided" in faults else area)

    return {"KthLargestPool": KthLargestPool, "AveragePool": AveragePool}
