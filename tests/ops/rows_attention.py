"""Rows of lamina.ops.attention, against the formula over all scores."""

import numpy as np

from .rows import Row

# batch, queries, keys, heads, key heads, size, value size: around the blocks of 128 queries and 256 keys, and odd ones
SMALL = [
    (1, 1, 1, 1, 1, 1, 1),
    (2, 3, 5, 2, 1, 3, 2),
    (1, 5, 3, 4, 2, 7, 4),
    (2, 1, 4, 3, 3, 4, 5),
    (0, 2, 3, 1, 1, 4, 4),
    (2, 2, 0, 1, 1, 3, 2),
]
SEVERAL = [size for size in SMALL if size[1] > 1]  # a single causal query sees a single key: no gradient but rounding
LARGE = [(1, 33, 40, 2, 2, 40, 33), (1, 130, 300, 2, 1, 7, 16), (1, 1, 600, 2, 2, 16, 8), (1, 257, 129, 1, 1, 32, 64)]


def scores_of(query, key, bias, mask, scale, is_causal, sliding_window, first):
    key = np.repeat(key, query.shape[2] // key.shape[2], 2)
    scores = np.einsum("bthd,bshd->bhts", query, key) * (scale or 1 / np.sqrt(query.shape[3]))
    scores = scores if bias is None else scores + bias
    seen = np.ones(scores.shape, bool) if mask is None else mask & np.ones(scores.shape, bool)
    place, at = np.arange(query.shape[1])[:, None] + (first or 0), np.arange(key.shape[1])
    if is_causal:
        seen = seen & (at <= place)
    if sliding_window:
        seen = seen & (np.abs(place - at) < sliding_window)
    return np.where(seen, np.maximum(scores, -1e300), -1e300)  # a score of -infinity counts as little; NaN stays


def with_scores(
    query,
    key,
    value,
    bias=None,
    mask=None,
    scale=None,
    is_causal=False,
    sliding_window=None,
    first=None,
    zero_unseen=False,
):
    scores = scores_of(query, key, bias, mask, scale, is_causal, sliding_window, first)
    weights = np.exp(scores - scores.max(-1, keepdims=True, initial=-np.inf))
    weights = weights / weights.sum(-1, keepdims=True)
    if zero_unseen:
        weights = np.where(scores <= -1e299, 0, weights)
    value = np.repeat(value, query.shape[2] // value.shape[2], 2)
    return np.einsum("bhts,bshe->bthe", weights, value), weights, weights


def attention(*args, **kwargs):
    return with_scores(*args, **kwargs)[0]


def samples(sizes=(*SMALL, *LARGE), biased=False, masks=(), **kwargs):
    def draw(rng):
        found = []
        for b, t, s, h, k, d, e in sizes:
            args = [rng.standard_normal(shape) for shape in ((b, t, h, d), (b, s, k, d), (b, s, k, e))]
            if biased:
                shape = [(b, h, t, s), (h, 1, s), (1, 1, 1, s), (t, s)][len(found) % 4]
                args.append(rng.standard_normal(shape))
            more = dict(kwargs)
            if masks:
                shape = {"keys": (b, 1, 1, s), "queries": (b, 1, t, 1), "all": (b, h, t, s)}[
                    masks[len(found) % len(masks)]
                ]
                more["mask"] = rng.random(shape) > 0.4
            found.append((tuple(args), more))
        return found

    return draw


X = np.ones((2, 3, 4, 5))
ERRORS = [
    (
        (X, X[0], X),
        {},
        ValueError,
        r"\[dot_product_attention\] needs query, key and value of shape.*key.shape=\(3, 4, 5\)",
    ),
    ((X, X[:1], X), {}, ValueError, r"\[dot_product_attention\] query and key must agree.*key.shape=\(1, 3, 4, 5\)"),
    ((X, X[:, :, :3], X[:, :, :3]), {}, ValueError, r"\[dot_product_attention\] the heads of query must be a multiple"),
    ((X, X, X), {"mask": np.ones((2, 1, 3, 4), bool)}, ValueError, r"mask must broadcast .*mask.shape=\(2, 1, 3, 4\)"),
    ((X, X, X), {"mask": np.ones((3, 3))}, ValueError, r"\[dot_product_attention\] mask must be bool.*float64"),
    ((X, X, X, np.ones((3, 2))), {}, ValueError, r"bias must broadcast .*\(2, 4, 3, 3\).*bias.shape=\(3, 2\)"),
    ((X, X, X), {"sliding_window": 0}, ValueError, r"sliding_window must be at least 1.*sliding_window=0"),
    ((X, X, X), {"dropout": 1.0}, ValueError, r"the rate of dropout must be .*rate=1"),
    ((X, X, X), {"attn_logits_soft_cap": 3.0}, ValueError, r"attn_logits_soft_cap must be None.*=3.0"),
]


def row(name, op="dot_product_attention", reference=attention, **kwargs):
    return Row(op, samples(**kwargs), reference, rtol32=2e-5, id=f"attention-{name}")


SEEN = ("keys", "queries", "all")
ROWS = [
    Row("dot_product_attention", samples(), attention, rtol32=2e-5, errors=ERRORS),
    row("causal", sizes=SEVERAL + LARGE, is_causal=True, scale=0.5),
    row("causal-from", is_causal=True, first=2),
    row("window", sliding_window=2),
    row("causal-window", sizes=SEVERAL + LARGE, sliding_window=3, is_causal=True),
    row("mask", masks=SEEN),
    row("mask-causal", sizes=SEVERAL + LARGE, masks=SEEN, is_causal=True),
    row("zero-unseen", masks=SEEN[1:], zero_unseen=True),
    row("bias", biased=True, masks=("keys", "all")),
    row(
        "scores",
        op="attention.attention_with_scores",
        reference=with_scores,
        sizes=SEVERAL[:2] + LARGE[:1],
        biased=True,
        masks=SEEN,
        is_causal=True,
        zero_unseen=True,
    ),
]
