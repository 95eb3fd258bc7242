"""The tests that students do not see. The defence that is attacked is drawn for each submission."""

from minirobust.classroom.defences import Trained, check_attack
from minirobust.classroom.exercise import Wrong, test

IMAGES, EPSILON, STEPS = 24, 0.1, 8


def inputs(draw, defence):
    """Return the arguments of both functions."""
    model = Trained(defence, int(draw.integers(1, 3)), 200 * IMAGES)
    return model, Trained("none", 0, 10**6), *model.correct_images(draw, IMAGES), EPSILON


@test("what hides the gradient", points=4, section=2)
def hidden_gradient(program, draw):
    for defence in draw.permutation(["8 levels", "tanh staircase", "logits × 10⁶"]):
        yield program.call("diagnose", *inputs(draw, str(defence)))


@test("a gradient that misleads, and one that does not", points=4, section=3)
def misleading(program, draw):
    for defence in draw.permutation(["cold", draw.choice(["ripple", "thermometer code"])]):
        given = inputs(draw, str(defence))
        found = program.call("diagnose", *given)
        steps = given[0].calls["gradient"]
        if defence == "cold" and isinstance(found, str) and found != "not masked" and steps <= STEPS:
            name = "weak FGSM called masking" if steps <= STEPS // 2 else "PGD not converged"
            raise Wrong("a weak attack is taken for a hidden gradient: PGD of 40 steps breaks this network", name)
        yield found


@test("attack on a drawn defence", points=3, section=4)
def attack(program, draw):
    given = inputs(draw, str(draw.choice(["8 levels", "thermometer code", "tanh staircase"])))
    yield check_attack(program.call("attack", *given), *given)


@test("attack on another drawn defence", points=3, section=4)
def other_attack(program, draw):
    given = inputs(draw, str(draw.choice(["ripple", "logits × 10⁶"])))
    yield check_attack(program.call("attack", *given), *given)
