"""Fashion-MNIST: the embedded sample, and downloading the full set."""

import gzip
import hashlib
import io

import numpy as np
import pytest

from lamina.datasets import fashion_mnist, locate


def test_sample():
    (x, y), (xt, yt) = fashion_mnist.load_sample()
    assert x.shape == (1000, 28, 28) and xt.shape == (200, 28, 28) and x.dtype == xt.dtype == np.uint8
    assert np.bincount(y).tolist() == [100] * 10 and np.bincount(yt).tolist() == [20] * 10
    assert y[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    centroids = np.stack([x[y == c].mean(0).ravel() for c in range(10)])
    assert (((xt.reshape(-1, 1, 784) - centroids) ** 2).sum(-1).argmin(1) == yt).mean() > 0.6


def test_class_names():
    assert len(fashion_mnist.class_names) == 10 and fashion_mnist.class_names[8] == "Bag"


def test_sample_is_the_beginning_of_the_full_set():
    if locate._find(fashion_mnist._SOURCE, "fashion_mnist.npz") is None:
        pytest.skip("full Fashion-MNIST is not on this machine (LAMINA_DATA, or Debian's dataset-fashion-mnist)")
    for full, sample, count in zip(fashion_mnist.load_data(), fashion_mnist.load_sample(), (100, 20)):
        rows = np.sort(np.concatenate([np.flatnonzero(full[1] == label)[:count] for label in range(10)]))
        assert np.array_equal(full[0][rows], sample[0]) and np.array_equal(full[1][rows], sample[1])


def test_download(machine, monkeypatch, small_set, idx_files):
    arrays = small_set(fashion_mnist)
    files = idx_files(arrays)
    asked = []

    def answer(url, timeout):
        asked.append(url)
        return io.BytesIO(gzip.compress(files[url.rsplit("/", 1)[1].removesuffix(".gz")]))

    remotes = tuple(
        locate.Remote(r.url, r.path, hashlib.sha256(data).hexdigest(), len(data))
        for r in fashion_mnist._SOURCE.remotes
        for data in [files[r.path.split("/")[1].removesuffix(".gz")]]
    )
    source = fashion_mnist._SOURCE._replace(remotes=remotes)
    monkeypatch.setattr(fashion_mnist, "_SOURCE", source)
    monkeypatch.setattr("urllib.request.urlopen", answer)
    for _ in range(2):  # the second time from the cache
        (x, y), _ = fashion_mnist.load_data()
        assert np.array_equal(x, arrays["x_train"]) and np.array_equal(y, arrays["y_train"])
        assert len(asked) == 4 and all(url.startswith("https://storage.googleapis.com/tensorflow/") for url in asked)
