"""The six completed novels of Jane Austen, public domain: 4 million characters of clean prose."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from .download import Remote, download
from .locate import cache_folder, roots

titles = (
    "Sense and Sensibility",
    "Pride and Prejudice",
    "Mansfield Park",
    "Emma",
    "Northanger Abbey",
    "Persuasion",
)
"""Names of the novels, in the order of publication."""

_TAG = "datasets.austen"
_NAME = "r-cran-janeaustenr_1.0.0-1_all.deb"
_REMOTE = Remote(
    url=f"https://deb.debian.org/debian/pool/main/r/r-cran-janeaustenr/{_NAME}",
    path=_NAME,
    sha256="df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95",
    size=1_626_392,
)
_INSTALLED = Path("/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb")
_STRINGS, _STRING, _MISSING = 16, 9, -1  # types of R's serialization


def load_data() -> dict[str, str]:
    """Loads the novels.

    Debian's package r-cran-janeaustenr holds them. It is used where it is installed; else its file is looked for in
    $LAMINA_DATA and ~/.cache/lamina, and downloaded into the latter (1.6 MB).

    Returns:
        The texts by title, in the order of publication; lines end in a newline.

    Raises:
        FileNotFoundError: When it is nowhere and cannot be downloaded; the message says how to provide it.
        ValueError: When the file is damaged.

    Reference: the texts are Project Gutenberg's, in the form of Julia Silge's R package janeaustenr.
    """
    try:
        content = _INSTALLED.read_bytes() if _INSTALLED.is_file() else _from_package(_package())
        novels = {text.split("\n", 1)[0].title().replace(" And ", " and "): text for text in _novels(content)}
        return {title: novels[title] for title in titles}
    except (struct.error, zlib.error, tarfile.TarError, EOFError, KeyError, UnicodeDecodeError, IndexError) as error:
        raise ValueError(
            f"[{_TAG}] the novels cannot be read ({type(error).__name__}: {error}); expected the data of the R package "
            f"janeaustenr 1.0.0. Remove {_NAME} from {cache_folder()} and call load_data again."
        ) from error


def _package() -> Path:
    for root in roots():
        if (root / _NAME).is_file():
            return root / _NAME
    try:
        download(_REMOTE, cache_folder() / _NAME, _TAG)
    except OSError as error:
        raise FileNotFoundError(
            f"[{_TAG}] the novels are not on this machine and could not be downloaded; expected {_NAME}. Received: "
            f"LAMINA_DATA={os.environ.get('LAMINA_DATA')!r}, cache={str(cache_folder())!r}, download error={error}. "
            f"Install Debian's package r-cran-janeaustenr, or put the file into one of the two folders."
        ) from error
    return cache_folder() / _NAME


def _from_package(path: Path) -> bytes:
    """The R data of a .deb: an ar archive (60 bytes before each member) with a tar archive of the files."""
    content, at = path.read_bytes(), len(b"!<arch>\n")
    while at < len(content):
        name, size = content[at : at + 16].rstrip(b" /"), int(content[at + 48 : at + 58])
        if name.startswith(b"data.tar"):
            with tarfile.open(fileobj=io.BytesIO(content[at + 60 : at + 60 + size])) as archive:
                file = archive.extractfile(f".{_INSTALLED}")
                if file is not None:
                    return file.read()
        at += 60 + size + size % 2
    raise EOFError("no data in the package")


def _novels(content: bytes) -> Iterator[str]:
    """The character vectors of an R lazy-load database: deflated values one after the other, 4 bytes before each."""
    while len(content) > 4:
        inflate = zlib.decompressobj()
        value = inflate.decompress(content[4:])
        content = inflate.unused_data
        lines = _lines(value)
        if lines:
            yield "\n".join(lines).strip("\n") + "\n"


def _lines(value: bytes) -> list[str]:
    """The strings of a serialized character vector (R Internals, 1.8 Serialization Formats), or none."""
    at = 2 + 3 * 4  # "X\n", version, two versions of R
    if struct.unpack_from(">i", value, 2)[0] == 3:
        at += 4 + struct.unpack_from(">i", value, at)[0]  # the encoding's name
    flags, count = struct.unpack_from(">2i", value, at)
    if flags & 255 != _STRINGS:
        return []
    at += 8
    lines = []
    for _ in range(count):
        flags, size = struct.unpack_from(">2i", value, at)
        if flags & 255 != _STRING:
            raise EOFError(f"type {flags & 255} in a vector of strings")
        at += 8
        if size != _MISSING:
            lines.append(value[at : at + size].decode())
            at += size
    return lines
