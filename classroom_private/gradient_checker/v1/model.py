"""The right program, the mistakes that it can simulate, and what is known about them."""

import numpy as np

from minirobust.classroom.exercise import Mistake

MISTAKES = [
    Mistake("one-sided", "the difference is one-sided, expected central", 1, "difference"),
    Mistake("one-sided over two steps", "the difference is one-sided, but divided by two steps", 1, "difference"),
    Mistake("divided by one step", "the difference of two steps is divided by one", 1, "difference"),
    Mistake("wrong sign", "the difference has the wrong sign", 1, "difference"),
    Mistake("all at once", "all elements move at once, expected one at a time", 1, "element"),
    Mistake("cotangent ignored", "the numeric gradient ignores the cotangent", 2, "number"),
    Mistake("mean", "the products with the cotangent are averaged, expected summed", 2, "number"),
    Mistake("not restored", "an element is not put back before the next one moves", 3, "element"),
    Mistake("first element only", "only the first element of each array gets a gradient", 3, "element"),
    Mistake("parameters ignored", "weight gets no numeric gradient", 3),
    # A verdict is three words, so one set of them looks like another. The first that fits is named.
    Mistake("kink accused", "a kink is mistaken for a wrong gradient: no gradient exists there", 5, "verdict"),
    Mistake("layers with kinks excused", "one kink excuses the whole layer, expected only its element", 5, "verdict"),
    Mistake(
        "cotangent of ones",
        "the cotangent of the verdict is constant: some mistakes show only with different numbers",
        2,
        "verdict",
    ),
    Mistake("first element judged", "the verdict only looks at the first element of each array", 3, "verdict"),
    Mistake("parameters not judged", "the verdict does not look at the gradient of weight", 3, "verdict"),
    Mistake(
        "step too large",
        "the step of the verdict is too large: right layers with curvature are called wrong",
        1,
        "verdict",
    ),
    Mistake(
        "step too small",
        "a right layer is called wrong: the step is too small, or the numeric gradient is wrong",
        1,
        "verdict",
    ),
    Mistake("absolute error", "the error is absolute: gradients may be large or small", 4, "verdict"),
    Mistake("tolerance too large", "the tolerance is too large: wrong layers pass", 4, "verdict"),
    Mistake("zero divided by zero", "a right gradient of 0 is called wrong: 0/0 is NaN", 4, "verdict"),
    Mistake("sums compared", "the verdict compares sums, expected element by element", 4, "verdict"),
    Mistake("curves excused", "curvature is mistaken for a kink, so wrong layers pass", 5, "verdict"),
]

SAME = [
    # The second value of a one-sided difference is taken where the element was before.
    {"not restored", "one-sided"},
    {"not restored", "one-sided over two steps"},
]
EQUIVALENT = [
    # The largest number of an array is only needed roughly.
    "between_two_slopes.py 34:31 np.abs dropped in np.abs(claimed)",
    "two_steps.py 40:20 np.abs dropped in np.abs(claim)",
    "two_steps.py 40:41 np.abs dropped in np.abs(slope)",
    "two_steps.py 41:54 301 for 300 in 300",
    # At these kinks, one of both slopes is 0 or has the other sign.
    "flat.py 31:46 1.1 for 0.1 in 0.1",
    # Of this unit matrix the first row is taken.
    "two_steps.py 17:49 2 for 1 in 1",
]


def numeric(layer, x, weight, cotangent, step, faults, sides=(1, -1)):
    """Return differences between steps to two sides, divided by their distance."""
    arrays = [x.copy(), weight.copy()]

    def phi():
        y = layer.forward(*arrays)
        y = y if "cotangent ignored" in faults else y * cotangent
        return y.mean() if "mean" in faults else y.sum()

    grads = [np.zeros_like(x), np.zeros_like(weight)]
    for number, (array, grad) in enumerate(zip(arrays, grads, strict=True)):
        if number and "parameters ignored" in faults:
            continue
        for place in [...] if "all at once" in faults else np.ndindex(array.shape):
            if "first element only" in faults and place is not ... and any(place):
                continue
            before, values = array[place].copy(), []
            for side in sides:
                array[place] = before + side * step
                values.append(phi())
            if "not restored" not in faults:
                array[place] = before
            grad[place] = (values[0] - values[1]) / ((sides[0] - sides[1]) * step)
    return grads


def program(faults):
    """Return the names that a submission defines."""
    sides = (1, 0) if {"one-sided", "one-sided over two steps"} & faults else (1, -1)
    factors = {"one-sided over two steps": 0.5, "divided by one step": 2.0, "wrong sign": -1.0}
    factor = next((factors[fault] for fault in faults if fault in factors), 1.0)

    def numeric_gradient(layer, x, weight, cotangent, step):
        return tuple(factor * grad for grad in numeric(layer, x, weight, cotangent, step, faults, sides))

    def verdict(layer, x, weight):
        cotangent = np.random.default_rng(1).uniform(0.5, 1.5, layer.forward(x, weight).shape)
        cotangent[::2] *= -1
        if "cotangent of ones" in faults:
            cotangent = np.ones_like(cotangent)
        # The verdict has a numeric gradient without mistakes: a program with a wrong one accuses everybody.
        steps = {"step too large": 0.1, "step too small": 1e-13}
        step = next((steps[fault] for fault in faults if fault in steps), 1e-5)
        given = layer.backward(x, weight, cotangent)
        found, after, before = (
            numeric(layer, x, weight, cotangent, step, frozenset(), sides) for sides in ((1, -1), (1, 0), (0, -1))
        )
        share = 1e-6 if "curves excused" in faults else 0.1
        kinks = [differs(a, b, share) for a, b in zip(after, before, strict=True)]
        if "layers with kinks excused" in faults and any(kink.any() for kink in kinks):
            return "right"
        for number, (a, b, kink) in enumerate(zip(given, found, kinks, strict=True)):
            if number and "parameters not judged" in faults:
                continue
            excused = False if "kink accused" in faults else kink
            if accused(a, b, excused, faults):
                return "wrong"
        return "right"

    return {"numeric_gradient": numeric_gradient, "verdict": verdict}


def differs(a, b, share):
    """Return where two slopes differ by more than a share of the largest one."""
    return abs(a - b) > share * max(abs(a).max(), abs(b).max())


@np.errstate(all="ignore")
def accused(given, found, excused, faults):
    """Return whether two gradients disagree."""
    difference = np.where(excused, 0, given - found)
    if "sums compared" in faults:
        difference = np.atleast_1d(difference.sum())
    if "first element judged" in faults:
        difference = difference.ravel()[:1]
    error, size = abs(difference).max(), max(abs(given).max(), abs(found).max())
    if "absolute error" in faults:
        return error > 1e-4
    if "zero divided by zero" in faults:
        return not error / size <= 1e-4
    return error > (0.2 if "tolerance too large" in faults else 1e-4) * size
