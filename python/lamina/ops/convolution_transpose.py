"""Transposed convolutions over 1, 2 and 3 axes, on the input gradient of images (convolution.py).

With three axes all depth taps' images are made at once, as channels, and added where their depths lie.
"""

from __future__ import annotations

from .common import floating, tensor
from .convolution import conv2d_input_grad
from .joining import pad
from .shape import expand_dims, getitem, reshape, squeeze, transpose
from .spatial import AXES, channels_first, per_axis, symbolic, to_first, to_last


def conv_transpose(inputs, kernel, strides=1, padding="valid", output_padding=None, data_format=None, dilation_rate=1):
    """Transposed convolution: the gradient of a convolution with respect to its inputs, as a layer upward.

    Along each axis, with reach = (kernel size - 1) dilation + 1 and an output of `size`,
    `y[i stride + tap dilation - crop] += x[i] w[tap]`.

    Args:
        inputs: floating tensor `[batch, 1 to 3 axes, channels]`.
        kernel: `[one size per axis, filters, channels]`: the filters come before the channels.
        strides: output steps between inputs; a number, or one per axis.
        padding: `"valid"` (size = (inputs - 1) stride + max(reach, stride)) or `"same"` (size = inputs x stride).
        output_padding: another size instead: (inputs - 1) stride + output_padding, plus reach for `"valid"`, plus
            1 for `"same"` where reach is odd; a number below the stride, or one per axis.
        data_format: `"channels_last"` (the default), or `"channels_first"`: the second axis.
        dilation_rate: output steps between filter taps; a number, or one per axis.

    Returns:
        Tensor `[batch, 1 to 3 axes, filters]` in the layout of `inputs`.

    Raises:
        ValueError: for inputs of another rank, channels that do not match, an output_padding that is not below
            the stride.

    Example:
        >>> import lamina as lm
        >>> lm.ops.conv_transpose(lm.ops.ones((1, 4, 4, 3)), lm.ops.ones((3, 3, 2, 3)), 2, "same").shape
        (1, 8, 8, 2)
    """
    op, first = "conv_transpose", channels_first("conv_transpose", data_format)
    x, w = floating(inputs), tensor(kernel)
    rank = x.ndim - 2
    if rank not in AXES or w.ndim != x.ndim:
        raise ValueError(
            f"[{op}] has inputs of 3 to 5 axes and a kernel of as many. "
            f"Received: inputs.shape={x.shape}, kernel.shape={w.shape}."
        )
    x = to_last(x, first)
    if x.shape[-1] not in (None, w.shape[-1]):
        raise ValueError(
            f"[{op}] the kernel's last axis must be the inputs' channels. "
            f"Received: inputs.shape={x.shape}, kernel.shape={w.shape}."
        )
    strides, gaps = per_axis(op, "strides", strides, rank), per_axis(op, "dilation_rate", dilation_rate, rank)
    if min(*strides, *gaps) < 1:
        raise ValueError(
            f"[{op}] strides and dilation_rate must be at least 1. Received: strides={strides}, dilation_rate={gaps}."
        )
    more = None if output_padding is None else per_axis(op, "output_padding", output_padding, rank)
    sizes, sides = _transposed_sizes(op, x.shape[1:-1], w.shape[:-2], strides, padding, more, gaps)
    if rank == 3:
        return to_first(_transpose3d(x, w, sizes, sides, strides, gaps), first)
    if rank == 2:
        shape = (x.shape[0], *sizes, w.shape[-2])
        return to_first(conv2d_input_grad(x, w, shape, strides, (*sides[0], *sides[1]), gaps), first)
    shape = (x.shape[0], 1, *sizes, w.shape[-2])
    y = conv2d_input_grad(expand_dims(x, 1), expand_dims(w, 0), shape, (1, *strides), (0, 0, *sides[0]), (1, *gaps))
    return to_first(squeeze(y, 1), first)


def _transposed_sizes(op, sizes, taps, strides, padding, output_padding, gaps):
    """Sizes of the output, and how much of the whole sum, (inputs - 1) stride + reach, is cut off (before, after)."""
    if padding not in ("valid", "same"):
        raise ValueError(f'[{op}] padding must be "valid" or "same". Received: padding={padding!r}.')
    found, sides = [], []
    for i, (size, stride) in enumerate(zip(sizes, strides)):
        reach = (taps[i] - 1) * gaps[i] + 1
        more = None if output_padding is None else output_padding[i]
        if more is not None and not 0 <= more < stride:
            raise ValueError(
                f"[{op}] output_padding must be from 0 to stride - 1. "
                f"Received: output_padding={output_padding}, strides={strides}."
            )
        if padding == "valid":
            end = max(reach, stride) if more is None else reach + more
        else:
            end = stride if more is None else reach % 2 + more
        cut = max(reach - end, 0)
        sides.append((cut // 2, cut - cut // 2))
        found.append(None if size is None else (size - 1) * stride + end)
    return found, sides


def _transpose3d(x, w, sizes, sides, strides, gaps):
    """Every depth tap's images are made at once, as channels, and added where their depth lies."""
    n, depth, height, width, channels = x.shape
    taps, stride, gap, filters = w.shape[0], strides[0], gaps[0], w.shape[3]
    kernel = reshape(transpose(w, (1, 2, 0, 3, 4)), (*w.shape[1:3], taps * filters, w.shape[4]))
    if x._core.is_symbolic:
        images, count = symbolic((None, height, width, channels), x), None
    else:
        images, count = reshape(x, (n * depth, height, width, channels)), n * depth
    shape = (count, *sizes[1:], taps * filters)
    y = conv2d_input_grad(images, kernel, shape, strides[1:], (*sides[1], *sides[2]), gaps[1:])
    if x._core.is_symbolic:
        return symbolic((n, *sizes, filters), y, y._source)
    y = reshape(y, (n, depth, 1, *sizes[1:], taps, filters))
    start = sides[0][0]
    whole = max(depth * stride + (taps - 1) * gap, start + sizes[0])
    total = None
    for tap in range(taps):
        part = getitem(y, (..., tap, slice(None)))
        part = pad(part, ((0, 0), (0, 0), (0, stride - 1), (0, 0), (0, 0), (0, 0)))
        part = reshape(part, (n, depth * stride, *sizes[1:], filters))
        after = whole - tap * gap - depth * stride
        part = pad(part, ((0, 0), (tap * gap, after), (0, 0), (0, 0), (0, 0)))
        total = part if total is None else total + part
    return getitem(total, (slice(None), slice(start, start + sizes[0])))
