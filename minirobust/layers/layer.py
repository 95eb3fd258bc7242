"""`Layer`, the base class of all layers, and the arrays it declares: `Parameter` (trained) and `Buffer` (not trained).

The arithmetic is in the files of the individual layers.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from minirobust.arguments import constructor_arguments, constructor_call, expect_rebuilt, normalized
from minirobust.backend import Array, Backend
from minirobust.layers.initializers import Initializer, find_initializer

Shape = tuple[int, ...]


class State:
    """An array that a layer owns: declared in `build`, and bound by the network to its part of a flat array.

    Write into the array (``value[...] = new``).  Assigning another array to the attribute would silently disconnect the
    layer from the network and the optimizer, so it raises an error.

    Parameters
    ----------
    shape : sequence of int
    initializer : str or callable
        A name from `minirobust.layers.initializers`, or ``f(generator, shape)`` returning a NumPy array.

    Attributes
    ----------
    name : str
        The layer's attribute that holds it.
    value : ndarray of that shape
        On the network's backend.
    """

    __slots__ = ("initializer", "name", "shape", "value")

    name: str
    value: Array

    def __init__(self, shape: Sequence[int], initializer: str | Initializer) -> None:
        self.shape = tuple(map(operator.index, shape))
        self.initializer = find_initializer(initializer)

    def __setattr__(self, name: str, new: object) -> None:
        # ``parameter.value -= step`` works in place and then assigns the same array again, which is fine.
        if getattr(self, name, new) is not new:
            raise AttributeError(
                f"{type(self).__name__} {self.name!r}: {name} is a view into the network's flat array; "
                f"write into it with .{name}[...] = new"
            )
        object.__setattr__(self, name, new)

    def bind(self, name: str, *flat: Array) -> None:
        """Set the layer's attribute `name`, and the state's part of the network's flat array."""
        self.name, (self.value,) = name, (array.reshape(self.shape) for array in flat)

    def first_values(self, generator: np.random.Generator) -> np.ndarray:
        """Draw the initial values on the host, in float64."""
        values = self.initializer(generator, self.shape)
        if np.shape(values) != self.shape:
            raise ValueError(f"initializer: expected values of shape {self.shape}, got {np.shape(values)}")
        return np.asarray(values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self, 'name', 'unbound')!r}, shape={self.shape})"


class Parameter(State):
    """An array that training changes; `grad` is the gradient of the loss with respect to it.

    See `State` for the parameters and attributes.
    """

    __slots__ = ("grad",)

    grad: Array

    def bind(self, name: str, *flat: Array) -> None:
        """Set the layer's attribute `name`, and the parameter's parts of the network's two flat arrays."""
        self.name, (self.value, self.grad) = name, (array.reshape(self.shape) for array in flat)


class Buffer(State):
    """An array that belongs to a layer's state but is not trained: a running mean, for example.

    It is copied, cast, moved, saved and loaded with the network.  See `State` for the parameters and attributes.
    """

    __slots__ = ()


Kind = TypeVar("Kind", bound=State)


