"""Time an epoch of the MLP: minirobust against PyTorch, and against autograd and mygrad if they are installed.

    python tests/benchmarks/mlp_epoch.py --rounds 5

784 - 256 sigmoid - 10, batch 64, Adam at 1e-3, float32, on MNIST, or on random data of its shape if MNIST is not found.
All contenders run in one process with the same number of threads and take turns, one epoch each per round, so that
other load on the machine slows all of them.  A ratio is the median over the rounds of (contender / minirobust).

Each contender is a generator of mean losses that trains one epoch at every `next`.  It is written as a competent user
of that library would write it, and imports the library only when it starts.  Not collected as a test.
"""

import argparse
import importlib.util
import os
import platform
from importlib.metadata import version
from statistics import median
from time import perf_counter

BATCH = 64
LR, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def batches(order):
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]


def initial_parameters(seed=0):
    """Return the four arrays that all contenders start from, those of `minirobust.models.mlp`."""
    import minirobust as mr

    network = mr.models.mlp(1, seed=seed)
    return [parameter.value.copy() for layer in network.layers for parameter in layer.parameters]


# The contenders.  x: float32 (N, 784), y: int64 (N,).


def minirobust(x, y, temperature):
    import minirobust as mr

    network = mr.models.mlp(temperature)
    for record in mr.epochs(network, mr.Adam(network, lr=LR), (x.reshape(-1, 28, 28, 1), y), epochs=1_000_000):
        yield record.loss


def pytorch(x, y, temperature, **adam):
    import torch
    from torch import nn
    from torch.nn import functional

    class MLP(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.output = nn.Linear(784, 256), nn.Linear(256, 10)

        def forward(self, x):
            net = self.hidden(x)
            return self.output(torch.sigmoid(net if temperature == 1 else net / temperature))

    model = MLP()
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), initial_parameters(), strict=True):
            parameter.copy_(torch.from_numpy(value.T))
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, **adam)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    while True:
        total = torch.zeros(())
        for rows in batches(torch.randperm(len(x))):
            loss = functional.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
        yield total.item() / len(x)


def pytorch_fused(x, y, temperature):
    return pytorch(x, y, temperature, fused=True)


def autograd_loss(temperature):
    """Return the mean cross entropy as a function of the four arrays, a batch and its one-hot labels."""
    import autograd.numpy as anp
    from autograd.scipy.special import expit, logsumexp

    def loss(parameters, x, targets):
        weight1, bias1, weight2, bias2 = parameters
        net = anp.dot(x, weight1) + bias1
        logits = anp.dot(expit(net if temperature == 1 else net / temperature), weight2) + bias2
        return anp.mean(logsumexp(logits, axis=1) - anp.sum(logits * targets, axis=1))

    return loss


def autograd(x, y, temperature):
    """Train with autograd's own Adam, which resets its averages in every epoch."""
    import numpy as np
    from autograd import value_and_grad
    from autograd.misc.optimizers import adam

    loss_and_gradient = value_and_grad(autograd_loss(temperature))
    targets = np.eye(10, dtype=x.dtype)[y]
    parameters = initial_parameters()
    rng = np.random.default_rng(0)
    while True:
        order = list(batches(rng.permutation(len(x))))
        losses = []

        def gradient(parameters, step, order=order, losses=losses):
            rows = order[step]
            value, gradients = loss_and_gradient(parameters, x[rows], targets[rows])
            losses.append(value * len(rows))
            return gradients

        parameters = adam(gradient, parameters, num_iters=len(order), step_size=LR, b1=BETA1, b2=BETA2, eps=EPSILON)
        yield sum(losses) / len(x)


def autograd_flat(x, y, temperature):
    import numpy as np
    from autograd import value_and_grad

    loss_and_gradient = value_and_grad(autograd_loss(temperature))
    targets = np.eye(10, dtype=x.dtype)[y]
    adam = FlatAdam(initial_parameters())
    rng = np.random.default_rng(0)
    while True:
        total = 0.0
        for rows in batches(rng.permutation(len(x))):
            value, gradients = loss_and_gradient(adam.parameters, x[rows], targets[rows])
            adam.step(gradients)
            total += value * len(rows)
        yield total / len(x)


def mygrad(x, y, temperature):
    return mygrad_with(TextbookAdam, x, y, temperature)


def mygrad_flat(x, y, temperature):
    return mygrad_with(FlatAdam, x, y, temperature)


def mygrad_with(optimizer, x, y, temperature):
    import mygrad as mg
    import numpy as np
    from mygrad.nnet.activations import sigmoid
    from mygrad.nnet.losses import softmax_crossentropy

    mg.turn_memory_guarding_off()  # a safety check that costs time in every operation
    adam = optimizer(initial_parameters())
    weight1, bias1, weight2, bias2 = tensors = [mg.tensor(value, copy=False) for value in adam.parameters]
    rng = np.random.default_rng(0)
    while True:
        total = 0.0
        for rows in batches(rng.permutation(len(x))):
            net = mg.matmul(x[rows], weight1) + bias1
            hidden = sigmoid(net if temperature == 1 else net / temperature)
            loss = softmax_crossentropy(mg.matmul(hidden, weight2) + bias2, y[rows])
            loss.backward()
            adam.step([tensor.grad for tensor in tensors])
            total += loss.item() * len(rows)
        yield total / len(x)


