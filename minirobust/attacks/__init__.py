"""Attacks: each a short function that returns an `Attack`, leaves its input alone and no trace in the network."""

from minirobust.attacks.attack import Attack
from minirobust.attacks.fgsm import fgsm

__all__ = ["Attack", "fgsm"]
