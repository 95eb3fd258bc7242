"""The shipped network and digits: what they are, and that they are those of MNIST's test set."""

import os
from pathlib import Path

import numpy as np
import pytest

from minirobust.explore import shipped
from minirobust.explore.shipped import NAME, make


def test_the_shipped_file_is_small_and_complete():
    x, y = shipped.digits()
    assert (x.shape, x.dtype, y.tolist()) == ((200, 28, 28, 1), "float32", list(range(10)) * 20)
    assert (shipped.network().predict(x) == y).mean() > 0.95
    assert (Path(shipped.__file__).parent / "network" / NAME).stat().st_size < 450_000


def test_no_shipped_digit_is_among_those_that_a_page_trains_on():
    from data_loaders import load_mnist

    data = load_mnist(mini=True)
    trained = {image.tobytes() for split in (data.train, data.test) for image in split.images}
    x, _ = shipped.digits()
    assert not trained & {image.tobytes() for image in np.round(x * 255).astype("uint8")}


@pytest.mark.skipif("MINIROBUST_DATA" not in os.environ, reason="MINIROBUST_DATA names no folder with the full MNIST")
def test_file_is_made_from_a_checkpoint_and_the_first_test_images(tmp_path):
    import minirobust as mr
    from data_loaders import load_mnist

    mr.save(tmp_path / "net.h5", shipped.network())
    make(tmp_path / "net.h5", tmp_path / NAME)
    with np.load(tmp_path / NAME) as made:
        assert np.array_equal(made["parameters"].astype("float32"), shipped.network().parameters)
        images, labels = made["images"], made["labels"]
    test = load_mnist().test
    assert np.array_equal(images[10::10], test.images[test.labels == 0][1:20])
    x, y = shipped.digits()
    assert np.array_equal(images, np.round(x * 255).astype("uint8"))
    assert np.array_equal(labels, y)
