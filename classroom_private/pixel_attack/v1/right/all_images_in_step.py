import numpy as np


def pixel_attack(network, x, y, pixels, budget):
    n, h, w, c = x.shape
    flat = x.reshape(n, h * w, c)
    slopes = network.input_gradient(x, y)
    scores = abs(slopes).reshape(flat.shape).sum(axis=2)
    best = np.flip(np.argsort(scores, axis=1), axis=1)
    standing = np.equal(network.logits(x).argmax(axis=1), y)
    result, used, shown = flat.copy(), np.zeros(n), np.zeros(n)
    subsets = [[i for i in range(pixels) if 1 << i & mask] for mask in range(1, 2**pixels)]
    for places in sorted(subsets, key=lambda s: (len(s), s)):
        k = len(places)
        for code in range(2 ** (k * c)):
            bits = np.array(list(np.binary_repr(code, k * c)), dtype=float).reshape(k, c)
            own = np.take_along_axis(flat, best[:, places, None], axis=1)
            (ask,) = np.nonzero(standing & (shown < budget) & np.any(own != bits, axis=2).all(axis=1))
            if ask.size == 0:
                continue
            trial = flat[ask].copy()
            trial[np.arange(ask.size)[:, None], best[ask][:, places]] = bits
            shown[ask] += 1
            fooled = network.logits(trial.reshape(-1, h, w, c)).argmax(axis=1) != y[ask]
            hit = ask[fooled]
            result[hit], used[hit], standing[hit] = trial[fooled], k, False
    return result.reshape(x.shape), used, shown
