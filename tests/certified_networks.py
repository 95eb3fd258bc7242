"""Small networks with every kind of layer, and the smallest margin that points, corners and attacks find in a box."""

import numpy as np

import minirobust as mr

DENSE = {
    "sigmoid": lambda T: [mr.Dense(6), mr.TemperatureSigmoid(T), mr.Dense(3)],
    "two sigmoids": lambda T: [
        mr.Dense(6),
        mr.TemperatureSigmoid(T),
        mr.Dense(5),
        mr.TemperatureSigmoid(2 * T),
        mr.Dense(3),
    ],
    "tanh": lambda T: [mr.Dense(6), mr.Tanh(), mr.Dense(4), mr.Tanh(), mr.Dense(3)],
    "relu": lambda T: [mr.Dense(6), mr.ReLU(), mr.Dropout(0.5), mr.Dense(4), mr.ReLU(), mr.Dense(3)],
    "linear": lambda T: [mr.Dense(3)],
    "activations first and last": lambda T: [mr.Tanh(), mr.Dense(3), mr.TemperatureSigmoid(T)],
}
IMAGES = {
    "convolution": lambda T: [
        mr.Conv2D(2, 3, padding="same"),
        mr.TemperatureSigmoid(T),
        mr.AvgPool2D((2, 3), stride=1),
        mr.Conv2D(3, 2, stride=2),
        mr.ReLU(),
        mr.Flatten(),
        mr.Dense(3),
    ],
}
INTERVALS_ONLY = {
    "max pooling": lambda T: [
        mr.Conv2D(2, 2),
        mr.Tanh(),
        mr.MaxPool2D(2, stride=1, padding=1),
        mr.Flatten(),
        mr.Dense(3),
    ],
    "softmax": lambda T: [mr.Flatten(), mr.Dense(4), mr.Softmax(), mr.Dense(5), mr.TemperatureSigmoid(T), mr.Dense(3)],
}
LINES = DENSE | IMAGES
EVERY = LINES | INTERVALS_ONLY


def network(name, seed=0, temperature=1.0, scale=2.0, backend="numpy", dtype="float64"):
    """Return a network of weights larger than those of training, so that activations saturate too."""
    shape = (5,) if name in DENSE else (4, 5, 2)
    net = mr.Network(EVERY[name](temperature), shape, backend, dtype, seed, input_range=(-1.0, 1.0))
    rng = np.random.default_rng(seed)
    net.parameters[...] = net.backend.asarray((scale * rng.standard_normal(net.parameters.size)).astype(dtype) / 2)
    return net


def samples(net, seed, n=3):
    rng = np.random.default_rng((seed, 1))
    x = np.clip(1.2 * rng.uniform(-1, 1, (n, *net.input_shape)), -1, 1).astype(net.dtype)
    return x, rng.integers(0, 3, n)


def margin_of(logits, y):
    """Return z_y - max z_j in float64."""
    logits = np.asarray(logits, "float64")
    own = logits[np.arange(len(y)), y]
    logits[np.arange(len(y)), y] = -np.inf
    return own - logits.max(axis=1)


def least_margin(net, x, y, epsilon, seed):
    """Return the least margin of each sample over random points, corners, and what attacks find within ε."""
    rng = np.random.default_rng((seed, 2))
    to_numpy = net.backend.to_numpy
    points = [x]
    for _ in range(20):
        points.append(np.clip(x + epsilon * rng.uniform(-1, 1, x.shape), -1, 1).astype(net.dtype))
        points.append(np.clip(x + epsilon * rng.choice([-1, 1], x.shape), -1, 1).astype(net.dtype))
    # Two attacks at once, from the image and from a corner.
    now, x, twice = np.concatenate([x, points[-1]]), np.concatenate([x, x]), np.tile(y, 2)
    for step in range(15):
        sign = np.sign(to_numpy(net.input_gradient(now, twice, mr.Margin())))
        if step == 0:
            points += np.split(np.clip(x + epsilon * sign, -1, 1).astype(net.dtype), 2)
        now = np.clip(now + 0.4 * epsilon * sign, x - epsilon, x + epsilon).clip(-1, 1).astype(net.dtype)
        points += np.split(now, 2)
    together = margin_of(to_numpy(net.logits(np.concatenate(points))), np.tile(y, len(points)))
    return together.reshape(len(points), -1).min(axis=0)
