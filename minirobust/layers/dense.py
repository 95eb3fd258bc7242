"""The fully connected layer."""

from __future__ import annotations

from minirobust.arguments import Argument
from minirobust.backend import Array
from minirobust.layers.initializers import Initializer, check_initializer
from minirobust.layers.layer import Layer, Parameter, Shape
from minirobust.validation import positive_int


class Dense(Layer):
    """y = x W + b.

    Parameters
    ----------
    units : int
        Width of the output.
    initializer : str or callable, default "glorot_uniform"
        Of the weight; the bias starts at zero.

    Attributes
    ----------
    weight : Parameter of shape (inputs, units)
    bias : Parameter of shape (units,)
    x : ndarray of shape (N, inputs)
        The last input.
    """

    saved = ("x",)
    units = Argument(positive_int, fixed=True)
    initializer = Argument(check_initializer, fixed=True)

    def __init__(self, units: int, initializer: str | Initializer = "glorot_uniform") -> None:
        self.units = units
        self.initializer = initializer

    def build(self, input_shape: Shape) -> Shape:
        self.expect(len(input_shape) == 1, "a flat input (features,): put Flatten() before it", input_shape)
        self.weight = Parameter((input_shape[0], self.units), self.initializer)
        self.bias = Parameter((self.units,), "zeros")
        return (self.units,)

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.weight.value + self.bias.value

    def input_gradient(self, grad_y: Array) -> Array:
        return grad_y @ self.weight.value.T

    def parameter_gradients(self, grad_y: Array) -> None:
        self.xp.matmul(self.x.T, grad_y, out=self.weight.grad)
        # A sum over the samples.  `grad_y.sum` would do the same by way of Python code of NumPy's.
        self.xp.add.reduce(grad_y, axis=0, out=self.bias.grad)
