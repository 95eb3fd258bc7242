"""Plots of measurements: most functions take arrays and matplotlib axes, and return nothing.

None of them opens a window or writes a file. Lines also differ in their dashes or markers, so that they can be told
apart in a black-and-white print.
"""

from minirobust.plots.curves import attack_history, learning_curve, regimes_over_epochs, robustness_over_epsilon
from minirobust.plots.images import adversarial_rows, circle_pixels, image_row, training_story
from minirobust.plots.maps import class_temperature_map, class_temperature_maps
from minirobust.plots.networks import architecture

__all__ = [
    "adversarial_rows",
    "architecture",
    "attack_history",
    "circle_pixels",
    "class_temperature_map",
    "class_temperature_maps",
    "image_row",
    "learning_curve",
    "regimes_over_epochs",
    "robustness_over_epsilon",
    "training_story",
]


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
