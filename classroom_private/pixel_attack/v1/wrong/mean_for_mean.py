# mistake: |mean| for mean|.|
import itertools

import numpy as np


def pixel_attack(network, x, y, pixels, budget):
    N, H, W, C = x.shape
    images = x.copy()
    counts = np.zeros(N)
    queries = np.zeros(N)
    predictions = network.logits(x).argmax(axis=1)
    score = abs(network.input_gradient(x, y).mean(axis=3)).reshape(N, H * W)
    for n in range(N):
        if predictions[n] != y[n]:
            continue
        best = np.argsort(-score[n])
        done = False
        sets = []
        for k in range(1, pixels + 1):
            sets += itertools.combinations(best[:pixels], k)
        for chosen in sets:
            for values in itertools.product([0, 1], repeat=len(chosen) * C):
                candidate = x[n].copy()
                known = False
                for i, pixel in enumerate(chosen):
                    row, column = divmod(pixel, W)
                    candidate[row, column] = values[i * C : i * C + C]
                    if np.all(candidate[row, column] == x[n, row, column]):
                        known = True
                if known:
                    continue
                if queries[n] >= budget:
                    done = True
                    break
                queries[n] += 1
                if network.logits(candidate[None]).argmax() != y[n]:
                    images[n] = candidate
                    counts[n] = len(chosen)
                    done = True
                    break
            if done:
                break
    return images, counts, queries