class TextbookAdam:
    """Adam in NumPy, array by array as in the paper: mygrad has no Adam, so its users write this."""

    def __init__(self, values):
        self.parameters = values
        self.m, self.v, self.t = [0 * value for value in values], [0 * value for value in values], 0

    def step(self, gradients):
        import numpy as np

        self.t += 1
        for i, gradient in enumerate(gradients):
            self.m[i] = BETA1 * self.m[i] + (1 - BETA1) * gradient
            self.v[i] = BETA2 * self.v[i] + (1 - BETA2) * gradient**2
            m_hat = self.m[i] / (1 - BETA1**self.t)
            v_hat = self.v[i] / (1 - BETA2**self.t)
            self.parameters[i] -= LR * m_hat / (np.sqrt(v_hat) + EPSILON)


class FlatAdam:
    """Adam in NumPy on one flat array, as in minirobust; `parameters` are views of it.

    With this optimizer, only the gradients are computed by autograd and mygrad.
    """

    def __init__(self, values):
        import numpy as np

        self.flat = np.concatenate([value.ravel() for value in values])
        ends = np.cumsum([value.size for value in values])[:-1]
        pieces = np.split(self.flat, ends)
        self.parameters = [piece.reshape(value.shape) for piece, value in zip(pieces, values, strict=True)]
        self.m, self.v, self.t = np.zeros_like(self.flat), np.zeros_like(self.flat), 0

    def step(self, gradients):
        import numpy as np

        self.t += 1
        gradient = np.concatenate([g.ravel() for g in gradients])
        self.m *= BETA1
        self.m += (1 - BETA1) * gradient
        self.v *= BETA2
        self.v += (1 - BETA2) * gradient * gradient
        denominator = np.sqrt(self.v / (1 - BETA2**self.t))
        denominator += EPSILON
        self.flat -= (LR / (1 - BETA1**self.t)) * self.m / denominator


# Name, contender, and the package that it needs.
CONTENDERS = [
    ("minirobust", minirobust, "minirobust"),
    ("PyTorch, Adam", pytorch, "torch"),
    ("PyTorch, fused Adam", pytorch_fused, "torch"),
    ("autograd, its Adam", autograd, "autograd"),
    ("autograd, flat Adam", autograd_flat, "autograd"),
    ("mygrad, Adam", mygrad, "mygrad"),
    ("mygrad, flat Adam", mygrad_flat, "mygrad"),
]


def load(folder, samples):
    """Return x, y and a description of them: MNIST's training images if they are found, else random numbers."""
    import numpy as np

    from data_loaders import DataNotFoundError, load_mnist

    try:
        train = load_mnist(folder, download=False).train[:samples]
    except DataNotFoundError:
        rng = np.random.default_rng(0)
        x = rng.random((samples, 784), dtype=np.float32)
        return x, rng.integers(0, 10, samples), "random numbers of MNIST's shape"
    return train.pixels().reshape(len(train), -1), train.labels, train


def measure(x, y, temperature, rounds):
    """Return the seconds of each epoch and the last mean loss of every contender that is installed."""
    running = {}
    for name, contender, package in CONTENDERS:
        if importlib.util.find_spec(package) is None:
            print(f"{name}: {package} is not installed")
        else:
            running[name] = contender(x, y, temperature)
    losses = {name: next(epochs) for name, epochs in running.items()}  # the first epoch warms up
    seconds = {name: [] for name in running}
    for _ in range(rounds):
        for name, epochs in running.items():
            begin = perf_counter()
            losses[name] = next(epochs)
            seconds[name].append(perf_counter() - begin)
    return seconds, losses


def show(seconds, losses, steps):
    reference, *_ = seconds.values()
    print(f"{'':<20}{'s/epoch':>9}{'min':>9}{'max':>9}{'ratio':>8}{'steps/s':>9}{'loss':>8}")
    for name, times in seconds.items():
        ratio = median(time / ours for time, ours in zip(times, reference, strict=True))
        spread = f"{median(times):>9.3f}{min(times):>9.3f}{max(times):>9.3f}"
        print(f"{name:<20}{spread}{ratio:>8.2f}{steps / median(times):>9.0f}{losses[name]:>8.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", metavar="DIR", help="folder with the MNIST files")
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every contender; all cores by default")
    parser.add_argument("--temperature", type=float, default=1.0)
    arguments = parser.parse_args()
    # Read when NumPy and PyTorch are loaded, which is why no contender is imported at the top.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(arguments.threads)))

    x, y, data = load(arguments.data, arguments.samples)
    packages = [name for name in ("numpy", "torch", "autograd", "mygrad") if importlib.util.find_spec(name)]
    print(f"{platform.platform()}, {os.cpu_count()} cores, {arguments.threads} threads each")
    print(f"Python {platform.python_version()}, ", end="")
    print(", ".join(f"{name} {version(name)}" for name in packages))
    print(f"{len(x):,} samples: {data}; T = {arguments.temperature:g}; {arguments.rounds} rounds after one to warm up")
    show(*measure(x, y, arguments.temperature, arguments.rounds), steps=-(-len(x) // BATCH))


if __name__ == "__main__":
    main()
