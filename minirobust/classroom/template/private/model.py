"""The right program, the mistakes that it can simulate, and what is known about them."""

from minirobust.classroom.exercise import Mistake

MISTAKES = [
    Mistake("sum", "the squares are summed, expected averaged", 1),
    Mistake("root", "this is the root of the mean square", 1),
    Mistake("2 missing", "the derivative of x² is 2x: the 2 is missing", 2),
    Mistake("n missing", "the gradient is not divided by n, but the mean is", 2),
]


def program(faults):
    """Return the names that a submission defines."""

    def mean_square(x):
        squares = x**2
        value = squares.sum() if "sum" in faults else squares.mean()
        value = value**0.5 if "root" in faults else value
        grad = x if "2 missing" in faults else 2 * x
        return value, grad if "n missing" in faults else grad / x.size

    return {"mean_square": mean_square}
