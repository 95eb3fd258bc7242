from itertools import combinations, product

import numpy as np


def pixel_attack(network, x, y, pixels, budget):
    right = network.logits(x).argmax(axis=1) == y
    slopes = network.input_gradient(x, y)
    importance = np.abs(slopes).mean(axis=3)
    images = np.array(x)
    number = np.zeros(y.shape, int)
    queries = np.zeros(y.shape, int)
    for n in np.flatnonzero(right):
        order = np.argsort(-importance[n], axis=None)
        rows, columns = np.unravel_index(order[:pixels], importance[n].shape)
        for k, candidate in tries(x[n], rows, columns):
            if queries[n] == budget:
                break
            queries[n] += 1
            (z,) = network.logits(candidate[None])
            if z.argmax() != y[n]:
                images[n], number[n] = candidate, k
                break
    return images, number, queries


def tries(image, rows, columns):
    channels = image.shape[2]
    for k in range(1, len(rows) + 1):
        for chosen in combinations(range(len(rows)), k):
            at = rows[[*chosen]], columns[[*chosen]]
            for digits in product((0.0, 1.0), repeat=k * channels):
                candidate = image.copy()
                candidate[at] = np.reshape(digits, (k, channels))
                if (candidate[at] != image[at]).any(axis=1).all():
                    yield k, candidate
