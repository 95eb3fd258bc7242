"""Attacks: short functions that return an `Attack` and change neither their inputs nor the network."""

from minirobust.attacks.apgd import apgd
from minirobust.attacks.attack import Attack
from minirobust.attacks.fgsm import fgsm, fgvm
from minirobust.attacks.history import History
from minirobust.attacks.minimal_epsilon import MinimalEpsilon, minimal_epsilon
from minirobust.attacks.noise import noise
from minirobust.attacks.pgd import pgd
from minirobust.attacks.pixel import PixelAttack, brute_force_pixel, greedy_pixel, pixel
from minirobust.attacks.square import square
from minirobust.attacks.surrogates import annealed, averaged, differences, expectation, smoothed
from minirobust.attacks.transfer import transfer
from minirobust.attacks.voting import voting

__all__ = [
    "Attack",
    "History",
    "MinimalEpsilon",
    "PixelAttack",
    "annealed",
    "apgd",
    "averaged",
    "brute_force_pixel",
    "differences",
    "expectation",
    "fgsm",
    "fgvm",
    "greedy_pixel",
    "minimal_epsilon",
    "noise",
    "pgd",
    "pixel",
    "smoothed",
    "square",
    "transfer",
    "voting",
]
