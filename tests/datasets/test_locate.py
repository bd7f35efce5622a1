"""Full data sets: where they are found, and what is said when they are nowhere."""

import numpy as np
import pytest

from lamina.datasets import fashion_mnist, mnist

SETS = [mnist, fashion_mnist]


def same(got, arrays):
    (x, y), (xt, yt) = got
    parts = zip((x, y, xt, yt), arrays.values())
    return all(a.dtype == np.uint8 and np.array_equal(a, b) for a, b in parts)


@pytest.mark.parametrize("module", SETS)
@pytest.mark.parametrize("place", ["data", "home/.cache/lamina", "home/.keras/datasets"])
@pytest.mark.parametrize("form", ["npz", "idx", "idx below", "idx raw"])
def test_found(module, place, form, machine, tmp_path, monkeypatch, small_set, write_idx):
    source, arrays = module._SOURCE, small_set(module)
    folder = tmp_path / place
    folder.mkdir(parents=True)
    if place == "data":
        monkeypatch.setenv("LAMINA_DATA", str(folder))
    if form == "npz":
        np.savez(folder / source.archive, **arrays)
    else:
        write_idx(
            folder / source.folder if form == "idx below" else folder,
            arrays,
            "" if form == "idx raw" else ".gz",
        )
    assert same(module.load_data(), arrays)


def test_equal_file_names_do_not_mix_up_the_sets(machine, tmp_path, monkeypatch, small_set, write_idx):
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    write_idx(tmp_path, small_set(mnist))
    assert same(mnist.load_data(), small_set(mnist))
    with pytest.raises(FileNotFoundError, match="datasets.fashion_mnist"):
        fashion_mnist.load_data()


def test_lamina_data_comes_first(machine, tmp_path, monkeypatch, small_set):
    own, cached = small_set(mnist), small_set(mnist)
    own["x_train"] = own["x_train"][::-1].copy()
    for folder, arrays in ((tmp_path / "data", own), (machine / ".cache" / "lamina", cached)):
        folder.mkdir(parents=True)
        np.savez(folder / "mnist.npz", **arrays)
    assert same(mnist.load_data(), cached)
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path / "data"))
    assert same(mnist.load_data(), own)


def test_mnist_path(machine, tmp_path, monkeypatch, small_set):
    arrays = small_set(mnist)
    np.savez(tmp_path / "mine.npz", **arrays)
    assert same(mnist.load_data(str(tmp_path / "mine.npz")), arrays)
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    assert same(mnist.load_data("mine.npz"), arrays)
    with pytest.raises(FileNotFoundError, match=r"\[datasets.mnist\] there is no such file.*other.npz"):
        mnist.load_data(str(tmp_path / "other.npz"))


@pytest.mark.parametrize("module", SETS)
def test_absent_and_offline(module, machine, monkeypatch):
    monkeypatch.setenv("LAMINA_DATA", "/no/such/folder")
    with pytest.raises(FileNotFoundError) as caught:
        module.load_data()
    message = str(caught.value)
    for part in (
        f"[{module._SOURCE.tag}]",
        "Received: LAMINA_DATA='/no/such/folder' (no such folder)",
        "no network in this test",
        f"(1) set LAMINA_DATA to a folder that holds {module._SOURCE.archive}",
        f"(2) put the same into {machine / '.cache' / 'lamina'}",
        "(3) call load_data() once where there is a network",
    ):
        assert part in message
    assert ("dataset-fashion-mnist" in message) == (module is fashion_mnist)
