"""`FIGURES`: figures 2 to 10 of the published study from what is stored, and three that it lacks.

Each takes studies, one for each data set, and returns a matplotlib Figure that shows nothing but stored numbers: a
panel, a row of maps or a block of images for each study. Studies that have nothing for a figure yet are left out of it;
if none has, that is a `NothingStored`. Networks that learned nothing are marked, and not drawn as results.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minirobust.saving import atomic
from minirobust.study.report import audit_figures, class_figures, training_figures
from minirobust.study.report.selection import NothingStored
from minirobust.study.store import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 200  # per inch, of PNGs and of the parts of SVGs that are pixels

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
    """Write every figure that can be drawn as PNG and as SVG, each file whole or not at all.

    Parameters
    ----------
    studies : sequence of Study
        One for each data set.
    folder : Path
        Made if it is not there.
    tell : callable, default print
        Takes a sentence about each figure that cannot be drawn yet; an older file of that name stays.

    Returns
    -------
    list of Path
        Of the files written, in the order of `FIGURES`.

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
    """Draw one of `FIGURES`; a dollar sign in the name of a data set is a dollar sign, and begins no formula.

    Raises
    ------
    NothingStored
        If the studies hold nothing to draw.
    """
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}):
        return FIGURES[name](studies)


def render(figure: Figure, form: str) -> bytes:
    """A figure as a "png" or "svg" file: the same bytes whenever the same thing is drawn, with no date in them.

    Text in an SVG stays text, which can be searched and read aloud and takes less room than outlines.
    """
    import matplotlib

    metadata = {"svg": {"Date": None, "Creator": "minirobust"}, "png": {"Software": None}}[form]
    # Every text of an SVG names its fonts: matplotlib's own and one as wide, where it names ten.
    fonts = ["DejaVu Sans", "Verdana"]
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "minirobust", "font.sans-serif": fonts}):
        figure.savefig(file, format=form, dpi=DOTS, metadata=metadata)
    return file.getvalue()
