"""Time an older tree against this one in one process, in turn, and compare their results bit for bit.

    python tests/benchmarks/versions.py OLD_CHECKOUT
    python tests/benchmarks/versions.py OLD_CHECKOUT --rounds 9 --samples 10000 --only training --only PGD

A ratio is the median over the rounds of (old time / new time): above 1, the new tree is faster.  Times are CPU seconds
per call on one thread, so other programs disturb them little.  In each round a side repeats its call for about 0.2 s,
and the sides take turns in going first.

Both sides start from equal parameters.  The networks that are attacked are trained by the old side.  The data are MNIST
if it is found (see `data_loaders`), else the 5,000 digits that are shipped, whose test images are repeated to 10,000.
Not collected as a test.
"""

import argparse
import importlib
import math
import os
import platform
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import process_time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is loaded, hence before its import

import h5py  # noqa: E402
import numpy as np  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("minirobust", "data_loaders")
SECONDS = 0.2  # how long a side should run in a round
TEST_IMAGES = 10_000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, metavar="OLD_CHECKOUT")
    parser.add_argument("--new", type=Path, default=ROOT, metavar="CHECKOUT", help="default: the one of this script")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--samples", type=int, default=60_000, help="training images (default: all)")
    parser.add_argument("--epochs", type=int, default=3, help="that the attacked networks are trained (default 3)")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="rows whose name contains it")
    options = parser.parse_args()
    old, new = Side(options.old.resolve()), Side(options.new.resolve())
    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs.load(old, options.samples, options.epochs, Path(folder))
        print(f"Python {platform.python_version()}, NumPy {np.__version__}, one thread; {inputs.title}")
        print(f"old: {old.checkout}; new: {new.checkout}; {options.rounds} rounds after one to warm up\n")
        print(f"{'':<28}{'old, s':>9}{'new, s':>9}{'old/new':>9}{'min':>7}{'max':>7}  bit-identical")
        for name, prepare, temperature in ROWS:
            if not options.only or any(text in name for text in options.only):
                print(f"{name:<28}{row(old, new, prepare, inputs, temperature, options.rounds)}", flush=True)


# Two trees in one process


@dataclass
class Side:
    """One of two trees whose packages have the same names: inside its ``with`` block, its modules are those imported.

    Functions that import lazily find their own side as well.
    """

    checkout: Path
    modules: dict = field(default_factory=dict)

    def __enter__(self):
        sys.path.insert(0, str(self.checkout))
        sys.modules.update(self.modules)
        return self

    def __exit__(self, *exception):
        self.modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in PACKAGES}
        for name in self.modules:
            del sys.modules[name]
        sys.path.remove(str(self.checkout))

    @property
    def mr(self):
        module = importlib.import_module("minirobust")
        if Path(module.__file__).parents[1] != self.checkout:
            raise SystemExit(f"expected minirobust from {self.checkout}, got {module.__file__}")
        return module

    @property
    def data_loaders(self):
        return importlib.import_module("data_loaders")

    def dataset(self, inputs):
        """Return this side's own `Dataset`, since its functions accept no other, of the arrays that both share."""
        train, test = (self.data_loaders.Split(*arrays) for arrays in (inputs.train, inputs.test))
        return self.data_loaders.Dataset("digits", train, test, tuple("0123456789"))

    def epochs(self, network, inputs, epochs):
        """Return the generator that trains: `mr.epochs`, or `mr.fit` in a tree that has no other."""
        generator = getattr(self.mr, "epochs", self.mr.fit)
        return generator(network, self.mr.Adam(network), self.dataset(inputs), epochs=epochs)

    def network(self, temperature, parameters):
        network = self.mr.models.mlp(temperature, backend="numpy", seed=0)
        network.parameters[...] = parameters
        return network


@dataclass
class Inputs:
    """What both sides get: arrays and a file, none of which belongs to either.

    Attributes
    ----------
    train, test : tuple
        Images as bytes, and their labels.
    x, y : ndarray
        10,000 test images as floats, and their labels.
    initial, trained : dict
        The parameters of a network at each temperature, in one flat array, before and after training.
    folder : Path
        For files.
    title : str
    """

    train: tuple
    test: tuple
    x: np.ndarray
    y: np.ndarray
    initial: dict
    trained: dict
    folder: Path
    title: str

    @classmethod
    def load(cls, side, samples, epochs, folder):
        """Read the data with the loaders of `side`, and train its networks on them."""
        with side:
            try:
                found = side.data_loaders.load_mnist(download=False)
            except side.data_loaders.DataNotFoundError:
                found = side.data_loaders.load_mnist(mini=True)
            train, test = found.train[:samples], found.test
            inputs = cls(
                train=(train.images, train.labels),
                test=(test.images, test.labels),
                x=test.pixels(np.arange(TEST_IMAGES) % len(test)),
                y=test.labels[np.arange(TEST_IMAGES) % len(test)],
                initial={},
                trained={},
                folder=folder,
                title=f"{found.name}, {len(train):,} images to train on",
            )
            side.data_loaders.save_hdf5(folder / "data.h5", side.dataset(inputs))
            for temperature in {temperature for _, _, temperature in ROWS}:
                network = side.mr.models.mlp(temperature, backend="numpy", seed=0)
                inputs.initial[temperature] = network.parameters.copy()
                for _ in side.epochs(network, inputs, epochs):
                    pass
                inputs.trained[temperature] = network.parameters.copy()
        return inputs


