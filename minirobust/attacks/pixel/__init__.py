"""Pixel attacks: a few pixels, each driven to an end of its range (section 3.3 of the study).

`pixel` tries the pixels whose gradient is largest, `brute_force_pixel` tries all, and `greedy_pixel` tries all again
after each one that it writes.
"""

from minirobust.attacks.pixel.greedy import greedy_pixel
from minirobust.attacks.pixel.ranked import brute_force_pixel, pixel
from minirobust.attacks.pixel.search import PixelAttack

__all__ = ["PixelAttack", "brute_force_pixel", "greedy_pixel", "pixel"]
