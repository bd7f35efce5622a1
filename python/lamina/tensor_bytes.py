"""One tensor as bytes of the safe format: what Python's copy and pickle protocols carry."""

from __future__ import annotations

from .container import decode, encode


def bytes_of(tensor):
    """A tensor's values, type and shape as safetensors bytes.

    Args:
        tensor: Tensor or Variable; not a symbolic one.

    Returns:
        bytes, for `core_of_bytes`.

    Raises:
        ValueError: for a symbolic tensor.

    Example:
        >>> import lamina as lm
        >>> core_of_bytes(bytes_of(lm.convert_to_tensor([1.0, 2.0]))).shape
        (2,)
    """
    core = tensor._core
    if core.is_symbolic:
        raise ValueError(
            f"[bytes_of] a symbolic tensor has a shape and a dtype but no values. Received: shape={core.shape}."
        )
    return encode({"tensor": core}, None)


def core_of_bytes(data):
    """The core tensor that `bytes_of` described.

    Raises:
        ValueError: if the bytes are damaged.
    """
    return decode(data, "bytes of a tensor")[0]["tensor"]
