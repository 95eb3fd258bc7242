"""Loops that Numba compiles for `NumbaBackend`: one pass over memory where an array expression takes six to ten.

Each kernel computes what the method of the same name of `NumpyBackend` does, and writes into arrays that it is given.
Numba compiles it for a dtype when it is first called with it, and keeps the machine code on disk.

``error_model="numpy"`` lets a division by zero give infinity, as in NumPy; the check for it would also keep a loop from
being vectorized.  ``contract`` allows a multiplication and an addition to be rounded once.  Nothing here allows a
compiler to assume that there is no NaN.  A literal would turn a float32 expression into a float64 one, hence `one`.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
from numba import njit, types, uintp
from numba.core import event
from numba.extending import overload

__all__ = [
    "adam_step",
    "add_patches",
    "first_to_succeed",
    "logits_after",
    "max_pool",
    "max_pool_gradient",
    "sigmoid",
    "sigmoid_derivative",
    "sign_step",
    "softmax_cross_entropy",
    "unscaled",
]

EXACT = {"error_model": "numpy", "nogil": True, "cache": True}
FUSED = EXACT | {"fastmath": {"contract"}}


class _Announcement(event.Listener):
    """Says when Numba compiles a kernel of this file, once: it takes seconds, the first time on a machine."""

    made = False

    def on_start(self, event: event.Event) -> None:
        if not self.made and event.data["dispatcher"].py_func.__module__ == __name__:
            self.made = True
            logging.getLogger("minirobust").warning(
                "Numba compiles kernels for this machine, which takes some seconds, once"
            )

    def on_end(self, event: event.Event) -> None:
        """Do nothing: the class requires the method."""


event.register("numba:compile", _Announcement())


# exp, written out: the compiler turns it into vector instructions, but cannot do so with a call of the C library


def exp_negative(x: Any) -> Any:
    """Return exp(x) for x ≤ 0, by dtype one of the two functions below."""


@overload(exp_negative)
def _exp_negative(x: Any) -> Any:
    return exp_negative_float32 if x is types.float32 else exp_negative_float64


def exp_negative_float32(x: Any) -> Any:
    """Return exp(x) = 2^k exp(r) with x = k ln 2 + r and a polynomial for exp(r) (Cephes, ``expf``).

    2^k is applied in two factors, each of which is a normal number, so that subnormal results come out right.  Clamping
    x where exp(x) stops being normal would make false zeros, which look like robustness.
    """
    clamped = max(x, np.float32(-110))  # exp(-104) is already 0
    k = np.floor(clamped * np.float32(1.44269504) + np.float32(0.5))
    r = clamped - k * np.float32(0.693359375) + k * np.float32(2.12194440e-4)  # ln 2 in two parts, the first exact
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * r * r + r + np.float32(1)
    exponent = np.int32(k)
    half = exponent >> np.int32(1)
    first = np.int32((half + np.int32(127)) << np.int32(23)).view(np.float32)
    second = np.int32((exponent - half + np.int32(127)) << np.int32(23)).view(np.float32)
    return p * first * second if x == x else x  # NaN stays NaN


def exp_negative_float64(x: Any) -> Any:
    """Return exp(x) as above, with the Taylor series of exp(r): |r| ≤ ln 2 / 2, so 14 terms are enough."""
    clamped = max(x, -760.0)
    k = np.floor(clamped * 1.4426950408889634 + 0.5)
    r = clamped - k * 6.93145751953125e-1 - k * 1.42860682030941723212e-6
    p = 1 / 6227020800
    p = p * r + 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 1 / 2
    p = p * r * r + r + 1
    exponent = np.int32(k)
    half = np.int64(exponent >> np.int32(1))
    first = np.int64((half + 1023) << 52).view(np.float64)
    second = np.int64((exponent - half + 1023) << 52).view(np.float64)
    return p * first * second if x == x else x


# The temperature sigmoid, on flat arrays


@njit(**FUSED)
def sigmoid(net: Any, temperature: Any, y: Any) -> None:
    one = net.dtype.type(1)
    for i in range(net.size):
        scaled = net[i] / temperature
        e = exp_negative(-abs(scaled))
        y[i] = (one if scaled >= 0 else e) / (one + e)


@njit(**FUSED)
def sigmoid_derivative(net: Any, temperature: Any, y: Any) -> None:
    one = net.dtype.type(1)
    for i in range(net.size):
        e = exp_negative(-abs(net[i] / temperature))
        y[i] = e / (temperature * ((one + e) * (one + e)))


# Softmax cross entropy


@njit(**FUSED)
def softmax_cross_entropy(logits: Any, y: Any, loss: Any, gradient: Any) -> None:
    one = logits.dtype.type(1)
    samples, classes = logits.shape
    for i in range(samples):
        largest = logits[i, 0]
        for j in range(1, classes):
            largest = max(largest, logits[i, j])
        others = one - one
        for j in range(classes):
            gradient[i, j] = exp_negative(logits[i, j] - largest)
            if j != y[i]:
                others += gradient[i, j]
        label = gradient[i, y[i]]
        loss[i] = math.log1p(others + (label - one)) - (logits[i, y[i]] - largest)
        gradient[i, y[i]] = -others
        for j in range(classes):
            gradient[i, j] /= others + label


# Where an argument may be an array or one number for all elements


def each(number: Any, i: int) -> Any:
    """Return element i of an array, or a number, which is the same for every element."""


@overload(each)
def _each(number: Any, i: int) -> Any:
    def of_array(number: Any, i: int) -> Any:
        return number[i]

    def of_all(number: Any, i: int) -> Any:
        return number

    return of_array if isinstance(number, types.Array) else of_all


# Adam: the operations of `minirobust.optimizers.adam_step` in the same order, so that the results are the same bits


@njit(**EXACT)
def adam_step(
    value: Any, grad: Any, m: Any, v: Any, rate: Any, epsilon: Any, beta1: Any, beta2: Any, new1: Any, new2: Any
) -> None:
    for i in range(value.size):
        g = grad[i]
        m[i] = beta1 * m[i] + new1 * g
        v[i] = beta2 * v[i] + new2 * (g * g)
        value[i] -= each(rate, i) * m[i] / (np.sqrt(v[i]) + each(epsilon, i))


# A step of an attack


@njit(**EXACT)
def sign_step(x: Any, gradient: Any, size: Any, low: Any, high: Any, stepped: Any) -> None:
    for i in range(x.size):
        up = x[i] + each(size, i) if gradient[i] > 0 else x[i]
        stepped[i] = min(max(x[i] - each(size, i) if gradient[i] < 0 else up, each(low, i)), each(high, i))


# The scale of the loss


@njit(**EXACT)
def unscaled(gradient: Any, factor: Any, out: Any) -> int:
    """Write gradient · factor into `out`; return how many elements of the gradient are NaN or infinite."""
    odd = 0
    for i in range(gradient.size):
        odd += not abs(gradient[i]) < np.inf
        out[i] = gradient[i] * factor
    return odd


# Images (N, H, W, C).  The innermost loop runs over numbers that lie side by side, and its index is unsigned: a signed
# one might be negative and count from the end, and a loop that checks for that is not vectorized.  A slice would cost
# more than the loop


@njit(**EXACT)
def max_pool(
    x: Any, down: int, across: int, stride_down: int, stride_across: int, top: int, left: int, y: Any, winner: Any
) -> None:
    samples, height, width, channels = x.shape
    for n in range(samples):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for c in range(uintp(channels)):
                    y[n, i, j, c] = -np.inf
                    winner[n, i, j, c] = 0
                row, column = i * stride_down - top, j * stride_across - left
                for u in range(max(0, -row), min(down, height - row)):
                    for v in range(max(0, -column), min(across, width - column)):
                        place = np.int32(u * across + v)
                        for c in range(uintp(channels)):
                            candidate, best = x[n, row + u, column + v, c], y[n, i, j, c]
                            winner[n, i, j, c] = place if candidate > best else winner[n, i, j, c]
                            # In this form NaN replaces a number, and no number replaces NaN.
                            y[n, i, j, c] = best if candidate <= best or best != best else candidate


@njit(**EXACT)
def max_pool_gradient(
    grad_y: Any,
    winner: Any,
    down: int,
    across: int,
    stride_down: int,
    stride_across: int,
    top: int,
    left: int,
    grad_x: Any,
) -> None:
    samples, height, width, channels = grad_x.shape
    zero = grad_y.dtype.type(0)
    grad_x[:] = zero
    for n in range(samples):
        for i in range(grad_y.shape[1]):
            for j in range(grad_y.shape[2]):
                row, column = i * stride_down - top, j * stride_across - left
                for u in range(max(0, -row), min(down, height - row)):
                    for v in range(max(0, -column), min(across, width - column)):
                        place = np.int32(u * across + v)
                        for c in range(uintp(channels)):
                            won = winner[n, i, j, c] == place
                            grad_x[n, row + u, column + v, c] += grad_y[n, i, j, c] if won else zero


@njit(**EXACT)
def add_patches(patches: Any, down: int, stride_down: int, step: int, x: Any) -> None:
    """Add patches (N, OH, P, KH·run), each beginning `step` numbers further right, to the rows of x (N, H, W·C)."""
    run = patches.shape[3] // down
    for n in range(patches.shape[0]):
        for i in range(patches.shape[1]):
            for u in range(down):
                for j in range(patches.shape[2]):
                    to, source = uintp(j * step), uintp(u * run)
                    for t in range(uintp(run)):
                        x[n, i * stride_down + u, to + t] += patches[n, i, j, source + t]


# The pixel attacks on a network of two dense layers with a temperature sigmoid between them


SUMMED = EXACT | {"fastmath": {"contract", "reassoc"}}


@njit(**SUMMED)
def write_logits(hidden: Any, temperature: Any, weight2: Any, bias2: Any, logits: Any) -> None:
    """Write one image's logits into `logits` (K,), given the net values of its hidden layer, which are overwritten."""
    one, least = hidden.dtype.type(1), hidden.dtype.type(-80)
    sharpness = one / temperature
    for i in range(hidden.size):
        scaled = hidden[i] * sharpness
        # exp(-80) is 1.8e-35, too little to show in a logit.  Below -87 float32 is subnormal, and ten times slower.
        exponent = -abs(scaled)
        e = exp_negative(least if exponent < least else exponent)
        hidden[i] = (one if scaled >= 0 else e) / (one + e)
    for j in range(bias2.size):
        z = bias2[j]
        for i in range(hidden.size):
            z += hidden[i] * weight2[j, i]
        logits[j] = z


