"""Downloads with a checksum, complete or not at all."""

import os
import zlib
from pathlib import Path
from typing import IO, NamedTuple

_TIMEOUT = 20.0  # seconds without an answer
_CHUNK = 1 << 20


class Remote(NamedTuple):
    """A file to download.

    Attributes:
        url: Its address.
        path: Its path below the cache folder.
        sha256: Checksum of the file, or of what it decompresses to when `path` ends in .gz (mirrors compress
        anew).
        size: Length in bytes of what is summed; more is not read.
    """

    url: str
    path: str
    sha256: str
    size: int


def download(remote: Remote, target: Path, where: str) -> None:
    """Puts a file at `target`: written beside it, checked, then renamed, so `target` is always whole.

    Raises:
        OSError: When there is no network, no such file or no room.
        ValueError: When the checksum differs; nothing is kept.
    """
    if target.exists():
        return
    import http.client  # 20 ms that only a download should cost
    import secrets
    import urllib.request

    partial = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        with urllib.request.urlopen(remote.url, timeout=_TIMEOUT) as answer:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(partial, "xb") as file:
                received = _copy(answer, file, remote)
                file.flush()
                os.fsync(file.fileno())
        if received != remote.sha256:
            raise ValueError(
                f"[{where}] the downloaded file is not the published one and was thrown away; expected "
                f"sha256={remote.sha256}. Received: sha256={received}, url={remote.url}. Try again, or get "
                f"the file "
                f"another way and put it at {target}."
            )
        os.replace(partial, target)
    except http.client.HTTPException as error:
        raise OSError(f"no valid answer from {remote.url} ({type(error).__name__})") from error
    finally:
        partial.unlink(missing_ok=True)


def _copy(answer: IO[bytes], file: IO[bytes], remote: Remote) -> str:
    """Writes the answer to the file and returns the checksum of its content; stops once it is too long."""
    import hashlib

    content, count, written = hashlib.sha256(), 0, 0
    inflate = zlib.decompressobj(wbits=31) if remote.path.endswith(".gz") else None
    while max(count, written) <= remote.size and (chunk := answer.read(_CHUNK)):
        file.write(chunk)
        written += len(chunk)
        if inflate is not None:
            try:
                chunk = inflate.decompress(chunk, remote.size - count + 1)
            except zlib.error:
                return "none (not gzip data)"
        content.update(chunk)
        count += len(chunk)
    if inflate is not None and not inflate.eof:
        return "none (gzip data end early or are too long)"
    return content.hexdigest()
