"""MNIST: 60 000 + 10 000 images of handwritten digits, 28x28."""

from .download import Remote
from .locate import Source, load
from .readers import Split

_SOURCE = Source(
    name="mnist",
    archive="mnist.npz",
    folder="mnist",
    opening=(5, 0, 4, 1, 9, 2, 1, 3, 1, 4),
    remotes=(
        Remote(
            url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
            path="mnist.npz",
            sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
            size=11_490_434,
        ),
    ),
    package="call load_data() once where there is a network, which fills the cache folder",
)


def load_data(path: str = "mnist.npz") -> tuple[Split, Split]:
    """Loads MNIST, as `keras.datasets.mnist.load_data` does.

    Looked for in $LAMINA_DATA, ~/.cache/lamina, ~/.keras/datasets and /usr/share/datasets, as `mnist.npz` or
    as the four IDX files (raw or .gz, in the folder or its `mnist`), then downloaded into ~/.cache/lamina.

    Args:
        path: Name of the .npz file in those folders, or its absolute path.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 [n, 28, 28], background 0; labels uint8 [n], 0-9.

    Raises:
        FileNotFoundError: When it is nowhere and cannot be downloaded; the message says how to provide it.
        ValueError: When a file is damaged.

    Reference: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
    recognition",
        1998; http://yann.lecun.com/exdb/mnist
    """
    return load(_SOURCE, path)
