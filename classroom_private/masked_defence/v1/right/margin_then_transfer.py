import numpy as np


def softmax(z):
    e = np.exp(z - np.max(z, axis=1)[:, None])
    return e / np.sum(e, axis=1)[:, None]


def one_hot(y):
    return np.eye(10, dtype="float32")[y]


def of_cross_entropy(z, y):
    return softmax(z) - one_hot(y)


def of_margin(z, y):
    rival = np.where(one_hot(y) == 1, -np.inf, z).argmax(axis=1)
    return one_hot(rival) - one_hot(y)


def climb(teacher, x, y, epsilon, loss, rounds=40):
    image = x
    for _ in range(rounds):
        slope = teacher.gradient(image, loss(teacher.logits(image), y))
        image = image + np.float32(epsilon / 10) * np.sign(slope)
        image = np.clip(np.clip(image, x - epsilon, x + epsilon), 0, 1).astype("float32")
    return image


def survivors(model, x, y):
    return model.logits(x).argmax(-1) == y


def diagnose(model, substitute, x, y, epsilon):
    z = model.logits(x)
    zero = model.gradient(x, of_margin(z, y)) == 0
    if np.all(zero):
        return "no gradient"
    if np.mean(zero) > 0.6:
        return "false zeros"
    loss_slope = model.gradient(x, of_cross_entropy(z, y))
    if np.median([abs(one).max() for one in loss_slope]) == 0:
        return "saturated loss"
    by_pgd = survivors(model, climb(model, x, y, epsilon, of_cross_entropy), y).mean()
    by_transfer = survivors(model, climb(substitute, x, y, epsilon, of_cross_entropy), y).mean()
    return "misleading gradient" if by_pgd - by_transfer > 0.2 else "not masked"


def attack(model, substitute, x, y, epsilon):
    best = climb(model, x, y, epsilon, of_margin)
    left = survivors(model, best, y)
    if left.any():
        best[left] = climb(substitute, x[left], y[left], epsilon, of_margin)
    return best
