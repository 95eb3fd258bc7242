"""`Network`: a stack of layers with their arrays, and the public methods that run them.

Public methods check their arguments and then call the loops over the layers in `stack`.  There is no arithmetic here:
it is in the layers, and its kernels are in the backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from minirobust import backend as backends
from minirobust import validation
from minirobust.arguments import FlatArray
from minirobust.backend import Array, Backend
from minirobust.floating_point import ERROR_MODE, IGNORE
from minirobust.layers import Buffer, Layer, Parameter
from minirobust.layers.layer import Shape, State
from minirobust.losses import Loss, SoftmaxCrossEntropy
from minirobust.model import most_likely
from minirobust.nonfinite import check_predictions
from minirobust.stack import Evaluation, Stack
from minirobust.tables import html_table, table

if TYPE_CHECKING:
    from torch import nn


class Network(Stack):
    """Layers one after the other, from images (or features) to logits.

    `forward`, `backward` and training store activations in the layers and belong to one thread.  All other methods, and
    attacks, work on an `Evaluation`: they do not change the network, and several threads may call them at once.

    Parameters
    ----------
    layers : sequence of Layer
        New layers, because a layer belongs to one network only.
    input_shape : tuple of int
        Shape of one sample: (height, width, channels) or (features,).
    backend : str or Backend, default "numpy"
        "numpy", "numba", "cupy" or "auto"; see `minirobust.backend.get`.
    dtype : {"float32", "float64"}
    seed : int, default 0
        Seed of the weights and of the layers' random streams.  Weights are drawn on the host, so that they are the same
        on every backend.
    input_range : (float, float), default (0, 1)
        The range of inputs.  Attacks clip to it and refuse inputs outside it.  The network itself accepts any finite
        number.

    Attributes
    ----------
    layers : tuple of Layer
    parameters, gradients : ndarray of shape (P,)
        All parameters and their gradients; those of each layer are views into them.  Assigning an array writes into it.
    buffers : ndarray of shape (B,)
        All buffers, in the same way.
    output_shape : tuple of int
    training : bool
        True during training only.

    Raises
    ------
    ValueError, TypeError
        If the layers do not fit together or an argument is wrong; the message names the layer.

    Examples
    --------
    >>> from minirobust import Dense, Flatten, Network, TemperatureSigmoid
    >>> net = Network([Flatten(), Dense(256), TemperatureSigmoid(0.25), Dense(10)], input_shape=(28, 28, 1))
    >>> net.parameters.size
    203530
    """

    parameters = FlatArray()
    gradients = FlatArray()
    buffers = FlatArray()

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: Sequence[int],
        backend: str | Backend = "numpy",
        dtype: str = "float32",
        seed: int = 0,
        input_range: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self.layers: tuple[Layer, ...] = validation.check_members("Network", "layers", layers, Layer)
        self.input_shape = validation.check_shape(input_shape)
        self.dtype = validation.check_dtype(dtype)
        self.seed = validation.check_seed(seed)
        self.input_range = validation.check_range(input_range)
        self.backend = backends.get(backend)
        self.xp = self.backend.xp
        self.loss_scale = self.backend.loss_scale
        self._join_layers()
        self.training = False
        learning = [layer.index for layer in self.layers if layer.has_parameters]
        self._lowest = min(learning, default=len(self.layers) - 1)  # training needs no gradient below this layer

    def _join_layers(self) -> None:
        """Let every layer infer its shapes, and give its arrays their places and initial values."""
        joined, shape = [], self.input_shape
        try:
            for index, layer in enumerate(self.layers):
                layer.join(index, shape, self.backend, self.dtype, self.seed)
                joined.append(layer)
                shape = layer.output_shape
            self._bind_states()
        except Exception:
            for layer in joined:
                del layer.index  # the network cannot be built, so its layers are free again
            raise
        self.output_shape: Shape = shape

    def _bind_states(self) -> None:
        """Make every parameter and buffer a view into the flat arrays of its kind, and draw their initial values."""
        found = ((layer, name, value) for layer in self.layers for name, value in vars(layer).items())
        self._declared = [(layer, name, value) for layer, name, value in found if isinstance(value, State)]
        self.parameters, self.gradients = self._bind(Parameter, arrays=2)
        (self.buffers,) = self._bind(Buffer, arrays=1)
        for layer in self.layers:
            generator = np.random.default_rng((self.seed, layer.index))
            for state in (*layer.states(Parameter), *layer.states(Buffer)):
                state.value[...] = self.backend.asarray(state.first_values(generator).astype(self.dtype))

    def _bind(self, kind: type[State], arrays: int) -> list[Array]:
        states = [(name, state) for _, name, state in self._declared if isinstance(state, kind)]
        ends = list(accumulate((int(np.prod(state.shape)) for _, state in states), initial=0))
        flat = [self.xp.zeros(ends[-1], dtype=self.dtype) for _ in range(arrays)]
        for (name, state), start, end in zip(states, ends[:-1], ends[1:], strict=True):
            state.bind(name, *(array[start:end] for array in flat))
        return flat

    @property
    def training(self) -> bool:
        """Whether layers behave as in training (`Dropout` drops)."""
        return self._training

    @training.setter
    def training(self, value: bool) -> None:
        self._training = value
        for layer in self.layers:
            layer.training = value

    # Forward and back

    def forward(self, x: Array, start: int = 0) -> Array:
        """Return the logits of a batch; every layer stores what its backward pass needs.

        Parameters
        ----------
        x : ndarray of float, shape (N, *input_shape)
            Or of the input of layer `start`.
        start : int, default 0
            The layer to begin with.

        Returns
        -------
        ndarray of shape (N, *output_shape), on the network's backend

        Raises
        ------
        ValueError, TypeError
            If `x` is empty, has the wrong shape, is not float, is not finite, or is an array of another library, or if
            a layer's output does not have the shape that `build` returned.  Finiteness is checked only for host arrays,
            because reading a device array would stall the device.
        """
        return self.run(self.check_input(x, start), start)

    def backward(self, grad: Array, input_gradient: bool = True) -> Array | None:
        """Fill every parameter's gradient given ∂L/∂logits, and return ∂L/∂x.

        Parameters
        ----------
        grad : ndarray of shape (N, *output_shape)
            ∂L/∂logits.
        input_gradient : bool, default True
            If False, as in training, nothing is computed below the first layer with parameters, and None is returned.

        Returns
        -------
        ndarray of shape (N, *input_shape), or None

        Raises
        ------
        RuntimeError
            If there was no forward pass through the whole network.
        ValueError, TypeError
            If `grad` does not fit the batch of that forward pass.
        """
        if type(grad) is not self.xp.ndarray or grad.shape != self.passed or grad.dtype != self.dtype:
            grad = validation.check_gradient(grad, self.passed, self.dtype, self.layers[-1], self.backend)
        mode = ERROR_MODE.set(IGNORE)
        try:
            for layer in reversed(self.layers):
                layer.parameter_gradients(grad)
                if layer.index == self._lowest and not input_gradient:
                    return None
                grad = layer.input_gradient(grad)
        finally:
            ERROR_MODE.reset(mode)
        return grad

    def input_gradient(
        self, x: Array, y: Array, loss: Loss | None = None, start: int = 0, target: Array | None = None
    ) -> Array:
        """Return ∂L/∂x for every sample, in chunks, without computing or changing the gradients of parameters.

        Parameters
        ----------
        x : ndarray of float, shape (N, *input_shape)
            Or of the input of layer `start`.
        y : ndarray of int, shape (N,)
            True labels.
        loss : object with ``value_and_gradient(logits, y, target=None)``, default `SoftmaxCrossEntropy`
        start : int, default 0
            The layer with respect to whose input the gradient is taken.
        target : ndarray of int, shape (N,), optional
            Classes that a targeted loss aims at.

        Returns
        -------
        ndarray of the shape of `x`, on the network's backend

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or the network ends in `Softmax`: losses expect logits.
        """
        return self.logits_and_input_gradient(x, y, loss, start, target)[1]

    def logits_and_input_gradient(
        self, x: Array, y: Array, loss: Loss | None = None, start: int = 0, target: Array | None = None
    ) -> tuple[Array, Array]:
        """Return `logits` and `input_gradient` from one forward and one backward pass.

        Parameters
        ----------
        x, y, loss, start, target
            See `input_gradient`.

        Returns
        -------
        logits : ndarray of shape (N, classes), on the network's backend
        gradient : ndarray of the shape of `x`, on the network's backend
        """
        loss = SoftmaxCrossEntropy() if loss is None else loss
        self.expect_logits(loss, targeted=target is not None)
        x = self.check_input(x, start)
        y = validation.check_labels(y, (len(x), *self.output_shape), self.backend)
        if target is not None:
            target = validation.check_labels(target, (len(x), *self.output_shape), self.backend, "target")
        model = Evaluation(self)
        logits = self.xp.empty((len(x), *self.output_shape), dtype=self.dtype)
        gradient = self.xp.empty(x.shape, dtype=self.dtype)
        for rows in model.chunks(len(x)):
            aim = None if target is None else target[rows]
            logits[rows], *_ = model.gradient(x[rows], y[rows], loss, aim, start=start, out=gradient[rows])
        return logits, gradient

    # Results of a trained network

    def predict(self, x: Array) -> Array:
        """Return the most likely class of every sample.

        Parameters
        ----------
        x : ndarray of float, shape (N, *input_shape)

        Returns
        -------
        ndarray of int, shape (N,)

        Raises
        ------
        NonFiniteError
            If a sample's logits are not finite, so that it has no most likely class.
        ValueError, TypeError
            If `x` is wrong, as for `forward`.
        """
        classes = most_likely(self.backend, self.logits(x))
        check_predictions(self, self.backend.to_numpy(classes))
        return classes

    def predict_proba(self, x: Array) -> Array:
        """Return the probability of each class for every sample.

        Parameters
        ----------
        x : ndarray of float, shape (N, *input_shape)

        Returns
        -------
        ndarray of float, shape (N, classes)
        """
        output = self.logits(x)
        with np.errstate(all="ignore"):
            return output if self.layers[-1].gives_probabilities else self.backend.softmax(output)

    def logits(self, x: Array) -> Array:
        """Return the network's output for any number of samples, computed in chunks.

        Parameters
        ----------
        x : ndarray of float, shape (N, *input_shape)

        Returns
        -------
        ndarray of shape (N, *output_shape)
        """
        return self.evaluate(x)

    def hidden(self, x: Array) -> Array:
        """Return the net values of the last hidden layer, the input of the last activation, computed in chunks.

        Parameters
        ----------
        x : ndarray of float, shape (N, *input_shape)

        Returns
        -------
        ndarray of shape (N, *shape of that layer)

        Raises
        ------
        ValueError
            If no layer is an activation.
        """
        return self.evaluate(x, stop=self.last_activation.index)

    @property
    def last_activation(self) -> Layer:
        """The activation layer above the last hidden layer; raises ValueError if there is none."""
        activations = [layer for layer in self.layers if layer.is_activation]
        if not activations:
            raise ValueError(f"hidden: expected a network with an activation layer, got {self!r}")
        return activations[-1]

    def evaluate(self, x: Array, start: int = 0, stop: int | None = None) -> Array:
        """Return the output of layers `start` to `stop` for `x`, computed in chunks.

        Parameters
        ----------
        x : ndarray of float, shape (N, *shape of the input of layer `start`)
        start : int, default 0
            The layer to begin with.
        stop : int, optional
            The layer before which to end; by default the last one is included.

        Returns
        -------
        ndarray of shape (N, *shape of the last of these layers' output), on the network's backend

        Raises
        ------
        ValueError, TypeError
            If `x` is wrong, as for `forward`, or there are no such layers.
        """
        x = self.check_input(x, start)
        if stop is not None and not start <= stop <= len(self.layers):
            raise ValueError(f"stop: expected the index of a layer, {start} to {len(self.layers)}, got {stop}")
        return Evaluation(self).evaluate(x, start, stop)

    # Copies

    def copy(self) -> Network:
        """Return an independent network with the same layers, arrays and state of random streams.

        Returns
        -------
        Network
        """
        return self.to(self.backend)

    def __deepcopy__(self, memo: object) -> Network:
        return self.copy()

    def __reduce__(self) -> NoReturn:
        # Views into the flat arrays would be restored as separate arrays, and the optimizer would train nothing.
        raise TypeError("a Network cannot be pickled: use save and load, or copy")

    def to(self, backend: str | Backend, dtype: str | None = None) -> Network:
        """Return a copy on another backend, or in another dtype.

        Parameters
        ----------
        backend : str or Backend
        dtype : {"float32", "float64"}, optional
            By default, that of the network.

        Returns
        -------
        Network

        Raises
        ------
        TypeError
            If a layer has an undeclared attribute, which the copy would lose; the message names both.
        """
        self.check_states()
        twin = self._rebuilt(self.backend, self.dtype)
        self.expect_declared(twin)
        backend, dtype = backends.get(backend), validation.check_dtype(dtype or self.dtype)
        if backend is not self.backend or dtype != self.dtype:
            twin = self._rebuilt(backend, dtype)
        for ours, theirs in ((self.parameters, twin.parameters), (self.buffers, twin.buffers)):
            theirs[...] = backend.asarray(self.backend.to_numpy(ours).astype(dtype))
        for layer, original in zip(twin.layers, self.layers, strict=True):
            layer.draws = original.draws
        return twin

    def to_torch(self) -> nn.Sequential:
        """Return a PyTorch module with the same layers and a copy of the weights.

        It takes images channels first, (N, C, H, W).  See `minirobust.neighbours.to_torch`; `minirobust.from_torch` is
        the inverse.

        Returns
        -------
        torch.nn.Sequential
            In evaluation mode, on the CPU, and in the network's dtype.

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        ValueError, TypeError
            If PyTorch has no counterpart of a layer; the message names it.
        """
        from minirobust.neighbours import to_torch

        return to_torch(self)

    def _rebuilt(self, backend: Backend, dtype: str) -> Network:
        """Return a network with the same architecture and seed, and new arrays."""
        layers = [layer.fresh() for layer in self.layers]
        return Network(layers, self.input_shape, backend, dtype, self.seed, self.input_range)

    def expect_declared(self, twin: Network) -> None:
        """Raise TypeError if a layer has an attribute that `twin`, built from the same arguments, does not share."""
        for layer, other in zip(self.layers, twin.layers, strict=True):
            layer.expect_declared(other)

    # Representation

    def __repr__(self) -> str:
        layers = ", ".join(map(repr, self.layers))
        return (
            f"Network([{layers}], input_shape={self.input_shape}, backend={self.backend.name!r}, "
            f"dtype={self.dtype!r}, seed={self.seed}, input_range={self.input_range})"
        )

    def summary(self) -> str:
        """Return a table of the layers, their output shapes and their numbers of parameters.

        Returns
        -------
        str
        """
        rows = self._rows()
        return table(rows, left=2, rules=(1, len(rows) - 1))

    def _repr_html_(self) -> str:
        rows = self._rows()
        title = f"Network, backend {self.backend.name}, {self.dtype}, seed {self.seed}, input range {self.input_range}"
        return html_table(rows, left=2, rules=(1, len(rows) - 1), caption=title)

    def _rows(self) -> list[tuple[str, str, str]]:
        """Return the rows of `summary`."""
        rows = [("layer", "output shape", "parameters"), ("input", f"{self.input_shape}", "")]
        for layer in self.layers:
            size = sum(parameter.value.size for parameter in layer.parameters)
            rows.append((f"{layer.index} {layer!r}", f"{layer.output_shape}", f"{size:,}"))
        rows.append(("total", "", f"{self.parameters.size:,}"))
        return rows

    # Checks of arguments

    def check_input(self, x: Array, start: int = 0) -> Array:
        """Return `x` on the network's backend and in its dtype, if it fits layer `start`.

        Raises
        ------
        ValueError, TypeError
            See `forward`.
        AttributeError
            If a parameter or buffer was replaced by another object.
        """
        if not 0 <= start < len(self.layers):
            raise ValueError(f"start: expected the index of a layer, 0 to {len(self.layers) - 1}, got {start}")
        self.check_states()
        layer = self.layers[start]
        return validation.check_batch(x, layer.input_shape, self.dtype, layer, self.backend)

    def check_states(self) -> None:
        """Raise AttributeError if a layer's parameter or buffer was replaced, which the network would not notice."""
        validation.check_states(self._declared)

    def expect_logits(self, loss: Loss | None = None, targeted: bool = False) -> None:
        """Raise ValueError unless the network ends in logits, and TypeError or ValueError if `loss` cannot use them."""
        validation.check_logits(self.layers[-1], self.output_shape)
        if loss is not None:
            validation.check_loss(loss, *self.output_shape, targeted=targeted)
