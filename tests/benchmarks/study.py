"""Time a study with one worker and with several, and show how finished studies spent their time.

python tests/benchmarks/study.py --preset quick  # one worker against two, in alternating rounds
python tests/benchmarks/study.py DIR [DIR ...]   # seconds of training, measuring, attacks and audits, as stored
OPENBLAS_NUM_THREADS=1 python tests/benchmarks/study.py --preset svhn --full-size cifar10-25k.h5
                                                 # the same for the preset's full size, extrapolated from a few epochs
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from data_loaders import CATALOGUE, Dataset, Split, load_hdf5, save_hdf5
from minirobust.study import PRESETS, store
from minirobust.study.execution import task as run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", type=Path, metavar="DIR")
    parser.add_argument("--preset", choices=PRESETS, default="mnist")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--temperatures", type=int, default=4, help="how many of the preset's (default 4)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--full-size", type=Path, metavar="FILE.h5", help="images to repeat until they are enough")
    options = parser.parse_args()
    if options.studies:
        shares(options.studies)
    elif options.full_size:
        full_size(options)
    else:
        speed_up(options)


def speed_up(options):
    preset = PRESETS[options.preset]
    config = preset.but(epochs=options.epochs, temperatures=preset.temperatures[: options.temperatures])
    workers = options.workers
    print(f"{len(config.tasks())} tasks of {config.epochs} epochs ({options.preset}) and their audits")
    print(f"{'':<10} {'1 worker':>20} {f'{workers} workers':>20} {'ratio':>6}")
    ratios = []
    for number in range(1, options.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            one, several = timed(config, Path(folder, "1"), 1), timed(config, Path(folder, "2"), workers)
        ratios.append(one[0] / several[0])
        columns = " ".join(f"{wall:>6.1f} s ({cpu:>5.1f} s CPU)" for wall, cpu in (one, several))
        print(f"round {number:<4} {columns} {ratios[-1]:>6.2f}", flush=True)
    print(f"median ratio {np.median(ratios):.2f}")


def timed(config, folder, workers):
    """Return the seconds that a study takes, and the CPU seconds of all its processes."""
    store.open_folder(folder, config)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    command = [sys.executable, "-m", "minirobust", "--quiet", "study", "resume", str(folder), "--workers", str(workers)]
    subprocess.run(command, check=True)
    seconds, after = perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def full_size(options):
    """Extrapolate for one network, and one more as the source for its audit, from the few epochs that are run."""
    entry, preset = CATALOGUE[PRESETS[options.preset].dataset], PRESETS[options.preset]
    with tempfile.TemporaryDirectory() as folder:
        data = load_hdf5(options.full_size)
        full = Dataset("full", repeated(data.train, entry.train), repeated(data.test, entry.test), data.class_names)
        save_hdf5(path := Path(folder) / f"{options.preset}.h5", full)
        config = preset.but(dataset=str(path), epochs=options.epochs, temperatures=(1.0, 2.0))
        store.open_folder(study := Path(folder) / options.preset, config)
        for T in config.temperatures:
            run.train(config, T, 0, study)
        run.audit_trained(config, 1.0, 0, study)
        shares([study], of=lambda record: record.temperature == 1.0, epochs=preset.epochs)


def repeated(split, count):
    return Split(np.resize(split.images, (count, *split.images.shape[1:])), np.resize(split.labels, count))


def shares(folders, of=lambda record: True, epochs=None):
    titles = ("study", "tasks", "training", "measuring", "pixels", "audits", "all but training / training")
    print("{:<20} {:>5} {:>10} {:>10} {:>8} {:>8}  {}".format(*titles))
    for folder in folders:
        records = [record for record in store.read_study(folder).records if of(record)]
        names = ("training", "evaluation", "final", "audit")
        seconds = [sum(np.sum(record.timing.get(name, 0.0)) for record in records) for name in names]
        if epochs is not None:
            seconds[:2] = [total * epochs / records[0].epoch for total in seconds[:2]]
        training, *others = seconds
        print(
            f"{folder.name:<20} {len(records):>5} {training:>8.0f} s {others[0]:>8.0f} s {others[1]:>6.0f} s "
            f"{others[2]:>6.0f} s  {sum(others) / training:.2f}"
        )


if __name__ == "__main__":
    main()
