"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets


def write_atomic(path, data):
    """Replaces the file at `path` by one that holds `data`; whatever interrupts it, the old file stays whole.

    The data goes to a temporary file beside it and to the disk, then takes the name, then the folder goes to
    the disk. The mode is what the umask leaves of 0666.

    Args:
        path: path of the file.
        data: bytes.

    Raises:
        OSError: if the folder cannot be written.
    """
    path = os.path.abspath(path)
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
