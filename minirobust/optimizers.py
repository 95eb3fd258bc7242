"""Optimizers: each reads like the algorithm in its paper, and updates all parameters at once, in one flat array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from minirobust.arguments import Argument, Rate
from minirobust.backend import Array
from minirobust.floating_point import ERROR_MODE, IGNORE
from minirobust.network import Network
from minirobust.validation import number

BLOCK = 40_960  # parameters that Adam updates at a time on the CPU: temporaries of this size stay in a core's cache


class Optimizer:
    """Update a network's parameters with their gradients.

    A custom optimizer defines `update`, lists its constructor's arguments in `arguments`, stores each under its name,
    and declares running averages with `average`.

    Parameters
    ----------
    network : Network

    Attributes
    ----------
    arguments : tuple of str
        The constructor's arguments, except for the network.
    divides_by_scale : bool
        Whether `update` itself divides gradients by `scale`, which saves a pass over them.
    scale : float
        During a step, the power of two by which the gradients were multiplied (`NumpyBackend.loss_scale`); else 1.
    t : ndarray of int, shape ()
        Number of steps taken, on the network's backend.
    averages : dict of str to ndarray of shape (P,)
        The rest of the state.
    rates : dict of str to ndarray of shape () or (P,)
        The arguments that are a `Rate`, in the network's dtype.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    divides_by_scale: ClassVar[bool] = False

    def __init__(self, network: Network) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"{type(self).__name__}: expected a Network, got {type(network).__name__}")
        self.network = network
        self.t = network.xp.zeros((), dtype="int64")
        self.scale = 1.0
        self.averages: dict[str, Array] = {}
        self.rates: dict[str, Array] = {}

    def step(self, scale: float = 1.0) -> None:
        """Take one step with the gradients that `Network.backward` computed, which are `scale` times the true ones."""
        mode = ERROR_MODE.set(IGNORE)
        try:
            self.t += 1
            self.scale = scale
            if scale != 1 and not self.divides_by_scale:
                self.network.gradients *= 1 / scale
            self.update(self.network.parameters, self.network.gradients)
        finally:
            self.scale = 1.0
            ERROR_MODE.reset(mode)

    def update(self, value: Array, grad: Array) -> None:
        """Change `value` in place, given the gradients `grad`, both of shape (P,)."""
        raise NotImplementedError(f"{type(self).__name__} has no update(value, grad)")

    def average(self, name: str) -> Array:
        """Return a running average that starts at zero and is saved under this name, of shape (P,)."""
        self.averages[name] = self.network.xp.zeros_like(self.network.parameters)
        return self.averages[name]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.arguments)
        return f"{type(self).__name__}({shown}, t={int(self.network.backend.to_numpy(self.t))})"

    def state(self) -> dict[str, Any]:
        """Return everything that training needs to continue as if it had never stopped: `t` and the averages."""
        return {"t": int(self.network.backend.to_numpy(self.t)), **self.averages}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned, in the network's dtype and on its backend."""
        self.t[...] = state["t"]
        for name, average in self.averages.items():
            average[...] = self.network.backend.asarray(state[name]) if name in state else 0


class SGD(Optimizer):
    """Gradient descent: θ ← θ - lr · g.

    Parameters
    ----------
    network : Network
    lr : float or ndarray of shape (P,), default 0.1
        Learning rate, at least 0; an array has one rate for each of `Network.parameters`.
    """

    arguments = ("lr",)
    lr = Rate(number, low=0, include_low=True)

    def __init__(self, network: Network, lr: float | np.ndarray = 0.1) -> None:
        super().__init__(network)
        self.lr = lr

    def update(self, value: Array, grad: Array) -> None:
        """Change `value` in place, as the class describes."""
        value -= self.rates["lr"] * grad


