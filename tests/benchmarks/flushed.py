"""Show what a device without float32 subnormals loses: zero derivatives, lost gradients, another robustness.

    python tests/benchmarks/flushed.py CHECKPOINT... [--samples N]

CuPy's kernels flush subnormal results to zero (see docs/explanation/backends.md).  This imitates them on the CPU: in
the sigmoid's derivative and in every product on the way back what is below 1.2e-38 becomes 0.  For networks of Flatten,
Dense and TemperatureSigmoid on MNIST's test images.  Not collected as a test.
"""

import argparse

import numpy as np

import minirobust as mr
from data_loaders import load_mnist

TINY = np.finfo("float32").tiny


def flushed(array):
    """Return the array with zeros in place of subnormal numbers."""
    return np.where(np.abs(array) < TINY, array.dtype.type(0), array)


class Flushing(mr.backend.NumpyBackend):
    """A backend whose sigmoid's derivative has no subnormal numbers, with the device's scale of the loss."""

    loss_scale = 1.0

    def sigmoid_derivative(self, net, temperature):
        e = flushed(np.exp(flushed(np.abs(net) / -temperature)))
        return flushed(e / (temperature * (1 + e) ** 2))


class FlushingDense(mr.Dense):
    """Dense, whose input gradient has no subnormal numbers either."""

    def input_gradient(self, grad_y):
        return flushed(super().input_gradient(flushed(grad_y)))


def rebuilt(network):
    """Return the network with layers, and on a backend, that flush."""
    layers = [FlushingDense(layer.units) if isinstance(layer, mr.Dense) else layer.fresh() for layer in network.layers]
    twin = mr.Network(layers, network.input_shape, backend=Flushing())
    twin.parameters = network.parameters
    return twin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--samples", type=int, default=10_000, metavar="N", help="test images, default 10000")
    options = parser.parse_args()
    test = load_mnist(download=False).test[: options.samples]
    x, y = test.pixels(), test.labels
    for path in options.checkpoints:
        network = mr.load(path).network
        temperature = network.last_activation.temperature
        reach = np.abs(network.hidden(x)) / temperature
        dead = [(reach > limit).mean() for limit in (103.3, 87.3)]
        print(f"T = {temperature:g}: derivative 0 for {dead[0]:.3f} of the units, flushed {dead[1]:.3f}")
        for name, model in (("CPU", network), ("flushed", rebuilt(network))):
            lost = (~model.input_gradient(x, y).any(axis=(1, 2, 3))).mean()
            left = 1 - mr.attacks.fgsm(model, x, y, epsilon=0.1).fooled.mean()
            print(f"  {name:8} images without a gradient {lost:.4f}, not fooled by FGSM at 0.1 {left:.4f}")


if __name__ == "__main__":
    main()
