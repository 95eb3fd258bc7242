"""The right program, the mistakes that it can simulate, and what is known about them."""

import numpy as np

from minirobust.classroom.exercise import Mistake

MISTAKES = [
    Mistake(
        "masked for all", "an ordinary network is called masked: PGD fools it, so its gradient is not hidden", 3, "one"
    ),
    Mistake(
        "weak FGSM called masking", "the failure of FGSM is no sign of masking: PGD with 40 steps may succeed", 3, "one"
    ),
    Mistake("PGD not converged", "PGD was run with too few steps to prove anything", 3, "one"),
    Mistake("transfer untried", "a misleading gradient is missed: try images made on the substitute", 3, "one"),
    Mistake(
        "false zeros missed", "a gradient that is 0 at most pixels is lost to rounding: look at its numbers", 2, "one"
    ),
    Mistake("loss for gradient", "only the loss is saturated: look at the gradient of the logits, too", 2, "one"),
    Mistake("saturation missed", "the gradient of cross entropy is 0 where that of the logits is not", 2, "one"),
    Mistake(
        "no gradient missed",
        "a gradient that is 0 everywhere is not lost to rounding: some layer is a staircase",
        2,
        "one",
    ),
    Mistake("not broken", "most images are still classified correctly: plain PGD does no better", 4, "one"),
    Mistake("unchanged", "the images are unchanged: there is no gradient to follow", 4, "one"),
    Mistake("downhill", "the attack goes downhill", 4, "one"),
    Mistake("outside epsilon", "pixels move by more than epsilon: project after each step", 4, "one"),
    Mistake("outside the range", "pixels leave the range from 0 to 1", 4, "one"),
    Mistake(
        "too many queries", "the query budget is used up: query only images that do not fool the model yet", 4, "one"
    ),
]
# A finding that a test raises is no answer, so these answer alike. Their findings differ.
RAISED = ("weak FGSM called masking", "PGD not converged", "unchanged", "downhill")
SAME = [{name} for name in (*RAISED, "outside epsilon", "outside the range", "too many queries")]
SHORT = {"weak FGSM called masking": 1, "PGD not converged": 6}


def cross_entropy(logits, y):
    """Return the gradient of cross entropy with respect to the logits."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    return p


def margin(logits, y):
    """Return the gradient of the largest wrong logit minus that of the label."""
    rows, others = np.arange(len(y)), logits.copy()
    others[rows, y] = -np.inf
    cotangent = np.zeros_like(logits)
    cotangent[rows, others.argmax(axis=1)] = 1
    cotangent[rows, y] = -1
    return cotangent


def pgd(model, guide, x, y, epsilon, loss, steps=40, faults=frozenset(), enough=0):
    """Return the first iterate that fools the model, or the last, and which images still stand.

    It stops as soon as at most `enough` images stand.
    """
    found, standing = x.copy(), np.arange(len(x))
    low, high = (x - epsilon, x + epsilon) if "outside epsilon" not in faults else (x - 1, x + 1)
    if "outside the range" not in faults:
        low, high = low.clip(0, 1), high.clip(0, 1)
    size = epsilon * 2.5 / steps * (-1 if "downhill" in faults else 1)
    for _ in range(steps):
        if len(standing) <= enough:
            break
        at = found[standing]
        gradient = guide.gradient(at, loss(guide.logits(at), y[standing]))
        found[standing] = np.clip(at + size * np.sign(gradient), low[standing], high[standing])
        right = model.logits(found[standing]).argmax(axis=1) == y[standing]
        standing = standing if "too many queries" in faults or "downhill" in faults else standing[right]
    return found, standing


def zeros(model, x, y, faults):
    """Return the diagnosis that the gradients' zeros allow, or None."""
    logits = model.logits(x)
    of_logits, of_loss = (model.gradient(x, loss(logits, y)) == 0 for loss in (margin, cross_entropy))
    if of_logits.all() or ("loss for gradient" in faults and of_loss.all()):
        return "false zeros" if "no gradient missed" in faults else "no gradient"
    if of_logits.mean() > 0.5 and "false zeros missed" not in faults:
        return "false zeros"
    lost = of_loss.reshape(len(x), -1).all(axis=1).mean() > 0.5
    return "saturated loss" if lost and "saturation missed" not in faults else None


def program(faults):
    """Return the names that a submission defines."""

    def diagnose(model, substitute, x, y, epsilon):
        found = zeros(model, x, y, faults)
        if found:
            return found
        if "transfer untried" in faults:
            return "not masked"
        steps = next((SHORT[fault] for fault in faults if fault in SHORT), 40)
        # Both attacks stop when further steps cannot change the diagnosis.
        few, more = 0.1 * len(x), 0.15 * len(x)
        left = len(pgd(model, model, x, y, epsilon, cross_entropy, steps, enough=few)[1])
        if "masked for all" in faults:  # after PGD, because a test looks at how many steps led to the diagnosis
            return "misleading gradient"
        if steps < 40:
            return "misleading gradient" if left > few else "not masked"
        if left <= more:
            return "not masked"
        transferred = len(pgd(model, substitute, x, y, epsilon, cross_entropy, enough=left - more)[1])
        return "misleading gradient" if left > transferred + more else "not masked"

    def attack(model, substitute, x, y, epsilon):
        if "unchanged" in faults:
            return x
        if "not broken" in faults:
            return pgd(model, model, x, y, epsilon, cross_entropy)[0]
        repeats = 20 if "too many queries" in faults else 1
        enough = 0 if faults else len(x) // 3  # The test asks for half of the images.
        for _ in range(repeats):
            images, standing = pgd(model, substitute, x, y, epsilon, margin, faults=faults, enough=enough)
        if not {"outside epsilon", "outside the range", "downhill"} & faults:
            images[standing] = pgd(model, model, x[standing], y[standing], epsilon, margin, enough=enough)[0]
        return images

    return {"diagnose": diagnose, "attack": attack}