class Momentum(Optimizer):
    """Gradient descent with momentum: u ← momentum · u + g;  θ ← θ - lr · u (Polyak, 1964).

    Parameters
    ----------
    network : Network
    lr : float or ndarray of shape (P,), default 0.1
        Learning rate, from 0.
    momentum : float, default 0.9
        In [0, 1).
    """

    arguments = ("lr", "momentum")
    lr = Rate(number, low=0, include_low=True)
    momentum = Argument(number, low=0, high=1, include_low=True)

    def __init__(self, network: Network, lr: float | np.ndarray = 0.1, momentum: float = 0.9) -> None:
        super().__init__(network)
        self.lr = lr
        self.momentum = momentum
        self.u = self.average("u")

    def update(self, value: Array, grad: Array) -> None:
        """Change `value` in place, as the class describes."""
        self.u *= self.momentum
        self.u += grad
        value -= self.rates["lr"] * self.u


class Adam(Optimizer):
    """Adaptive moment estimation, Algorithm 1 of Kingma & Ba (2015), with g the gradient and t the number of the step.

        m ← β₁ m + (1 - β₁) g            m̂ = m / (1 - β₁ᵗ)
        v ← β₂ v + (1 - β₂) g²           v̂ = v / (1 - β₂ᵗ)
        θ ← θ - lr · m̂ / (√v̂ + ε)

    Parameters
    ----------
    network : Network
    lr : float or ndarray of shape (P,), default 1e-3
        Learning rate, from 0.
    beta1, beta2 : float, default 0.9 and 0.999
        Decay of the averages of the gradient and of its square, in [0, 1).
    epsilon : float or ndarray of shape (P,), default 1e-8
        Above 0.
    weight_decay : float, default 0
        λ ≥ 0: λθ is added to the gradient of every parameter, biases too (an L2 penalty, not AdamW's decoupled decay).
    """

    arguments = ("lr", "beta1", "beta2", "epsilon", "weight_decay")
    divides_by_scale = True
    lr = Rate(number, low=0, include_low=True)
    beta1 = Argument(number, low=0, high=1, include_low=True)
    beta2 = Argument(number, low=0, high=1, include_low=True)
    epsilon = Rate(number, low=0)
    weight_decay = Argument(number, low=0, include_low=True)

    def __init__(
        self,
        network: Network,
        lr: float | np.ndarray = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float | np.ndarray = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(network)
        self.lr = lr
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weight_decay = weight_decay
        self.m = self.average("m")
        self.v = self.average("v")

    def update(self, value: Array, grad: Array) -> None:
        """Change `value` in place, as the class describes."""
        if self.weight_decay:
            grad = grad + self.scale * self.weight_decay * value
        backend, lr, ε = self.network.backend, self.rates["lr"], self.rates["epsilon"]
        rate, epsilon = (backend.adam_rates or adam_rates)(lr, ε, self.t, self.beta1, self.beta2)
        step = backend.adam_step or adam_step
        step((value, grad, self.m, self.v), rate, epsilon, self.beta1, self.beta2, self.scale)


def adam_rates(lr: Array, epsilon: Array, t: Array, beta1: float, beta2: float) -> tuple[Array, Array]:
    """Return `lr` and ε including the corrections 1 - βᵗ (section 2 of the paper), which saves a pass over arrays."""
    root = (1 - beta2**t) ** 0.5
    return lr * (root / (1 - beta1**t)).astype(lr.dtype), epsilon * root.astype(lr.dtype)


def adam_step(arrays: Sequence[Array], rate: Array, epsilon: Array, beta1: float, beta2: float, scale: float) -> None:
    """Update θ, m and v of `arrays` = (θ, g, m, v) in place, with the rates that `adam_rates` returned."""
    for start in range(0, arrays[0].size, BLOCK):
        block = slice(start, start + BLOCK)
        θ, g, m, v = (array[block] for array in arrays)
        lr, ε = (number[block] if number.ndim else number for number in (rate, epsilon))
        m *= beta1
        m += (1 - beta1) / scale * g
        v *= beta2
        v += (1 - beta2) / scale**2 * (g * g)
        θ -= lr * m / (v**0.5 + ε)
