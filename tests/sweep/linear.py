"""Matrix products, convolutions, transposed convolutions: sums of products, exact on whole numbers."""

import math

import numpy as np

import lamina as lm

from ..ops import rows_convolution_nd as nd
from ..ops.rows_linalg import ACTIVATIONS
from .check import Case, drawn
from .sizes import chance, pick, size, sizes


def matmul(rng):
    m, k, n = sizes(rng, 3, 60_000)
    if chance(rng, 0.08):  # several blocks of rows, sums and columns
        m, k, n = (int(rng.integers(1, 400)) if chance(rng) else size(rng) for _ in range(3))
    batch = sizes(rng, int(rng.integers(0, 3)), max(1, min(40, 80_000 // max(m * k, k * n, m * n, 1))))
    a, b = ([1 if chance(rng, 0.2) else s for s in batch][int(rng.integers(0, len(batch) + 1)) :] for _ in range(2))
    if chance(rng, 0.5):
        a, b = list(batch), pick(rng, [[], list(batch)])
    shapes = [(*a, m, k), (*b, k, n)]
    if chance(rng, 0.1):
        shapes = [(k,), shapes[1]] if chance(rng) else [shapes[0], (k,)]
    turned = [len(s) > 1 and chance(rng, 0.3) for s in shapes]
    stored = [(*s[:-2], s[-1], s[-2]) if t else s for s, t in zip(shapes, turned)]
    turn = lambda xs, swap: [swap(x, -1, -2) if t else x for x, t in zip(xs, turned)]  # noqa: E731
    return Case(
        f"matmul {shapes[0]} @ {shapes[1]}, stored transposed: {turned}",
        lambda *xs: lm.ops.matmul(*turn(xs, lm.ops.swapaxes)),
        lambda *xs: np.matmul(*turn(xs, np.swapaxes)),
        drawn(rng, *stored, whole=chance(rng, 0.3)),
        terms=k,
        linear=True,
        same_from_views=False,
    )


def activated(rng, f, reference, inputs, text, terms, bias_size):
    """f(*tensors, bias, activation): with a bias (relu's is large, so that no result is close to its kink)."""
    activation = pick(rng, [None, None, "relu", "sigmoid", "tanh"])
    if activation is None and chance(rng):
        return Case(text, lambda *xs: f(*xs, None, None), reference, inputs, terms, linear=True)
    bias = rng.standard_normal(bias_size)
    if activation == "relu":
        bias = np.sign(bias) * (np.abs(reference(*map(np.abs, inputs))).max(initial=0) + 1)
    return Case(
        f"{text}, bias, activation={activation}",
        lambda *xs: f(*xs, activation),
        lambda *xs: ACTIVATIONS[activation](reference(*xs[:-1]) + xs[-1]),
        [*inputs, bias.astype(np.float32).astype(float)],
        terms,
        linear=activation is None,
        tolerance=4 * (4 + math.sqrt(terms)) * (1 + math.sqrt(terms)),
    )


def dense(rng):
    rows, k, n = sizes(rng, 3, 60_000)
    shape = (*sizes(rng, int(rng.integers(0, 2)), 5), rows, k)
    inputs = drawn(rng, shape, (k, n), whole=chance(rng, 0.2))
    return activated(rng, lm.ops.linalg.dense, np.matmul, inputs, f"dense {shape} x {(k, n)}", k, n)


def window(rng, rank, transposed=False):
    """(spatial sizes, kernel sizes, keyword arguments) that fit."""
    image = sizes(rng, rank, {1: 70, 2: 1200, 3: 800}[rank], empty=0)
    dilation = [pick(rng, [1, 1, 1, 2, 3]) for _ in image]
    strides = [pick(rng, [1, 1, 2, 3]) for _ in image]
    if chance(rng):
        strides = [1] * rank
    padding = pick(rng, ["valid", "same"] if transposed else ["valid", "same", "sides"])
    sides = [int(n) for n in rng.integers(0, 4, 2 * rank)]
    taps = []
    for i, n in enumerate(image):
        reach = n + (sides[2 * i] + sides[2 * i + 1] if padding == "sides" else 0)
        most = 5 if padding == "same" or transposed else min(7, (reach - 1) // dilation[i] + 1)
        taps.append(int(rng.integers(1, max(most, 1) + 1)))
    return (
        image,
        tuple(taps),
        {
            "strides": tuple(strides),
            "padding": tuple(sides) if padding == "sides" else padding,
            "dilation_rate": tuple(dilation),
        },
    )


def usual_window(rng, image, kwargs):
    """3 x 3, one stride of 1 or 2, no dilation: what depthwise kernels are made for."""
    stride = pick(rng, [1, 2])
    return [max(n, 3) for n in image], (3, 3), kwargs | {"strides": (stride, stride), "dilation_rate": (1, 1)}


def channels_of(rng, work):
    """Channels and filters whose product is at most `work`, few of one or both in half of the cases."""
    c, f = size(rng), size(rng)
    if chance(rng):
        c = pick(rng, [1, 2, 3, 4, 6, 8])
    if chance(rng, 0.3):
        f = pick(rng, [1, 2, 3, 4, 6, 8, 10])
    while c * f > max(work, 1):
        c, f = (c, -(-f // 2)) if f > c else (-(-c // 2), f)
    return c, f


def convolution(rng, rank, depthwise=False):
    image, taps, kwargs = window(rng, rank)
    if depthwise and rank == 2 and chance(rng):
        image, taps, kwargs = usual_window(rng, image, kwargs)
    pixels, area = math.prod(image), math.prod(taps)
    batch = int(rng.integers(1, 5)) if pixels < 500 else 1
    work = 3_000_000 // (batch * pixels * area)
    c, f = channels_of(rng, work)
    groups = 1
    if depthwise:
        c = min(size(rng), max(work, 1))
        groups, f = c, c * pick(rng, [1, 1, 1, 2, 3])
    elif chance(rng, 0.25):
        groups = pick(rng, [2, 3, 4])
        c, f = c * groups, f * groups
    if chance(rng, 0.02):
        batch = 0
    x, w = (batch, *image, c), (*taps, c // groups, f)
    terms = area * c // groups
    text = f"conv {x} * {w}, groups={groups}, {kwargs}"
    inputs = drawn(rng, x, w, whole=chance(rng, 0.25))
    reference = lambda x, w: nd.conv(x, w, groups=groups, **kwargs)  # noqa: E731
    if rank == 2:
        call = lambda x, w, bias, activation: lm.ops.conv2d(  # noqa: E731
            x, w, bias, groups=groups, activation=activation, **kwargs
        )
        return activated(rng, call, reference, inputs, text, terms, f)
    return Case(text, lambda x, w: lm.ops.conv(x, w, **kwargs), reference, inputs, terms, linear=True)


def conv(rng):
    return convolution(rng, pick(rng, [1, 2, 2, 2, 3]))


def depthwise(rng):
    return convolution(rng, pick(rng, [1, 2, 2]), depthwise=True)


def transposed(x, w, strides, padding, dilation_rate):
    """Every tap adds its product to the outputs that it reaches; the sum is cut to the size that Keras documents."""
    ends, starts, whole = [], [], []
    for n, k, s, d in zip(x.shape[1:], w.shape, strides, dilation_rate):
        reach = (k - 1) * d + 1
        ends.append((n - 1) * s + max(reach, s) if padding == "valid" else n * s)
        starts.append(max((n - 1) * s + reach - ends[-1], 0) // 2)
        whole.append((n - 1) * s + max(reach, s) + s)
    y = np.zeros((len(x), *whole, w.shape[-2]))
    for tap in np.ndindex(*w.shape[:-2]):
        reached = (
            slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in zip(tap, dilation_rate, x.shape[1:], strides)
        )
        y[(slice(None), *reached)] += x @ w[tap].T
    return y[(slice(None), *(slice(a, a + n) for a, n in zip(starts, ends)))]


def conv_transpose(rng):
    rank = pick(rng, [1, 2, 2, 2, 3])
    image, taps, kwargs = window(rng, rank, transposed=True)
    grown = math.prod(image) * math.prod(kwargs["strides"])
    c, f = channels_of(rng, 3_000_000 // (grown * math.prod(taps)))
    x, w = (int(rng.integers(1, 3)), *image, c), (*taps, f, c)
    return Case(
        f"conv_transpose {x} * {w}, {kwargs}",
        lambda x, w: lm.ops.conv_transpose(x, w, **kwargs),
        lambda x, w: transposed(x, w, **kwargs),
        drawn(rng, x, w, whole=chance(rng, 0.25)),
        terms=c * math.prod(taps),
        linear=True,
    )
