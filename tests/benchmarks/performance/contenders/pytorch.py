"""PyTorch: eager with its default and its fused Adam, with channels_last, and compiled."""

from collections.abc import Iterator
from functools import cache, partial
from itertools import product

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ..data import Work
from . import Contender

CHUNK = {"mlp": 1000, "cnn": 250}  # images at a time outside training: the fastest of 125, 250, 500, 1000, ...


def training(work: Work) -> list[Contender]:
    variants = {"PyTorch": {}, "PyTorch, fused Adam": {}} | _variants(work)
    return [
        Contender(name, _epochs(work, fused=name != "PyTorch", **options).__next__)
        for name, options in variants.items()
    ]


def input_gradient(work: Work) -> list[Contender]:
    return [
        Contender(name, Attacked(work, **options).input_gradient, _in_our_layout)
        for name, options in _variants(work).items()
    ]


def fgsm(work: Work, epsilon: float) -> list[Contender]:
    return [
        Contender(name, partial(Attacked(work, **options).fgsm, epsilon)) for name, options in _variants(work).items()
    ]


def pgd(work: Work, epsilon: float, steps: int, starts: int) -> list[Contender]:
    # Not compiled: in every step there are fewer images left, and each new shape would be compiled.
    return [Contender("PyTorch", partial(Attacked(work).pgd, epsilon, steps, starts))]


def pixel(work: Work, pixels: int) -> list[Contender]:
    return [Contender("PyTorch", partial(Attacked(work).pixel, pixels))]


def _variants(work: Work) -> dict[str, dict[str, bool]]:
    """Return the options of each variant that suits the network and works here."""
    layout = {"channels_last": True} if work.model == "cnn" else {}
    variants = {"PyTorch": {}}
    if layout:
        variants["PyTorch, channels_last"] = layout
    if compiles():
        variants["PyTorch, compiled"] = layout | {"compiled": True}
    return variants


@cache
def compiles() -> bool:
    """Return whether `torch.compile` works here, and print why not."""
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(2))
    except Exception as error:  # of the compiler, the linker, or the loader
        reason, *_ = f"{error}".strip().split("\n")
        print(f"left out: PyTorch, compiled ({type(error).__name__}: {reason})")
        return False
    return True


def _network(work: Work) -> nn.Module:
    if work.model == "mlp":
        network = nn.Sequential(nn.Linear(784, 256), nn.Sigmoid(), nn.Linear(256, 10))
    else:
        convolutions = [nn.Conv2d(3, 16, 5), nn.Sigmoid(), nn.MaxPool2d(2)]
        convolutions += [nn.Conv2d(16, 32, 5), nn.Sigmoid(), nn.MaxPool2d(2)]
        network = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(800, 128), nn.Sigmoid(), nn.Linear(128, 10))
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), work.parameters, strict=True):
            parameter.copy_(torch.from_numpy(_in_torch_layout(value)))
    return network


def _in_torch_layout(value: np.ndarray) -> np.ndarray:
    """Return a weight as PyTorch has it: (out, in), and (out, in, height, width) for a convolution."""
    if value.shape[0] == 800:  # the layer behind Flatten: PyTorch flattens channels first
        value = value.reshape(5, 5, 32, -1).transpose(2, 0, 1, 3).reshape(800, -1)
    return np.ascontiguousarray(value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T)


def _images(work: Work, channels_last: bool) -> torch.Tensor:
    if work.model == "mlp":
        return torch.from_numpy(work.flat)
    images = torch.from_numpy(work.x).permute(0, 3, 1, 2)
    return images.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _in_our_layout(images: torch.Tensor) -> np.ndarray:
    return (images.permute(0, 2, 3, 1) if images.ndim == 4 else images).numpy(force=True)


def _prepared(network: nn.Module, channels_last: bool, compiled: bool) -> nn.Module:
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    return torch.compile(network, dynamic=False) if compiled else network


