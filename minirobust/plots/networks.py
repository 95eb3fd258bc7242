"""`architecture`: a picture of a network, in which every layer's output is a box or a bar."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minirobust.plots.palette import BLUE, DARK, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from minirobust.network import Network

STEP = 1.8  # inches from one output to the next
TALLEST, WIDEST, DEEPEST = 2.0, 1.0, 0.7  # inches of the longest vector, the largest side, the most channels
MANY = 16  # channels; fewer are never drawn at full depth
LETTERS = 26  # letters of a layer's name that fit on one line


def architecture(network: Network) -> Figure:
    """Draw a network from left to right: images as boxes, vectors as bars, and between them the layers.

    Sides are drawn to scale, and numbers of channels and units by their square roots, so that small ones are visible. A
    layer without parameters that keeps the shape, such as an activation, has no box: its name is below that of the
    layer before it.

    Parameters
    ----------
    network : Network
        Any layers are allowed, including custom ones.

    Returns
    -------
    matplotlib Figure
        Its width grows with the number of layers; ``figure.savefig("network.png")`` saves it.
    """
    from matplotlib.figure import Figure

    shapes: list[tuple[int, ...]] = [tuple(network.input_shape)]
    layers: list[list[str]] = []
    for layer in network.layers:
        if layer.parameters or layer.output_shape != shapes[-1] or not layers:
            shapes.append(tuple(layer.output_shape))
            layers.append([])
        layers[-1].append(repr(layer))
    names = ["\n".join(line for name in names for line in textwrap.wrap(name, LETTERS)) for names in layers]
    lines = max((name.count("\n") + 1 for name in names), default=0)
    height = TALLEST + DEEPEST / 2 + 0.17 * lines + 0.7
    figure = Figure(figsize=(STEP * len(shapes) + 0.4, height))
    axes = figure.add_axes((0, 0, 1, 1))
    bottom = -TALLEST / 2 - 0.45
    axes.set(xlim=(-STEP / 2 - 0.2, STEP * (len(shapes) - 0.5) + 0.2), ylim=(bottom, bottom + height))
    axes.axis("off")
    for place, shape in enumerate(shapes):
        end = place in (0, len(shapes) - 1)
        _draw(axes, place * STEP, *_size(shape, shapes), ORANGE if end else BLUE)
        axes.text(place * STEP, -TALLEST / 2 - 0.1, " × ".join(map(str, shape)), ha="center", va="top", fontsize=9)
    for place, name in enumerate(names):
        x = (place + 0.5) * STEP
        axes.annotate("", (x + 0.2, 0), (x - 0.2, 0), arrowprops={"arrowstyle": "->", "color": DARK})
        axes.text(x, TALLEST / 2 + DEEPEST / 2 + 0.1, name, ha="center", va="bottom", fontsize=7.5)
    return figure


def _size(shape: tuple[int, ...], shapes: Sequence[tuple[int, ...]]) -> tuple[float, float, float]:
    """Return the height, width and depth of a box or a bar in inches; `shapes` are all that share its scale."""
    images = [other for other in shapes if len(other) > 1]
    if len(shape) < 2:
        return TALLEST * math.sqrt(shape[0] / max(other[0] for other in shapes if len(other) == 1)), 0.12, 0.0
    side = WIDEST / max(max(other[:2]) for other in images)
    most = max(MANY, *(math.prod(other[2:]) for other in images))
    return side * shape[0], side * shape[1], DEEPEST / 2 * math.sqrt(math.prod(shape[2:]) / most)


def _draw(axes: Axes, x: float, height: float, width: float, depth: float, colour: str) -> None:
    """Draw a box centred at (x, 0), seen from the front; without depth, it is a bar."""
    from matplotlib.patches import Polygon

    left, right, bottom, top = x - (width + depth) / 2, x + (width - depth) / 2, -height / 2, height / 2
    faces = [[(left, bottom), (right, bottom), (right, top), (left, top)]]
    if depth:
        faces.append([(left, top), (right, top), (right + depth, top + depth), (left + depth, top + depth)])
        faces.append([(right, bottom), (right, top), (right + depth, top + depth), (right + depth, bottom + depth)])
    for face, alpha in zip(faces, (0.55, 0.35, 0.75), strict=False):
        axes.add_patch(Polygon(face, facecolor=colour, alpha=alpha, linewidth=0))
        axes.add_patch(Polygon(face, fill=False, edgecolor="black", linewidth=0.7))
