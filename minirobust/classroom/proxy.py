"""`StudentLayer`: a student's layer as a layer of this library, so that `gradcheck` can examine it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minirobust.classroom.program import Program
from minirobust.gradients.check import GradientError, gradcheck
from minirobust.layers.layer import Layer, Parameter, Shape


@dataclass(frozen=True)
class StudentLayer:
    """A description of how to use a student's class as a layer.

    Attributes
    ----------
    name : str
        The class. Its methods are ``forward(x)`` and ``backward(grad_y)``.
    shape : tuple of int
        The shape of one sample.
    constants : dict of str to float
        The constructor's first arguments. `gradcheck` looks for missing factors among them.
    parameters : dict of str to tuple of int
        The constructor's further arguments, arrays of these shapes. After ``backward``, the gradient of ``weight`` is
        in ``grad_weight``.
    """

    name: str
    shape: Shape
    constants: dict[str, float] = field(default_factory=dict)
    parameters: dict[str, Shape] = field(default_factory=dict)

    def probable_cause(self, program: Program) -> str:
        """Return what `gradcheck` says about the program's layer, or "" if it finds no wrong gradient."""
        x = np.random.default_rng(0).uniform(-0.5, 0.5, (3, *self.shape))
        try:
            gradcheck(_RemoteLayer(program, self), x, tolerance=1e-6)
        except GradientError as error:
            wrong = next(tensor for tensor in error.report.tensors if tensor.cause)
            return f"gradcheck of {wrong.name}: {wrong.cause}"
        except Exception:  # A program that does not behave like a layer can make it fail in any way.
            return ""
        return ""


class _RemoteLayer(Layer):
    """The student's class as `gradcheck` sees it: one new object for each forward pass."""

    saved = ("remote",)

    def __init__(self, program: Program, plan: StudentLayer) -> None:
        self.program, self.plan = program, plan

    def build(self, input_shape: Shape) -> Shape:
        for name, shape in self.plan.parameters.items():
            setattr(self, name, Parameter(shape, lambda generator, shape: generator.uniform(-0.5, 0.5, shape)))
        zeros = [np.zeros(shape) for shape in self.plan.parameters.values()]  # parameters have no values yet
        return self._outputs(np.zeros((1, *input_shape)), zeros).shape[1:]

    def forward(self, x: np.ndarray) -> np.ndarray:
        return self._outputs(x, [parameter.value for parameter in self.parameters])

    def _outputs(self, x: np.ndarray, arrays: list[np.ndarray]) -> np.ndarray:
        self.remote = self.program.new(self.plan.name, *self.plan.constants.values(), *arrays)
        y: np.ndarray = self.remote.call("forward", x)
        self.expect(isinstance(y, np.ndarray), "an array from forward", type(y).__name__)
        return y

    def input_gradient(self, grad_y: np.ndarray) -> np.ndarray:
        grad_x: np.ndarray = self.remote.call("backward", grad_y)
        return grad_x

    def parameter_gradients(self, grad_y: np.ndarray) -> None:
        self.remote.call("backward", grad_y)
        for parameter in self.parameters:
            parameter.grad[...] = self.remote.get(f"grad_{parameter.name}")

    # `gradcheck` reads the constants from here, and makes copies.

    def arguments(self) -> dict[str, Any]:
        return {"program": self.program, "plan": self.plan, **self.plan.constants}

    def fresh(self) -> Layer:
        return _RemoteLayer(self.program, self.plan)

    def __repr__(self) -> str:
        return self.plan.name
