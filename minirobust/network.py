"""`Network`: the stack of layers, its memory, and the way through it forward and back.

Nothing here computes: the arithmetic is in the layers, its kernels in the backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, takewhile
from typing import NoReturn

from minirobust import backend as backends
from minirobust.backend import Array, Backend
from minirobust.layers import Layer, Softmax
from minirobust.losses import Loss, SoftmaxCrossEntropy
from minirobust.validation import (
    check_batch,
    check_dtype,
    check_labels,
    check_range,
    check_seed,
    check_shape,
)


class Network:
    """Layers one after the other, from images (or features) to logits.

    Parameters
    ----------
    layers : sequence of Layer
        Fresh ones: a layer belongs to one network.
    input_shape : tuple of int
        Of one sample: (height, width, channels) or (features,).
    backend : str or Backend, default "numpy"
        "numpy", "cupy" or "auto"; see `minirobust.backend.get`.
    dtype : {"float32", "float64"}
    seed : int, default 0
        Of the weights and of the layers' random streams.  Weights are drawn on the host: they are the same everywhere.
    input_range : (float, float), default (0, 1)
        Where inputs live: what attacks clip to and refuse beyond.  The network itself takes any finite number.

    Attributes
    ----------
    layers : tuple of Layer
    parameters, gradients : ndarray of shape (P,)
        All parameters and all their gradients, of which each layer's are views.
    output_shape : tuple of int
    training : bool
        True inside `minirobust.fit` only.

    Raises
    ------
    ValueError, TypeError
        If the layers do not fit on each other or an argument is wrong; the message names the layer.

    Examples
    --------
    >>> from minirobust import Dense, Flatten, Network, TemperatureSigmoid
    >>> net = Network([Flatten(), Dense(256), TemperatureSigmoid(0.25), Dense(10)], input_shape=(28, 28, 1))
    >>> net.parameters.size
    203530
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: Sequence[int],
        backend: str | Backend = "numpy",
        dtype: str = "float32",
        seed: int = 0,
        input_range: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self.layers = _checked_layers(layers)
        self.input_shape = check_shape(input_shape)
        self.dtype = check_dtype(dtype)
        self.seed = check_seed(seed)
        self.input_range = check_range(input_range)
        self.backend = backends.get(backend)
        self.xp = self.backend.xp
        self._allocate(self._join_layers())
        self.training = False
        self._batch: int | None = None  # how many samples the last forward saved something of

    def _join_layers(self) -> list[Array]:
        """Infers all sizes; returns the first values of each layer's parameters."""
        shape, drawn = self.input_shape, []
        for index, layer in enumerate(self.layers):
            try:
                drawn.append(layer.join(index, shape, self.backend, self.dtype, self.seed))
            except Exception:
                for joined in self.layers[:index]:
                    del joined.index  # nothing came of this network: its layers are free again
                raise
            shape = layer.output_shape
        self.output_shape = shape
        return drawn

    def _allocate(self, drawn: list[Array]) -> None:
        """Puts all parameters into one flat array and gives every layer views into it."""
        ends = list(accumulate(map(len, drawn)))
        self.parameters = self.xp.empty(ends[-1], dtype=self.dtype)
        self.gradients = self.xp.zeros(ends[-1], dtype=self.dtype)
        for layer, values, end in zip(self.layers, drawn, ends, strict=True):
            stretch = slice(end - len(values), end)
            self.parameters[stretch] = self.backend.asarray(values)
            layer.place_parameters(self.parameters[stretch], self.gradients[stretch])

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
        """Logits for a batch; every layer keeps what its way back needs.

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
            If `x` is empty, of another shape, not float, not finite, or an array of a foreign library.  Finiteness is
            checked of host arrays only: a look at a device array would stop the device.
        """
        x = self.check_input(x, start)
        self._batch = None
        for layer in self.layers[start:]:
            x = layer.forward(x)
        self._batch = len(x) if start == 0 else None
        return x

    def backward(self, grad_logits: Array, input_gradient: bool = True) -> Array | None:
        """Fills every parameter's gradient from ∂L/∂logits and returns ∂L/∂x.

        Parameters
        ----------
        grad_logits : ndarray of shape (N, *output_shape)
        input_gradient : bool, default True
            Training passes False: then nothing is computed below the first layer with parameters, and None is returned.

        Raises
        ------
        RuntimeError
            If no forward pass over the whole network came before.
        ValueError, TypeError
            If `grad_logits` does not fit the batch of that forward pass.
        """
        grad = self._check_gradient(grad_logits)
        if input_gradient:
            for layer in reversed(self.layers):
                grad = layer.backward(grad)
            return grad
        lowest, *above = self._layers_that_training_needs()
        for layer in reversed(above):
            grad = layer.backward(grad)
        lowest.parameter_gradients(grad)
        return None

    def _layers_that_training_needs(self) -> tuple[Layer, ...]:
        """From the first layer with parameters upwards; the last one alone if none has any."""
        below = list(takewhile(lambda layer: not layer.parameters, self.layers[:-1]))
        return self.layers[len(below) :]

    def input_gradient(self, x: Array, y: Array, loss: Loss | None = None, start: int = 0) -> Array:
        """∂L/∂x for every sample, in chunks; parameters' gradients are neither computed nor touched.

        Parameters
        ----------
        x : ndarray of float, shape (N, *input_shape)
            Or of the input of layer `start`.
        y : ndarray of int, shape (N,)
        loss : object with ``gradient(logits, y)``, default `SoftmaxCrossEntropy`
        start : int, default 0
            The layer whose input the gradient is taken of.

        Returns
        -------
        ndarray of the shape of `x`, on the network's backend

        Raises
        ------
        ValueError, TypeError
            If `x` or `y` are wrong, or the network ends in `Softmax`: losses expect logits.
        """
        return self.logits_and_input_gradient(x, y, loss, start)[1]

    def logits_and_input_gradient(
        self, x: Array, y: Array, loss: Loss | None = None, start: int = 0
    ) -> tuple[Array, Array]:
        """`logits` and `input_gradient` from one way forward and back: what an attack of many steps asks for.

        See `input_gradient` for the arguments and errors.

        Returns
        -------
        logits : ndarray of shape (N, classes), on the network's backend
        gradient : ndarray of the shape of `x`, on the network's backend
        """
        loss = SoftmaxCrossEntropy() if loss is None else loss
        self.expect_logits()
        x = self.check_input(x, start)
        y = check_labels(y, (len(x), *self.output_shape), self.backend)
        layers = self.layers[start:]
        logits = self.xp.empty((len(x), *self.output_shape), dtype=self.dtype)
        gradient = self.xp.empty(x.shape, dtype=self.dtype)
        with self.evaluation():
            for chunk in self.chunks(len(x)):
                value = x[chunk]
                for layer in layers:
                    value = layer.forward(value)
                logits[chunk] = value
                grad = loss.gradient(value, y[chunk])
                for layer in reversed(layers):
                    grad = layer.input_gradient(grad)
                gradient[chunk] = grad
        return logits, gradient

    # What a trained network is asked

    def predict(self, x: Array) -> Array:
        """The most likely class of every sample, int64 of shape (N,); leaves nothing behind."""
        return self.logits(x).argmax(axis=1)

    def predict_proba(self, x: Array) -> Array:
        """The classes' probabilities for every sample, shape (N, classes); leaves nothing behind."""
        output = self.logits(x)
        return output if isinstance(self.layers[-1], Softmax) else self.backend.softmax(output)

    def logits(self, x: Array) -> Array:
        """`forward` in chunks for any number of samples; leaves nothing behind."""
        return self.evaluate(x)

    def hidden(self, x: Array) -> Array:
        """The net values of the last hidden layer, what enters the last activation, in chunks.

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
        """What layers `start` to `stop` make of `x`, in chunks; leaves nothing behind.

        Parameters
        ----------
        x : ndarray of float, shape (N, *shape of the input of layer `start`)
        start : int, default 0
            The layer to begin with.
        stop : int, optional
            The layer before which to end; by default all the way.

        Returns
        -------
        ndarray of shape (N, *shape of the last of these layers' output), on the network's backend

        Raises
        ------
        ValueError, TypeError
            If `x` is wrong, as for `forward`, or there are no such layers.
        """
        x = self.check_input(x, start)
        stop = len(self.layers) if stop is None else stop
        if not start <= stop <= len(self.layers):
            raise ValueError(f"stop: expected the index of a layer, {start} to {len(self.layers)}, got {stop}")
        layers = self.layers[start:stop]
        shape = layers[-1].output_shape if layers else self.layers[start].input_shape
        output = self.xp.empty((len(x), *shape), dtype=self.dtype)
        with self.evaluation():
            for chunk in self.chunks(len(x)):
                value = x[chunk]
                for layer in layers:
                    value = layer.forward(value)
                output[chunk] = value
        return output

    def chunks(self, samples: int) -> Iterator[slice]:
        """Stretches of at most the backend's `chunk` samples."""
        step = self.backend.chunk
        for start in range(0, samples, step):
            yield slice(start, min(start + step, samples))

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """A block outside training; what `forward` saves in it is there until its end, and then nothing is left."""
        mode, self.training = self.training, False
        self._batch = None
        try:
            yield
        finally:
            self.forget()
            self.training = mode

    def forget(self) -> None:
        """Drops the activations that `forward` saved."""
        self._batch = None
        for layer in self.layers:
            layer.forget()

    # Copies

    def copy(self) -> Network:
        """A network of its own with the same layers, parameters and state of random streams."""
        return self.to(self.backend)

    def __deepcopy__(self, memo: object) -> Network:
        return self.copy()

    def __reduce__(self) -> NoReturn:
        # Its views into flat arrays would come back as arrays of their own, and the optimizer would train nothing.
        raise TypeError("a Network is not pickled: use save and load, or copy")

    def to(self, backend: str | Backend, dtype: str | None = None) -> Network:
        """A copy on another backend, or in another dtype; the network itself stays as it is."""
        twin = Network(
            [type(layer)(**layer.arguments()) for layer in self.layers],
            self.input_shape,
            backend=backend,
            dtype=dtype or self.dtype,
            seed=self.seed,
            input_range=self.input_range,
        )
        values = self.backend.to_numpy(self.parameters).astype(twin.dtype)
        twin.parameters[...] = twin.backend.asarray(values)
        for layer, original in zip(twin.layers, self.layers, strict=True):
            layer.draws = original.draws
        return twin

    # What it looks like

    def __repr__(self) -> str:
        layers = ", ".join(map(repr, self.layers))
        return (
            f"Network([{layers}], input_shape={self.input_shape}, backend={self.backend.name!r}, "
            f"dtype={self.dtype!r}, seed={self.seed}, input_range={self.input_range})"
        )

    def summary(self) -> str:
        """A table of the layers, their output shapes and how many parameters each has."""
        rows = [("layer", "output shape", "parameters"), ("input", f"{self.input_shape}", "")]
        rows += [(f"{layer.index} {layer!r}", f"{layer.output_shape}", f"{layer.size:,}") for layer in self.layers]
        rows += [("total", "", f"{self.parameters.size:,}")]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        lines.insert(1, "-" * len(lines[0]))
        lines.insert(-1, "-" * len(lines[0]))
        return "\n".join(lines)

    # What comes in is checked here, once, before anything changes

    def check_input(self, x: Array, start: int = 0) -> Array:
        """`x` on the network's backend and in its dtype, if it fits layer `start`.

        Raises
        ------
        ValueError, TypeError
            As `forward` says.
        """
        if not 0 <= start < len(self.layers):
            raise ValueError(f"start: expected the index of a layer, 0 to {len(self.layers) - 1}, got {start}")
        layer = self.layers[start]
        return check_batch(x, layer.input_shape, self.dtype, layer, self.backend)

    def _check_gradient(self, grad: Array) -> Array:
        if self._batch is None:
            raise RuntimeError(f"{self.layers[-1]}: backward before forward, nothing is saved to go back through")
        grad = self.backend.asarray(grad)
        expected = (self._batch, *self.output_shape)
        if tuple(grad.shape) != expected:
            raise ValueError(
                f"{self.layers[-1]}: expected a gradient of shape {expected}, that of the last forward's output, "
                f"got {tuple(grad.shape)}"
            )
        if grad.dtype.kind != "f":
            raise TypeError(f"{self.layers[-1]}: expected a gradient of float, got {grad.dtype}")
        return grad.astype(self.dtype, copy=False)

    def expect_logits(self) -> None:
        """Raises ValueError if the network ends in `Softmax` or its output is not (N, classes)."""
        last = self.layers[-1]
        if isinstance(last, Softmax):
            raise ValueError(
                f"{last}: expected a network that ends in logits, the loss has a softmax of its own: remove it"
            )
        if len(self.output_shape) != 1:
            shape = ", ".join(map(str, ("N", *self.output_shape)))
            raise ValueError(f"{last}: expected an output of logits (N, classes), got ({shape})")


def _checked_layers(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    layers = tuple(layers)
    if not layers:
        raise ValueError("Network: expected at least one layer, got none")
    for index, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            hint = f": write {layer.__name__}(...)" if isinstance(layer, type) else ""
            raise TypeError(f"Network: expected layers[{index}] to be a Layer, got {layer!r}{hint}")
    return layers
