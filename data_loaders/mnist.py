"""MNIST: 70,000 greyscale images of handwritten digits, 28 x 28 pixels; 5,000 come with the package.

`idx` parses the files and `search` finds them; this module adds what is specific to MNIST.
"""

from importlib import resources
from pathlib import Path

from data_loaders import idx
from data_loaders.dataset import Dataset
from data_loaders.download import RemoteFile
from data_loaders.search import Source, find_files

__all__ = ["DIGITS", "SOURCE", "load_mnist"]

DIGITS = tuple("0123456789")

SOURCE = Source(
    title="MNIST",
    folder="mnist",
    files=(
        RemoteFile(
            "train-images-idx3-ubyte.gz",
            size=9_912_422,
            checksum="sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            unpacked="train-images-idx3-ubyte",
        ),
        RemoteFile(
            "train-labels-idx1-ubyte.gz",
            size=28_881,
            checksum="sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            unpacked="train-labels-idx1-ubyte",
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte.gz",
            size=1_648_877,
            checksum="sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            unpacked="t10k-images-idx3-ubyte",
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte.gz",
            size=4_542,
            checksum="sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            unpacked="t10k-labels-idx1-ubyte",
        ),
    ),
    addresses=(
        "http://yann.lecun.com/exdb/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    hint="Without these files, load_mnist(mini=True) loads 5,000 of its digits.",
)

FASHION_TRAIN_COUNTS = (6000,) * 10


def load_mnist(folder: str | Path | None = None, download: bool = True, mini: bool = False) -> Dataset:
    """Load MNIST: 60,000 training and 10,000 test images of the digits 0 to 9.

    Parameters
    ----------
    folder : path, optional
        The folder that contains the four idx files, or the parent of a folder ``mnist`` that does.
        By default, the places listed in `data_loaders.search` are searched.
    download : bool
        Whether to download the files (11 MB) into the user's cache if they are not found.
    mini : bool
        Load the 5,000 digits that come with this package instead: 4,000 for training and 1,000 for
        testing, 500 of each class. All 5,000 come from MNIST's *training* set, so a network trained
        on one of the two data sets must not be tested on the other. `folder` and `download` have no
        effect.

    Returns
    -------
    Dataset
        Images of shape (N, 28, 28, 1), uint8: white digits (255) on black (0).

    Raises
    ------
    DataNotFoundError
        If the files are not found and cannot be downloaded.
    DataError
        If a file is invalid.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86, 1998. Licence: CC BY-SA 3.0.

    Examples
    --------
    >>> load_mnist(mini=True)
    Dataset('digits', 4000 train + 1000 test images of 28x28x1, 10 classes)
    """
    if mini:
        return _load_mini()
    paths = find_files(SOURCE, folder, download)
    train, test = idx.read_idx_splits(paths)
    idx.refuse_counts(train.labels, FASHION_TRAIN_COUNTS, paths[1], "Fashion-MNIST")
    return Dataset("mnist", train, test, DIGITS, "MNIST (LeCun et al. 1998)")


def _load_mini() -> Dataset:
    with resources.as_file(resources.files("data_loaders") / "mini") as shipped:
        train, test = idx.read_idx_splits([shipped / name for name in idx.FILE_NAMES])
    return Dataset(
        "digits",
        train,
        test,
        DIGITS,
        "5,000 images of MNIST's training set (LeCun et al. 1998), split 4,000 / 1,000",
    )
