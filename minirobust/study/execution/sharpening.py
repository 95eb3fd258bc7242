"""`sharpen`: what becomes of a trained network whose temperature is changed without training."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from minirobust.layers import TemperatureSigmoid
from minirobust.masking import sandwiches
from minirobust.network import Network
from minirobust.study.config import StudyConfig
from minirobust.study.store import Arrays


def sharpen(network: Network, x: Any, y: Any, config: StudyConfig, seed: int) -> Arrays:
    """Return all datasets below ``sharpened/``, see `store`.

    Parameters
    ----------
    network : Network
        Trained; it is not changed.
    x, y : ndarray
        Images and labels.
    config : StudyConfig
        Of which the ratios, every ε and the budget of the audit are used.
    seed : int
        Of the attacks.
    """
    found: dict[str, list[Any]] = defaultdict(list)
    for ratio in config.sharpen_ratios:
        sharpened = at_temperature(network, ratio)
        within = sandwiches(sharpened, x, y, config.audit_epsilons, config.audit_budget, seed=seed)
        found["correct"].append(sharpened.backend.to_numpy(sharpened.predict(x)) == y)
        found["fgsm"].append([each.fgsm for each in within])
        found["fooled"].append([each.fooled for each in within])
        if within[0].certified is not None:
            found["certified"].append([each.certified for each in within])
    return {"ratio": np.array(config.sharpen_ratios)} | {name: np.array(rows) for name, rows in found.items()}


def at_temperature(network: Network, ratio: float) -> Network:
    """Return a copy with the same weights, and every temperature times `ratio`."""
    copy = network.copy()
    for layer in copy.layers:
        if isinstance(layer, TemperatureSigmoid):
            layer.temperature *= ratio
    return copy