@njit(**SUMMED)
def logits_after(
    before: Any,
    images: Any,
    inputs: Any,
    change: Any,
    weight1: Any,
    temperature: Any,
    weight2: Any,
    bias2: Any,
    logits: Any,
) -> None:
    """Write into `logits` (M, K) those of M copies of images, in each of which a few inputs changed.

    Parameters
    ----------
    before : ndarray of shape (N, units)
        Output of the first layer for all images.
    images : ndarray of int, shape (M,)
        Which image each is a copy of.
    inputs : ndarray of int, shape (M, n)
        Which of its inputs changed.
    change : ndarray of shape (M, n)
        By how much.
    weight1 : ndarray of shape (inputs, units)
    weight2 : ndarray of shape (K, units)
        Transposed, so that a class' weights lie side by side.
    """
    hidden = np.empty(before.shape[1], before.dtype)
    for m in range(images.size):
        for i in range(hidden.size):
            hidden[i] = before[images[m], i]
        for p in range(inputs.shape[1]):
            row, size = inputs[m, p], change[m, p]
            for i in range(hidden.size):
                hidden[i] += size * weight1[row, i]
        write_logits(hidden, temperature, weight2, bias2, logits[m])


@njit(**SUMMED)
def first_to_succeed(
    before: Any,
    own: Any,
    images: Any,
    pixels: Any,
    values: Any,
    labels: Any,
    aims: Any,
    start: Any,
    weight1: Any,
    temperature: Any,
    weight2: Any,
    bias2: Any,
    first: Any,
) -> int:
    """Write into `first` (M,) which of its B candidates is the first to succeed on each image; return how many ran.

    Parameters
    ----------
    own : ndarray of shape (N, pixels, C)
        What the pixels of all images hold.
    images, pixels, values, labels, aims, start
        See `minirobust.attacks.pixel.change.PixelChange.first_to_succeed`.
    before, weight1, temperature, weight2, bias2
        See `logits_after`.
    """
    hidden, logits = np.empty(before.shape[1], before.dtype), np.empty(bias2.size, before.dtype)
    (candidates, written, channels), tried = values.shape, 0
    for m in range(images.size):
        n = images[m]
        first[m] = candidates
        for b in range(start[m], candidates):
            changed = False
            for c in range(channels):
                changed |= values[b, written - 1, c] != own[n, pixels[m, b, written - 1], c]
            if not changed:
                continue
            tried += 1
            for i in range(hidden.size):
                hidden[i] = before[n, i]
            for p in range(written):
                for c in range(channels):
                    place = pixels[m, b, p]
                    size, row = values[b, p, c] - own[n, place, c], place * channels + c
                    for i in range(hidden.size):
                        hidden[i] += size * weight1[row, i]
            write_logits(hidden, temperature, weight2, bias2, logits)
            prediction = most_likely(logits)
            if prediction == aims[n] if aims[n] >= 0 else prediction != labels[n]:
                first[m] = b
                break
    return tried


@njit(**EXACT)
def most_likely(logits: Any) -> int:
    """Return the class of the largest of one image's logits, of equal ones the first; -1 if one is not finite."""
    best = 0
    for j in range(logits.size):
        if not abs(logits[j]) < np.inf:
            return -1
        if logits[j] > logits[best]:
            best = j
    return best
