"""`export_onnx`: write a network as an ONNX file.

Convolution and pooling take images channels first in ONNX.  The file's input and output are channels last, as the
network's are, so images are transposed before the first of these layers and back after the last.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    ReLU,
    Softmax,
    Tanh,
    TemperatureSigmoid,
)
from minirobust.neighbours.optional import import_optional
from minirobust.network import Network
from minirobust.saving.atomic import replacing
from minirobust.validation import pair

if TYPE_CHECKING:
    from onnx import NodeProto

OPSET = 17  # of ONNX 1.12, June 2022: it has every operator used here, and all current runtimes read it
IR_VERSION = 8  # the version of the file format that belongs to this opset
ON_IMAGES = (Conv2D, MaxPool2D, AvgPool2D)
ON_FEATURES = (Dense, Flatten, Softmax)


def export_onnx(network: Network, path: str | Path) -> None:
    """Write a network as an ONNX file.

    The file's input, ``input``, is what ``network.predict`` takes: images channels last, (N, H, W, C), or features,
    (N, features), in the network's dtype and for any N.  Its output, ``output``, is that of the last layer, usually
    logits.  `Dropout` is left out.  The model is checked by ``onnx.checker`` before it is written, and an existing file
    is replaced atomically.

    Parameters
    ----------
    network : Network
    path : path
        Usually ends in ``.onnx``.

    Raises
    ------
    ImportError
        If onnx is not installed.
    TypeError
        If `network` is not a Network, or ONNX has no counterpart of a layer; the message names it.
    OSError
        If the file cannot be written.

    Notes
    -----
    The opset is 17.  ONNX Runtime implements some operators only in float32: for use with it, convert a float64 network
    with ``network.to("numpy", "float32")`` first.

    Examples
    --------
    ::

        mr.export_onnx(net, "net.onnx")
        session = onnxruntime.InferenceSession("net.onnx")
        (logits,) = session.run(["output"], {"input": x})
    """
    if not isinstance(network, Network):
        raise TypeError(f"export_onnx: expected a Network, got {type(network).__name__}")
    onnx = import_optional("onnx", "export_onnx", "'minirobust[interop]'")
    network.check_states()
    model = _Graph(network).model()
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


class _Graph:
    """The nodes and weights of a network, layer by layer."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.last = "input"  # the name of the last node's output
        self.channels_first = False
        for layer in network.layers:
            if type(layer) not in OPERATORS:
                known = ", ".join(kind.__name__ for kind in OPERATORS)
                raise TypeError(f"export_onnx: {layer}: expected a layer that ONNX has, one of {known}")
            if isinstance(layer, ON_IMAGES):
                self.transpose(channels_first=True)
            elif isinstance(layer, ON_FEATURES):
                self.transpose(channels_first=False)
            OPERATORS[type(layer)](self, layer)
        self.transpose(channels_first=False)
        if not self.nodes:  # a network with only Dropout layers
            self.add("Identity", "unchanged")
        self.nodes[-1].output[0] = "output"

    def add(self, operator: str, name: str, *weights: str, **attributes: Any) -> None:
        """Append a node that takes the output of the last one, and weights."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, [self.last, *weights], [name], name, **attributes))
        self.last = name

    def weight(self, name: str, values: np.ndarray) -> str:
        """Store an array, and return its name."""
        self.weights[name] = np.ascontiguousarray(values, self.network.dtype)
        return name

    def transpose(self, channels_first: bool) -> None:
        """Transpose images to the order of axes that the next node takes."""
        if channels_first != self.channels_first:
            order = (0, 3, 1, 2) if channels_first else (0, 2, 3, 1)
            self.add("Transpose", f"{self.last}_channels_{'first' if channels_first else 'last'}", perm=order)
            self.channels_first = channels_first

    def model(self) -> Any:
        """Return the complete model as an `onnx.ModelProto`."""
        from importlib.metadata import version  # slow to import

        from onnx import TensorProto, helper, numpy_helper

        network = self.network
        kind = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}[network.dtype]
        low, high = network.input_range
        graph = helper.make_graph(
            self.nodes,
            "minirobust",
            [helper.make_tensor_value_info("input", kind, ["N", *network.input_shape])],
            [helper.make_tensor_value_info("output", kind, ["N", *network.output_shape])],
            [numpy_helper.from_array(values, name) for name, values in self.weights.items()],
            doc_string=f"Input of shape (N, {', '.join(map(str, network.input_shape))}), from {low:g} to {high:g}; "
            "images are channels last.",
        )
        return helper.make_model(
            graph,
            producer_name="minirobust",
            producer_version=version("minirobust"),
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )


# The operators of each layer


def _name(layer: Layer) -> str:
    return f"{layer.index}_{type(layer).__name__}"


def _dense(graph: _Graph, layer: Dense) -> None:
    name, to_numpy = _name(layer), layer.backend.to_numpy
    weight = graph.weight(f"{name}_weight", to_numpy(layer.weight.value))
    graph.add("Gemm", name, weight, graph.weight(f"{name}_bias", to_numpy(layer.bias.value)))


def _conv(graph: _Graph, layer: Conv2D) -> None:
    name, to_numpy = _name(layer), layer.backend.to_numpy
    kernel, strides, border = layer.geometry
    weight = graph.weight(f"{name}_weight", to_numpy(layer.weight.value).transpose(3, 2, 0, 1))
    bias = graph.weight(f"{name}_bias", to_numpy(layer.bias.value))
    graph.add("Conv", name, weight, bias, kernel_shape=kernel, strides=strides, pads=_pads(border))


def _max_pool(graph: _Graph, layer: MaxPool2D) -> None:
    window, strides, border = layer.geometry
    graph.add("MaxPool", _name(layer), kernel_shape=window, strides=strides, pads=_pads(border))


def _average_pool(graph: _Graph, layer: AvgPool2D) -> None:
    strides = pair(layer.stride or layer.window)
    graph.add("AveragePool", _name(layer), kernel_shape=pair(layer.window), strides=strides)


def _temperature_sigmoid(graph: _Graph, layer: TemperatureSigmoid) -> None:
    name = _name(layer)
    graph.add("Div", f"{name}_scaled", graph.weight(f"{name}_temperature", np.array(layer.temperature)))
    graph.add("Sigmoid", name)


def _pads(border: tuple[tuple[int, int], tuple[int, int]]) -> tuple[int, int, int, int]:
    """Return a border in ONNX's order: top, left, bottom, right."""
    (top, bottom), (left, right) = border
    return top, left, bottom, right


OPERATORS: dict[type[Layer], Callable[[_Graph, Any], None]] = {
    Dense: _dense,
    Conv2D: _conv,
    MaxPool2D: _max_pool,
    AvgPool2D: _average_pool,
    TemperatureSigmoid: _temperature_sigmoid,
    ReLU: lambda graph, layer: graph.add("Relu", _name(layer)),
    Tanh: lambda graph, layer: graph.add("Tanh", _name(layer)),
    Softmax: lambda graph, layer: graph.add("Softmax", _name(layer), axis=1),
    Flatten: lambda graph, layer: graph.add("Flatten", _name(layer), axis=1),
    Dropout: lambda graph, layer: None,
}
