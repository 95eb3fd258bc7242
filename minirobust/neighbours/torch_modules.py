"""Which PyTorch module corresponds to which layer, in both directions.  Importing this file requires PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from minirobust import layers
from minirobust.layers import Layer
from minirobust.validation import Size, pair

Border = tuple[int, int, int, int]  # of ZeroPad2d: left, right, top, bottom


class TemperatureSigmoid(nn.Module):
    """y = 1 / (1 + exp(-net/T)), with the derivative of `minirobust.TemperatureSigmoid`.

    Parameters
    ----------
    temperature : float
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, net: Tensor) -> Tensor:
        return _Sigmoid.apply(net, self.temperature)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature!r}"


class _Sigmoid(torch.autograd.Function):
    """The function and its derivative in the symmetric form e / (T (1 + e)²), e = exp(-|net|/T).

    PyTorch's own derivative of a sigmoid, y (1 - y), is exactly zero in float32 where y has rounded to 1.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(net: Tensor, temperature: float) -> Tensor:
        return torch.sigmoid(net / temperature)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        net, ctx.temperature = inputs
        ctx.save_for_backward(net)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, None]:
        (net,) = ctx.saved_tensors
        e = torch.exp(-net.abs() / ctx.temperature)
        return grad_y * (e / (ctx.temperature * (1 + e) ** 2)), None


# From layers to modules


def from_layer(layer: Any, order: np.ndarray | None) -> list[nn.Module]:
    """Return a layer's modules with copies of its weights; `order` is PyTorch's order of the inputs of a Dense."""
    if type(layer) not in MODULES:
        known = ", ".join(kind.__name__ for kind in MODULES)
        raise TypeError(f"to_torch: {layer}: expected a layer that PyTorch has, one of {known}")
    parts = MODULES[type(layer)](layer)
    if layer.has_parameters:
        weight, bias = (layer.backend.to_numpy(state.value) for state in (layer.weight, layer.bias))
        if isinstance(layer, layers.Dense):
            weight = (weight if order is None else weight[order]).T
        else:
            weight = weight.transpose(3, 2, 0, 1)  # (height, width, in, out) → (out, in, height, width)
        with torch.no_grad():
            parts[-1].weight.copy_(torch.tensor(np.ascontiguousarray(weight)))
            parts[-1].bias.copy_(torch.tensor(bias))
    return parts


def _linear(layer: Any) -> list[nn.Module]:
    # Without initial values, which would consume the caller's random numbers.
    return [skip_init(nn.Linear, layer.input_shape[0], layer.units, dtype=getattr(torch, layer.dtype))]


def _conv2d(layer: Any) -> list[nn.Module]:
    kernel, stride, ((top, bottom), (left, right)) = layer.geometry
    even = top == bottom and left == right
    padding, dtype = (top, left) if even else 0, getattr(torch, layer.dtype)
    conv = skip_init(nn.Conv2d, layer.input_shape[2], layer.filters, kernel, stride, padding, dtype=dtype)
    return [conv] if even else [nn.ZeroPad2d((left, right, top, bottom)), conv]


MODULES: dict[type[Layer], Callable[[Any], list[nn.Module]]] = {
    layers.Dense: _linear,
    layers.Conv2D: _conv2d,
    layers.MaxPool2D: lambda layer: [nn.MaxPool2d(layer.window, layer.stride, layer.padding)],
    layers.AvgPool2D: lambda layer: [nn.AvgPool2d(layer.window, layer.stride)],
    layers.TemperatureSigmoid: lambda layer: [TemperatureSigmoid(layer.temperature)],
    layers.ReLU: lambda layer: [nn.ReLU()],
    layers.Tanh: lambda layer: [nn.Tanh()],
    layers.Softmax: lambda layer: [nn.Softmax(dim=1)],
    layers.Flatten: lambda layer: [nn.Flatten()],
    layers.Dropout: lambda layer: [nn.Dropout(layer.rate)],
}


# From modules to layers


@dataclass
class Found:
    """A layer that is not in a network yet, and the module that it corresponds to.

    Attributes
    ----------
    layer : Layer
    part : torch.nn.Module
    border : tuple of int or None
        Border of the ZeroPad2d before a convolution.
    """

    layer: Any
    part: Any
    border: Border | None

    def copy_weights(self, order: np.ndarray | None) -> None:
        """Write the module's weights into the layer, which is in a network; without a bias, the layer's stays zero.

        `order` is PyTorch's order of the inputs of a Dense.
        """
        layer, part = self.layer, self.part
        if self.border is not None:
            self._expect_border()
        if not layer.has_parameters:
            return
        weight = part.weight.detach().cpu().numpy()
        weight = weight.T if isinstance(layer, layers.Dense) else weight.transpose(2, 3, 1, 0)
        if weight.shape != layer.weight.shape:
            raise ValueError(
                f"from_torch: {part}: expected an input that fits it, got {layer.input_shape}: "
                "input_shape is (height, width, channels) or (features,)"
            )
        if order is not None:
            weight = weight[np.argsort(order)]
        layer.weight.value[...] = layer.backend.asarray(np.ascontiguousarray(weight))
        if part.bias is not None:
            layer.bias.value[...] = layer.backend.asarray(part.bias.detach().cpu().numpy())

    def _expect_border(self) -> None:
        """Raise ValueError unless the layer has the border of the ZeroPad2d; that of "same" depends on the image."""
        (top, bottom), (left, right) = self.layer.geometry[2]
        if self.border != (left, right, top, bottom):
            raise ValueError(
                f"from_torch: {self.layer}: expected ZeroPad2d with an even border or that of padding 'same', "
                f"{(left, right, top, bottom)}, got {self.border}"
            )


def to_layers(module: nn.Module) -> Iterator[Found]:
    """Yield a layer for each part of a module, without its weights; raise an error that names a part without one."""
    border = None
    for name, part in _parts(module, ""):
        place = f"from_torch: module {name!r}, {part}" if name else f"from_torch: {part}"
        kind = type(part)
        if border is not None and kind is not nn.Conv2d:
            raise ValueError(f"{place}: expected Conv2d after ZeroPad2d")
        if kind is nn.ZeroPad2d:
            border = tuple(part.padding)
        elif kind in LAYERS:
            yield Found(LAYERS[kind](part, place) if border is None else _padded(part, place, border), part, border)
            border = None
        elif kind is not nn.Identity:
            known = ", ".join(each.__name__ for each in (nn.Sequential, nn.Identity, nn.ZeroPad2d, *LAYERS))
            raise TypeError(f"{place}: expected a module that minirobust has a layer for, one of {known}")
    if border is not None:
        raise ValueError("from_torch: expected Conv2d after ZeroPad2d, got none")


def _parts(module: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the parts of nested `Sequential`s, with their names, as ``named_modules`` gives them."""
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        for child, part in module.named_children():
            yield from _parts(part, f"{name}.{child}" if name else child)
    else:
        yield name, module


