"""Compare the sources of an attack's gradient: remaining robustness, and CPU time per image.

    OPENBLAS_NUM_THREADS=1 python tests/benchmarks/gradient_sources.py --networks networks --data-set mnist

Networks of the study at several temperatures are trained, or loaded from the folder `--networks` where an earlier run
has left them.  All attacks take 50 steps from one start, except FGSM and Square; they are PGD unless the name says
APGD.  Not collected as a test.
"""

import argparse
from functools import partial
from pathlib import Path
from time import process_time

import numpy as np

import minirobust as mr
from data_loaders import load_fashion_mnist, load_mnist

LOAD = {"mnist": load_mnist, "fashion-mnist": load_fashion_mnist}
TEMPERATURES = (1 / 64, 1 / 16, 1 / 4, 1, 4, 16)


def absolute(start, stop):
    """Return a guide that takes derivatives at temperatures from `start` to `stop`, whatever the own."""

    def gradients(model, k, K):
        temperature = start * (stop / start) ** (k / (K - 1))
        own = next(layer.temperature for layer in model.layers if isinstance(layer, mr.TemperatureSigmoid))
        return mr.attacks.smoothed(model, max(0.0, np.log(temperature / own) / np.log(64)))

    return gradients


def attacks(epsilon):
    """Return every attack by its name."""
    margin = mr.Margin()
    pgd, apgd = (partial(attack, epsilon=epsilon, steps=50, starts=1) for attack in (mr.attacks.pgd, mr.attacks.apgd))
    annealed, averaged = mr.attacks.annealed, mr.attacks.averaged
    return {
        "FGSM": partial(mr.attacks.fgsm, epsilon=epsilon),
        "FGSM, 16 T": partial(mr.attacks.fgsm, epsilon=epsilon, gradients=annealed()),
        "true gradient, cross entropy": pgd,
        "true gradient, margin": partial(pgd, loss=margin),
        "annealed 16 T, cross entropy": partial(pgd, gradients=annealed(16)),
        "annealed 64 T, cross entropy": partial(pgd, gradients=annealed(64)),
        "annealed 64 T, margin": partial(pgd, loss=margin, gradients=annealed(64)),
        "annealed 256 T, cross entropy": partial(pgd, gradients=annealed(256)),
        "annealed 256 T, margin": partial(pgd, loss=margin, gradients=annealed(256)),
        "annealed 1 to own T, margin": partial(pgd, loss=margin, gradients=absolute(1, 1e-3)),
        "annealed 4 to own T, margin": partial(pgd, loss=margin, gradients=absolute(4, 1e-3)),
        "fixed 32 T, margin": partial(
            pgd, loss=margin, gradients=lambda m, k, K: mr.attacks.smoothed(m, np.log(32) / np.log(64))
        ),
        "averaged, σ = ε, 10 draws, margin": partial(pgd, loss=margin, gradients=averaged(epsilon, 10)),
        "differences, σ = ε, 10 draws, margin": partial(
            pgd, loss=margin, gradients=mr.attacks.differences(epsilon, 10)
        ),
        "true gradient, every target": partial(pgd, loss=margin, target="all"),
        "annealed 64 T, every target": partial(pgd, loss=margin, target="all", gradients=annealed(64)),
        "APGD, true gradient, cross entropy": apgd,
        "APGD, annealed 64 T, cross entropy": partial(apgd, gradients=annealed(64)),
        "APGD, annealed 64 T, margin": partial(apgd, loss=margin, gradients=annealed(64)),
        "APGD, annealed 64 T, every target": partial(apgd, loss=margin, target="all", gradients=annealed(64)),
        "Square, 1,000 queries": partial(mr.attacks.square, epsilon=epsilon, queries=1000),
    }


def network(folder, name, data, temperature, epochs):
    """Return a trained network, from the folder if it is there."""
    path = folder / f"{name}-{temperature:g}-{epochs}.h5"
    if not path.exists():
        net = mr.models.mlp(temperature, backend="auto")
        mr.fit(net, mr.Adam(net), data, epochs, progress=False)
        mr.save(path, net)
    return mr.load(path).network.to("auto")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=Path, default=Path("networks"), metavar="DIR")
    parser.add_argument("--data-set", choices=LOAD, default="mnist")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--epsilon", type=float, default=0.1)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--temperatures", type=float, nargs="+", default=TEMPERATURES)
    options = parser.parse_args()
    options.networks.mkdir(parents=True, exist_ok=True)
    data = LOAD[options.data_set]()
    x, y = data.test.pixels(slice(options.samples)), data.test.labels[: options.samples]
    names = attacks(options.epsilon)
    table = {name: [] for name in names}
    union = []
    for temperature in options.temperatures:
        net = network(options.networks, options.data_set, data, temperature, options.epochs)
        fooled = []
        for name, attack in names.items():
            begin = process_time()
            made = attack(net, x, y)
            seconds = process_time() - begin
            fooled.append(made.fooled)
            left = mr.robustness.network_robustness(made.fooled, y)
            table[name].append(f"{left:.3f} {seconds / len(x) * 1e3:7.2f}")
        union.append(f"{mr.robustness.network_robustness(np.logical_or.reduce(fooled), y):.3f} {'':7}")
        print(f"T = {mr.regimes.temperature_label(temperature)} done", flush=True)
    print(f"\n{data.name}, {options.epochs} epochs, {len(x)} test images, ε = {options.epsilon:g}: left, ms an image")
    print(f"{'T':<38}" + "".join(f"{mr.regimes.temperature_label(T):>14}" for T in options.temperatures))
    for name, cells in (table | {"union of all": union}).items():
        print(f"{name:<38}" + "".join(f"{cell:>14}" for cell in cells))


if __name__ == "__main__":
    main()
