"""Write a custom layer and check its gradients, first with a mistake and then without it.

python examples/own_layer.py
"""

import command_line  # first, so that Ctrl-C prints one sentence
import numpy as np

import minirobust as mr

command_line.options(__doc__)  # only --help


class Swish(mr.Layer):
    """Compute y = x · σ(βx), with a learned β for every feature (Ramachandran et al., 2017)."""

    saved = ("x", "s")  # what forward stores for the backward pass

    def build(self, input_shape):
        self.beta = mr.Parameter(input_shape, lambda generator, shape: generator.uniform(0.5, 1.5, shape))
        return input_shape

    def forward(self, x):
        self.x = x
        self.s = 1 / (1 + self.xp.exp(-self.beta.value * x))
        return x * self.s

    def input_gradient(self, grad_y):
        # The product rule, with σ' = β σ (1 - σ).
        return grad_y * (self.s + self.x * self.beta.value * self.s * (1 - self.s))

    def parameter_gradients(self, grad_y):
        self.beta.grad[...] = (grad_y * self.x**2 * self.s * (1 - self.s)).mean(axis=0)


class CorrectedSwish(Swish):
    """Sum the gradient of β over the batch: β acts on every sample, so a mean is wrong."""

    def parameter_gradients(self, grad_y):
        self.beta.grad[...] = (grad_y * self.x**2 * self.s * (1 - self.s)).sum(axis=0)


def main():
    x = np.random.default_rng(0).standard_normal((4, 3))
    print("The layer as first written:\n")
    try:
        mr.gradcheck(Swish(), x)
    except mr.GradientError as error:
        print(error)

    print("\nCorrected:\n")
    print(mr.gradcheck(CorrectedSwish(), x))

    print("\nInside a network:\n")
    network = mr.Network([mr.Dense(5), CorrectedSwish(), mr.Dense(2)], input_shape=(3,))
    print(mr.gradcheck(network, x))


if __name__ == "__main__":
    main()