def _conv(part: Any, place: str) -> Layer:
    _expect_settings(part, place, dilation=1, groups=1, padding_mode="zeros")
    padding = part.padding if isinstance(part.padding, str) else _short(part.padding) or "valid"
    return layers.Conv2D(part.out_channels, _short(part.kernel_size), _short(part.stride), padding)


def _padded(part: Any, place: str, border: Border) -> Layer:
    """Return the layer of ZeroPad2d(border) and the convolution after it: with an uneven border, padding "same"."""
    _expect_settings(part, place, padding=0)
    left, right, top, bottom = border
    padding = _short((top, left)) if left == right and top == bottom else "same"
    return layers.Conv2D(**_conv(part, place).arguments() | {"padding": padding})


def _max_pool(part: Any, place: str) -> Layer:
    _expect_settings(part, place, dilation=1, ceil_mode=False, return_indices=False)
    return layers.MaxPool2D(_short(part.kernel_size), _stride(part), _short(part.padding))


def _average_pool(part: Any, place: str) -> Layer:
    _expect_settings(part, place, padding=0, ceil_mode=False, divisor_override=None)
    return layers.AvgPool2D(_short(part.kernel_size), _stride(part))


def _softmax(part: Any, place: str) -> Layer:
    if part.dim != -1:
        _expect_settings(part, place, dim=1)
    return layers.Softmax()


def _flatten(part: Any, place: str) -> Layer:
    _expect_settings(part, place, start_dim=1, end_dim=-1)
    return layers.Flatten()


LAYERS: dict[type[nn.Module], Callable[[Any, str], Layer]] = {
    nn.Linear: lambda part, place: layers.Dense(part.out_features),
    nn.Conv2d: _conv,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    TemperatureSigmoid: lambda part, place: layers.TemperatureSigmoid(part.temperature),
    nn.Sigmoid: lambda part, place: layers.TemperatureSigmoid(1.0),
    nn.ReLU: lambda part, place: layers.ReLU(),
    nn.Tanh: lambda part, place: layers.Tanh(),
    nn.Softmax: _softmax,
    nn.Flatten: _flatten,
    nn.Dropout: lambda part, place: layers.Dropout(part.p),
}


def _expect_settings(part: Any, place: str, **expected: Any) -> None:
    """Raise ValueError unless a module's settings are those of our layer."""
    for name, value in expected.items():
        found = getattr(part, name)
        if found not in (value, (value, value)):
            raise ValueError(f"{place}: expected {name}={value!r}, got {found!r}")


def _stride(part: Any) -> Size | None:
    """Return the stride of pooling; None if it is the window's size."""
    return None if pair(part.stride) == pair(part.kernel_size) else _short(part.stride)


def _short(size: Size) -> Size:
    """Return one number for a pair of equal ones."""
    down, across = pair(size)
    return down if down == across else (down, across)


# The input of a module


def first_features(found: Sequence[Found]) -> int:
    """Return the size of the input of a module that begins with Linear; raise ValueError for any other."""
    if not found or not isinstance(found[0].part, nn.Linear):
        raise ValueError(
            "from_torch: expected input_shape, (height, width, channels) or (features,), got None: "
            "this module does not define the shape of its input"
        )
    return int(found[0].part.in_features)


def common_dtype(module: nn.Module) -> str:
    """Return the dtype that all parameters have; float32 if there are none."""
    dtypes = {parameter.dtype for parameter in module.parameters()} or {torch.float32}
    if len(dtypes) > 1 or not dtypes <= {torch.float32, torch.float64}:
        found = ", ".join(sorted(map(str, dtypes)))
        raise TypeError(f"from_torch: expected parameters in torch.float32 or in torch.float64, got {found}")
    return str(dtypes.pop()).removeprefix("torch.")
