"""The tests that students do not see."""

import numpy as np

from minirobust.classroom.exercise import test
from minirobust.classroom.oracles import SmallNetwork

SHAPE = (3, 4, 1)


def inputs(draw, samples=4):
    """Return a network, images of which many pixels are near 0 or 1, labels, and epsilon."""
    network = SmallNetwork(draw, SHAPE)
    x = draw.uniform(-0.2, 1.2, (samples, *SHAPE)).clip(0, 1)
    y = (network.logits(x).argmax(axis=1) + draw.integers(0, 3, samples)) % 4
    y[0] = (network.logits(x)[0].argmax() + 1) % 4  # one image at least is not classified as its label says
    return network, x, y, draw.uniform(0.1, 0.3)


def random_mask(draw, x):
    """Return a mask that allows about half of the pixels."""
    return (draw.uniform(size=x.shape) < 0.5).astype("float64")


@test("FGSM on all pixels of new images", points=2, section=1)
def fgsm(program, draw):
    network, x, y, epsilon = inputs(draw)
    yield program.call("fgsm", network, x, y, epsilon, np.ones_like(x))


@test("FGVM on all pixels of new images", points=2, section=2)
def fgvm(program, draw):
    network, x, y, epsilon = inputs(draw)
    yield program.call("fgvm", network, x, y, epsilon, np.ones_like(x))


@test("FGSM under new masks", points=2, section=3)
def masked_fgsm(program, draw):
    network, x, y, epsilon = inputs(draw)
    yield program.call("fgsm", network, x, y, epsilon, random_mask(draw, x))


@test("FGVM under new masks", points=2, section=3)
def masked_fgvm(program, draw):
    network, x, y, epsilon = inputs(draw)
    mask = random_mask(draw, x)
    # Forbid the pixel of the largest gradient in every image: the largest allowed one takes its place.
    sizes = abs(network.input_gradient(x, y)).reshape(len(x), -1)
    mask.reshape(len(x), -1)[np.arange(len(x)), sizes.argmax(axis=1)] = 0
    mask[:, 1, 1] = 1
    yield program.call("fgvm", network, x, y, epsilon, mask)


@test("FGVM of images without an allowed gradient", points=1, section=2)
def nothing_allowed(program, draw):
    network, x, y, epsilon = inputs(draw)
    mask = np.ones_like(x)
    mask[1] = 0
    mask[2] = 0
    mask[2, 0, 0] = 1  # the pixel without influence
    yield program.call("fgvm", network, x, y, epsilon, mask)


@test("the images are left alone", points=1, section=3)
def arguments(program, draw):
    network, x, y, epsilon = inputs(draw)
    for attack in ("fgsm", "fgvm"):
        yield program.call(attack, network, x, y, epsilon, random_mask(draw, x))
        yield float(program.changed)
