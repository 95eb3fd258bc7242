"""The right program, the mistakes that it can simulate, and what is known about them."""

import numpy as np

from minirobust.classroom.exercise import Mistake

MISTAKES = [
    Mistake("1 - beta missing", "the new gradient lacks its weight 1 - β in the averages", 1, "averages"),
    Mistake("betas swapped", "the two betas are swapped", 1, "averages"),
    Mistake("weights swapped", "the old average gets the weight 1 - β, expected β", 1, "averages"),
    Mistake("square missing", "v averages the gradient, expected its square", 1, "averages"),
    Mistake("square of the average", "v averages the square of m, expected that of the gradient", 1, "averages"),
    Mistake("state lost", "the averages start from 0 in each step", 1, "averages"),
    Mistake("no bias correction", "the averages are not corrected for their start at 0", 2, "t"),
    Mistake("m not corrected", "m is not divided by 1 - β₁ᵗ", 2, "t"),
    Mistake("v not corrected", "v is not divided by 1 - β₂ᵗ", 2, "t"),
    Mistake("t = 0", "the first step has t = 0, and divides by 0: count before you correct", 2, "t"),
    Mistake("t = 2", "the first step has t = 2, expected 1", 2, "t"),
    Mistake("t not counted", "t is 1 in every step", 2, "t"),
    Mistake("correction kept", "the corrected averages are stored: the correction belongs to one step", 2, "t"),
    Mistake("epsilon inside the root", "ε is inside the root, expected outside", 3, "step"),
    Mistake("epsilon missing", "ε is missing: a parameter without a gradient becomes NaN", 3, "step"),
    Mistake("root missing", "the step is divided by v, expected by √v", 3, "step"),
    Mistake("uphill", "the step goes uphill: subtract it", 3, "sign"),
    Mistake("step returned", "the change is returned, expected the new value", 3, "sign"),
    Mistake("learning rate missing", "the step is not multiplied by the learning rate", 3, "step"),
    Mistake("train without decay", "train does not pass on the decay", 6, "decay"),
    Mistake("decay ignored", "the decay is ignored", 4, "decay"),
    Mistake("decay through m", "the decay is added to the gradient, so it runs through m and v", 4, "decay"),
    Mistake("decay without the learning rate", "the decay is not multiplied by the learning rate", 4, "decay"),
    Mistake("decay of the new value", "the decay takes the value after the step, expected before", 4, "decay"),
    Mistake("growth", "the decay has the wrong sign: values grow", 4, "decay"),
    Mistake("shared state", "all objects share their averages: keep them in self", 5, "state"),
    Mistake("shared t", "all objects share their t: keep it in self", 5, "state"),
    Mistake("writes into an argument", "step writes into one of its arguments", 5),
    Mistake("no shuffle", "the samples are not shuffled: use the orders", 6, "order"),
    Mistake("one shuffle", "every epoch uses the order of the first", 6, "order"),
    Mistake("shuffled again", "an order is applied to shuffled samples, expected to the original ones", 6, "order"),
    Mistake("labels not shuffled", "samples are shuffled, but their labels are not", 6, "order"),
    Mistake(
        "accumulated",
        "gradients are added to those of the last batch, expected only those of this batch",
        6,
        "gradient",
    ),
    Mistake(
        "gradient at the start",
        "the gradient is always taken at the first value, expected at the present one",
        6,
        "gradient",
    ),
    Mistake("remainder dropped", "the last, smaller batch of an epoch is dropped", 6, "batch"),
    Mistake("one step per epoch", "there is one step per epoch, expected one per batch", 6, "batch"),
    Mistake("one epoch", "there is only one epoch: each row of orders is an epoch", 6, "batch"),
    Mistake("new optimizer", "each epoch makes a new optimizer, expected one for the whole training", 6, "optimizer"),
    Mistake(
        "new optimizer for each batch",
        "each batch makes a new optimizer, expected one for the whole training",
        6,
        "optimizer",
    ),
    Mistake("loss of the last batch", "the loss is that of an epoch's last batch, expected the mean", 6, "loss"),
    Mistake("losses summed", "the losses of an epoch are summed, expected averaged", 6, "loss"),
    Mistake(
        "unweighted mean", "all batches have the same weight in the loss, expected their number of samples", 6, "loss"
    ),
]

SAME = [
    # A division by 0 leaves NaN everywhere.
    *({"t = 0", mistake.name} for mistake in MISTAKES),
    # The root of a negative v leaves NaN in training.
    *({"square missing", mistake.name} for mistake in MISTAKES if mistake.section == 6),
    # Without 1 - β the first correction is the weight that is missing.
    {"1 - beta missing", "no bias correction"},
    # Digits have corners without ink: without ε their weights become NaN.
    *({"epsilon missing", mistake.name} for mistake in MISTAKES if mistake.section == 6),
    # Nothing that is lost or not used can be corrected, shared or scaled.
    {"state lost", "correction kept"},
    {"state lost", "shared t"},
    {"no bias correction", "shared t"},
    {"t not counted", "shared t"},
    {"learning rate missing", "decay without the learning rate"},
    # A new optimizer that shares its state is the old one.
    {"shared state", "new optimizer"},
    {"shared state", "new optimizer for each batch"},
    # A single epoch has one order, and a single batch has none. All batches are then alike, too.
    *({"one epoch", name} for name in ("one shuffle", "shuffled again", "new optimizer")),
    *({"one step per epoch", name} for name in ("no shuffle", "one shuffle", "shuffled again")),
    *({"one step per epoch", name} for name in ("loss of the last batch", "losses summed", "unweighted mean")),
    {"one step per epoch", "new optimizer for each batch"},
    {"remainder dropped", "unweighted mean"},
]


