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
            "epsilon, *model.input_range, out=out)",
            "epsilon, 0, 1, out=out)",
        ),
        (
            "predicted label in place of the true one",
            "fgsm.py",
            "guide.gradient(now, labels, loss, aim)",
            "guide.gradient(now, model.predict(now), loss, aim)",
        ),
        (
            "FGVM: the chunk's largest, not the sample's",
            "fgsm.py",
            ".max(axis=tuple(range(1, x.ndim)), keepdims=True)",
            ".max()",
        ),
        ("FGVM: largest g, not largest |g|", "fgsm.py", "xp.abs(g).max", "g.max"),
        ("FGVM: not divided", "fgsm.py", "g / (largest + (largest == 0))", "g"),
    ],
    "pgd": [
        ("downhill", "pgd.py", "sign_step(iterate, gradient", "sign_step(iterate, -gradient"),
        ("last iterate, not the first that fools", "pgd.py", "if len(left) < len(y)", "if not len(left)"),
        ("not within ε", "pgd.py", "gradient, alpha, low, high)", "gradient, alpha, *model.input_range)"),
        ("not within the range", "pgd.py", "low, high = model.input_range", "low, high = -1e9, 1e9"),
        ("all starts the same", "pgd.py", "uniform((seed, start)", "uniform((seed, 1)"),
        (
            "default loss, whatever is given",
            "pgd.py",
            "under_attack(model, x, y, loss)",
            "under_attack(model, x, y)",
        ),
    ],
    "apgd": [
        ("downhill", "apgd.py", "sign_step(now, ascent.gradient", "sign_step(now, -ascent.gradient"),
        ("first step of ε", "apgd.py", "+ 2 * epsilon", "+ epsilon"),
        ("momentum in the first step", "apgd.py", "MOMENTUM if k > 1 else 1", "MOMENTUM"),
        ("no momentum", "apgd.py", "MOMENTUM = 0.75", "MOMENTUM = 1.0"),
        ("momentum of the step before the last", "apgd.py", "low, high), before=now)", "low, high))"),
        ("not projected after momentum", "apgd.py", "now=model.xp.clip(after, low, high)", "now=after"),
        ("checkpoints rounded down", "apgd.py", "-(-p * steps // 100)", "p * steps // 100"),
        ("another share of rises", "apgd.py", "ENOUGH_RISES = 0.75", "ENOUGH_RISES = 0.5"),
        ("three quarters of rises are too few", "apgd.py", "ascent.rises < ENOUGH", "ascent.rises <= ENOUGH"),
        ("rises never forgotten", "apgd.py", "rises=model.xp.zeros_like(ascent.rises)", "rises=ascent.rises"),
        ("rises above the best, not the last", "apgd.py", "(losses > ascent.loss)", "better"),
        ("no second condition", "apgd.py", "* interval) | stalled", "* interval)"),
        ("second condition after a halving too", "apgd.py", "~ascent.halved & (ascent.best", "(ascent.best"),
        ("largest loss of any earlier checkpoint", "apgd.py", "best_loss_then=ascent.best_loss,", ""),
        (
            "halved, but not from the best point",
            "apgd.py",
            "now=where(each, ascent.best, ascent.now)",
            "now=ascent.now",
        ),
        (
            "from the best point with the gradient of another",
            "apgd.py",
            "gradient=where(each, ascent.best_gradient, ascent.gradient)",
            "gradient=ascent.gradient",
        ),
        ("all halved if one is", "apgd.py", "step=where(each,", "step=where(each.any(),"),
        (
            "last point, not the best",
            "apgd.py",
            "xp.where(_each(better, x), ascent.best,",
            "xp.where(_each(better, x), ascent.now,",
        ),
        (
            "last start, not the best",
            "apgd.py",
            "better = ascent.best_loss > largest[standing]",
            "better = ascent.best_loss > -math.inf",
        ),
        ("earlier starts lost", "apgd.py", "ascent.now, images[standing[left]]", "ascent.now, ascent.now[left]"),
        ("first start random", "pgd.py", "if start == 0:", "if start < 0:"),
    ],
    "history": [
        ("only of those that are not done", "history.py", "np.where(np.isnan(now), before, now)", "now"),
        (
            "losses of other samples",
            "history.py",
            "positions = self.model.xp.arange(chunk.start, chunk.stop)[which]",
            "positions = self.model.xp.arange(chunk.stop - chunk.start)",
        ),
        ("chunks one after another", "history.py", "self.chunk, self.iterates = chunk, 0", "self.chunk = chunk"),
        ("forgets who is done", "history.py", "np.logical_or.accumulate(self.done)", "np.array(self.done)"),
        (
            "last iterate left out",
            "pgd.py",
            "        note(standing, evaluate(loss, model.backend, logits, y, aim)[0], left)\n",
            "",
        ),
    ],
    "minimal_epsilon": [
        ("in the order given", "minimal_epsilon.py", "sorted({", "list({"),
        (
            "all samples every time",
            "minimal_epsilon.py",
            "standing = standing[asarray(np.flatnonzero(~fooled))]",
            "pass",
        ),
        ("wrong samples attacked, too", "minimal_epsilon.py", "np.flatnonzero(~to_numpy(wrong))", "np.arange(len(x))"),
        ("goes on without samples", "minimal_epsilon.py", "            break", "            pass"),
        ("images of all, fooled or not", "minimal_epsilon.py", "images[standing[fallen]], ", "images[standing], "),
    ],
    "noise": [
        (
            "no clip",
            "noise.py",
            "model.xp.clip(x[standing] + change, *model.input_range)",
            "x[standing] + change",
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
        (
            "source's images dropped",
            "transfer.py",
            'check_batch(images, model.input_shape, model.dtype, "transfer", model.backend)',
            "x_target",
        ),
        ("seed not passed on", "transfer.py", "made.epsilon, made.seed", "made.epsilon"),
    ],
    "pixel": [
        ("sign kept in the score", "pixel/ranking.py", ".abs(gradient, out=gradient)", ".positive(gradient)"),
        ("channels forgotten", "pixel/ranking.py", ".mean(axis=2)", "[:, :, 0]"),
        (
            "the last of equal scores",
            "pixel/ranking.py",
            "score.argmax(axis=1)",
            "score.shape[1] - 1 - score[:, ::-1].argmax(axis=1)",
        ),
        (
            "wrong label",
            "pixel/ranked.py",
            "change.gradient(y[chunk], loss, aim)",
            "change.gradient(0 * y[chunk], loss, aim)",
        ),
        ("only all pixels at once", "pixel/ranked.py", "for n in range(1, best", "for n in range(best.shape[1], best"),
        ("colour skipped if one channel is equal", "pixel/change.py", "!= own).any(axis=2)", "!= own).all(axis=2)"),
        (
            "shortcut not confirmed",
            "pixel/search.py",
            "succeeds = self.goal(chunk).reached(places, predictions)",
            "succeeds = predictions == predictions",
        ),
        ("padding forgotten", "pixel/change.py", "row + top - u", "row - u"),
        ("brute force: last pixel left out", "pixel/ranked.py", "product(range(pixels)", "product(range(pixels - 1)"),
        (
            "brute force: all channels alike",
            "pixel/ranked.py",
            "product(change.model.input_range, repeat=channels)",
            "[(v,) * channels for v in change.model.input_range]",
        ),
        (
            "wrong images attacked, too",
            "pixel/search.py",
            "places[~self.goal(chunk).reached(places, self.clean[chunk])]",
            "places",
        ),
        ("greedy: the least loss", "pixel/greedy.py", "np.lexsort((-value,", "np.lexsort((value,"),
        ("greedy: one that fools is not preferred", "pixel/greedy.py", "-value, ~fools, copy", "-value, copy"),
        (
            "greedy: all pixels judged alone",
            "pixel/greedy.py",
            "PixelChange(model, change.written(writing))",
            "PixelChange(model, change.x[backend.asarray(writing.images)])",
        ),
        (
            "greedy: goes on after success",
            "pixel/greedy.py",
            "writing = writing.pick(np.isin(writing.images, search.keep(chunk, change, writing)))",
            "search.keep(chunk, change, writing)",
        ),
        ("greedy: always the margin", "pixel/greedy.py", "Margin() if loss is None else loss", "Margin()"),
        ("greedy: unchanged pixels tried", "pixel/greedy.py", "!= ends).any(axis=3)", "!= ends).any(axis=3) | True"),
        (
            "greedy: shortlist by |g|",
            "pixel/ranking.py",
            "xp.maximum(gradient * (high - x), gradient * (low - x))",
            "xp.maximum(gradient, -gradient)",
        ),
        (
            "greedy: headroom of one channel",
            "pixel/ranking.py",
            "x.shape[1:])).sum(axis=2)",
            "x.shape[1:])).max(axis=2)",
        ),
        (
            "greedy: shortlist not in order",
            "pixel/greedy.py",
            "np.sort(ranking(backend, gain, count), axis=1)",
            "ranking(backend, gain, count)",
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
    own = "tests/attacks/pixel" if name == "pixel" else f"tests/attacks/test_{name}.py"
    tests = [own, "tests/attacks/test_attack.py"]
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
