"""A machine with no data set and no network, and small data sets to put on it."""

import gzip
import struct
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from lamina.datasets import locate, readers


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """The home folder of a machine on which only `tmp_path` is searched and every download fails."""

    def unreachable(url, timeout):
        raise urllib.error.URLError("no network in this test")

    home, roots = tmp_path / "home", locate.roots
    home.mkdir()
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.delenv("LAMINA_DATA", raising=False)
    monkeypatch.setattr(locate, "roots", lambda: [root for root in roots() if root.is_relative_to(tmp_path)])
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    return home


@pytest.fixture
def small_set():
    """Makes a set of 12 + 3 images whose labels begin as the real one's do."""

    def make(module):
        x = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
        y = np.array([*module._SOURCE.opening, 1, 2], np.uint8)
        return dict(zip(readers.KEYS, (x, y, x[:3] + 1, y[:3])))

    return make


@pytest.fixture
def idx_files():
    """Makes the content of the four IDX files of a set, by name."""

    def make(arrays):
        return {
            name: struct.pack(f">4B{a.ndim}I", 0, 0, 8, a.ndim, *a.shape) + a.tobytes()
            for name, a in zip(readers.IDX_FILES, arrays.values())
        }

    return make


@pytest.fixture
def write_idx(idx_files):
    """Writes the four IDX files of a set into a folder."""

    def write(folder, arrays, suffix=".gz"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in idx_files(arrays).items():
            (folder / f"{name}{suffix}").write_bytes(gzip.compress(data) if suffix else data)

    return write
