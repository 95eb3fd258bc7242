"""`torch`: a model made from a PyTorch module; `to_torch`: a module made from one of our networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust.foreign.answers import Answers
from minirobust.foreign.model import ForeignModel
from minirobust.losses import Loss, evaluate
from minirobust.model import Model
from minirobust.network import Network
from minirobust.validation import positive_int

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch import device as torch_device

TURN = RLock()  # all threads of the process share a module's mode and PyTorch's random numbers


def torch(
    module: nn.Module,
    input_shape: int | Sequence[int],
    classes: int | None = None,
    *,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    input_range: tuple[float, float] = (0.0, 1.0),
    device: str | torch_device | None = None,
    chunk_size: int = 128,
) -> Model:
    """Return a model that evaluates a PyTorch module.

    Attacks work on images channels last, (N, H, W, C), with pixels in `input_range`.  The module gets
    ``(x - mean) / std``, channels first, (N, C, H, W), so ε and the range are measured in pixels.  Inputs of any other
    shape keep the order of their axes.

    A call does not change the module.  During the call, the module is in evaluation mode, its parameters get no
    gradients, and its random numbers come from a separate stream, which `draw` selects: draw 0 always gives the same
    result.  Several threads may attack one module; their calls take turns.  While an attack runs, other threads must
    not use the module in any other way.

    Parameters
    ----------
    module : torch.nn.Module
        A module that returns logits, (N, classes), in one tensor.
    input_shape : sequence of int
        Shape of one sample, channels last: (H, W, C) for images, else (features,).
    classes : int, optional
        By default, the module is evaluated once, with one sample, to find it.
    mean, std : float or sequence of float
        One number, or one for each channel.  By default, pixels are passed on unchanged.
    input_range : (float, float), default (0, 1)
        Range of the pixels, before normalization.
    device : str or torch.device, optional
        Device of the module's inputs; by default, that of its first parameter.  The module is not moved.
    chunk_size : int, default 128
        Number of samples in one call of the module.  A module with large activations needs a smaller value.

    Returns
    -------
    Model
        In float64 if the module is, else in float32.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong, or the module returns anything but logits.  Attacks raise them if a gradient is needed
        and the module's output has none.
    """
    return TorchModel(module, input_shape, classes, mean, std, input_range, device, chunk_size)


def to_torch(network: Network | Model) -> nn.Module:
    """Return a PyTorch module that gets logits and input gradients from a network.

    It is intended for attacks of PyTorch libraries.  Images are channels first, (N, C, H, W), on any device and in any
    floating-point dtype.  The arithmetic is the network's own, with its hand-written backward pass.  The module cannot
    be trained.

    Parameters
    ----------
    network : Network or Model
        A network must end in logits.

    Returns
    -------
    torch.nn.Module
        In evaluation mode.

    Raises
    ------
    ValueError, TypeError
        If a network does not end in logits, or an object is not a model.
    """
    import torch
    from torch.autograd.function import once_differentiable

    answers = Answers(network)

    class Logits(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x.new_tensor(answers.logits(_on_host(x)))

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            (x,) = ctx.saved_tensors
            return x.new_tensor(answers.gradient(_on_host(x), _on_host(grad)))

    class NetworkModule(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            # An empty parameter, from which attacks read the module's device and dtype.
            nothing = torch.empty(0, dtype=getattr(torch, answers.dtype))
            self.place = torch.nn.Parameter(nothing, requires_grad=False)

        def forward(self, x: Tensor) -> Tensor:
            return Logits.apply(x.permute(0, 2, 3, 1) if len(answers.input_shape) == 3 else x)

    return NetworkModule().eval()


class TorchModel(ForeignModel):
    """See `torch`."""

    def __init__(
        self,
        module: nn.Module,
        input_shape: int | Sequence[int],
        classes: int | None,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        input_range: tuple[float, float],
        device: str | torch_device | None,
        chunk_size: int,
    ) -> None:
        import torch

        if not isinstance(module, torch.nn.Module):
            raise TypeError(f"foreign.torch: expected a torch.nn.Module, got {module!r}")
        tensors = chain(module.parameters(), module.buffers())
        first = next((tensor for tensor in tensors if tensor.is_floating_point()), torch.empty(0))
        dtype = "float64" if first.dtype == torch.float64 else "float32"  # NumPy has no bfloat16
        super().__init__("foreign.torch", input_shape, input_range, dtype, chunk_size)
        self.module, self.module_dtype = module, first.dtype
        self.device = first.device if device is None else torch.device(device)
        self.mean, self.std = self._per_channel("mean", mean), self._per_channel("std", std)
        if not (self.std > 0).all():
            raise ValueError(f"foreign.torch: expected std above 0, got {std!r}")
        self.classes = self._count() if classes is None else positive_int("foreign.torch", "classes", classes)

    def logits(self, x: np.ndarray, draw: int = 0) -> np.ndarray:
        """Return the logits of one chunk; `draw` selects the module's random numbers."""
        import torch

        self.effort.queries += len(x)
        with borrowed(self.module, self.device, draw), torch.no_grad():
            return self._to_numpy(self._forward(self._tensor(x), self.classes))

    def gradient(
        self, x: np.ndarray, y: np.ndarray, loss: Loss, target: np.ndarray | None = None, draw: int = 0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return logits, losses and ∂L/∂x of one chunk; `draw` selects the module's random numbers."""
        import torch

        self.effort.queries += len(x)
        self.effort.gradients += len(x)
        gradient = None
        # inference_mode(False) also ends a caller's no_grad().
        with borrowed(self.module, self.device, draw), torch.inference_mode(False):
            inputs = self._tensor(x).requires_grad_()
            outputs = self._forward(inputs, self.classes)
            logits = self._to_numpy(outputs)
            losses, grad = evaluate(loss, self.backend, logits, y, target)
            if outputs.requires_grad:
                (gradient,) = torch.autograd.grad(outputs, inputs, outputs.new_tensor(grad), allow_unused=True)
        if gradient is None:
            raise self.no_gradient("the module's output has none with respect to its input")
        return logits, losses, self._to_numpy(gradient)

    def _forward(self, inputs: Tensor, classes: int | None) -> Tensor:
        """Return the module's logits for pixels, channels last; with None, for any number of classes."""
        import torch

        x = ((inputs - self._tensor(self.mean)) / self._tensor(self.std)).to(self.module_dtype)
        if len(self.input_shape) == 3:
            x = x.permute(0, 3, 1, 2).contiguous()  # the module may call view
        outputs = self.module(x)
        shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else ()
        if len(shape) != 2 or shape[0] != len(inputs) or classes not in (None, shape[1]):
            got = f"shape {shape}" if shape else type(outputs).__name__
            expected = f"({len(inputs)}, {'classes' if classes is None else classes})"
            raise ValueError(f"foreign.torch: expected the module to return logits of shape {expected}, got {got}")
        return outputs

    def _count(self) -> int:
        """Return the number of classes, from the logits of one sample."""
        import torch

        x = np.full((1, *self.input_shape), self.input_range[0], self.dtype)
        try:
            with borrowed(self.module, self.device, draw=0), torch.no_grad():
                return self._forward(self._tensor(x), None).shape[1]
        except RuntimeError as error:  # the usual cause is an input_shape that is channels first
            error.add_note(f"foreign.torch: expected input_shape (H, W, C) or (features,), got {self.input_shape}")
            raise

    def _per_channel(self, name: str, value: float | Sequence[float]) -> np.ndarray:
        """Return `mean` or `std` in a shape that broadcasts against inputs, channels last."""
        channels = self.input_shape[-1]
        values = np.asarray(value, self.dtype)
        if values.shape not in ((), (channels,)) or not np.isfinite(values).all():
            raise ValueError(f"foreign.torch: expected {name} to be one number or {channels}, got {value!r}")
        return values

    def _tensor(self, array: np.ndarray) -> Tensor:
        import torch

        return torch.tensor(array, device=self.device)

    def _to_numpy(self, tensor: Tensor) -> np.ndarray:
        import torch

        return tensor.detach().to("cpu", getattr(torch, self.dtype)).numpy()


@contextmanager
def borrowed(module: nn.Module, device: torch_device, draw: int) -> Iterator[None]:
    """Keep a module in evaluation mode and PyTorch's random numbers in stream `draw`; then restore both."""
    import torch

    devices = [device] if device.type == "cuda" else []
    with TURN, evaluating(module), torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(draw)
        for cuda in devices:
            with torch.cuda.device(cuda):
                torch.cuda.manual_seed(draw)
        yield


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Keep a module in evaluation mode; then restore the mode of every part of it."""
    modes = [(part, part.training) for part in module.modules()]
    if not any(training for _, training in modes):
        yield
        return
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:  # parents first: setting the mode of a module also sets that of its parts
            part.train(training)


def _on_host(tensor: Tensor) -> np.ndarray:
    """Return a tensor as a NumPy array in float64, which can represent every floating-point dtype."""
    return tensor.detach().cpu().double().numpy()
