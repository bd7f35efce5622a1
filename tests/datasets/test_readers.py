"""Data files: damaged, truncated or foreign ones are refused with their name."""

import io
import zipfile

import numpy as np
import pytest

from lamina.datasets import fashion_mnist, mnist


@pytest.fixture
def load(machine, tmp_path):
    def load(**changes):
        path = tmp_path / "set.npz"
        if "data" in changes:
            path.write_bytes(changes["data"])
        else:
            np.savez(path, **changes)
        return mnist.load_data(str(path))

    return load


def archive(arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def test_labels_of_any_integer_type(load, small_set):
    arrays = small_set(mnist)
    arrays["y_train"] = arrays["y_train"].astype(">i8")
    assert load(**arrays)[0][1].dtype == np.uint8


CHANGES = [
    ("x_train", lambda a: a.astype(np.float32), "expected uint8 images"),
    ("x_train", lambda a: a.reshape(12, 784), r"uint8 \(12, 784\)"),
    ("x_test", lambda a: a[:, :27], r"\(3, 27, 28\)"),
    ("x_test", lambda a: a[:0], "as many labels as images"),
    ("y_test", lambda a: a[:1], "as many labels as images"),
    ("y_train", lambda a: a + 9, "expected labels 0 to 9, found 9 to 18"),
    ("y_train", lambda a: a * 0.5, "integer labels"),
    ("y_train", lambda a: a.astype(object), "pickled objects are not loaded"),
]


@pytest.mark.parametrize(("key", "change", "message"), CHANGES)
def test_wrong_arrays(load, small_set, key, change, message):
    arrays = small_set(mnist)
    arrays[key] = change(arrays[key])
    with pytest.raises(ValueError, match=rf"(?s)^\[datasets.mnist\] the file is damaged.*{message}.*set.npz"):
        load(**arrays)


def test_missing_array(load, small_set):
    arrays = small_set(mnist)
    del arrays["y_test"]
    with pytest.raises(ValueError, match=r"expected arrays \['x_train', .*found \['x_test', 'x_train', 'y_train'\]"):
        load(**arrays)


@pytest.mark.parametrize("part", [0, 1, 20, 1000, -1, -30])
def test_truncated_archive(load, small_set, part):
    with pytest.raises(ValueError, match=r"(?s)\[datasets.mnist\] the file is damaged.*set.npz"):
        load(data=archive(small_set(mnist))[:part])


def test_flipped_bit(load, small_set):
    data = bytearray(archive(small_set(mnist)))
    data[2000] ^= 4
    with pytest.raises(ValueError, match=r"(?s)\[datasets.mnist\] the file is damaged.*cannot be read.*set.npz"):
        load(data=bytes(data))


def test_other_kinds_of_file(load):
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    pages = io.BytesIO()
    with zipfile.ZipFile(pages, "w") as file:
        for key in ("x_train", "y_train", "x_test", "y_test"):
            file.writestr(f"{key}.npy", b"\x93NUMPY")
    for data in (b"<html>not found</html>", array.getvalue(), pages.getvalue()):
        with pytest.raises(ValueError, match=r"(?s)\[datasets.mnist\] the file is damaged.*set.npz"):
            load(data=data)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("part", [3, 7, 10, -1])
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_truncated_idx(machine, tmp_path, monkeypatch, small_set, write_idx, suffix, part, name):
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    write_idx(tmp_path / "fashion-mnist", small_set(fashion_mnist), suffix)
    path = tmp_path / "fashion-mnist" / f"{name}{suffix}"
    path.write_bytes(path.read_bytes()[:part])
    with pytest.raises(ValueError, match=rf"\[datasets.fashion_mnist\] the file is damaged.*{name}"):
        fashion_mnist.load_data()


def test_idx_that_claims_to_be_huge(machine, tmp_path, monkeypatch, small_set, write_idx):
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    write_idx(tmp_path / "fashion-mnist", small_set(fashion_mnist), "")
    path = tmp_path / "fashion-mnist" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:4] + b"\xff" * 12 + b"0" * 100)
    with pytest.raises(ValueError, match=r"\[datasets.fashion_mnist\].*shape \(4294967295,.*found 100"):
        fashion_mnist.load_data()
