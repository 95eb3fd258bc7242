"""The right program, the mistakes that it can simulate, and what is known about them."""

import math

import numpy as np

from minirobust.classroom.exercise import Mistake

MISTAKES = [
    Mistake("vertical distance", "the distance is measured vertically, expected along the perpendicular", 1, "gap"),
    Mistake("horizontal distance", "the distance is measured horizontally, expected along the perpendicular", 1, "gap"),
    Mistake("root missing", "the distance lacks a root: divide the gap by √(1 + slope²)", 1, "gap"),
    Mistake("cosine inverted", "the gap is multiplied by √(1 + slope²), expected divided", 1, "gap"),
    Mistake("T ignored in r1", "r1 ignores the temperature", 1, "r1"),
    Mistake("r1 in units of T", "r1 is net/T, expected net", 2, "r1"),
    Mistake("r1 divided by T", "r1 is net/T², expected net: multiply u by T", 2, "r1"),
    Mistake("r1 of the sigmoid", "this is r1 of the logistic sigmoid, expected that of tanh", 1, "r1"),
    Mistake("T ignored in r2", "r2 ignores the temperature", 3, "r2"),
    Mistake("r2 in units of T", "r2 is net/T, expected net", 3, "r2"),
    Mistake("1/T missing", "the slope lacks the factor 1/T", 3, "r2"),
    Mistake("1/T inverted", "the slope is multiplied by T, expected divided", 3, "r2"),
    Mistake("r2 of the sigmoid", "this is r2 of the logistic sigmoid, expected that of tanh", 3, "r2"),
    Mistake("square missing", "the slope has cosh² in its denominator, not cosh", 3, "r2"),
    Mistake("output for slope", "at this net the output is delta2 away from 1, expected a slope of delta2", 3, "r2"),
    Mistake("NaN for no r2", "r2 is NaN if the slope is delta2 nowhere, expected a ValueError", 3, "r2"),
    Mistake("one side", "negative values count as linear: the regimes have two sides", 4, "count"),
    Mistake("saturated on one side", "only positive values count as saturated: the regimes have two sides", 4, "count"),
    Mistake("linear on one side", "only positive values count as linear: the regimes have two sides", 4, "count"),
    Mistake(
        "nonlinear overlaps", "saturated values also count as nonlinear: the fractions do not add up to 1", 4, "count"
    ),
    Mistake(
        "linear overlaps",
        "everything that is not saturated counts as linear: the fractions do not add up to 1",
        4,
        "count",
    ),
    Mistake(
        "values forgotten",
        "the fraction between r1 and r2 counts only positive values, so the sum is not 1",
        4,
        "count",
    ),
    Mistake("numbers, not fractions", "these are counts, expected fractions", 4, "mean"),
    Mistake("not pooled", "the fractions are those of each column, expected of all values together", 4, "mean"),
    Mistake("in percent", "the fractions are in percent", 4, "mean"),
    Mistake("order", "the order is wrong: linear, nonlinear, saturated", 4),
    Mistake("net over T", "net is divided by T before it is compared, but r1 and r2 are not", 4),
    Mistake("r2 < r1", "r2 ≤ r1 does not raise an error, expected a ValueError", 4, "refuse"),
    Mistake("borders swapped", "if r2 ≤ r1 the borders are swapped, expected a ValueError", 4, "refuse"),
    Mistake("zeros for r2 < r1", "if r2 ≤ r1 zeros are returned, expected a ValueError", 4, "refuse"),
]

BORDERS = ("r2 < r1", "borders swapped", "zeros for r2 < r1")
SAME = [
    # The vertical distance does not depend on the slope, and net/T is compared with the gap of T = 1.
    {"vertical distance", "r1 in units of T"},
    # At T = 1 the slope is 1, and both distances are the same.
    {"horizontal distance", "T ignored in r1"},
    # With a wrong r2 the borders are in order where they should not be.
    *({wrong, refused} for wrong in ("1/T missing", "1/T inverted", "r2 of the sigmoid") for refused in BORDERS),
]
EQUIVALENT = [
    # A wider interval, a more distant start, and further rounds end at the same number.
    "bisection.py 6:27 2 for 1 in 1",
    "bisection.py 7:19 101 for 100 in 100",
    "iteration.py 7:8 6.0 for 5.0 in 5.0",
    "iteration.py 8:19 2001 for 2000 in 2000",
    "newton.py 8:8 Sub for Add in gap + 1",
    "newton.py 8:8 Mult for Add in gap + 1",
    "newton.py 8:8 left operand alone in gap + 1",
    "newton.py 8:8 right operand alone in gap + 1",
    "newton.py 8:14 2 for 1 in 1",
    "newton.py 9:19 61 for 60 in 60",
    # Newton's method with a wrong slope converges, too, only more slowly.
    "newton.py 11:29 left operand alone in t ** 2",
]


