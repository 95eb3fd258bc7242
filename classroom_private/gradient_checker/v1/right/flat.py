import numpy as np


def phi(layer, x, weight, cotangent):
    return np.vdot(cotangent, layer.forward(x, weight))


def numeric_gradient(layer, x, weight, cotangent, step):
    results = []
    for array in (x, weight):
        slopes = []
        for i in range(array.size):
            old = array.flat[i]
            array.flat[i] = old + step
            up = phi(layer, x, weight, cotangent)
            array.flat[i] = old - step
            down = phi(layer, x, weight, cotangent)
            array.flat[i] = old
            slopes.append((up - down) / (2 * step))
        results.append(np.reshape(slopes, array.shape))
    return results


def is_kink(layer, x, weight, cotangent, array, i):
    h, middle, old = 1e-5, phi(layer, x, weight, cotangent), array.flat[i]
    array.flat[i] = old + h
    after = (phi(layer, x, weight, cotangent) - middle) / h
    array.flat[i] = old - h
    before = (middle - phi(layer, x, weight, cotangent)) / h
    array.flat[i] = old
    return not np.isclose(after, before, rtol=0.1)


def verdict(layer, x, weight):
    cotangent = np.random.default_rng(len(x)).normal(size=np.shape(layer.forward(x, weight)))
    claimed = layer.backward(x, weight, cotangent)
    measured = numeric_gradient(layer, x, weight, cotangent, 1e-5)
    for array, a, b in zip((x, weight), claimed, measured):
        limit = 1e-3 * np.max(np.abs([a, b]))
        for i in np.flatnonzero(abs(a - b) > limit):
            if not is_kink(layer, x, weight, cotangent, array, i):
                return "wrong"
    return "right"
