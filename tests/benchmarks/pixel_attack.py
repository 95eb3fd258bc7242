"""Time attacks: minirobust against the same attacks written in PyTorch.

    python tests/benchmarks/pixel_attack.py --threads 1

The pixel attack on 1, 2 and 3 pixels, and FGSM with its evaluation, on 10,000 MNIST test images (without MNIST, on the
shipped digits) and the 784 - 256 sigmoid - 10 network after one epoch of training.  Both libraries run in one process
with the same weights and number of threads and take turns in every round, so that other load on the machine slows both.
A ratio is the median over the rounds of (PyTorch / minirobust): above 1, minirobust is faster.

The PyTorch attacks are what a competent user would write: batches, one gradient per image, parameters without
gradients, `topk`, and no further candidates for images that are already fooled; each candidate takes a full forward
pass.  Both must fool the same images, except for images on the border between two classes.  Not collected as a test.
"""

import argparse
import os
import platform
from itertools import product
from statistics import median
from time import perf_counter

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class PyTorchAttacks:
    """A network with minirobust's weights, and two attacks on it."""

    def __init__(self, network, x, y, batch):
        import torch
        from torch import nn

        temperature = network.layers[2].temperature

        class Sigmoid(nn.Module):
            def forward(self, net):
                return torch.sigmoid(net if temperature == 1 else net / temperature)

        self.model = nn.Sequential(nn.Linear(784, 256), Sigmoid(), nn.Linear(256, 10)).requires_grad_(False)
        values = [parameter.value for layer in network.layers for parameter in layer.parameters]
        for parameter, value in zip(self.model.parameters(), values, strict=True):
            parameter.copy_(torch.from_numpy(value.T))
        self.x, self.y = torch.from_numpy(x.reshape(len(x), -1)), torch.from_numpy(y)
        self.batch = batch

    def logits_and_gradient(self, x, y):
        import torch

        x = x.clone().requires_grad_()
        logits = self.model(x)
        loss = torch.nn.functional.cross_entropy(logits, y, reduction="sum")
        return logits.detach(), torch.autograd.grad(loss, x)[0]

    def pixel(self, pixels):
        """Return which images are fooled with 1, 2, ... pixels."""
        import torch

        fooled_at = []
        for x, y in zip(self.x.split(self.batch), self.y.split(self.batch), strict=True):
            logits, gradient = self.logits_and_gradient(x, y)
            with torch.inference_mode():
                fooled_at.append(self.pixel_batch(x.clone(), y, logits.argmax(1) != y, gradient, pixels))
        return torch.cat(fooled_at, dim=1).numpy()

    def pixel_batch(self, images, y, fooled, gradient, pixels):
        import torch

        best = gradient.abs().topk(pixels, dim=1).indices
        fooled_at = []
        for n in range(1, pixels + 1):
            for values in product((0.0, 1.0), repeat=n):
                standing = (~fooled).nonzero()[:, 0]
                candidates = images[standing].scatter_(
                    1, best[standing, :n], torch.tensor(values).expand(len(standing), n)
                )
                hits = self.model(candidates).argmax(1) != y[standing]
                images[standing[hits]] = candidates[hits]
                fooled[standing[hits]] = True
            fooled_at.append(fooled.clone())
        return torch.stack(fooled_at)

    def fgsm(self, epsilon):
        """Return which images are fooled."""
        import torch

        fooled = []
        for x, y in zip(self.x.split(self.batch), self.y.split(self.batch), strict=True):
            logits, gradient = self.logits_and_gradient(x, y)
            with torch.inference_mode():
                images = (x + epsilon * gradient.sign()).clamp_(0, 1)
                fooled.append(torch.stack([logits.argmax(1) != y, self.model(images).argmax(1) != y]))
        return torch.cat(fooled, dim=1)[1].numpy()


def load(folder, samples):
    """Return training and test images and labels, and a description of them."""
    from data_loaders import DataNotFoundError, load_mnist

    try:
        data = load_mnist(folder, download=False)
    except DataNotFoundError:
        data = load_mnist(mini=True)
    test = data.test[:samples]
    return (data.train.pixels(), data.train.labels), test.pixels(), test.labels, test


def measure(contestants, rounds):
    """Return the seconds of each contestant's rounds, and the last answers."""
    seconds = {name: [] for name in contestants}
    answers = {name: run() for name, run in contestants.items()}  # warms up
    for _ in range(rounds):
        for name, run in contestants.items():
            begin = perf_counter()
            answers[name] = run()
            seconds[name].append(perf_counter() - begin)
    return seconds, answers


def show(title, seconds, answers):
    ours, theirs = seconds["minirobust"], seconds["PyTorch"]
    ratio = median(b / a for a, b in zip(ours, theirs, strict=True))
    differing = (answers["minirobust"] != answers["PyTorch"]).sum()
    print(f"{title:<32}{median(ours):>11.3f} s{median(theirs):>11.3f} s{ratio:>8.2f}{differing:>11}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", metavar="DIR", help="folder with the MNIST files (default MINIROBUST_DATA)")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both; all cores by default")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=500, help="of PyTorch; minirobust has its own")
    arguments = parser.parse_args()
    # Read when NumPy and PyTorch are loaded, which is why neither is imported at the top.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(arguments.threads)))

    import numpy as np
    import torch

    import minirobust as mr

    torch.set_num_threads(arguments.threads)
    train, x, y, data = load(arguments.data, arguments.samples)
    network = mr.models.mlp(arguments.temperature)
    mr.fit(network, mr.Adam(network), train, epochs=arguments.epochs)
    print(f"{platform.platform()}, {os.cpu_count()} cores, {arguments.threads} threads each")
    print(f"Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}")
    print(f"{len(x):,} samples: {data}; T = {arguments.temperature:g}; accuracy {(network.predict(x) == y).mean():.4f}")
    print(f"{arguments.rounds} rounds after one to warm up; batches of {arguments.batch} for PyTorch")

    peer = PyTorchAttacks(network, x, y, arguments.batch)
    print(f"{'':<32}{'minirobust':>13}{'PyTorch':>13}{'ratio':>8}{'differing':>11}")
    for pixels in (1, 2, 3):
        contestants = {
            "minirobust": lambda n=pixels: mr.attacks.pixel(network, x, y, n).fooled_at,
            "PyTorch": lambda n=pixels: peer.pixel(n),
        }
        show(f"pixel, n = 1 to {pixels}", *measure(contestants, arguments.rounds))
    contestants = {
        "minirobust": lambda: mr.attacks.fgsm(network, x, y, 0.1).fooled,
        "PyTorch": lambda: peer.fgsm(0.1),
    }
    show("FGSM, evaluated", *measure(contestants, arguments.rounds))


if __name__ == "__main__":
    main()