def solve(distance, delta, most):
    """Return the u > 0 at which a growing distance is delta."""
    least = 0.0
    for _ in range(200):
        middle = (least + most) / 2
        least, most = (middle, most) if distance(middle) < delta else (least, middle)
    return most


def first(T, delta1, faults):
    """Return r1."""
    if "T ignored in r1" in faults:
        T = 1.0
    slope, height = 1 / T, 1.0
    if "r1 of the sigmoid" in faults:
        slope, height = 1 / (4 * T), 0.5
    scale = math.hypot(1, slope)
    if "vertical distance" in faults:
        scale = 1
    if "horizontal distance" in faults:
        scale = slope
    if "root missing" in faults:
        scale = 1 + slope**2
    if "cosine inverted" in faults:
        scale = 1 / scale

    def distance(net):
        u = net * slope / height
        return height * (u - math.tanh(u)) / scale

    net = solve(distance, delta1, (height + delta1 * scale) / slope)
    if "r1 in units of T" in faults:
        return net / T
    return net / T**2 if "r1 divided by T" in faults else net


def second(T, delta2, faults):
    """Return r2."""
    if "T ignored in r2" in faults:
        T = 1.0
    a = T * delta2
    if "1/T missing" in faults:
        a = delta2
    if "1/T inverted" in faults:
        a = delta2 / T
    if "output for slope" in faults:
        return T * math.atanh(1 - delta2)
    if "r2 of the sigmoid" in faults:
        return T * math.log((1 - 2 * a + math.sqrt(1 - 4 * a)) / (2 * a))
    if "NaN for no r2" in faults:
        return T * np.arccosh(1 / np.sqrt(a))
    if a >= 1:
        raise ValueError("no such slope")
    net = T * math.acosh(1 / a if "square missing" in faults else 1 / math.sqrt(a))
    return net / T if "r2 in units of T" in faults else net


def regimes(net, low, high, faults):
    """Return which values are linear, nonlinear and saturated."""
    size = abs(net)
    linear, saturated = size <= low, size >= high
    if "one side" in faults:
        linear, saturated = net <= low, net >= high
    if "saturated on one side" in faults:
        saturated = net >= high
    if "linear on one side" in faults:
        linear = (net > 0) & linear
    nonlinear = 1.0 - linear - saturated
    if "nonlinear overlaps" in faults:
        nonlinear = size > low
    if "linear overlaps" in faults:
        linear = size < high
    if "values forgotten" in faults:
        nonlinear = (net > low) & (net < high)
    return linear, nonlinear, saturated


def program(faults):
    """Return the names that a submission defines."""

    def r1(temperature, delta1):
        return first(temperature, delta1, faults)

    def r2(temperature, delta2):
        return second(temperature, delta2, faults)

    def fractions(net, temperature, delta1, delta2):
        low, high = r1(temperature, delta1), r2(temperature, delta2)
        net = net / temperature if "net over T" in faults else net
        if high <= low:
            if "zeros for r2 < r1" in faults:
                return 0.0, 0.0, 0.0
            if "borders swapped" in faults:
                low, high = high, low
            elif "r2 < r1" not in faults:
                raise ValueError("r2 is not above r1")
        parts = regimes(net, low, high, faults)
        parts = parts[::-1] if "order" in faults else parts
        if "numbers, not fractions" in faults:
            return tuple(float(part.sum()) for part in parts)
        if "not pooled" in faults:
            return tuple(part.mean(axis=0) for part in parts)
        return tuple((100 if "in percent" in faults else 1) * part.mean() for part in parts)

    return {"r1": r1, "r2": r2, "fractions": fractions}
