"""Networks for neighbouring tools: as PyTorch modules, as ONNX files, and as a scikit-learn classifier.

Each tool is imported only when a function that needs it is called.
"""

from minirobust.neighbours.onnx import export_onnx
from minirobust.neighbours.torch import from_torch, to_torch

__all__ = ["export_onnx", "from_torch", "to_torch"]
