"""The right program, the mistakes that it can simulate, and what is known about them."""

import functools
import itertools

import numpy as np

from minirobust.classroom.exercise import Mistake
from minirobust.classroom.oracles import SmallNetwork

MISTAKES = [
    Mistake("signed ranking", "pixels are ranked by the gradient, expected by its absolute value", 1, "score"),
    Mistake("|mean| for mean|.|", "the score is |mean| over the channels, expected the mean of |.|", 1, "score"),
    Mistake("largest channel", "the score is that of the best channel, expected the mean over channels", 1, "score"),
    Mistake("first channel", "the score is that of the first channel, expected the mean over channels", 1, "score"),
    Mistake("a pixel twice", "channels are ranked, so a pixel occurs twice: rank pixels", 1, "score"),
    Mistake("worst pixels", "the pixels with the smallest scores are attacked", 1, "score"),
    Mistake("one ranking", "all images share one ranking: each has its own", 1),
    Mistake("row/column", "the row and the column of a pixel are swapped", 1),
    Mistake("one value for a pixel", "all channels of a pixel get the same value: try every combination", 2, "values"),
    Mistake("all 0 or all 1", "all pixels get the same value: try every combination", 2, "values"),
    Mistake("first digit fastest", "the first digit changes fastest, expected the last one", 2, "values"),
    Mistake("1 before 0", "1 is tried before 0", 2, "values"),
    Mistake("candidates accumulate", "a candidate keeps the changes of an earlier one: begin with the original", 2),
    Mistake("fewer pixels skipped", "only candidates on all pixels are tried, expected single pixels first", 2, "sets"),
    Mistake("best k only", "with k pixels only the best k are tried, expected every choice of k", 2, "sets"),
    Mistake("one more pixel", "one pixel more than allowed is tried", 2, "pixels"),
    Mistake("one pixel less", "the attack stops one pixel early", 2, "pixels"),
    Mistake("wrong-before attacked", "images that are misclassified before the attack are attacked", 3, "before"),
    Mistake("wrong-before counted", "an image that is misclassified before the attack counts as fooled", 3, "before"),
    Mistake("queries after success", "candidates are shown after one has fooled the network", 4, "success"),
    Mistake("last success", "the last candidate that fools the network is returned, expected the first", 3, "success"),
    Mistake("last candidate", "if no candidate fools the network, the last one is returned, expected the original", 3),
    Mistake("k from 0", "the number of pixels is one too small", 3, "pixels"),
    Mistake("tried again", "candidates are shown that were tried with fewer pixels", 4, "skip"),
    Mistake(
        "one channel kept", "a candidate is skipped although only some channels of its pixel are unchanged", 4, "skip"
    ),
    Mistake(
        "last pixel only", "a candidate is shown although it leaves a pixel other than the last unchanged", 4, "skip"
    ),
    Mistake("all pixels kept", "a candidate is skipped only if it leaves all its pixels unchanged", 4, "skip"),
    Mistake("budget ignored", "the budget is ignored", 4, "budget"),
    Mistake("budget too small", "the budget ends one candidate early: the image itself is free", 4, "budget"),
    Mistake("budget too large", "one candidate more than the budget is shown", 4, "budget"),
    Mistake("budget of the batch", "all images share one budget: each has its own", 4, "budget"),
    Mistake("image counted", "the image itself is counted among the candidates", 4),
    Mistake("image shown twice", "images are shown again before they are attacked", 4),
    Mistake("writes into x", "the attack writes into x, which belongs to the caller", 4),
]

SAME = [
    # With these pixels hardly a candidate succeeds, so the others of the same image make no difference.
    *(
        {"worst pixels", name}
        for name in (
            "first digit fastest",
            "1 before 0",
            "candidates accumulate",
            "queries after success",
            "last success",
            "writes into x",
        )
    ),
    # A swapped row and column are outside of an image that is not square: the program fails.
    *(
        {"row/column", name}
        for name in ("largest channel", "one value for a pixel", "first digit fastest", "one channel kept")
    ),
    # With one choice of pixels, whatever was written before is written over.
    {"candidates accumulate", "fewer pixels skipped"},
    {"candidates accumulate", "best k only"},
    # Without smaller sets, there is no candidate that was tried before.
    {"all pixels kept", "fewer pixels skipped"},
    {"tried again", "fewer pixels skipped"},
    # A single pixel comes once.
    {"one pixel less", "a pixel twice"},
    {"one pixel less", "|mean| for mean|.|"},
    {"one ranking", "a pixel twice"},
    {"one ranking", "largest channel"},
]

VALUES = {mistake.name for mistake in MISTAKES if mistake.group == "values"}
EQUIVALENT = [
    # reshape takes every negative length for "the rest".
    "all_images_in_step.py 24:51 2 for 1 in 1",
    # There is no choice of more pixels than there are.
    "one_by_one.py 29:34 2 for 1 in 1",
]


