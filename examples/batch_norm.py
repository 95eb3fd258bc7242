"""Write batch normalization, a layer with untrained state, and see that copies and files keep this state.

python examples/batch_norm.py
"""

import tempfile
from pathlib import Path

import command_line  # first, so that Ctrl-C prints one sentence
import numpy as np

import minirobust as mr
from data_loaders import load_mnist

command_line.options(__doc__)  # only --help

HIDDEN = 64
MOMENTUM = 0.9  # fraction of the running statistics that a training step keeps
EPOCHS = 2
LEARNING_RATE = 3e-3
SEED = 0


class BatchNorm(mr.Layer):
    """Compute y = γ (x - mean) / sqrt(variance + ε) + β for every feature (Ioffe & Szegedy, 2015).

    Training uses the mean and variance of the batch and updates the running ones, which evaluation uses.
    """

    saved = ("deviation", "normalized", "of_batch")  # what forward stores for the backward pass

    def __init__(self, momentum=MOMENTUM, epsilon=1e-5):
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape):
        self.gamma = mr.Parameter(input_shape, "ones")  # parameters are trained
        self.beta = mr.Parameter(input_shape, "zeros")
        self.mean = mr.Buffer(input_shape, "zeros")  # buffers are copied, cast and saved, but not trained
        self.variance = mr.Buffer(input_shape, "ones")
        return input_shape

    def forward(self, x):
        mean, variance = self.mean.value, self.variance.value
        self.of_batch = self.training
        if self.training:
            mean, variance = x.mean(axis=0), ((x - x.mean(axis=0)) ** 2).mean(axis=0)
            self.mean.value += (1 - self.momentum) * (mean - self.mean.value)
            self.variance.value += (1 - self.momentum) * (variance - self.variance.value)
        self.deviation = self.xp.sqrt(variance + self.epsilon)
        self.normalized = (x - mean) / self.deviation
        return self.gamma.value * self.normalized + self.beta.value

    def input_gradient(self, grad_y):
        grad = grad_y * self.gamma.value
        if self.of_batch:  # every sample also changes the mean and the variance of its batch
            grad = grad - grad.mean(axis=0) - self.normalized * (grad * self.normalized).mean(axis=0)
        return grad / self.deviation

    def parameter_gradients(self, grad_y):
        self.gamma.grad[...] = (grad_y * self.normalized).sum(axis=0)
        self.beta.grad[...] = grad_y.sum(axis=0)


x = np.random.default_rng(SEED).standard_normal((5, 3))
for training in (True, False):
    print("in training:" if training else "in evaluation:", mr.gradcheck(BatchNorm(), x, training=training))

digits = load_mnist(mini=True)
images, labels = digits.test.pixels(), digits.test.labels
norm = BatchNorm()
network = mr.Network([mr.Flatten(), mr.Dense(HIDDEN), norm, mr.ReLU(), mr.Dense(10)], (28, 28, 1), seed=SEED)
for epoch in mr.fit(network, mr.Adam(network, lr=LEARNING_RATE), digits, epochs=EPOCHS, seed=SEED):
    print(f"epoch {epoch.epoch}  loss {epoch.loss:.3f}")
print(f"test accuracy {(network.predict(images) == labels).mean():.3f}")
print(f"the running means are now between {norm.mean.value.min():.2f} and {norm.mean.value.max():.2f}")
print("in the network:", mr.gradcheck(norm, network.evaluate(images[:5], stop=norm.index)))

with tempfile.TemporaryDirectory() as folder:
    mr.save(Path(folder) / "network.h5", network)
    loaded = mr.load(Path(folder) / "network.h5", classes=[BatchNorm]).network
for name, other in (("copy", network.copy()), ("loaded file", loaded)):
    print(f"{name}: largest difference of logits {abs(other.logits(images) - network.logits(images)).max():g}")
