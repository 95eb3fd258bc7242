"""Other libraries' models for our attacks, and our networks for other libraries' attacks.

PyTorch, ART and Foolbox are imported only when a function that needs them is called.
"""

from minirobust.foreign.art import to_art
from minirobust.foreign.foolbox import to_foolbox
from minirobust.foreign.function import function
from minirobust.foreign.torch import to_torch, torch

__all__ = ["function", "to_art", "to_foolbox", "to_torch", "torch"]
