"""Fashion-MNIST: 60 000 + 10 000 images of clothes, 28x28; a sample of 1 000 + 200 is embedded."""

from pathlib import Path

from .download import Remote
from .locate import Source, load
from .readers import Split, read_npz

class_names = (
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
"""Name of each label, 0 to 9."""

# File, sha256 of the decompressed file, its size.
_FILES = (
    ("train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", 60_008),
    (
        "train-images-idx3-ubyte",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        47_040_016,
    ),
    ("t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", 10_008),
    ("t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", 7_840_016),
)

_SOURCE = Source(
    name="fashion_mnist",
    archive="fashion_mnist.npz",
    folder="fashion-mnist",
    opening=(9, 0, 0, 3, 0, 2, 7, 2, 5, 5),
    remotes=tuple(
        Remote(
            url=f"https://storage.googleapis.com/tensorflow/tf-keras-datasets/{name}.gz",
            path=f"fashion-mnist/{name}.gz",
            sha256=sha256,
            size=size,
        )
        for name, sha256, size in _FILES
    ),
    package=(
        "call load_data() once where there is a network, which fills the cache folder, or install Debian's "
        "package "
        "dataset-fashion-mnist"
    ),
)


def load_data() -> tuple[Split, Split]:
    """Loads Fashion-MNIST, as `keras.datasets.fashion_mnist.load_data` does.

    Looked for in $LAMINA_DATA, ~/.cache/lamina, ~/.keras/datasets and /usr/share/datasets (Debian's package
    dataset-fashion-mnist), as `fashion_mnist.npz` or as the four IDX files (raw or .gz, in the folder or its
    `fashion-mnist`), then downloaded into ~/.cache/lamina.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 [n, 28, 28], background 0; labels uint8 [n], 0-9,
        named by `class_names`.

    Raises:
        FileNotFoundError: When it is nowhere and cannot be downloaded; the message says how to provide it.
        ValueError: When a file is damaged.

    Reference: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    Learning
        Algorithms", arXiv:1708.07747
    """
    return load(_SOURCE)


def load_sample() -> tuple[Split, Split]:
    """Loads the embedded sample: of each class the first 100 training and the first 20 test images.

    Returns:
        `(x_train, y_train), (x_test, y_test)` as `load_data` gives them, 1 000 and 200 images.

    Example:
        >>> from lamina.datasets import fashion_mnist
        >>> (x_train, y_train), (x_test, y_test) = fashion_mnist.load_sample()
        >>> x_train.shape, y_test.shape, fashion_mnist.class_names[y_train[0]]
        ((1000, 28, 28), (200,), 'Ankle boot')
    """
    return read_npz(Path(__file__).with_name("fashion_mnist_sample.npz"), _SOURCE.tag)
