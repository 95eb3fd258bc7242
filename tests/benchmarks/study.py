"""Time a study with and without two processes, and show how finished studies spent their time.

python tests/benchmarks/study.py                 # the same tasks one after another, and in two processes
python tests/benchmarks/study.py DIR [DIR ...]   # seconds of training, measuring, attacks and audits, as stored
OPENBLAS_NUM_THREADS=1 python tests/benchmarks/study.py --preset svhn --full-size cifar10-25k.h5
                                                 # the same for the preset's full size, extrapolated from a few epochs
"""

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from time import perf_counter

import numpy as np

from data_loaders import CATALOGUE, Dataset, Split, load_hdf5, save_hdf5
from minirobust.study import PRESETS, run, store

ONE_AFTER_ANOTHER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from minirobust.study import run, store

    folder = Path(sys.argv[1])
    config = store.read_config(folder)
    for step in (run.train, run.audit_trained):
        for T, seed in config.tasks():
            step(config, T, seed, folder)
""")
SWEEP = textwrap.dedent("""
    import sys
    from pathlib import Path
    from minirobust.study import store
    from minirobust.study.sweep import run_study

    if __name__ == "__main__":
        folder = Path(sys.argv[1])
        assert not run_study(store.read_config(folder), folder, workers=int(sys.argv[2]), quiet=True)
""")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", type=Path, metavar="DIR")
    parser.add_argument("--preset", choices=PRESETS, default="mnist")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--temperatures", type=int, default=4, help="how many of the preset's (default 4)")
    parser.add_argument("--workers", type=int, default=2)
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
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "sweep.py"
        script.write_text(SWEEP)
        one_thread = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        contenders = {
            "one after another, all threads": ([sys.executable, "-c", ONE_AFTER_ANOTHER], os.environ),
            "one after another, one thread": ([sys.executable, "-c", ONE_AFTER_ANOTHER], one_thread),
            f"{options.workers} processes": ([sys.executable, str(script)], os.environ),
        }
        print(f"{len(config.tasks())} tasks of {config.epochs} epochs ({options.preset}), then their audits")
        first = None
        for number, (name, (command, environment)) in enumerate(contenders.items()):
            study = Path(folder) / str(number)
            store.open_folder(study, config)
            begin = perf_counter()
            subprocess.run([*command, str(study), str(options.workers)], env=environment, check=True)
            seconds = perf_counter() - begin
            first = first or seconds
            print(f"{name:<32} {seconds:7.1f} s {seconds / first:6.2f}", flush=True)


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
