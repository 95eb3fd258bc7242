"""Whether the tests of the attacks notice faults: each is planted in a copy of the code, and the tests run on it.

    python tests/benchmarks/planted_faults.py
    python tests/benchmarks/planted_faults.py pgd pixel

A fault is a line that a tired author might write.  The copy lies in a temporary folder.  Not collected as a test: it
takes minutes.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]

# By the test file that should notice: what the fault is, the file in minirobust/attacks, the text there, the fault.
FAULTS = {
    "fgsm": [
        ("sign dropped", "fgsm.py", "network.xp.sign(gradient)", "gradient"),
        ("downhill", "fgsm.py", "x + epsilon * network.xp.sign", "x - epsilon * network.xp.sign"),
        (
            "clipped to [0, 1], whatever the range",
            "fgsm.py",
            "sign(gradient), *network.input_range)",
            "sign(gradient), 0, 1)",
        ),
        (
            "predicted for true label",
            "fgsm.py",
            "input_gradient(x[chunk], y[chunk], loss)\n        clean",
            "input_gradient(x[chunk], network.predict(x[chunk]), loss)\n        clean",
        ),
        ("FGVM: the batch's largest for the sample's", "fgsm.py", ".max(axis=pixels, keepdims=True)", ".max()"),
        ("FGVM: largest without its sign", "fgsm.py", "xp.abs(g).max", "g.max"),
        ("FGVM: not divided", "fgsm.py", "g / (largest + (largest == 0))", "g"),
    ],
    "pgd": [
        ("sign dropped", "pgd.py", "network.xp.sign(gradient[right])", "gradient[right]"),
        (
            "last for any iterate",
            "pgd.py",
            "            left = left[right]\n",
            "            right = network.xp.arange(len(left))\n",
        ),
        ("not within ε", "pgd.py", "network.xp.clip(images, x - epsilon, x + epsilon)", "images"),
        ("not within the range", "pgd.py", ", x + epsilon), *network.input_range)", ", x + epsilon), -1e9, 1e9)"),
        ("every start the same", "pgd.py", "uniform((seed, start)", "uniform((seed, 1)"),
        ("another loss", "pgd.py", "y[left], loss)", "y[left])"),
    ],
    "noise": [
        (
            "no clip",
            "noise.py",
            "network.xp.clip(x[left] + epsilon * signs(network, u), *network.input_range)",
            "x[left] + epsilon * signs(network, u)",
        ),
        ("last for any draw", "noise.py", "left = left[where_right", "left[where_right"),
        ("every draw the same", "noise.py", "(seed, draw)", "(seed, 0)"),
        ("numbers by the place in the chunk", "attack.py", "advance(samples.start * math.prod(shape))", "advance(0)"),
    ],
    "square": [
        ("worse for better", "square.py", "value > best[left]", "value < best[left]"),
        (
            "no clip",
            "square.py",
            "xp.where(inside, xp.clip(x + epsilon * sign, *network.input_range), images)\n    unchanged",
            "xp.where(inside, x + epsilon * sign, images)\n    unchanged",
        ),
        ("channels forgotten", "square.py", "u[:, None, None, 2:]", "u[:, None, None, 2:3]"),
        ("a square that changes nothing", "square.py", "sign * (1 - 2 * unchanged.astype(x.dtype))", "sign"),
        ("another schedule", "square.py", "1000, 2000, 4000", "1000, 3000, 4000"),
    ],
    "transfer": [
        ("made on the target", "transfer.py", "attack(source, x, y)\n    images", "attack(target, x, y)\n    images"),
        ("judged by the source", "transfer.py", "judge(target,", "judge(source,"),
        ("images as they came", "transfer.py", "target.check_input(images)", "x_target"),
        ("seed lost", "transfer.py", "made.epsilon, made.seed", "made.epsilon"),
    ],
    "pixel": [
        ("sign kept in the score", "pixel.py", "abs(gradient).reshape", "gradient.reshape"),
        ("channels forgotten", "pixel.py", ".mean(axis=2)", "[:, :, 0]"),
        (
            "of equal scores the last",
            "pixel.py",
            "score.argmax(axis=1)",
            "score.shape[1] - 1 - score[:, ::-1].argmax(axis=1)",
        ),
        ("wrong label", "pixel.py", "change.before, y[chunk], loss", "change.before, 0 * y[chunk], loss"),
        ("all pixels at once only", "pixel.py", "for n in range(1, best", "for n in range(best.shape[1], best"),
        ("a colour skipped for one channel", "pixel.py", "!= own).any(axis=2)", "!= own).all(axis=2)"),
        (
            "the shortcut believed",
            "pixel.py",
            "sure = predictions != labels[found.images]",
            "sure = predictions == predictions",
        ),
        ("padding forgotten", "pixel_change.py", "rows + top - u", "rows - u"),
        ("brute force: the last pixel left out", "pixel.py", "product(range(pixels)", "product(range(pixels - 1)"),
        (
            "brute force: all channels alike",
            "pixel.py",
            "product(change.network.input_range, repeat=channels)",
            "[(v,) * channels for v in change.network.input_range]",
        ),
        (
            "brute force: what was wrong is attacked",
            "pixel.py",
            "self.clean[chunk] == self.labels[chunk]",
            "self.clean[chunk] >= 0",
        ),
    ],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"of {', '.join(FAULTS)}; default all")
    chosen = parser.parse_args().attacks or FAULTS
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "results"))
        for name in chosen:
            for what, *change in FAULTS[name]:
                noticed = by_which_test(copy, name, *change)
                missed += noticed is None
                print(f"{name:9} {what:42} {noticed or 'MISSED'}", flush=True)
    raise SystemExit(f"{missed} missed" if missed else 0)


def by_which_test(copy, name, file, text, fault):
    """The first test that fails on the copy with the fault in it; None if none does."""
    path = copy / "minirobust" / "attacks" / file
    whole = path.read_text(encoding="utf-8")
    if whole.count(text) != 1:
        raise SystemExit(f"{file}: expected {text!r} once, found it {whole.count(text)} times")
    path.write_text(whole.replace(text, fault), encoding="utf-8")
    tests = [f"tests/attacks/test_{name}.py", "tests/attacks/test_attack.py"]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-k", "not strict", *tests]
    environment = os.environ | {"PYTHONPATH": str(copy)}
    result = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    path.write_text(whole, encoding="utf-8")
    if result.returncode not in (0, 1):
        raise SystemExit(result.stdout + result.stderr)
    failed = re.search(r"^FAILED \S+?::(.+?)(?: - |$)", result.stdout, re.MULTILINE)
    return failed and failed.group(1)


if __name__ == "__main__":
    main()
