"""Fashion-MNIST: 70,000 images of clothing in MNIST's format, harder to classify than digits.

`idx` parses the files and `search` finds them; this module adds what is specific to the data set.
"""

from pathlib import Path

from data_loaders import idx
from data_loaders.dataset import Dataset
from data_loaders.download import RemoteFile
from data_loaders.search import Source, find_files

__all__ = ["CLASS_NAMES", "SOURCE", "load_fashion_mnist"]

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

SOURCE = Source(
    title="Fashion-MNIST",
    folder="fashion-mnist",
    files=(
        RemoteFile(
            "train-images-idx3-ubyte.gz",
            size=26_421_880,
            checksum="sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            unpacked="train-images-idx3-ubyte",
        ),
        RemoteFile(
            "train-labels-idx1-ubyte.gz",
            size=29_515,
            checksum="sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            unpacked="train-labels-idx1-ubyte",
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte.gz",
            size=4_422_102,
            checksum="sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            unpacked="t10k-images-idx3-ubyte",
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte.gz",
            size=5_148,
            checksum="sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            unpacked="t10k-labels-idx1-ubyte",
        ),
    ),
    addresses=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    system_folders=("/usr/share/datasets/fashion-mnist",),
    hint="On Debian and Ubuntu: apt-get install dataset-fashion-mnist.",
)

MNIST_TRAIN_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)


def load_fashion_mnist(folder: str | Path | None = None, download: bool = True) -> Dataset:
    """Load Fashion-MNIST: 60,000 training and 10,000 test images of ten kinds of clothing.

    Parameters
    ----------
    folder : path, optional
        The folder that contains the four idx files, or the parent of a folder ``fashion-mnist``
        that does. By default, the places listed in `data_loaders.search` are searched, including
        the folder of Debian's package.
    download : bool
        Whether to download the files (30 MB) into the user's cache if they are not found.

    Returns
    -------
    Dataset
        Images of shape (N, 28, 28, 1), uint8, with a black background.

    Raises
    ------
    DataNotFoundError
        If the files are not found and cannot be downloaded.
    DataError
        If a file is invalid.

    References
    ----------
    Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
    learning algorithms", arXiv:1708.07747, 2017. Licence: MIT.
    """
    paths = find_files(SOURCE, folder, download)
    train, test = idx.read_idx_splits(paths)
    idx.refuse_counts(train.labels, MNIST_TRAIN_COUNTS, paths[1], "MNIST")
    return Dataset("fashion-mnist", train, test, CLASS_NAMES, "Fashion-MNIST (Xiao et al. 2017)")
