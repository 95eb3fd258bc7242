"""Attacks: each a short function that returns an `Attack`, leaves its input alone and no trace in the network."""

from minirobust.attacks.attack import Attack
from minirobust.attacks.fgsm import fgsm, fgvm
from minirobust.attacks.noise import noise
from minirobust.attacks.pgd import pgd
from minirobust.attacks.pixel import PixelAttack, brute_force_pixel, pixel
from minirobust.attacks.square import square
from minirobust.attacks.transfer import transfer

__all__ = ["Attack", "PixelAttack", "brute_force_pixel", "fgsm", "fgvm", "noise", "pgd", "pixel", "square", "transfer"]