def _epochs(
    work: Work, fused: bool, channels_last: bool = False, compiled: bool = False, device: str = "cpu"
) -> Iterator[float]:
    network = _prepared(_network(work), channels_last, compiled).to(device)
    optimizer = torch.optim.Adam(network.parameters(), fused=fused)
    x, y, epoch = _images(work, channels_last).to(device), torch.from_numpy(work.y).to(device), 0
    while True:
        epoch += 1
        total = torch.zeros((), device=device)
        for rows in (torch.from_numpy(rows).to(device) for rows in work.batches(epoch)):
            loss = cross_entropy(network(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
        yield total.item() / len(x)


class Attacked:
    """A network whose parameters need no gradients, its images, and attacks on them."""

    def __init__(
        self, work: Work, channels_last: bool = False, compiled: bool = False, device: str = "cpu", chunk: int = 0
    ) -> None:
        self.network = _prepared(_network(work).requires_grad_(False), channels_last, compiled).to(device)
        self.x, self.y = _images(work, channels_last).to(device), torch.from_numpy(work.y).to(device)
        self.chunk = chunk or CHUNK[work.model]

    def chunks(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return zip(self.x.split(self.chunk), self.y.split(self.chunk), strict=True)

    def logits_and_gradient(self, x, y):
        x = x.detach().requires_grad_()
        logits = self.network(x)
        loss = cross_entropy(logits, y, reduction="sum")
        return logits.detach(), torch.autograd.grad(loss, x)[0]

    def input_gradient(self) -> torch.Tensor:
        return torch.cat([self.logits_and_gradient(x, y)[1] for x, y in self.chunks()])

    @torch.no_grad()
    def misclassified(self, x, y):
        return self.network(x).argmax(1) != y

    def fgsm(self, epsilon: float) -> torch.Tensor:
        rows = []
        for x, y in self.chunks():
            logits, gradient = self.logits_and_gradient(x, y)
            images = (x + epsilon * gradient.sign()).clamp_(0, 1)
            rows.append(torch.stack([logits.argmax(1) != y, self.misclassified(images, y)]))
        return torch.cat(rows, dim=1)

    def pgd(self, epsilon: float, steps: int, starts: int) -> torch.Tensor:
        generator = torch.Generator(self.x.device).manual_seed(0)
        rows = []
        for x, y in self.chunks():
            images = self.climb(x, y, epsilon, steps, starts, generator)
            rows.append(torch.stack([self.misclassified(x, y), self.misclassified(images, y)]))
        return torch.cat(rows, dim=1)

    def climb(self, x, y, epsilon, steps, starts, generator):
        """Return the first iterate of each image that fools, else the last one; fooled images leave at once."""
        low, high = (x - epsilon).clamp_(0, 1), (x + epsilon).clamp_(0, 1)
        images = x.clone()
        standing = torch.arange(len(x), device=x.device)
        for start in range(starts):
            if start > 0:
                noise = torch.rand(images[standing].shape, generator=generator, device=x.device)
                images[standing] = (x[standing] + epsilon * (2 * noise - 1)).clamp_(0, 1)
            for _ in range(steps):
                logits, gradient = self.logits_and_gradient(images[standing], y[standing])
                right = logits.argmax(1) == y[standing]
                standing = standing[right]
                if not len(standing):
                    return images
                uphill = images[standing] + 2.5 * epsilon / steps * gradient[right].sign()
                images[standing] = torch.clamp(uphill, low[standing], high[standing])
            standing = standing[~self.misclassified(images[standing], y[standing])]
        return images

    def pixel(self, pixels: int) -> torch.Tensor:
        fooled_at = []
        for x, y in self.chunks():
            logits, gradient = self.logits_and_gradient(x, y)
            with torch.inference_mode():
                fooled_at.append(self.write(x.clone(), y, logits.argmax(1) != y, gradient, pixels))
        return torch.cat(fooled_at, dim=1)

    def write(self, images, y, fooled, gradient, pixels):
        """Try each combination of 0 and 1 on the best pixels, with a full forward pass, until one fools."""
        best = gradient.abs().topk(pixels, dim=1).indices
        fooled_at = []
        for n in range(1, pixels + 1):
            for values in product((0.0, 1.0), repeat=n):
                standing = (~fooled).nonzero()[:, 0]
                written = torch.tensor(values, device=images.device).expand(len(standing), n)
                candidates = images[standing].scatter_(1, best[standing, :n], written)
                hits = self.network(candidates).argmax(1) != y[standing]
                images[standing[hits]] = candidates[hits]
                fooled[standing[hits]] = True
            fooled_at.append(fooled.clone())
        return torch.stack(fooled_at)
