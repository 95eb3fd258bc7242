"""Networks in the forms of neighbouring tools: PyTorch modules, ONNX files and a scikit-learn classifier.

The tools are imported when a function that needs them is called.
"""

from minirobust.neighbours.onnx import export_onnx
from minirobust.neighbours.torch import from_torch, to_torch

__all__ = ["export_onnx", "from_torch", "to_torch"]
