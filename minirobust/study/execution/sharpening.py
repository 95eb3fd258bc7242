"""`sharpen`: attack a trained network after changing its temperature without further training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from minirobust.layers import TemperatureSigmoid
from minirobust.masking import Sandwich, sandwiches
from minirobust.network import Network
from minirobust.study.config import StudyConfig
from minirobust.study.store import Arrays


def sharpen(network: Network, x: Any, y: Any, config: StudyConfig, seed: int) -> Arrays:
    """Return all datasets below ``sharpened/``, see `store`.

    Parameters
    ----------
    network : Network
        A trained network, which is not changed.
    x, y : ndarray
        Images and labels.
    config : StudyConfig
        Its ratios, and the ε and the budget of its audit, are used.
    seed : int
        Seed of the attacks.
    """
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    for ratio in config.sharpen_ratios:
        sharpened = at_temperature(network, ratio)
        within = sandwiches(sharpened, x, y, config.audit_epsilons, config.audit_budget, seed=seed)
        found["correct"].append(sharpened.backend.to_numpy(sharpened.predict(x)) == y)
        for name, rows in stacked(within).items():
            found[name].append(rows)
    return {"ratio": np.array(config.sharpen_ratios)} | {name: np.array(rows) for name, rows in found.items()}


def stacked(within: Sequence[Sandwich]) -> Arrays:
    """Return the sandwiches of all ε as arrays, image by image; without `certified` if there is no certificate."""
    rows = {"fgsm": [each.fgsm for each in within], "fooled": [each.fooled for each in within]}
    certified = [each.certified for each in within if each.certified is not None]
    return {name: np.array(of_all) for name, of_all in (rows | {"certified": certified}).items() if of_all}


def at_temperature(network: Network, ratio: float) -> Network:
    """Return a copy with the same weights, and every temperature times `ratio`."""
    copy = network.copy()
    for layer in copy.layers:
        if isinstance(layer, TemperatureSigmoid):
            layer.temperature *= ratio
    return copy
