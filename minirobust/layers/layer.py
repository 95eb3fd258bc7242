"""`Layer`, what every layer is, and `Parameter`, what it learns.  The arithmetic is in the layers' own files."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from minirobust.backend import Array, Backend
from minirobust.layers.initializers import Initializer, draw, find_initializer

Shape = tuple[int, ...]


class Parameter:
    """An array that training changes, and the gradient of the loss with respect to it.

    Both are views into the network's two flat arrays: write into them (``value[...] = new``).  Binding another array to
    either name would silently part the layer from the optimizer, and is refused.

    Attributes
    ----------
    name : str
    value, grad : ndarray
        Of one shape, on the network's backend.
    """

    __slots__ = ("grad", "name", "value")

    name: str
    value: Array
    grad: Array

    def __init__(self, name: str, value: Array, grad: Array) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "grad", grad)

    def __setattr__(self, name: str, new: object) -> None:
        # ``parameter.value -= step`` works in place and then binds the same array again: that is welcome.
        if new is not getattr(self, name):
            raise AttributeError(
                f"parameter {self.name!r}: {name} is a view into the network's flat array; "
                f"write into it with .{name}[...] = new"
            )

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.value.shape})"


class Layer:
    """One step of a network: an output for an input, and the gradients on the way back.

    A layer of your own subclasses `Layer`, stores its constructor's arguments unchanged under their own names, and
    writes three methods under each other: `forward`, `input_gradient` and, if it learns, `parameter_gradients`.  With
    parameters, or an output of another shape than its input, it also writes `build`.

    What `forward` stores in ``self`` for the way back is dropped by `forget`; what `build` stores stays.  No method may
    write into its argument.  Gradients are overwritten, never accumulated.

    Attributes
    ----------
    index : int
        The layer's place in its network.
    input_shape, output_shape : tuple of int
        Without the batch axis.
    parameters : list of Parameter
    backend, xp
        The network's backend and its array module.
    dtype : str
        "float32" or "float64".
    training : bool
        True inside `minirobust.fit` only.
    draws : int
        How many times `random` was called: the whole state of the layer's random stream.
    """

    is_activation: ClassVar[bool] = False  # whether its input is what the field calls "net"

    index: int
    input_shape: Shape
    output_shape: Shape
    parameters: list[Parameter]
    backend: Backend
    xp: Any
    dtype: str
    seed: int
    training: bool = False
    draws: int = 0

    # What a layer writes

    def build(self, input_shape: Shape) -> Shape:
        """Checks `input_shape`, declares parameters with `add_parameter`, returns the output's shape."""
        return input_shape

    def forward(self, x: Array) -> Array:
        """The output for a batch `x` of shape (N, *input_shape)."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(x)")

    def input_gradient(self, grad_y: Array) -> Array:
        """∂L/∂x from ∂L/∂y: all that an attack needs."""
        raise NotImplementedError(f"{type(self).__name__} has no input_gradient(grad_y)")

    def parameter_gradients(self, grad_y: Array) -> None:
        """Writes ∂L/∂parameter into each parameter's `grad`: all that training needs besides."""
        if self.parameters:
            raise NotImplementedError(f"{type(self).__name__} has no parameter_gradients(grad_y)")

    # What every layer has

    def backward(self, grad_y: Array) -> Array:
        """Both gradients; returns the input's.

        Raises
        ------
        RuntimeError
            If `forward` has not run.
        """
        try:
            self.parameter_gradients(grad_y)
            return self.input_gradient(grad_y)
        except AttributeError as error:
            if self._saved():
                raise
            raise RuntimeError(f"{self}: backward before forward, nothing is saved to go back through") from error

    def add_parameter(self, name: str, shape: Sequence[int], initializer: str | Initializer) -> None:
        """Declares a parameter, to be called by `build`.  Once the network stands it is ``self.<name>``.

        Parameters
        ----------
        name : str
        shape : sequence of int
        initializer : str or callable
            A name of `minirobust.layers.initializers`, or ``f(generator, shape)`` returning a NumPy array.
        """
        self.declared.append((name, tuple(shape), find_initializer(initializer)))

    def random(self, shape: Sequence[int]) -> Array:
        """Uniform numbers in [0, 1) from a stream of the layer's own, on the network's backend."""
        self.draws += 1
        return self.backend.random(shape, (self.seed, self.index, self.draws), self.dtype)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments: what `repr`, copies and checkpoints are made of.

        Raises
        ------
        TypeError
            If the layer does not keep one of them under its own name.
        """
        names = list(inspect.signature(type(self)).parameters)
        missing = [name for name in names if not hasattr(self, name)]
        if missing:
            raise TypeError(
                f"{type(self).__name__} must keep its constructor's arguments unchanged under their names, "
                f"but has no attribute {', '.join(map(repr, missing))}"
            )
        return {name: getattr(self, name) for name in names}

    def keep(self, names: Iterable[str]) -> None:
        """Exempts attributes from `forget`."""
        self._kept |= set(names)

    def forget(self) -> None:
        """Drops what `forward` saved."""
        for name in self._saved():
            delattr(self, name)

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters
        shown = [
            f"{name}={value!r}" if parameters[name].default is not inspect.Parameter.empty else repr(value)
            for name, value in self.arguments().items()
            if value != parameters[name].default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __str__(self) -> str:
        place = f"layer {self.index}" if hasattr(self, "index") else "unbuilt layer"
        return f"{place}, {self!r}"

    # What the network calls while it is being built

    def join(self, index: int, input_shape: Shape, backend: Backend, dtype: str, seed: int) -> Array:
        """Takes the layer's place in a network and infers its sizes; returns its parameters' first values, flat.

        Raises
        ------
        ValueError
            If the layer is in a network already, or does not fit on `input_shape`.
        """
        if hasattr(self, "index"):
            raise ValueError(
                f"{self} is in a network already: a layer belongs to one network, make a new {type(self).__name__}"
            )
        self.index = index
        self.declared: list[tuple[str, Shape, Initializer]] = []
        try:
            self.output_shape = tuple(map(operator.index, self.build(input_shape)))
            self.expect(min(self.output_shape, default=0) > 0, "an output of at least one number", self.output_shape)
            values = draw(self.declared, (seed, index), dtype)
        except Exception:
            del self.index  # the caller may mend the stack and use the layer again
            raise
        self.input_shape = input_shape
        self.backend, self.xp, self.dtype, self.seed = backend, backend.xp, dtype, seed
        return values

    @property
    def size(self) -> int:
        """How many numbers the layer learns."""
        return sum(math.prod(shape) for _, shape, _ in self.declared)

    def place_parameters(self, values: Array, grads: Array) -> None:
        """Makes the declared parameters views into the layer's stretch of the network's flat arrays."""
        self.parameters = []
        start = 0
        for name, shape, _ in self.declared:
            stretch = slice(start, start + math.prod(shape))
            parameter = Parameter(name, values[stretch].reshape(shape), grads[stretch].reshape(shape))
            self.parameters.append(parameter)
            setattr(self, name, parameter)
            start = stretch.stop
        self._kept = {*vars(self), "_kept", "training", "draws"}

    def _saved(self) -> set[str]:
        return vars(self).keys() - getattr(self, "_kept", vars(self).keys())

    def expect(self, condition: bool, expected: str, got: object) -> None:
        """Raises ValueError naming the layer unless `condition` holds: for the checks in `build`."""
        if not condition:
            raise ValueError(f"{self}: expected {expected}, got {got}")