def ranked(gradient, faults):
    """Return the pixels of each image, best first."""
    channels = gradient.shape[-1]
    flat = gradient.reshape(len(gradient), -1, channels)
    if "a pixel twice" in faults:
        return np.argsort(-abs(flat.reshape(len(flat), -1)), axis=1, kind="stable") // channels
    score = abs(flat).mean(axis=2)
    if "signed ranking" in faults:
        score = flat.mean(axis=2)
    if "|mean| for mean|.|" in faults:
        score = abs(flat.mean(axis=2))
    if "largest channel" in faults:
        score = abs(flat).max(axis=2)
    if "first channel" in faults:
        score = abs(flat[:, :, 0])
    if "one ranking" in faults:
        score = np.zeros_like(score) + score.mean(axis=0)
    return np.argsort(score if "worst pixels" in faults else -score, axis=1, kind="stable")


@functools.cache
def combinations(pixels, channels, faults):
    """Return the values of each candidate, (candidates, pixels, channels)."""
    digits = (1.0, 0.0) if "1 before 0" in faults else (0.0, 1.0)
    if "all 0 or all 1" in faults:
        return np.array([np.full((pixels, channels), digit) for digit in digits])
    each = 1 if "one value for a pixel" in faults else channels
    values = np.array(list(itertools.product(digits, repeat=pixels * each)))
    if "first digit fastest" in faults:
        values = values[:, ::-1]
    return np.broadcast_to(values.reshape(-1, pixels, each), (len(values), pixels, channels))


def is_known(kept, faults):
    """Return which candidates are skipped, given which channels of which pixels they leave as they were."""
    if "tried again" in faults:
        return np.zeros(kept.shape[:2], bool)
    if "one channel kept" in faults:
        return kept.any(axis=(2, 3))
    if "last pixel only" in faults:
        return kept[:, :, -1].all(axis=2)
    return kept.all(axis=(2, 3)) if "all pixels kept" in faults else kept.all(axis=3).any(axis=2)


def candidates(x, orders, pixels, faults):
    """Return the number of pixels of each candidate, all candidates (N, candidates, *shape), and which are skipped."""
    width, channels = x.shape[2:]
    pixels += ("one more pixel" in faults) - ("one pixel less" in faults)
    places = np.array(np.divmod(orders[:, :pixels], width))
    places = places[::-1] if "row/column" in faults else places
    numbers, found, known, start = [], [np.zeros((len(x), 0, *x.shape[1:]))], [np.zeros((len(x), 0), bool)], x
    for k in range(pixels if "fewer pixels skipped" in faults else 1, pixels + 1):
        sets = [range(k)] if "best k only" in faults else itertools.combinations(range(pixels), k)
        for chosen in sets:
            rows, columns = places[:, :, None, list(chosen)]
            values = combinations(k, channels, faults & VALUES)
            tried = np.repeat(start[:, None], len(values), axis=1)
            at = np.arange(len(x))[:, None, None], np.arange(len(values))[:, None], rows, columns
            tried[at] = values
            start = tried[:, -1] if "candidates accumulate" in faults else x
            found.append(tried)
            known.append(is_known(tried[at] == x[at[0], rows, columns], faults))
            numbers += [k] * len(values)
    return np.array(numbers), np.concatenate(found, axis=1), np.concatenate(known, axis=1)


def attack_image(numbers, tried, fools, budget, faults):
    """Return the adversarial image or None, the number of pixels, and the number of queries."""
    numbers, tried, fools = (array[: max(0, int(budget))] for array in (numbers, tried, fools))
    hits = np.flatnonzero(fools)
    to_the_end = not len(hits) or {"last success", "queries after success"} & faults
    shown = len(tried) if to_the_end else hits[0] + 1
    if len(hits):
        hit = hits[-1 if "last success" in faults else 0]
        return tried[hit], numbers[hit] - ("k from 0" in faults), shown
    return tried[-1] if "last candidate" in faults and len(tried) else None, 0, shown


def program(faults):
    """Return the names that a submission defines."""

    def pixel_attack(network, x, y, pixels, budget):
        images, counts, queries = x.copy(), np.zeros(len(x)), np.zeros(len(x))
        wrong = network.logits(x).argmax(axis=1) != y
        if "image shown twice" in faults:
            network.logits(x)
        orders = ranked(network.input_gradient(x, y), faults)
        changes = {"budget ignored": 10**6, "budget too small": -1, "budget too large": 1}
        budget += next((changes[fault] for fault in faults if fault in changes), 0)
        counts[wrong] = "wrong-before counted" in faults
        attacked = np.flatnonzero(~wrong | ("wrong-before attacked" in faults))
        numbers, tried, known = candidates(x[attacked], orders[attacked], pixels, faults)
        # One call computes the logits of all candidates, and the network counts those that are needed.
        labels = SmallNetwork.logits(network, tried.reshape(-1, *x.shape[1:])).argmax(axis=1).reshape(known.shape)
        fools = labels != y[attacked, None]
        for n, own, fooling, new in zip(attacked, tried, fools, ~known, strict=True):
            found, counts[n], queries[n] = attack_image(numbers[new], own[new], fooling[new], budget, faults)
            images[n] = x[n] if found is None else found
            budget -= queries[n] if "budget of the batch" in faults else 0
        network.shown += int(queries.sum())
        if "writes into x" in faults:
            x[...] = images
        return images, counts, queries + ("image counted" in faults)

    return {"pixel_attack": pixel_attack}
