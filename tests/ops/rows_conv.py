"""Rows of lamina.ops.convolution: the references are sums over taps of NumPy products in float64."""

import numpy as np

from .rows import Row
from .rows_linalg import ACTIVATIONS


def geometry(x_shape, w_shape, strides=1, padding="valid", dilation_rate=1, groups=1):
    """(strides, dilation, (top, bottom, left, right), output size)."""
    s, d = (n if isinstance(n, tuple) else (n, n) for n in (strides, dilation_rate))
    reach = [(w_shape[i] - 1) * d[i] + 1 for i in (0, 1)]
    sides = [0, 0, 0, 0] if isinstance(padding, str) else list(padding)
    for i in (0, 1):
        if padding == "same":
            total = max((-(-x_shape[1 + i] // s[i]) - 1) * s[i] + reach[i] - x_shape[1 + i], 0)
            sides[2 * i : 2 * i + 2] = total // 2, total - total // 2
    out = [(x_shape[1 + i] + sides[2 * i] + sides[2 * i + 1] - reach[i]) // s[i] + 1 for i in (0, 1)]
    return s, d, sides, out


def taps(padded, w_shape, strides, dilation, out):
    """(row, column, the input pixels under that tap) for every tap."""
    for p in range(w_shape[0]):
        for q in range(w_shape[1]):
            rows = slice(p * dilation[0], p * dilation[0] + (out[0] - 1) * strides[0] + 1, strides[0])
            cols = slice(q * dilation[1], q * dilation[1] + (out[1] - 1) * strides[1] + 1, strides[1])
            yield p, q, padded[:, rows, cols]


def by_group(x, groups):
    return np.split(x, groups, axis=-1)


def conv2d(x, w, bias=None, activation=None, groups=1, **kwargs):
    s, d, (top, bottom, left, right), out = geometry(x.shape, w.shape, **kwargs)
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    y = 0
    for p, q, pixels in taps(padded, w.shape, s, d, out):
        parts = zip(by_group(pixels, groups), by_group(w[p, q], groups))
        y = y + np.concatenate([a @ b for a, b in parts], axis=-1)
    return ACTIVATIONS[activation](y + (0 if bias is None else bias))


def conv2d_input_grad(dy, w, x_shape, groups=1, **kwargs):
    s, d, (top, bottom, left, right), out = geometry(x_shape, w.shape, **kwargs)
    n, height, width, channels = x_shape
    padded = np.zeros((n, height + top + bottom, width + left + right, channels))
    for p, q, pixels in taps(padded, w.shape, s, d, out):
        parts = zip(by_group(dy, groups), by_group(w[p, q], groups))
        pixels += np.concatenate([a @ b.T for a, b in parts], axis=-1)
    return padded[:, top : top + height, left : left + width]


def conv2d_weight_grad(x, dy, w_shape, groups=1, **kwargs):
    s, d, (top, bottom, left, right), out = geometry(x.shape, w_shape, **kwargs)
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    dw = np.zeros(w_shape)
    for p, q, pixels in taps(padded, w_shape, s, d, out):
        parts = zip(by_group(pixels, groups), by_group(dy, groups))
        dw[p, q] = np.concatenate([np.einsum("nijc,nijf->cf", a, b) for a, b in parts], axis=-1)
    return dw


# (x shape, w shape, window): odd sizes, one channel, filters around a vector, taps that see only padding.
CASES = [
    ((2, 5, 6, 1), (3, 3, 1, 2), {}),
    ((1, 4, 5, 3), (2, 3, 3, 5), {"padding": "same"}),
    ((2, 7, 6, 2), (3, 2, 2, 3), {"strides": 2, "padding": "same"}),
    ((1, 7, 8, 1), (3, 3, 1, 17), {"strides": (2, 3)}),
    ((1, 7, 6, 2), (3, 2, 2, 2), {"dilation_rate": (2, 3), "padding": "same"}),
    ((2, 6, 5, 4), (3, 3, 2, 6), {"groups": 2, "padding": "same"}),
    ((1, 5, 5, 3), (3, 3, 1, 3), {"groups": 3, "strides": 2}),
    ((2, 6, 7, 18), (3, 3, 1, 18), {"groups": 18, "strides": 2, "padding": (2, 1, 3, 2)}),
    ((1, 5, 4, 3), (3, 3, 1, 3), {"groups": 3, "padding": (0, 3, 4, 1)}),
    ((2, 4, 4, 5), (1, 1, 5, 3), {}),
    ((1, 5, 5, 2), (1, 1, 2, 3), {"strides": 3}),
    ((1, 3, 2, 2), (3, 3, 2, 2), {"padding": (2, 3, 1, 2)}),
    ((1, 2, 2, 1), (2, 2, 1, 2), {"padding": (3, 0, 0, 3), "strides": (1, 2)}),
    ((1, 9, 7, 2), (2, 2, 2, 2), {"dilation_rate": 3, "strides": 2}),
    ((0, 4, 4, 2), (3, 3, 2, 2), {}),
]


def layer_samples(activation):
    def samples(rng):
        result = []
        for i, (x, w, window) in enumerate(CASES):
            args = tuple(rng.standard_normal(shape) for shape in (x, w, w[-1:]))
            result.append((args[: 2 + i % 2], window | {"activation": activation}))
        return result

    return samples


def sizes(rng):
    """Larger images: several units of work, tiles across rows and images, filters in several panels."""
    shapes = [
        ((30, 5, 5, 3), (3, 3, 3, 7), "same"),
        ((5, 13, 11, 4), (3, 3, 4, 33), "valid"),
        ((2, 40, 37, 3), (5, 4, 3, 16), "same"),
        ((33, 4, 3, 18), (3, 3, 18, 70), "same"),
    ]
    return [((rng.standard_normal(x), rng.standard_normal(w)), {"padding": p}) for x, w, p in shapes]


def row_pieces(rng):
    """Taps that share a row: every width of tile, both edges in one piece or two, few and odd channels, panels cut."""
    cases = [
        *[((2, 3, w, 3), (3, 3, 3, 32), {"padding": "same"}) for w in (4, 5, 6, 8, 10, 12, 13, 16, 25, 27)],
        ((1, 6, 23, 4), (5, 5, 4, 24), {"padding": "same"}),
        ((3, 5, 11, 6), (2, 5, 6, 32), {}),
        ((1, 4, 14, 24), (3, 2, 24, 20), {"padding": "same"}),
        ((1, 7, 15, 3), (3, 3, 3, 32), {"strides": (2, 1), "padding": (0, 2, 2, 0)}),
        ((1, 8, 9, 10), (3, 3, 5, 64), {"dilation_rate": (2, 1), "groups": 2, "padding": "same"}),
        ((2, 5, 13, 20), (3, 3, 20, 24), {"strides": 2, "padding": "same"}),
        ((3, 2, 9, 7), (3, 3, 7, 32), {"padding": (3, 1, 2, 1)}),
    ]
    return [((rng.standard_normal(x), rng.standard_normal(w)), window) for x, w, window in cases]


def input_grad_samples(rng):
    result = []
    for x, w, window in CASES:
        out = geometry(x, w, **{k: v for k, v in window.items() if k != "groups"})[-1]
        dy = rng.standard_normal((x[0], *out, w[-1]))
        result.append(((dy, rng.standard_normal(w), x), window))
    return result


def weight_grad_samples(rng):
    return [
        ((rng.standard_normal(x_shape), dy, w.shape), window) for (dy, w, x_shape), window in input_grad_samples(rng)
    ]


X, W = np.ones((2, 5, 5, 3)), np.ones((3, 3, 3, 4))
ERRORS = [
    (
        (X, np.ones((3, 3, 2, 4))),
        {},
        ValueError,
        r"\[conv2d\].*input channels=3, filter channels=2 x groups=1",
    ),
    (
        (X, np.ones((7, 3, 3, 4))),
        {},
        ValueError,
        r"\[conv2d\] the kernel must fit.*kernel height=7.*input height=5",
    ),
    ((X, W), {"dilation_rate": 3}, ValueError, r"\[conv2d\] the kernel must fit.*reaching over 7"),
    ((X[0], W), {}, ValueError, r"\[conv2d\] needs images.*x.shape=\(5, 5, 3\)"),
    ((X, W[0]), {}, ValueError, r"\[conv2d\] needs filters.*w.shape=\(3, 3, 4\)"),
    ((X, W, np.ones(3)), {}, ValueError, r"\[conv2d\] bias.*bias.shape=\(3,\)"),
    ((X, W), {"strides": 0}, ValueError, r"\[conv2d\] strides.*strides=\(0, 0\)"),
    ((X, W), {"padding": "full"}, ValueError, r'\[conv2d\] padding.*padding="full"'),
    (
        (X, W),
        {"padding": (0, -1, 0, 0)},
        ValueError,
        r"\[conv2d\] padding must not be negative.*\(0, -1, 0, 0\)",
    ),
    ((X, W), {"padding": (1, 1)}, ValueError, r"\[conv2d\] padding needs four numbers.*padding=\(1, 1\)"),
    (
        (X, np.ones((3, 3, 1, 4))),
        {"groups": 3},
        ValueError,
        r"\[conv2d\] groups must divide.*filters=4, groups=3",
    ),
    ((X, W), {"activation": "gelu"}, ValueError, r"\[conv2d\].*activation='gelu'"),
    ((X.astype(np.float32), W), {}, TypeError, r"\[conv2d\] needs one dtype.*float32 and float64"),
]
DY_ERROR = (
    (np.ones((2, 3, 2, 4)), W, (2, 5, 5, 3)),
    {},
    ValueError,
    r"\[conv2d_input_grad\] dy.*\(2, 3, 2, 4\)",
)
DW_ERROR = ((X, np.ones((2, 3, 3, 5)), W.shape), {}, ValueError, r"\[conv2d_weight_grad\] dy.*\(2, 3, 3, 5\)")

ROWS = [
    *[
        Row("conv2d", layer_samples(f), conv2d, id=f"conv2d-{f}", errors=[] if f else ERRORS)
        for f in (None, "relu", "sigmoid", "tanh")
    ],
    Row("conv2d", sizes, conv2d, second=False, id="conv2d-sizes"),
    Row("conv2d", row_pieces, conv2d, second=False, id="conv2d-pieces"),
    Row("conv2d_input_grad", input_grad_samples, conv2d_input_grad, errors=[DY_ERROR]),
    Row("conv2d_weight_grad", weight_grad_samples, conv2d_weight_grad, errors=[DW_ERROR]),
]
