# mistake: divided by one step
import numpy as np


def numeric_gradient(layer, x, weight, cotangent, step):
    grads = []
    for array in [x, weight]:
        grad = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            saved = array[index]
            array[index] = saved + step
            plus = (layer.forward(x, weight) * cotangent).sum()
            array[index] = saved - step
            minus = (layer.forward(x, weight) * cotangent).sum()
            array[index] = saved
            grad[index] = (plus - minus) / step
        grads.append(grad)
    return grads[0], grads[1]


def slope(layer, x, weight, cotangent, array, index, step):
    saved = array[index]
    start = (layer.forward(x, weight) * cotangent).sum()
    array[index] = saved + step
    end = (layer.forward(x, weight) * cotangent).sum()
    array[index] = saved
    return (end - start) / step


def verdict(layer, x, weight):
    h = 1e-5
    cotangent = np.random.default_rng(0).normal(size=layer.forward(x, weight).shape)
    analytic = layer.backward(x, weight, cotangent)
    numeric = numeric_gradient(layer, x, weight, cotangent, h)
    for array, a, n in zip([x, weight], analytic, numeric):
        size = max(abs(a).max(), abs(n).max())
        for index in np.ndindex(array.shape):
            if abs(a[index] - n[index]) > 1e-4 * size:
                right = slope(layer, x, weight, cotangent, array, index, h)
                left = slope(layer, x, weight, cotangent, array, index, -h)
                if abs(right - left) < 0.1 * max(abs(right), abs(left)):
                    return "wrong"
    return "right"
