"""Tensors as the bytes of a safetensors file, with a checksum for each, and back.

Besides the tensors the header's metadata holds `format`, `version`, `config` (JSON), `checksums` (JSON:
CRC-32 of each tensor's name, dtype, shape and bytes) and `header` (CRC-32 of the other entries).
"""

from __future__ import annotations

import json
import zlib

import numpy as np
import safetensors

from . import _core

_FORMAT = "lamina"
_VERSION = "1"
# Names in files to names here; bfloat16 has no NumPy type and is read through its bits.
_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}


class DamagedFile(ValueError):
    """A file that is truncated, changed, or no file of Lamina."""


def encode(cores, config):
    """The bytes of a file.

    Args:
        cores: dict from name to core tensor.
        config: anything JSON can hold.

    Returns:
        bytes.
    """
    cores = {name: _core.contiguous(core) for name, core in cores.items()}
    specs = {name: _spec(core) for name, core in cores.items()}
    checksums = {name: _checksum(name, core.dtype, core.shape, _raw(core)) for name, core in cores.items()}
    metadata = {
        "format": _FORMAT,
        "version": _VERSION,
        "config": json.dumps(config),
        "checksums": json.dumps(checksums),
    }
    metadata["header"] = str(_header_checksum(metadata))
    return bytes(safetensors.serialize(specs, metadata))


def decode(data, source):
    """What `encode` wrote: (dict from name to core tensor, config).

    Args:
        data: bytes.
        source: how errors call the file.

    Raises:
        DamagedFile: if anything in the file is not what was written; the message names the damaged tensor.
    """
    try:
        tensors = safetensors.deserialize(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
    except (safetensors.SafetensorError, ValueError) as error:
        raise DamagedFile(
            f"[load] the file is damaged, cut short, or no .safetensors file. Received: {source} ({error}). "
            "Restore it from a copy."
        ) from None
    if metadata.get("format") != _FORMAT:
        raise DamagedFile(
            f"[load] the file was not written by Lamina: it carries no checksums. Received: {source}, "
            f"format={metadata.get('format')!r}."
        )
    if metadata.get("header") != str(_header_checksum(metadata)):
        raise DamagedFile(f"[load] the header is damaged. Received: {source}. Restore the file from a copy.")
    if metadata["version"] != _VERSION:
        raise DamagedFile(
            f"[load] the file is of format version {metadata['version']}, this is Lamina for {_VERSION}. "
            f"Received: {source}. Update Lamina."
        )
    checksums = json.loads(metadata["checksums"])
    cores = {}
    for name, entry in tensors:
        dtype = _DTYPES.get(entry["dtype"])
        found = _checksum(name, dtype, entry["shape"], entry["data"])
        if checksums.pop(name, None) != found:
            raise DamagedFile(
                f"[load] tensor {name!r} is damaged: its checksum differs. Received: {source}. "
                "Restore the file from a copy."
            )
        cores[name] = _core_of(entry["data"], dtype, entry["shape"])
    if checksums:
        raise DamagedFile(f"[load] tensor {min(checksums)!r} is missing. Received: {source}.")
    return cores, json.loads(metadata["config"])


def _spec(core):
    """What safetensors wants to know of a tensor."""
    shape = list(core.shape)
    if hasattr(safetensors, "TensorSpec"):
        return safetensors.TensorSpec(dtype=core.dtype, shape=shape, data_ptr=core.address, data_len=core.nbytes)
    return {"dtype": core.dtype, "shape": shape, "data": bytes(_raw(core))}  # before version 0.8


def _raw(core):
    """A core tensor's bytes, without a copy where NumPy has the type."""
    if core.dtype == "bfloat16":
        bits = np.asarray(_core.cast(core, "float32")).view(np.uint32) >> 16
        return bits.astype(np.uint16).tobytes()
    return np.asarray(core).reshape(-1).view(np.uint8)


def _core_of(data, dtype, shape):
    if dtype == "bfloat16":
        bits = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        return _core.cast(_core.copy_buffer(bits.view(np.float32).reshape(shape)), "bfloat16")
    return _core.copy_buffer(np.frombuffer(data, dtype).reshape(shape))


def _checksum(name, dtype, shape, raw):
    head = f"{name}:{dtype}:{list(shape)}".encode()
    return zlib.crc32(raw, zlib.crc32(head))


def _header_checksum(metadata):
    crc = 0
    for key in ("format", "version", "config", "checksums"):
        crc = zlib.crc32(f"{key}={metadata.get(key)}".encode(), crc)
    return crc
