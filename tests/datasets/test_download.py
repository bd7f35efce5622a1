"""Downloads: complete and checked, or not at all."""

import gzip
import hashlib
import http.client
import io
import os

import pytest

from lamina.datasets import download as module
from lamina.datasets.download import Remote, download

CONTENT = os.urandom(3000) + bytes(3000)


@pytest.fixture
def served(monkeypatch):
    """Lets every address answer with the given bytes."""

    def serve(data):
        monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: io.BytesIO(data))

    monkeypatch.setattr(module, "_CHUNK", 1000)
    return serve


def remote(path):
    return Remote("https://example.org/f", path, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.mark.parametrize(
    ("path", "data"),
    [("f.npz", CONTENT), ("f.gz", gzip.compress(CONTENT)), ("f.gz", gzip.compress(CONTENT, 1))],
)
def test_kept_when_the_content_is_right(served, tmp_path, path, data):
    served(data)
    target = tmp_path / "new" / path
    download(remote(path), target, "datasets.test")
    assert target.read_bytes() == data and os.listdir(target.parent) == [path]
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("f.npz", CONTENT[:-1]),
        ("f.npz", CONTENT + b"0" * 10**6),
        ("f.npz", b""),
        ("f.gz", CONTENT),
        ("f.gz", gzip.compress(CONTENT)[:-4]),
        ("f.gz", gzip.compress(CONTENT + b"0" * 10**6)),
    ],
)
def test_thrown_away_when_it_is_not(served, tmp_path, path, data):
    served(data)
    with pytest.raises(
        ValueError, match=r"\[datasets.test\].*not the published one.*sha256=.*url=https://example.org/f"
    ):
        download(remote(path), tmp_path / path, "datasets.test")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), http.client.BadStatusLine("?"), KeyboardInterrupt()])
def test_broken_off(monkeypatch, tmp_path, error):
    class Answer(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise error
            return super().read(100)

    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: Answer(CONTENT))
    with pytest.raises(OSError if isinstance(error, Exception) else KeyboardInterrupt):
        download(remote("f.npz"), tmp_path / "f.npz", "datasets.test")
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_there_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "f.npz").write_bytes(b"old")
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: pytest.fail("asked the network"))
    download(remote("f.npz"), tmp_path / "f.npz", "datasets.test")
    assert (tmp_path / "f.npz").read_bytes() == b"old"


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