# What is timed.  Each function is called inside a side's block and returns the call to time, whose results are arrays.


def construction(side, inputs, temperature):
    """A network with the parameters that its seed gives."""
    mlp = side.mr.models.mlp
    return lambda: [mlp(temperature, backend="numpy", seed=0).parameters]


def training(side, inputs, temperature):
    """An epoch."""
    network = side.network(temperature, inputs.initial[temperature])
    epochs = side.epochs(network, inputs, epochs=1_000_000)

    def call():
        next(epochs)
        return [network.parameters.copy()]

    return call


def predict(side, inputs, temperature):
    network = side.network(temperature, inputs.trained[temperature])
    return lambda: [network.predict(inputs.x)]


def input_gradient(side, inputs, temperature):
    network = side.network(temperature, inputs.trained[temperature])
    return lambda: [network.input_gradient(inputs.x, inputs.y)]


def fgsm(side, inputs, temperature):
    network = side.network(temperature, inputs.trained[temperature])
    attack = side.mr.attacks.fgsm
    return lambda: images_and_predictions(attack(network, inputs.x, inputs.y))


def pgd(side, inputs, temperature):
    network = side.network(temperature, inputs.trained[temperature])
    attack = side.mr.attacks.pgd
    return lambda: images_and_predictions(attack(network, inputs.x[:500], inputs.y[:500], steps=20, starts=2))


def pixel(side, inputs, temperature):
    network = side.network(temperature, inputs.trained[temperature])
    attack = side.mr.attacks.pixel
    return lambda: images_and_predictions(attack(network, inputs.x[:1000], inputs.y[:1000], 3))


def images_and_predictions(result):
    return [result.images, result.predictions]


def study(side, inputs, temperature):
    """A task of one epoch, with its measurements and the attacks at the end, all stored in a file."""
    task = importlib.import_module("minirobust.study.execution.task")
    config = side.mr.study.StudyConfig(str(inputs.folder / "data.h5"), "mlp", (temperature,), epochs=1, backend="numpy")

    def call():
        with tempfile.TemporaryDirectory(dir=inputs.folder) as folder:
            task.train(config, temperature, 0, Path(folder))
            (path,) = Path(folder).glob("*.h5")
            return stored_results(path)

    return call


def stored_results(path):
    """Return all datasets of a task's file but the seconds that were taken, in the order of their names."""
    found = []

    def take(name, item):
        if isinstance(item, h5py.Dataset) and name.startswith(("epochs/", "final/")):
            found.append(item[()])

    with h5py.File(path) as file:
        file.visititems(take)
    return found


ROWS = [
    ("construction", construction, 1.0),
    ("training epoch, T = 1", training, 1.0),
    ("training epoch, T = 1/64", training, 1 / 64),
    ("predict, 10,000", predict, 1.0),
    ("input gradient, 10,000", input_gradient, 1.0),
    ("FGSM, evaluated, 10,000", fgsm, 1.0),
    ("PGD, 500, T = 1", pgd, 1.0),
    ("PGD, 500, T = 1/64", pgd, 1 / 64),
    ("pixel, n = 3, 1,000", pixel, 1.0),
    ("study, one epoch", study, 1.0),
]


# How it is timed


def row(old, new, prepare, inputs, temperature, rounds):
    """Return a row of the table, or the error if a side cannot run it, so that the other rows are still printed."""
    try:
        return timed(old, new, prepare, inputs, temperature, rounds)
    except Exception as error:
        return f"  {type(error).__name__}: {error}"


def timed(old, new, prepare, inputs, temperature, rounds):
    sides = [old, new]
    calls = []
    for side in sides:
        with side:
            calls.append(prepare(side, inputs, temperature))
    warm_up = [run(side, call, 1) for side, call in zip(sides, calls, strict=True)]
    count = max(1, math.ceil(SECONDS / max(seconds for seconds, _ in warm_up)))
    differences = [difference(*(result for _, result in warm_up))]
    times = []
    for number in range(rounds):
        outcome = [None, None]
        for which in (0, 1) if number % 2 else (1, 0):
            outcome[which] = run(sides[which], calls[which], count)
        times.append([seconds / count for seconds, _ in outcome])
        differences.append(difference(*(result for _, result in outcome)))
    ratios = [before / after for before, after in times]
    before, after = (median(column) for column in zip(*times, strict=True))
    verdict = next(filter(None, differences), "yes")
    return f"{before:>9.4f}{after:>9.4f}{median(ratios):>9.2f}{min(ratios):>7.2f}{max(ratios):>7.2f}  {verdict}"


def run(side, call, count):
    """Return the CPU seconds of all calls, and the result of the last."""
    with side:
        begin = process_time()
        for _ in range(count):
            result = call()
        return process_time() - begin, result


def difference(old, new):
    """Return how the arrays of both sides differ; nothing if they do not."""
    for a, b in zip(old, new, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            return f"no: {a.dtype} of shape {a.shape} against {b.dtype} of shape {b.shape}"
        other = np.atleast_1d(a != b)
        if a.dtype.kind == "f":
            other &= ~(np.isnan(a) & np.isnan(b))
        if other.any():
            most = np.abs(np.atleast_1d(a)[other].astype("float64") - np.atleast_1d(b)[other]).max()
            return f"no: {other.sum():,} of {other.size:,} numbers differ, by at most {most:.2g}"
    return ""


if __name__ == "__main__":
    main()