def program(faults):
    """Return the names that a submission defines."""
    shared = {"t": 0, "m": 0.0, "v": 0.0}

    class Adam:
        def __init__(self, learning_rate, beta1, beta2, epsilon, decay):
            self.rate, self.epsilon = learning_rate, epsilon
            self.betas = (beta2, beta1) if "betas swapped" in faults else (beta1, beta2)
            self.decay = 0.0 if "decay ignored" in faults else decay
            own = {"t": 0, "m": 0.0, "v": 0.0}
            self.averages = shared if "shared state" in faults else own
            self.counter = shared if {"shared state", "shared t"} & faults else own

        def averaged(self, name, beta, number):
            if "1 - beta missing" in faults:
                return beta * self.averages[name] + number
            if "weights swapped" in faults:
                return (1 - beta) * self.averages[name] + beta * number
            if "state lost" in faults:
                return (1 - beta) * number
            return beta * self.averages[name] + (1 - beta) * number

        def corrections(self):
            """Return what m and v are divided by."""
            t = self.counter["t"]
            self.counter["t"] = t = t if "t not counted" in faults and t else t + 1
            t += ("t = 2" in faults) - ("t = 0" in faults)
            of_m = "no bias correction" not in faults and "m not corrected" not in faults
            of_v = "no bias correction" not in faults and "v not corrected" not in faults
            return 1 - of_m * self.betas[0] ** t, 1 - of_v * self.betas[1] ** t

        def direction(self, gradient):
            """Return m̂ / (√v̂ + ε)."""
            m = self.averaged("m", self.betas[0], gradient)
            second = {"square missing": gradient, "square of the average": m**2}
            second = next((second[fault] for fault in faults if fault in second), gradient**2)
            v = self.averaged("v", self.betas[1], second)
            self.averages.update(m=m, v=v)
            of_m, of_v = self.corrections()
            m, v = m / of_m, v / of_v
            if "correction kept" in faults:
                self.averages.update(m=m, v=v)
            if "epsilon inside the root" in faults:
                return m / np.sqrt(v + self.epsilon)
            if "root missing" in faults:
                return m / (v + self.epsilon)
            return m / (np.sqrt(v) + (0 if "epsilon missing" in faults else self.epsilon))

        def step(self, value, gradient):
            rate = 1.0 if "learning rate missing" in faults else self.rate
            if "decay through m" in faults:
                gradient = gradient + self.decay * value
            change = rate * self.direction(gradient)
            if "uphill" in faults:
                change = -change
            pull = rate * self.decay * value
            if "decay without the learning rate" in faults:
                pull = self.decay * value
            if "decay of the new value" in faults:
                pull = rate * self.decay * (value - change)
            if "growth" in faults:
                pull = -pull
            if "decay through m" in faults:
                pull = 0 * pull
            new = -change - pull if "step returned" in faults else value - change - pull
            if "writes into an argument" in faults:
                value[...] = new
            return new

    def train(model, value, x, y, orders, batch_size, learning_rate, decay):
        constants = learning_rate, 0.9, 0.999, 1e-8, 0.0 if "train without decay" in faults else decay
        adam, losses, total, start = Adam(*constants), [], np.zeros_like(value), value
        size = len(x) if "one step per epoch" in faults else batch_size
        for order in orders[:1] if "one epoch" in faults else orders:
            if "no shuffle" in faults:
                order = np.arange(len(x))
            if "one shuffle" in faults:
                order = orders[0]
            if "shuffled again" in faults:
                x, y, order = x[order], y[order], np.arange(len(x))
            if "new optimizer" in faults:
                adam = Adam(*constants)
            epoch = []
            for first in range(0, len(x) // size * size if "remainder dropped" in faults else len(x), size):
                batch = order[first : first + size]
                labels = y[first : first + size] if "labels not shuffled" in faults else y[batch]
                at = start if "gradient at the start" in faults else value
                loss, gradient = model.loss_and_gradient(at, x[batch], labels)
                total = total + gradient
                if "new optimizer for each batch" in faults:
                    adam = Adam(*constants)
                value = adam.step(value, total if "accumulated" in faults else gradient)
                epoch.append((float(loss), len(batch)))
            losses.append(mean_loss(np.array(epoch)))
        return value, np.array(losses)

    def mean_loss(epoch):
        loss, samples = epoch.T
        if "loss of the last batch" in faults:
            return loss[-1]
        if "losses summed" in faults:
            return loss.sum()
        return loss.mean() if "unweighted mean" in faults else (loss * samples).sum() / samples.sum()

    return {"Adam": Adam, "train": train}
