"""Rows of convolutions over 1 to 3 axes: the references add NumPy products tap by tap in float64."""

import itertools

import numpy as np

from .rows import Row


def each(value, rank):
    return (value,) * rank if isinstance(value, int) else value


def conv(x, w, strides=1, padding="valid", data_format=None, dilation_rate=1, groups=None):
    if data_format == "channels_first":
        return np.moveaxis(conv(np.moveaxis(x, 1, -1), w, strides, padding, None, dilation_rate, groups), -1, 1)
    rank = x.ndim - 2
    strides, gaps = each(strides, rank), each(dilation_rate, rank)
    groups = groups or x.shape[-1] // w.shape[-2]
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape, gaps)]
    if padding == "same":
        total = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(x.shape[1:], strides, reach)]
        sides = [(t // 2, t - t // 2) for t in total]
    elif padding == "valid":
        sides = [(0, 0)] * rank
    else:
        sides = list(zip(padding[::2], padding[1::2]))
    x = np.pad(x, [(0, 0), *sides, (0, 0)])
    out = [(n - r) // s + 1 for n, r, s in zip(x.shape[1:], reach, strides)]
    y = 0
    for tap in itertools.product(*map(range, w.shape[:rank])):
        seen = tuple(
            slice(t * d, t * d + (o - 1) * s + 1, s) if o else slice(0) for t, d, o, s in zip(tap, gaps, out, strides)
        )
        parts = zip(np.split(x[(slice(None), *seen)], groups, -1), np.split(w[tap], groups, -1))
        y = y + np.concatenate([a @ b for a, b in parts], -1)
    return y


def depthwise_conv(x, w, *args, **kwargs):
    return conv(x, w.reshape(*w.shape[:-2], 1, -1), *args, groups=w.shape[-2], **kwargs)


def separable_conv(x, w, mix, *args, data_format=None, **kwargs):
    y = depthwise_conv(x, w, *args, data_format=data_format, **kwargs)
    return conv(y, mix, data_format=data_format)


def conv_transpose(x, w, strides=1, padding="valid", output_padding=None, data_format=None, dilation_rate=1):
    """Every input adds its multiple of the kernel; the sum is cut to the size that Keras documents."""
    if data_format == "channels_first":
        x = np.moveaxis(x, 1, -1)
        return np.moveaxis(conv_transpose(x, w, strides, padding, output_padding, None, dilation_rate), -1, 1)
    rank = x.ndim - 2
    strides, gaps = each(strides, rank), each(dilation_rate, rank)
    more = [None] * rank if output_padding is None else each(output_padding, rank)
    sizes, starts = [], []
    for n, k, s, d, m in zip(x.shape[1:], w.shape, strides, gaps, more):
        reach = (k - 1) * d + 1
        if padding == "valid":
            sizes.append((n - 1) * s + (max(reach, s) if m is None else reach + m))
        else:
            sizes.append(n * s if m is None else (n - 1) * s + reach % 2 + m)
        starts.append(max((n - 1) * s + reach - sizes[-1], 0) // 2)
    whole = [4 * n + 40 for n in sizes]
    y = np.zeros((x.shape[0], *whole, w.shape[-2]))
    for at in itertools.product(*map(range, x.shape[1:-1])):
        for tap in itertools.product(*map(range, w.shape[:rank])):
            place = tuple(i * s + t * d for i, s, t, d in zip(at, strides, tap, gaps))
            y[(slice(None), *place)] += x[(slice(None), *at)] @ w[tap].T
    return y[(slice(None), *(slice(a, a + n) for a, n in zip(starts, sizes)))]


def draw(*cases):
    """Samples of (shapes ..., keyword arguments)."""
    return lambda rng: [(tuple(rng.standard_normal(s) for s in case[:-1]), case[-1]) for case in cases]


CONV = draw(
    ((2, 6, 5, 4), (3, 3, 4, 6), {}),
    ((2, 6, 5, 4), (3, 3, 2, 6), {"strides": 2, "padding": "same"}),
    ((1, 3, 5, 5), (2, 2, 3, 4), {"data_format": "channels_first"}),
    ((2, 7, 3), (3, 3, 5), {"strides": 2, "padding": "same"}),
    ((1, 9, 4), (2, 2, 6), {"dilation_rate": 3}),
    ((2, 7, 2), (3, 2, 3), {"padding": (4, 0), "dilation_rate": 2}),
    ((1, 2, 7), (3, 2, 3), {"data_format": "channels_first"}),
    ((0, 7, 2), (3, 2, 3), {}),
    ((2, 5, 4, 3, 2), (3, 2, 2, 2, 3), {}),
    ((1, 7, 5, 6, 2), (3, 3, 2, 2, 3), {"strides": (2, 1, 3), "padding": "same"}),
    ((2, 5, 4, 4, 4), (2, 2, 1, 2, 6), {"dilation_rate": (3, 2, 1)}),
    ((1, 4, 3, 3, 4), (2, 3, 3, 1, 4), {"padding": "same", "strides": 2}),
    ((2, 4, 3, 3, 2), (1, 1, 1, 2, 3), {"strides": 2}),
    ((1, 3, 2, 3, 2), (3, 2, 2, 2, 2), {"padding": (3, 1, 0, 1, 2, 0)}),
    ((1, 2, 3, 4, 3), (2, 2, 2, 2, 3), {"data_format": "channels_first"}),
    ((0, 3, 3, 3, 2), (2, 2, 2, 2, 3), {}),
)
DEPTHWISE = draw(
    ((2, 6, 5, 3), (3, 2, 3, 2), {}),
    ((1, 7, 6, 4), (3, 3, 4, 1), {"strides": (2, 1), "padding": "same"}),
    ((1, 7, 6, 2), (2, 2, 2, 3), {"dilation_rate": 2, "strides": 2}),
    ((1, 3, 6, 5), (3, 3, 3, 1), {"data_format": "channels_first"}),
    ((2, 9, 3), (3, 3, 2), {"strides": 2, "padding": "same"}),
    ((1, 5, 4, 4, 3), (2, 2, 3, 3, 2), {"padding": "same"}),
)
SEPARABLE = draw(
    ((2, 6, 5, 3), (3, 2, 3, 2), (1, 1, 6, 4), {}),
    ((1, 7, 6, 2), (3, 3, 2, 1), (1, 1, 2, 5), {"strides": 2, "padding": "same"}),
    ((1, 9, 3), (3, 3, 2), (1, 6, 2), {"dilation_rate": 2}),
    ((1, 3, 6, 5), (3, 3, 3, 1), (1, 1, 3, 2), {"data_format": "channels_first"}),
    ((1, 4, 3, 3, 2), (2, 2, 2, 2, 1), (1, 1, 1, 2, 3), {}),
)
TRANSPOSE = draw(
    ((2, 4, 3, 3), (3, 3, 2, 3), {}),
    ((1, 4, 3, 2), (3, 2, 4, 2), {"strides": 2, "padding": "same"}),
    ((1, 3, 4, 2), (2, 4, 3, 2), {"strides": (3, 2), "padding": "same", "output_padding": (2, 0)}),
    ((1, 3, 4, 2), (3, 5, 3, 2), {"strides": 2, "padding": "same", "output_padding": 0}),
    ((1, 3, 3, 2), (2, 3, 3, 2), {"strides": 3, "output_padding": (1, 2)}),
    ((1, 3, 3, 2), (1, 2, 3, 2), {"strides": 3}),
    ((1, 3, 4, 2), (3, 2, 3, 2), {"dilation_rate": (2, 3), "padding": "same"}),
    ((1, 3, 4, 2), (2, 3, 3, 2), {"dilation_rate": 2, "strides": 3}),
    ((1, 2, 3, 4), (2, 2, 3, 2), {"data_format": "channels_first"}),
    ((0, 3, 4, 2), (3, 2, 3, 2), {}),
    ((2, 5, 3), (3, 4, 3), {"strides": 2}),
    ((1, 5, 3), (4, 2, 3), {"strides": 3, "padding": "same", "output_padding": 1}),
    ((1, 3, 5), (4, 2, 3), {"strides": 3, "data_format": "channels_first"}),
    ((2, 3, 2, 3, 2), (3, 2, 2, 3, 2), {}),
    ((1, 3, 2, 2, 2), (2, 3, 3, 3, 2), {"strides": (3, 1, 2), "padding": "same"}),
    ((1, 2, 3, 2, 2), (3, 2, 3, 1, 2), {"strides": 2, "padding": "same", "output_padding": 1}),
    ((1, 2, 2, 2, 2), (1, 2, 2, 2, 2), {"strides": 3, "output_padding": 2}),
    ((1, 3, 2, 2, 2), (2, 2, 1, 2, 2), {"dilation_rate": (3, 2, 1)}),
    ((1, 2, 3, 2, 2), (2, 2, 2, 3, 2), {"data_format": "channels_first"}),
    ((0, 3, 2, 2, 2), (2, 2, 1, 2, 2), {}),
)

ONE, TWO, THREE = np.ones((1, 5, 2)), np.ones((1, 5, 5, 2)), np.ones((1, 3, 5, 5, 2))
FILTERS = np.ones((2, 2, 2, 2, 4))
ERRORS = [
    ((np.ones((2, 3)), np.ones((3, 3, 1, 1))), {}, ValueError, r"\[conv\] convolves 1 to 3 axes.*\(2, 3\)"),
    ((TWO, np.ones((3, 2, 4))), {}, ValueError, r"\[conv\] convolves 1 to 3 axes.*kernel.shape=\(3, 2, 4\)"),
    ((TWO, FILTERS[0]), {"data_format": "middle"}, ValueError, r"\[conv\] data_format must be .*'middle'"),
    ((ONE, np.ones((3, 2, 4)), (1, 2)), {}, ValueError, r"\[conv\] strides must be an integer or 1 of them.*\(1, 2\)"),
    ((ONE, np.ones((3, 2, 4))), {"padding": (1, 1, 1)}, ValueError, r"\[conv\] padding must be .*or 2 integers"),
    ((ONE, np.ones((6, 2, 4))), {}, ValueError, r"the kernel must fit.*input width=5"),
    ((THREE, np.ones((4, 2, 2, 2, 4))), {}, ValueError, r"\[conv\] the kernel must fit.*kernel depth=4.*depth=3"),
    ((THREE, FILTERS), {"dilation_rate": 3}, ValueError, r"\[conv\].*reaching over 4\), input depth=3"),
    ((THREE, FILTERS, (0, 1, 1)), {}, ValueError, r"\[conv\] strides, dilation_rate.*strides=\(0, 1, 1\)"),
    ((THREE, np.ones((2, 2, 2, 3, 4))), {}, ValueError, r"\[conv\] the inputs must have as many channels.*\(3\)"),
    ((THREE, FILTERS), {"padding": "full"}, ValueError, r'padding must be.*padding="full"'),
]
TRANSPOSE_ERRORS = [
    ((np.ones((2, 3)), FILTERS), {}, ValueError, r"\[conv_transpose\] has inputs of 3 to 5 axes.*\(2, 3\)"),
    ((TWO, np.ones((3, 3, 4, 5))), {}, ValueError, r"\[conv_transpose\] the kernel's last axis.*\(3, 3, 4, 5\)"),
    ((TWO, FILTERS[0, ..., :2], 0), {}, ValueError, r"\[conv_transpose\] strides and.*strides=\(0, 0\)"),
    ((TWO, FILTERS[0, ..., :2]), {"padding": "causal"}, ValueError, r"\[conv_transpose\] padding must be.*'causal'"),
    (
        (TWO, FILTERS[0, ..., :2]),
        {"output_padding": 2, "strides": (3, 2)},
        ValueError,
        r"\[conv_transpose\] output_padding must be from 0 to stride - 1.*\(2, 2\), strides=\(3, 2\)",
    ),
]

ROWS = [
    Row("conv", CONV, conv, errors=ERRORS),
    Row(
        "depthwise_conv",
        DEPTHWISE,
        depthwise_conv,
        errors=[
            ((TWO, np.ones((3, 3, 3, 1))), {}, ValueError, r"\[depthwise_conv\] the kernel must have one filter for"),
            ((TWO, np.ones((3, 2, 1))), {}, ValueError, r"\[depthwise_conv\] the kernel must have as many axes"),
        ],
    ),
    Row(
        "separable_conv",
        SEPARABLE,
        separable_conv,
        errors=[
            (
                (TWO, np.ones((3, 3, 2, 1)), np.ones((2, 1, 2, 3))),
                {},
                ValueError,
                r"\[separable_conv\] pointwise_kernel must have size 1.*\(2, 1, 2, 3\)",
            )
        ],
    ),
    Row("conv_transpose", TRANSPOSE, conv_transpose, errors=TRANSPOSE_ERRORS),
]
