"""Save the weights of the networks from which `test_published_numbers.py` recomputes published numbers.

python tests/peers/save_networks.py results/mnist
"""

import sys
from pathlib import Path

import numpy as np

import minirobust as mr
from minirobust.study.store import task_path

NETWORKS = Path(__file__).parent / "networks"
TEMPERATURES = (1 / 64, 1.0)
SEED = 0


def main(study):
    """Write a .npz file for each temperature, in float32, in which the networks were trained."""
    NETWORKS.mkdir(exist_ok=True)
    for temperature in TEMPERATURES:
        path = task_path(Path(study), temperature, SEED)
        _, hidden, _, top = mr.load(path).network.layers
        arrays = {"weight1": hidden.weight, "bias1": hidden.bias, "weight2": top.weight, "bias2": top.bias}
        np.savez_compressed(NETWORKS / f"{path.stem}.npz", **{name: each.value for name, each in arrays.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
