"""The novels' reader on a package made here, in the format of the real one."""

import io
import struct
import tarfile
import zlib
from pathlib import Path

import pytest

from lamina.datasets import austen


def serialized(lines, version=3):
    """An R character vector in XDR, as R Internals 1.8 says."""
    encoding = struct.pack(">i", 5) + b"UTF-8" if version == 3 else b""
    value = b"X\n" + struct.pack(">3i", version, 0x40200, 0x30500) + encoding + struct.pack(">2i", 16, len(lines))
    for line in lines:
        text = b"" if line is None else line.encode()
        value += struct.pack(">2i", 9 | 0x40000, -1 if line is None else len(text)) + text
    return value


def database(values):
    return b"".join(struct.pack(">i", len(value)) + zlib.compress(value) for value in values)


def package(content):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        info = tarfile.TarInfo("./nowhere/Rdata.rdb")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    members = b""
    for name, member in ((b"debian-binary", b"2.0"), (b"data.tar.xz", data.getvalue())):
        members += name.ljust(16) + b"0".ljust(32) + str(len(member)).encode().ljust(10) + b"`\n" + member
        members += b"\n" * (len(member) % 2)
    return b"!<arch>\n" + members


NOVELS = [[title.upper(), "", "by Jane Austen", None, "", f"It is {title}: £1 — a line."] for title in austen.titles]
OTHER = b"X\n" + struct.pack(">5i", 2, 0, 0, 13, 0)  # a vector of integers


@pytest.fixture
def folder(machine, tmp_path, monkeypatch):
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    monkeypatch.setattr(austen, "_INSTALLED", Path("/nowhere/Rdata.rdb"))
    return tmp_path


@pytest.mark.parametrize("version", [2, 3])
def test_novels_come_by_title_and_in_order(folder, version):
    values = [serialized(lines, version) for lines in reversed(NOVELS)]
    (folder / austen._NAME).write_bytes(package(database([*values[:2], OTHER, *values[2:]])))
    novels = austen.load_data()
    assert list(novels) == list(austen.titles)
    assert novels["Emma"] == "EMMA\n\nby Jane Austen\n\nIt is Emma: £1 — a line.\n"


def test_installed_package_comes_first(folder, tmp_path, monkeypatch):
    (tmp_path / "Rdata.rdb").write_bytes(database([serialized(lines) for lines in NOVELS]))
    monkeypatch.setattr(austen, "_INSTALLED", tmp_path / "Rdata.rdb")
    assert len(austen.load_data()) == 6


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"!<arch>\n",
        package(b""),
        package(database([serialized(NOVELS[0])])),
        package(database([serialized(lines) for lines in NOVELS]))[:-300],
        package(database([serialized(lines)[:-9] for lines in NOVELS])),
    ],
    ids=["empty", "no members", "no novels", "one novel", "cut archive", "cut values"],
)
def test_damaged_package(folder, content):
    (folder / austen._NAME).write_bytes(content)
    with pytest.raises(ValueError, match=r"\[datasets.austen\] the novels cannot be read .*Remove r-cran"):
        austen.load_data()


def test_nowhere(folder):
    with pytest.raises(FileNotFoundError, match="no network in this test.*Install Debian's package r-cran-janeaustenr"):
        austen.load_data()
