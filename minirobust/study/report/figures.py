"""`FIGURES`: figures 2 to 10 of the paper, drawn from what is stored, and three that it does not have.

Each function takes studies, one for each data set, and returns a matplotlib Figure that shows only stored numbers: a
panel, a row of maps or a block of images for each study. A study that has nothing for a figure yet is left out of it,
and so is one in which too few networks learned. If none is left, the function raises `NothingStored`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minirobust.saving import atomic
from minirobust.study.report import audit_figures, class_figures, training_figures
from minirobust.study.report.selection import NothingStored
from minirobust.study.store import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 200  # per inch, in PNGs and in the pixel parts of SVGs
COLOURS = 256  # of a PNG; a palette takes a third of the bytes, and the eye sees no difference

FIGURES: Mapping[str, Callable[[Sequence[Study]], Figure]] = {
    "figure-02-sigmoids": training_figures.sigmoids,
    "figure-03-learning-curves": training_figures.learning_curves,
    "figure-04-regimes": training_figures.operation_in_regimes,
    "figure-05-robustness": training_figures.robustness_during_training,
    "figure-06-epsilons": training_figures.robustness_at_every_epsilon,
    "figure-07-ugly-images": class_figures.ugly_images,
    "figure-08-gradients": class_figures.gradients_by_class,
    "figure-09-pixel-attack": class_figures.pixel_attack_success,
    "figure-10-two-pixels": class_figures.two_pixel_adversarials,
    "figure-11-audit": audit_figures.robustness_under_audit,
    "figure-12-sandwich": audit_figures.sandwich_over_epsilon,
    "figure-13-sharpening": audit_figures.temperature_at_test_time,
}


def draw(studies: Sequence[Study], folder: Path, tell: Callable[[str], object] = print) -> list[Path]:
    """Write every figure that can be drawn, as PNG and as SVG. Each file is replaced as a whole or not at all.

    Parameters
    ----------
    studies : sequence of Study
        One for each data set.
    folder : Path
        Created if it does not exist.
    tell : callable, default print
        Called with a sentence about each figure that cannot be drawn yet. An older file of that name stays.

    Returns
    -------
    list of Path
        The files written, in the order of `FIGURES`.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in FIGURES:
        try:
            figure = drawn(name, studies)
        except NothingStored as reason:
            tell(f"{name} is left out: {reason}")
            continue
        for form in ("png", "svg"):
            path = folder / f"{name}.{form}"
            with atomic.replacing(path) as temporary:
                temporary.write_bytes(render(figure, form))
            paths.append(path)
    return paths


def drawn(name: str, studies: Sequence[Study]) -> Figure:
    """Draw one of `FIGURES`. A dollar sign in the name of a data set does not begin a formula.

    Raises
    ------
    NothingStored
        If the studies hold nothing to draw.
    """
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}):
        return FIGURES[name](studies)


def render(figure: Figure, form: str) -> bytes:
    """Return a figure as a "png" or "svg" file: without a date, so that the same figure is always the same bytes.

    Text in an SVG stays text, which can be searched and read aloud and is smaller than outlines.
    """
    import matplotlib

    metadata = {"svg": {"Date": None, "Creator": "minirobust"}, "png": {"Software": None}}[form]
    # Every text in an SVG names its fonts. matplotlib names ten; these are its own and one of the same width.
    fonts = ["DejaVu Sans", "Verdana"]
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "minirobust", "font.sans-serif": fonts}):
        figure.savefig(file, format=form, dpi=DOTS, metadata=metadata)
    return _compact(file.getvalue()) if form == "svg" else _with_palette(file)


def _compact(svg: bytes) -> bytes:
    """Remove from an SVG indentation, rotations by 0°, and the digits of paths below a hundredth of a point."""
    svg = re.sub(rb"\n +", b"\n", svg)
    svg = re.sub(rb' transform="rotate\(-0 [^)]*\)"', b"", svg)
    return re.sub(rb' d="[^"]*"', lambda path: re.sub(rb"(\.\d\d)\d+", rb"\1", path[0]), svg)


def _with_palette(png: io.BytesIO) -> bytes:
    """Return a PNG with a palette."""
    from PIL import Image

    file = io.BytesIO()
    with Image.open(png) as image:
        colours = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    colours.save(file, "png", optimize=True, dpi=(DOTS, DOTS))
    return file.getvalue()
