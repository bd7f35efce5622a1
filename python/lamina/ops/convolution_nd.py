"""Convolutions over 1, 2 and 3 axes, under Keras' names, on the kernels of images (convolution.py).

One axis is an image of height 1. With three, the depth taps become channels: out of x `[n, d, h, w, c]` come the images
`[n od, h, w, (kd c)]` of which one 2-D convolution makes the output, bias and activation in the same pass.
"""

from __future__ import annotations

from .arguments import integer, integers, under
from .common import floating, tensor
from .convolution import conv2d
from .joining import concatenate, pad
from .shape import expand_dims, getitem, reshape, same_elements, squeeze, transpose
from .spatial import AXES, channels_first, per_axis, same_padding, symbolic, to_first, to_last


def convolve(x, w, bias=None, strides=1, padding="valid", dilation_rate=1, groups=1, activation=None, op="conv"):
    """Convolution over 1, 2 or 3 axes with bias and activation in one pass, channels last.

    Args:
        x: floating tensor `[batch, 1 to 3 axes, channels]`.
        w: filters `[one size per axis, channels / groups, filters]`.
        bias, groups, activation: as in `conv2d`.
        strides, dilation_rate: one number, or one per axis.
        padding: `"valid"`, `"same"`, or (before, after) for each axis in one flat tuple.
        op: how errors call it.

    Returns:
        Tensor `[batch, 1 to 3 axes, filters]`.
    """
    x, w = floating(x), tensor(w)
    rank = x.ndim - 2
    if rank not in AXES or w.ndim != x.ndim:
        raise ValueError(
            f"[{op}] convolves 1 to 3 axes: inputs have 3 to 5 axes and the kernel as many. "
            f"Received: inputs.shape={x.shape}, kernel.shape={w.shape}."
        )
    strides, gaps = per_axis(op, "strides", strides, rank), per_axis(op, "dilation_rate", dilation_rate, rank)
    if not isinstance(padding, str):
        padding = integers(op, "padding", padding)
        if len(padding) != 2 * rank:
            raise ValueError(
                f'[{op}] padding must be "valid", "same", or {2 * rank} integers, (before, after) for each axis. '
                f"Received: padding={padding}."
            )
    if rank == 2:
        return under(op, conv2d, x, w, bias, strides, padding, gaps, groups, activation)
    if rank == 3:
        return _convolve3d(op, x, w, bias, strides, padding, gaps, groups, activation)
    sides = padding if isinstance(padding, str) else (0, 0, *padding)
    row, kernel = expand_dims(x, 1), expand_dims(w, 0)
    return squeeze(under(op, conv2d, row, kernel, bias, (1, *strides), sides, (1, *gaps), groups, activation), 1)


def _convolve3d(op, x, w, bias, strides, padding, gaps, groups, activation):
    n, depth, height, width, channels = x.shape
    taps, stride, gap = w.shape[0], strides[0], gaps[0]
    if min(stride, gap, taps, groups := integer(op, "groups", groups)) < 1:
        raise ValueError(
            f"[{op}] strides, dilation_rate, groups and kernel sizes must be at least 1. "
            f"Received: strides={strides}, dilation_rate={gaps}, groups={groups}, kernel.shape={w.shape}."
        )
    if channels not in (None, w.shape[3] * groups):
        raise ValueError(
            f"[{op}] the inputs must have as many channels as the filters take ({w.shape[3] * groups}). "
            f"Received: inputs.shape={x.shape}, kernel.shape={w.shape}, groups={groups}."
        )
    reach = (taps - 1) * gap + 1
    sides = padding
    before, after = same_padding(depth, reach, stride) if padding == "same" else (0, 0)
    if not isinstance(padding, str):
        before, after, *sides = padding
    out = None if depth is None else (depth + before + after - reach) // stride + 1
    if out is not None and out < 1:
        raise ValueError(
            f"[{op}] the kernel must fit into the padded input. "
            f"Received: kernel depth={taps}, dilation={gap} (reaching over {reach}), input depth={depth}, "
            f'padding=({before}, {after}). Use padding="same", a smaller kernel, or larger inputs.'
        )
    kernel = reshape(transpose(w, (1, 2, 0, 3, 4)), (*w.shape[1:3], taps * w.shape[3], w.shape[4]))
    if x._core.is_symbolic:
        images = symbolic((None, height, width, None if channels is None else taps * channels), x)
    else:
        images = _depth_as_channels(x, taps, stride, gap, before, after, out, groups)
    y = under(op, conv2d, images, kernel, bias, strides[1:], sides, gaps[1:], groups, activation)
    return same_elements("reshape", y, (n, out, *y.shape[1:]))