class Layer:
    """One step of a network: it computes an output from an input, and the gradients in the backward pass.

    A custom layer subclasses `Layer` and defines three methods, one below the other: `forward`, `input_gradient` and,
    if it has parameters, `parameter_gradients`.  If it has arrays, or if its output and input differ in shape, it also
    defines `build`.  Its whole state is declared:

    - constructor arguments, stored under their own names;
    - ``self.weight = Parameter(shape, initializer)`` and ``self.mean = Buffer(shape, initializer)`` in `build`;
    - constants that `build` computes from the arguments and the input's shape;
    - `saved`, the names of what `forward` stores for the backward pass.

    Copies and checkpoints are made from the arguments, parameters and buffers.  An attribute that they would lose
    raises an error that names it.  No method may write into its argument.  Gradients are overwritten, never
    accumulated.

    Attributes
    ----------
    saved : tuple of str
        Attributes that `forward` stores for the backward pass.
    is_activation : bool
        Whether the layer is an activation, whose input is the net value of a unit.
    has_kinks : bool
        Whether the output has points without a derivative, which numerical gradients must avoid.
    gives_probabilities : bool
        Whether the outputs are probabilities, so that a network that ends in this layer has no logits.
    index : int
        The layer's position in its network.
    input_shape, output_shape : tuple of int
        Without the batch axis.
    backend, xp
        The network's backend and its array module.
    dtype : str
        "float32" or "float64".
    training : bool
        True during training only.
    has_parameters : bool
    draws : int
        Number of calls of `random` in training, which is the whole state of the layer's random stream.
    """

    saved: ClassVar[tuple[str, ...]] = ()
    is_activation: ClassVar[bool] = False
    has_kinks: ClassVar[bool] = False
    gives_probabilities: ClassVar[bool] = False

    index: int
    input_shape: Shape
    output_shape: Shape
    backend: Backend
    xp: Any
    dtype: str
    seed: int
    has_parameters: bool
    training: bool = False
    draws: int = 0

    # What a layer defines

    def build(self, input_shape: Shape) -> Shape:
        """Check `input_shape`, declare parameters and buffers, and return the output's shape.

        Parameters
        ----------
        input_shape : tuple of int
            Without the batch axis.

        Returns
        -------
        tuple of int
        """
        return input_shape

    def forward(self, x: Array) -> Array:
        """Return the output for a batch.

        Parameters
        ----------
        x : ndarray of shape (N, *input_shape)

        Returns
        -------
        ndarray of shape (N, *output_shape)
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward(x)")

    def input_gradient(self, grad_y: Array) -> Array:
        """Return ∂L/∂x given ∂L/∂y: all that an attack needs.

        Parameters
        ----------
        grad_y : ndarray of shape (N, *output_shape)
            ∂L/∂y for the batch of the last `forward`.

        Returns
        -------
        ndarray of shape (N, *input_shape)
        """
        raise NotImplementedError(f"{type(self).__name__} has no input_gradient(grad_y)")

    def smoothed_gradient(self, grad_y: Array, amount: float) -> Array:
        """Return `input_gradient` with a smoother derivative, for attacks on networks with saturated activations.

        Activations define it; their forward pass does not change.  Attacks begin with an `amount` of 1 and end with 0.
        See `minirobust.attacks.surrogates`.

        Parameters
        ----------
        grad_y : ndarray of shape (N, *output_shape)
            ∂L/∂y for the batch of the last `forward`.
        amount : float
            From 0, the true derivative, to 1, the smoothest.

        Returns
        -------
        ndarray of shape (N, *input_shape)
        """
        return self.input_gradient(grad_y)

    def parameter_gradients(self, grad_y: Array) -> None:
        """Write ∂L/∂parameter into each parameter's `grad`, which only training needs.

        Parameters
        ----------
        grad_y : ndarray of shape (N, *output_shape)
            ∂L/∂y for the batch of the last `forward`.
        """
        if self.has_parameters:
            raise NotImplementedError(f"{type(self).__name__} has no parameter_gradients(grad_y)")

    # What every layer has

    def random(self, shape: Sequence[int]) -> Array:
        """Draw uniform numbers in [0, 1) from the layer's own stream, on the network's backend.

        They are drawn in float32 and cast, so that a float64 copy of a network draws the same numbers.

        Parameters
        ----------
        shape : sequence of int

        Returns
        -------
        ndarray of float
        """
        self.draws += 1
        return self.backend.random(shape, (self.seed, self.index, self.draws), "float32").astype(self.dtype, copy=False)

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments, from which `repr`, copies and checkpoints are made.

        Returns
        -------
        dict of str to object

        Raises
        ------
        TypeError
            If the constructor takes ``*args`` or ``**kwargs``, or an argument is not stored under its own name.
        """
        return constructor_arguments(self)

    def states(self, kind: type[Kind]) -> list[Kind]:
        """Return the layer's parameters or buffers, in the order in which `build` declared them."""
        return [state for state in vars(self).values() if isinstance(state, kind)]

    @property
    def parameters(self) -> list[Parameter]:
        """The layer's parameters, in the order in which `build` declared them."""
        return self.states(Parameter)

    def expect(self, condition: bool, expected: str, got: object) -> None:
        """Raise ValueError, naming the layer, unless `condition` holds; for the checks in `build`."""
        if not condition:
            raise ValueError(f"{self}: expected {expected}, got {got}")

    def __repr__(self) -> str:
        return constructor_call(self)

    def __str__(self) -> str:
        place = f"layer {self.index}" if hasattr(self, "index") else "unbuilt layer"
        return f"{place}, {self!r}"

    # What the network calls

    def join(self, index: int, input_shape: Shape, backend: Backend, dtype: str, seed: int) -> None:
        """Join a network: normalize the arguments, infer the shapes, and declare the arrays.

        Raises
        ------
        ValueError, TypeError
            If the layer is in a network already, does not fit `input_shape`, or cannot be rebuilt from its arguments.
        """
        if hasattr(self, "index"):
            raise ValueError(
                f"{self} is in a network already: a layer belongs to one network, so create a new {type(self).__name__}"
            )
        for name, value in self.arguments().items():
            if name in vars(self):
                vars(self)[name] = normalized(value)
        self.index, self.input_shape, self.seed = index, input_shape, seed
        self.backend, self.xp, self.dtype = backend, backend.xp, dtype
        try:
            self.output_shape = tuple(map(operator.index, self.build(input_shape)))
            self.expect(min(self.output_shape, default=0) > 0, "an output of at least one number", self.output_shape)
            self.has_parameters = bool(self.parameters)
        except Exception:
            del self.index  # the caller may correct the stack and use the layer again
            raise

    def fresh(self) -> Layer:
        """Return an unbuilt layer with the same arguments."""
        return type(self)(**self.arguments())

    def view(self) -> Layer:
        """Return a copy for evaluation, which shares parameters and buffers but has its own activations."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self), training=False)
        return twin

    def expect_declared(self, twin: Layer) -> None:
        """Raise TypeError if the layer has an attribute that `twin`, built from the same arguments, does not share."""
        expect_rebuilt(self, twin, [name for name, value in vars(self).items() if not self._is_declared(name, value)])

    def _is_declared(self, name: str, value: object) -> bool:
        return name in self.saved or name in SET_BY_NETWORK or isinstance(value, State)


SET_BY_NETWORK = ("backend", "draws", "dtype", "has_parameters", "index", "seed", "training", "xp")
