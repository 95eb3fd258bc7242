import numpy as np


class Weapon:
    """Steps along the gradient of a loss; subclasses say whose gradient, and of which loss."""

    def __init__(self, network, loss):
        self.network, self.loss = network, loss

    def slope(self, x, y):
        return self.network.gradient(x, self.loss(self.network.logits(x), y))


class Noisy(Weapon):
    copies = 4

    def slope(self, x, y):
        random = np.random.default_rng(len(x))
        noisy = (x + random.normal(0, 0.1, (self.copies, *x.shape)).astype(x.dtype) for _ in range(1))
        return sum(super(Noisy, self).slope(copy, y) for copies in noisy for copy in copies)


def entropy(z, y):
    probability = np.exp(z - np.logaddexp.reduce(z, 1)[:, None])
    probability[range(len(y)), y] -= 1.0
    return probability


def difference(z, y):
    best = [np.argsort(row)[-1] if np.argsort(row)[-1] != label else np.argsort(row)[-2] for row, label in zip(z, y)]
    cotangent = np.zeros(z.shape, z.dtype)
    np.add.at(cotangent, (range(len(y)), best), 1)
    np.add.at(cotangent, (range(len(y)), y), -1)
    return cotangent


def fire(weapon, steps, model, x, y, epsilon):
    result, alive = x.copy(), np.ones(len(x), bool)
    for k in range(steps):
        slope = weapon.slope(result[alive], y[alive])
        pace = 2 * epsilon * max(0.2, 1 - k / steps) / 5
        moved = result[alive] + pace * np.sign(slope)
        change = np.clip(moved - x[alive], -epsilon, epsilon)
        result[alive] = np.maximum(0, np.minimum(1, x[alive] + change))
        alive[alive] = model.logits(result[alive]).argmax(-1) == y[alive]
        if not alive.any():
            break
    return result, alive


def diagnose(model, substitute, x, y, epsilon):
    z = model.logits(x)
    slope = model.gradient(x, difference(z, y))
    if not slope.any():
        return "no gradient"
    if np.count_nonzero(slope) < slope.size / 2:
        return "false zeros"
    flat = [not g.any() for g in model.gradient(x, entropy(z, y))]
    if sum(flat) > len(flat) / 2:
        return "saturated loss"
    own = fire(Weapon(model, entropy), 50, model, x, y, epsilon)[1].sum()
    other = fire(Weapon(substitute, entropy), 25, model, x, y, epsilon)[1].sum()
    return "misleading gradient" if own > other + len(x) / 6 else "not masked"


def attack(model, substitute, x, y, epsilon):
    images, alive = x.copy(), np.ones(len(x), bool)
    for weapon in (Weapon(substitute, difference), Weapon(model, difference), Noisy(model, difference)):
        if alive.any():
            images[alive], still = fire(weapon, 12, model, x[alive], y[alive], epsilon)
            alive[alive] = still
    return images
