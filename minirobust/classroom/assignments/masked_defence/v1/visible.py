"""The tests that students see. The right answers are in visible.json."""

import numpy as np

from minirobust.classroom.defences import Trained, check_attack
from minirobust.classroom.exercise import test

IMAGES, EPSILON = 24, 0.1


def inputs(defence):
    """Return the arguments of both functions."""
    model = Trained(defence, 1, 200 * IMAGES)
    return model, Trained("none", 0, 10**6), *model.correct_images(np.random.default_rng(11), IMAGES), EPSILON


@test("diagnosis of an ordinary network and of a rippled one", points=1, section=3)
def diagnosis(program, draw):
    for defence in ("none", "ripple"):
        yield program.call("diagnose", *inputs(defence))


@test("attack on a rippled network", points=2, section=4)
def attack(program, draw):
    given = inputs("ripple")
    yield check_attack(program.call("attack", *given), *given)
