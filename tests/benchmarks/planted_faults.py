"""Plant faults in a copy of the attacks, one at a time, and print which test notices each first.

    python tests/benchmarks/planted_faults.py
    python tests/benchmarks/planted_faults.py pgd pixel

A fault is a line that a tired author might write.  The copy is in a temporary folder.  Not collected as a test: it
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

# For each test file: the fault in words, its file in minirobust/attacks, the text there, and the text that replaces it.
FAULTS = {
    "fgsm": [
        ("downhill", "fgsm.py", "sign_step(x, gradient, epsilon", "sign_step(x, -gradient, epsilon"),
        (
            "clipped to [0, 1] for every range",
            "fgsm.py",
            "epsilon, *model.input_range)\n\n\ndef fgvm",
            "epsilon, 0, 1)\n\n\ndef fgvm",
        ),
        (
            "predicted label in place of the true one",
            "fgsm.py",
            "logits, _, gradient = model.gradient(x[chunk], y[chunk], loss)",
            "logits, _, gradient = model.gradient(x[chunk], model.predict(x[chunk]), loss)",
        ),
        ("FGVM: the chunk's largest, not the sample's", "fgsm.py", ".max(axis=pixels, keepdims=True)", ".max()"),
        ("FGVM: largest g, not largest |g|", "fgsm.py", "xp.abs(g).max", "g.max"),
        ("FGVM: not divided", "fgsm.py", "g / (largest + (largest == 0))", "g"),
    ],
    "pgd": [
        ("downhill", "pgd.py", "sign_step(iterate, gradient", "sign_step(iterate, -gradient"),
        ("last iterate, not the first that fools", "pgd.py", "if len(right) < len(y)", "if not len(right)"),
        ("not within ε", "pgd.py", "alpha, low, high)", "alpha, *model.input_range)"),
        ("not within the range", "pgd.py", "low, high = model.input_range", "low, high = -1e9, 1e9"),
        ("all starts the same", "pgd.py", "uniform((seed, start)", "uniform((seed, 1)"),
        (
            "default loss, whatever is given",
            "pgd.py",
            "under_attack(network, x, y, loss)",
            "under_attack(network, x, y)",
        ),
    ],
    "noise": [
        (
            "no clip",
            "noise.py",
            "model.xp.clip(x[standing] + epsilon * signs(model, u), *model.input_range)",
            "x[standing] + epsilon * signs(model, u)",
        ),
        ("last draw, not the first that fools", "noise.py", "standing = standing[where_right", "standing[where_right"),
        ("all draws the same", "noise.py", "(seed, draw)", "(seed, 0)"),
        ("numbers by position in the chunk", "attack.py", "advance(samples.start * math.prod(shape))", "advance(0)"),
    ],
    "square": [
        ("worse, not better", "square.py", "value > best", "value < best"),
        ("no clip", "square.py", "after = xp.clip(x + change, *model.input_range)", "after = x + change"),
        ("pixels not put back", "square.py", "xp.where(better[:, None, None, None], after, before)", "after"),
        ("channels forgotten", "square.py", "u[:, None, None, 2:]", "u[:, None, None, 2:3]"),
        (
            "a square that changes nothing",
            "square.py",
            "xp.where(unchanged, xp.clip(x - change, *model.input_range), after)",
            "after",
        ),
        ("another schedule", "square.py", "1000, 2000, 4000", "1000, 3000, 4000"),
    ],
    "transfer": [
        ("made on the target", "transfer.py", "attack(source, x, y)\n    images", "attack(target, x, y)\n    images"),
        ("judged by the source", "transfer.py", "judge(model,", "judge(under_attack(source, x, y)[0],"),
        ("source's images dropped", "transfer.py", "target.check_input(images)", "x_target"),
        ("seed not passed on", "transfer.py", "made.epsilon, made.seed", "made.epsilon"),
    ],
    "pixel": [
        ("sign kept in the score", "pixel.py", "abs(gradient).reshape", "gradient.reshape"),
        ("channels forgotten", "pixel.py", ".mean(axis=2)", "[:, :, 0]"),
        (
            "the last of equal scores",
            "pixel.py",
            "score.argmax(axis=1)",
            "score.shape[1] - 1 - score[:, ::-1].argmax(axis=1)",
        ),
        ("wrong label", "pixel.py", "change.before, y[chunk], loss", "change.before, 0 * y[chunk], loss"),
        ("only all pixels at once", "pixel.py", "for n in range(1, best", "for n in range(best.shape[1], best"),
        ("colour skipped if one channel is equal", "pixel.py", "!= own).any(axis=2)", "!= own).all(axis=2)"),
        (
            "shortcut not confirmed",
            "pixel.py",
            "sure = predictions != labels[found.images]",
            "sure = predictions == predictions",
        ),
        ("padding forgotten", "pixel_change.py", "rows + top - u", "rows - u"),
        ("brute force: last pixel left out", "pixel.py", "product(range(pixels)", "product(range(pixels - 1)"),
        (
            "brute force: all channels alike",
            "pixel.py",
            "product(change.model.input_range, repeat=channels)",
            "[(v,) * channels for v in change.model.input_range]",
        ),
        (
            "wrong images attacked, too",
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
    """Return the first test that fails on the copy with the fault in it, or None."""
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
