"""Optimizers: each reads as its paper's algorithm, on all parameters at once, since they lie in one flat array."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy

from minirobust.backend import Array
from minirobust.network import Network
from minirobust.validation import number


class Optimizer:
    """Changes a network's parameters by their gradients.

    Attributes
    ----------
    network : Network
    t : int
        How many steps were taken.
    """

    # The constructor's arguments, and the running averages that make up the state besides `t`.
    arguments: ClassVar[tuple[str, ...]]
    averages: ClassVar[tuple[str, ...]] = ()

    def __init__(self, network: Network) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"{type(self).__name__}: expected a Network, got {type(network).__name__}")
        self.network = network
        self.t = 0

    def step(self) -> None:
        """One step along the gradients that `Network.backward` left."""
        if self.t == 0:
            self._allocate()
        self.t += 1
        self._update(self.network.parameters, self.network.gradients)

    def _update(self, value: Array, grad: Array) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no _update(value, grad)")

    def _allocate(self) -> None:
        """The averages start at zero, on whichever backend the network is when training starts."""
        for name in self.averages:
            setattr(self, name, self.network.xp.zeros_like(self.network.parameters))

    def _rate(self, name: str, value: float | numpy.ndarray) -> float | Array:
        """A number above 0, or an array with one for each of the network's parameters."""
        if not isinstance(value, numpy.ndarray):
            return number(type(self).__name__, name, value, low=0)
        if value.shape != self.network.parameters.shape or not (value > 0).all():
            raise ValueError(
                f"{type(self).__name__}: expected {name} to be a number above 0 or an array of them of shape "
                f"{self.network.parameters.shape}, got shape {value.shape}"
            )
        return self.network.backend.asarray(value.astype(self.network.dtype))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.arguments)
        return f"{type(self).__name__}({shown}, t={self.t})"

    def state(self) -> dict[str, Any]:
        """Everything that training needs to go on as if never stopped: `t` and the averages, as they are."""
        averages = {name: getattr(self, name) for name in self.averages} if self.t else {}
        return {"t": self.t, **averages}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over a copy of what `state` gave, moved to the network's backend and dtype."""
        self.t = int(state["t"])
        for name in self.averages if self.t else ():
            setattr(self, name, self.network.backend.asarray(state[name]).astype(self.network.dtype))


class SGD(Optimizer):
    """θ ← θ - lr · g.

    Parameters
    ----------
    network : Network
    lr : float or ndarray of shape (P,), default 0.1
        Learning rate, above 0; an array has one for each of `Network.parameters`.
    """

    arguments = ("lr",)

    def __init__(self, network: Network, lr: float | numpy.ndarray = 0.1) -> None:
        super().__init__(network)
        self.lr = self._rate("lr", lr)

    def _update(self, value: Array, grad: Array) -> None:
        value -= self.lr * grad


class Momentum(Optimizer):
    """u ← momentum · u + g;  θ ← θ - lr · u (Polyak, 1964).

    Parameters
    ----------
    network : Network
    lr : float or ndarray of shape (P,), default 0.1
        Learning rate, above 0.
    momentum : float, default 0.9
        In [0, 1).
    """

    arguments = ("lr", "momentum")
    averages = ("u",)
    u: Array

    def __init__(self, network: Network, lr: float | numpy.ndarray = 0.1, momentum: float = 0.9) -> None:
        super().__init__(network)
        self.lr = self._rate("lr", lr)
        self.momentum = number("Momentum", "momentum", momentum, low=0, high=1, include_low=True)

    def _update(self, value: Array, grad: Array) -> None:
        self.u *= self.momentum
        self.u += grad
        value -= self.lr * self.u


class Adam(Optimizer):
    """Adaptive moment estimation: Algorithm 1 of Kingma & Ba (2015), written out in `NumpyBackend.adam_step`.

    Parameters
    ----------
    network : Network
    lr : float or ndarray of shape (P,), default 1e-3
        Learning rate, above 0.
    beta1, beta2 : float, default 0.9 and 0.999
        Decay of the averages of the gradient and of its square, in [0, 1).
    epsilon : float or ndarray of shape (P,), default 1e-8
        Above 0.
    weight_decay : float, default 0
        λ ≥ 0: λθ is added to the gradient of every parameter, biases too (an L2 penalty, not AdamW's decoupled decay).
    """

    arguments = ("lr", "beta1", "beta2", "epsilon", "weight_decay")
    averages = ("m", "v")
    m: Array
    v: Array

    def __init__(
        self,
        network: Network,
        lr: float | numpy.ndarray = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float | numpy.ndarray = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(network)
        self.lr = self._rate("lr", lr)
        self.beta1 = number("Adam", "beta1", beta1, low=0, high=1, include_low=True)
        self.beta2 = number("Adam", "beta2", beta2, low=0, high=1, include_low=True)
        self.epsilon = self._rate("epsilon", epsilon)
        self.weight_decay = number("Adam", "weight_decay", weight_decay, low=0, include_low=True)

    def _update(self, value: Array, grad: Array) -> None:
        if self.weight_decay:
            grad = grad + self.weight_decay * value
        self.network.backend.adam_step(
            value,
            grad,
            self.m,
            self.v,
            lr=self.lr,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            t=self.t,
        )
