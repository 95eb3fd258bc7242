import itertools

import numpy as np


class Search:
    """The candidates of one image, written pixel by pixel into copies."""

    def __init__(self, network, image, label, budget):
        self.network, self.image, self.label = network, image, label
        self.left = budget
        self.asked = 0

    def fools(self, candidate):
        if self.left == 0:
            raise StopIteration
        self.left, self.asked = self.left - 1, self.asked + 1
        return np.argmax(self.network.logits(candidate[np.newaxis])) != self.label

    def descend(self, candidate, places):
        """Return the first candidate that fools with values still to be written at these places."""
        if not places:
            return candidate if self.fools(candidate) else None
        (row, column, channel), *rest = places
        finished = channel + 1 == candidate.shape[2]
        for value in (0, 1):
            changed = candidate.copy()
            changed[row, column, channel] = value
            same = finished and np.array_equal(changed[row, column], self.image[row, column])
            found = None if same else self.descend(changed, rest)
            if found is not None:
                return found
        return None


def pixel_attack(network, x, y, pixels, budget):
    before = network.logits(x).argmax(axis=1)
    slopes = network.input_gradient(x, y)
    images, sizes, asked = [], [], []
    for image, label, guess, slope in zip(x, y, before, slopes):
        search, answer, size = Search(network, image, label, budget), None, 0
        score = np.linalg.norm(slope, 1, axis=2)
        order = sorted(np.ndindex(score.shape), key=lambda place: -score[place])
        try:
            while guess == label and answer is None and size < pixels:
                size += 1
                for chosen in itertools.combinations(order[:pixels], size):
                    places = [(*place, channel) for place in chosen for channel in range(x.shape[3])]
                    answer = search.descend(image, places)
                    if answer is not None:
                        break
        except StopIteration:
            pass
        images.append(image if answer is None else answer)
        sizes.append(0 if answer is None else size)
        asked.append(search.asked)
    return np.array(images), np.array(sizes), np.array(asked)
