"""The right program, the mistakes that it can simulate, and what is known about them."""

import numpy as np

from minirobust.classroom.exercise import Mistake

MISTAKES = [
    Mistake("downhill", "the step goes downhill: an attack raises the loss", 1),
    Mistake("no clip", "pixels leave the range from 0 to 1", 1, "clip"),
    Mistake("wrong range", "pixels are clipped to -1 and 1, expected to 0 and 1", 1, "clip"),
    Mistake(
        "change clipped to the range", "the change is clipped to the range of pixels, expected the image", 1, "clip"
    ),
    Mistake("predicted label", "the loss is that of the predicted class, expected that of the label y", 1),
    Mistake("epsilon missing", "epsilon is not used", 1, "epsilon"),
    Mistake("half of epsilon", "pixels move by half of epsilon", 1, "epsilon"),
    Mistake("change returned", "the change is returned, expected the changed images", 1, "clip"),
    Mistake("iterated", "the attack takes two steps, expected one", 1),
    Mistake("unsigned", "FGSM takes the sign of the gradient, not its value", 1, "sign"),
    Mistake("sign of zero", "a pixel whose gradient is 0 moves: its sign is 0", 1, "sign"),
    Mistake("signed FGVM", "FGVM takes the gradient's value, not its sign", 2, "norm"),
    Mistake("batch maximum", "FGVM divides by the largest gradient of the batch: each image has its own", 2, "norm"),
    Mistake("not divided", "FGVM does not divide by the largest gradient", 2, "norm"),
    Mistake(
        "largest without abs", "FGVM divides by the largest gradient, expected by the largest absolute value", 2, "norm"
    ),
    Mistake("Euclidean norm", "FGVM divides by the Euclidean norm, expected by the largest absolute value", 2, "norm"),
    Mistake("zero divided by zero", "an image whose gradient is 0 becomes NaN", 2, "norm"),
    Mistake("mask ignored", "pixels change where the mask is 0", 3, "mask"),
    Mistake("mask inverted", "pixels change where the mask is 0, and not where it is 1", 3, "mask"),
    Mistake("mask of FGVM too late", "FGVM looks for the largest gradient among forbidden pixels, too", 3, "mask"),
    Mistake(
        "mask on the image", "forbidden pixels become 0: the mask belongs to the change, not to the image", 3, "mask"
    ),
    Mistake("writes into x", "the attack writes into x, which belongs to the caller", 3),
]
SAME = [
    # A mask on the change has the same effect on the change alone.
    {"change returned", "mask on the image"},
    # Without a division, it does not matter what the divisor would be.
    {"mask of FGVM too late", "signed FGVM"},
    {"mask of FGVM too late", "not divided"},
    # Only images without an allowed gradient divide by zero.
    {"mask ignored", "zero divided by zero"},
    {"mask of FGVM too late", "zero divided by zero"},
]
EQUIVALENT = [
    # zip's strict=True only guards against a call with arrays that do not fit together.
    "image_by_image.py 14:56 False for True in True",
    # reshape takes every negative length for "the rest", and 0 divided by any scale is 0.
    "one_step.py 17:53 2 for 1 in 1",
    "one_step.py 19:24 2 for 1 in 1",
    # Axis 2 of four is axis -2.
    "whole_batch.py 11:58 minus dropped in -2",
]


def clip(x, change, faults):
    """Return the changed images in the range of pixels."""
    if "no clip" in faults:
        return x + change
    if "change clipped to the range" in faults:
        return x + change.clip(0, 1)
    return (x + change).clip(-1 if "wrong range" in faults else 0, 1)


def size(gradient, faults):
    """Return what FGVM divides the gradients of each image by."""
    axes = (1, 2, 3)
    if "batch maximum" in faults:
        return np.full((len(gradient), 1, 1, 1), abs(gradient).max())
    if "not divided" in faults:
        return np.ones((len(gradient), 1, 1, 1))
    if "largest without abs" in faults:
        return gradient.max(axis=axes, keepdims=True)
    if "Euclidean norm" in faults:
        return np.sqrt((gradient**2).sum(axis=axes, keepdims=True))
    return abs(gradient).max(axis=axes, keepdims=True)


def sign_direction(gradient, mask, faults):
    """Return the direction of FGSM."""
    if "sign of zero" in faults:
        return np.where(gradient >= 0, 1.0, -1.0)
    return gradient if "unsigned" in faults else np.sign(gradient)


def value_direction(gradient, mask, faults):
    """Return the direction of FGVM."""
    if "signed FGVM" in faults:
        return np.sign(gradient)
    allowed = gradient if {"mask ignored", "mask of FGVM too late"} & faults else gradient * mask
    divisor = size(allowed, faults)
    return allowed / (divisor if "zero divided by zero" in faults else np.where(divisor == 0, 1, divisor))


def attack(direction, network, x, y, epsilon, mask, faults):
    """Return the images after the step that both attacks share."""
    mask = 1 - mask if "mask inverted" in faults else mask
    labels = network.logits(x).argmax(axis=1) if "predicted label" in faults else y
    gradient = network.input_gradient(x, labels)
    change = direction(gradient, mask, faults)
    change = -change if "downhill" in faults else change
    change = change if "epsilon missing" in faults else change * epsilon
    change = change / 2 if "half of epsilon" in faults else change
    if "mask on the image" in faults:
        return (change if "change returned" in faults else clip(x, change, faults)) * mask
    change = change if "mask ignored" in faults else change * mask
    return change if "change returned" in faults else clip(x, change, faults)


def program(faults):
    """Return the names that a submission defines."""

    def steps(direction, network, x, y, epsilon, mask):
        changed = attack(direction, network, x, y, epsilon, mask, faults)
        if "iterated" in faults:
            changed = attack(direction, network, changed, y, epsilon, mask, faults)
        if "writes into x" in faults:
            x[...] = changed
        return changed

    return {
        "fgsm": lambda *args: steps(sign_direction, *args),
        "fgvm": lambda *args: steps(value_direction, *args),
    }
