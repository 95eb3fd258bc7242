import numpy as np


def fgsm(network, x, y, epsilon, mask):
    attacked = x.copy()
    slopes = network.input_gradient(x, y)
    attacked[(mask == 1) & (slopes > 0)] += epsilon
    attacked[(mask == 1) & (slopes < 0)] -= epsilon
    return np.minimum(np.maximum(attacked, 0), 1)


def fgvm(network, x, y, epsilon, mask):
    attacked = []
    for image, label, allowed in zip(x, y, mask, strict=True):
        (slope,) = network.input_gradient(image[None], np.array([label]))
        slope = np.where(allowed == 1, slope, 0)
        steepest = max(slope.max(), -slope.min())
        step = slope * (epsilon / steepest) if steepest else slope
        attacked.append(np.minimum(np.maximum(image + step, 0), 1))
    return np.array(attacked)
