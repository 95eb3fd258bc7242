"""`write`: the page as one file that works offline, with all numbers for its digits computed in advance.

For a drawing, `stored.js` repeats the forward pass, FGSM and a smoothed attack in the browser, with the network's
weights.  Only `models.mlp` is simple enough for that; the page of another network has no drawings.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from minirobust import attacks
from minirobust.explore import shipped
from minirobust.explore.code import named, ten_lines
from minirobust.explore.laboratory import EPSILONS, EXPONENTS, WALL, Answer, Laboratory, passes, rounded, strongest
from minirobust.explore.worker import describe, opened
from minirobust.layers import Dense, Flatten, TemperatureSigmoid
from minirobust.progress import progress_bar
from minirobust.saving import atomic

LEVELS = 15  # the pictures of the strongest attack are stored in steps of ε/15, which look the same
MODULES = ("charts.js", "digits.js", "stored.js", "page.js")
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


def never() -> None:
    """Cancel nothing."""


def write(checkpoint: Path | None, path: Path, progress: bool = False) -> None:
    """Write the page of a network.

    Parameters
    ----------
    checkpoint : Path or None
        None for the shipped network.
    path : Path
    progress : bool, default False
        Whether to show a bar, in a terminal.
    """
    laboratory = Laboratory(opened(checkpoint), *shipped.digits())
    stored = gathered(laboratory, {"name": named(checkpoint), "code": ten_lines(checkpoint)}, progress)
    text = page(stored)
    with atomic.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def gathered(laboratory: Laboratory, words: Answer, progress: bool) -> dict[str, Any]:
    """Return the contents of the file: answers (including `words`) as JSON, and arrays, both compressed, in base64."""
    x, y = laboratory.x[:WALL], laboratory.y[:WALL]
    points, read, deltas, probabilities = [], [], [], []
    signs, gradients, largest, zeros, tables = [], [], [], [], []
    with progress_bar(len(EXPONENTS) * len(EPSILONS), "export", "points", progress) as bar:
        for t in EXPONENTS:
            network = laboratory.network(t)
            steepness = network.input_gradient(x, y)
            top = np.abs(steepness).max(axis=(1, 2, 3), keepdims=True)
            signs.append(np.sign(steepness).astype("int8"))
            gradients.append(np.round(steepness / np.where(top > 0, top, 1) * 127).astype("int8"))
            largest.append([f"{value:.2g}" for value in top.ravel()])
            zeros.append(rounded((steepness == 0).mean(axis=(1, 2, 3))))
            tables.append([passes(network, x[i : i + 1], y[i : i + 1]) for i in range(WALL)])
            probabilities.append(network.predict_proba(x))
            for e in range(len(EPSILONS)):
                point = laboratory.fgsm(t, e, never) | laboratory.strongest(t, e, never)
                points.append(point | laboratory.certificate(t, e, never))
                single = attacks.fgsm(network, x, y, EPSILONS[e])
                outcome = strongest(network, x, y, EPSILONS[e], never)
                read.append([single.predictions.tolist(), outcome.predictions.tolist()])
                probabilities += [network.predict_proba(single.images), network.predict_proba(outcome.images)]
                deltas.append(np.round((outcome.images - x) / (EPSILONS[e] or 1) * LEVELS).astype("int8"))
                bar.advance()
    answers: Answer = {
        "state": describe(laboratory) | words | {"generation": 0, "progress": {}},
        "points": points,
        "units": [laboratory.units(t, never) for t in EXPONENTS],
        "read": read,
        "largest": largest,
        "zeros": zeros,
        "passes": tables,
        "levels": LEVELS,
    }
    arrays = {
        "signs": np.array(signs),
        "gradients": np.array(gradients),
        "deltas": np.array(deltas),
        "probabilities": np.round(np.array(probabilities) * 65535).astype("<u2"),
    }
    if [type(layer) for layer in laboratory.trained.layers] == [Flatten, Dense, TemperatureSigmoid, Dense]:
        arrays["weights"] = laboratory.trained.parameters.astype("<f2").view("<u2")
        answers["temperature"] = laboratory.trained.last_activation.temperature  # type: ignore[attr-defined]
    return {"answers": packed(json.dumps(answers, allow_nan=False, ensure_ascii=False).encode())} | {
        name: packed(array.tobytes()) for name, array in arrays.items()
    }


def packed(raw: bytes) -> str:
    """Return compressed bytes in base64."""
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def page(stored: dict[str, Any]) -> str:
    """Return the page as one document, with its style, its modules in order, and the stored data."""
    folder = files("minirobust.explore") / "page"
    text, style = ((folder / name).read_text(encoding="utf-8") for name in ("index.html", "page.css"))
    modules = "".join(joined((folder / name).read_text(encoding="utf-8")) for name in MODULES)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    data = f'<script type="application/json" id="stored">{json.dumps(stored)}</script>'
    parts = {
        '<meta charset="utf-8">': f'<meta charset="utf-8">\n{policy}',
        '<link rel="stylesheet" href="page.css">': f"<style>\n{style}</style>",
        '<script type="module" src="page.js"></script>': f'{data}\n<script type="module">\n{modules}</script>',
    }
    for part, replacement in parts.items():
        text = text.replace(part, replacement)
    return text


def joined(module: str) -> str:
    """Return a module without its imports and exports; the modules that it imports come before it."""
    return re.sub(r"^import .*\n|^export ", "", module, flags=re.MULTILINE)
