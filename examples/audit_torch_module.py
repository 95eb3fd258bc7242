"""Audit a PyTorch module, and see that a module without a gradient is not robust.

python examples/audit_torch_module.py
python examples/audit_torch_module.py --full --epochs 3

PyTorch trains a small convolutional network on normalized digits.  `mr.foreign.torch` turns it into a model for every
attack and the audit, with ε in pixels.  If a layer in front of the same network rounds the input, there is no gradient,
and FGSM fails.  Square, and transfer from the other module, need no gradient, and show how much of this robustness is
real.  The network learns the 5,000 shipped digits, or all of MNIST with --full.
"""

import command_line  # first, so that Ctrl-C prints one sentence
import numpy as np

import minirobust as mr
from data_loaders import load_mnist

options = command_line.options(
    __doc__,
    epochs=5,
    epsilon=0.1,
    samples=100,  # the first test images, which are attacked
    full=False,
    seed=0,
)

try:
    import torch
except ImportError:
    raise ModuleNotFoundError("this example needs PyTorch: python -m pip install torch") from None

ATTACKS = ("clean", "FGSM", "PGD", "white box", "transfer", "Square", "worst case")
MEAN, STD = 0.13, 0.31  # of MNIST's pixels
BATCH_SIZE = 64
LEARNING_RATE = 2e-3


class Rounded(torch.nn.Module):
    """Round the input of a module; the derivative of rounding is 0 almost everywhere."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(torch.round(4 * x) / 4)


def main():
    torch.manual_seed(options.seed)
    data = load_mnist(mini=not options.full)
    test = data.test[: options.samples]
    x, y = test.pixels(), test.labels
    print(f"{data.name}: {len(data.train)} images, {options.epochs} epochs, attacked on {len(test)} test images")
    module = train(convolutional_network(), data)

    plain = mr.foreign.torch(module, input_shape=(28, 28, 1), mean=MEAN, std=STD)
    rounded = mr.foreign.torch(Rounded(module), input_shape=(28, 28, 1), mean=MEAN, std=STD)
    print(f"\nrobustness against attacks at ε = {options.epsilon:g}")
    print(f"{'module':<10}" + "".join(f"{name:>12}" for name in ATTACKS))
    reports = {}
    for name, model, other in (("plain", plain, rounded), ("rounded", rounded, plain)):
        reports[name] = mr.audit(model, x, y, options.epsilon, [other], "quick", seed=options.seed)
        rates = (reports[name].robustness[attack].value for attack in ATTACKS)
        print(f"{name:<10}" + "".join(f"{rate:12.3f}" for rate in rates), flush=True)
    print()
    for name, report in reports.items():
        print(f"{name}: {report.verdict}")


def convolutional_network():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(512, 10),
    )


def train(module, data):
    """Train in the usual way, on normalized images with channels first."""
    optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE)
    generator = np.random.default_rng(options.seed)
    for epoch in range(1, options.epochs + 1):
        order = generator.permutation(len(data.train))
        for start in range(0, len(order), BATCH_SIZE):
            batch = data.train[order[start : start + BATCH_SIZE]]
            pixels = torch.tensor(batch.pixels()).permute(0, 3, 1, 2)
            loss = torch.nn.functional.cross_entropy(module((pixels - MEAN) / STD), torch.tensor(batch.labels))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch:3}  loss of the last batch {loss.item():.4f}", flush=True)
    return module


if __name__ == "__main__":
    main()