def _depth_as_channels(x, taps, stride, gap, before, after, out, groups):
    """Images `[n out, h, w, c taps]` whose channels are group by group the depths that an output sees."""
    n, _, height, width, channels = x.shape
    if before or after:
        x = pad(x, ((0, 0), (before, after), (0, 0), (0, 0), (0, 0)))
    seen = []
    for tap in range(taps):
        start = tap * gap
        part = getitem(x, (slice(None), slice(start, start + (out - 1) * stride + 1, stride)))
        seen.append(reshape(part, (n * out, height, width, groups, channels // groups)))
    joined = concatenate(seen, axis=4) if taps > 1 else seen[0]
    return reshape(joined, (n * out, height, width, taps * channels))


def conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    """Convolution (cross-correlation) over 1, 2 or 3 axes; the groups follow from the shapes.

    Args:
        inputs: floating tensor `[batch, 1 to 3 axes, channels]`.
        kernel: filters `[one size per axis, channels / groups, filters]` of the inputs' type.
        strides: steps between outputs; a number, or one per axis.
        padding: `"valid"`, `"same"` (output size = input size / stride, rounded up; the odd zero after), or
            (before, after) for each axis in one flat tuple.
        data_format: `"channels_last"` (the default), or `"channels_first"`: the second axis.
        dilation_rate: input steps between filter taps; a number, or one per axis.

    Returns:
        Tensor in the layout of `inputs`.

    Raises:
        ValueError: for inputs of another rank, channels that do not match the filters, or a kernel that does not
            fit into the padded inputs.

    Example:
        >>> import lamina as lm
        >>> lm.ops.conv(lm.ops.ones((1, 4, 4, 1)), lm.ops.ones((3, 3, 1, 2)), padding="same").shape
        (1, 4, 4, 2)
        >>> lm.ops.conv(lm.ops.ones((1, 9, 2)), lm.ops.ones((3, 2, 5)), strides=2).shape
        (1, 4, 5)
    """
    first = channels_first("conv", data_format)
    x, w = floating(inputs), tensor(kernel)
    if x.ndim > 2:
        x = to_last(x, first)
    channels, taken = (x.shape[-1], w.shape[-2]) if x.ndim > 2 and w.ndim == x.ndim else (None, None)
    groups = channels // taken if channels and taken and channels % taken == 0 else 1
    return to_first(convolve(x, w, None, strides, padding, dilation_rate, groups), first)


def depthwise_conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    """Convolution of every channel with filters of its own.

    Args:
        inputs: floating tensor `[batch, 1 to 3 axes, channels]`.
        kernel: `[one size per axis, channels, multiplier]`.
        strides, padding, data_format, dilation_rate: as in `conv`.

    Returns:
        Tensor with channels x multiplier channels; those of one input channel are neighbours.

    Raises:
        ValueError: as `conv`.

    Example:
        >>> import lamina as lm
        >>> lm.ops.depthwise_conv(lm.ops.ones((1, 4, 4, 3)), lm.ops.ones((3, 3, 3, 2))).shape
        (1, 2, 2, 6)
    """
    op, first = "depthwise_conv", channels_first("depthwise_conv", data_format)
    x, w = floating(inputs), tensor(kernel)
    x = to_last(x, first) if x.ndim > 2 else x
    return to_first(depthwise(op, x, w, None, strides, padding, dilation_rate), first)


def depthwise(op, x, w, bias=None, strides=1, padding="valid", dilation_rate=1, activation=None):
    """`depthwise_conv`, channels last, with bias and activation in one pass."""
    if w.ndim < 3 or w.ndim != x.ndim:
        raise ValueError(
            f"[{op}] the kernel must have as many axes as the inputs, (sizes, channels, multiplier). "
            f"Received: inputs.shape={x.shape}, kernel.shape={w.shape}."
        )
    channels, multiplier = w.shape[-2:]
    if x.shape[-1] not in (None, channels):
        raise ValueError(
            f"[{op}] the kernel must have one filter for each channel of the inputs. "
            f"Received: inputs.shape={x.shape}, kernel.shape={w.shape}."
        )
    w = reshape(w, (*w.shape[:-2], 1, channels * multiplier))
    return convolve(x, w, bias, strides, padding, dilation_rate, channels, activation, op)


def separable_conv(
    inputs, depthwise_kernel, pointwise_kernel, strides=1, padding="valid", data_format=None, dilation_rate=1
):
    """Convolution of every channel by itself, then of all channels at each position.

    Args:
        inputs: floating tensor `[batch, 1 to 3 axes, channels]`.
        depthwise_kernel: `[one size per axis, channels, multiplier]`.
        pointwise_kernel: `[one 1 per axis, channels x multiplier, filters]`.
        strides, padding, data_format, dilation_rate: of the first step, as in `conv`.

    Returns:
        Tensor in the layout of `inputs`, with `filters` channels.

    Raises:
        ValueError: as `conv`.

    Example:
        >>> import lamina as lm
        >>> depthwise, pointwise = lm.ops.ones((3, 3, 3, 2)), lm.ops.ones((1, 1, 6, 4))
        >>> lm.ops.separable_conv(lm.ops.ones((1, 4, 4, 3)), depthwise, pointwise).shape
        (1, 2, 2, 4)
    """
    op, first = "separable_conv", channels_first("separable_conv", data_format)
    x, w, mix = floating(inputs), tensor(depthwise_kernel), tensor(pointwise_kernel)
    if mix.ndim != x.ndim or any(n != 1 for n in mix.shape[:-2]):
        raise ValueError(
            f"[{op}] pointwise_kernel must have size 1 along every axis of the inputs, then (channels, filters). "
            f"Received: inputs.shape={x.shape}, pointwise_kernel.shape={mix.shape}."
        )
    x = to_last(x, first) if x.ndim > 2 else x
    y = depthwise(op, x, w, None, strides, padding, dilation_rate)
    return to_first(convolve(y, mix, op=op), first)
