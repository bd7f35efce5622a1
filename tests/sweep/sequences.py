"""Recurrent layers, attention and CTC over sequences, and embeddings: rows picked by numbers that repeat."""

import numpy as np

import lamina as lm

from ..ops import rows_attention
from ..ops import rows_recurrent as rows
from ..ops.rows_ctc import alpha_loss
from .check import Case, drawn, rounded
from .sizes import chance, pick, size, sizes

GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3}


def recurrent(rng):
    op = pick(rng, list(GATES))
    batch, units = size(rng, high=40), size(rng, low=1, high=36)
    steps = int(rng.integers(0, 6)) if batch * units < 300 else int(rng.integers(1, 3))
    wide, biased = GATES[op] * units, op == "gru" and chance(rng)
    x, kernel, bias, h, c = drawn(rng, (steps, batch, wide), (units, wide), wide, (batch, units), (batch, units))
    inputs = [x, rounded(kernel / np.sqrt(units)), h]
    if biased:
        inputs.insert(2, bias)
    if op == "lstm":
        inputs.append(c)
    kwargs = {"mask": rng.random((steps, batch)) < 0.7 if chance(rng) else None, "reverse": chance(rng)}
    if op == "simple_rnn":
        kwargs["activation"] = pick(rng, ["tanh", None])

    def with_bias(f, xs):
        return f(*xs, **kwargs) if op != "gru" or biased else f(*xs[:2], None, *xs[2:], **kwargs)

    masked = "some steps masked" if kwargs["mask"] is not None else "no mask"
    return Case(
        f"{op}, {steps} steps of {batch} x {units}, bias {biased}, reverse {kwargs['reverse']}, {masked}",
        lambda *xs: with_bias(getattr(lm.ops.recurrent, op), xs),
        lambda *xs: with_bias(getattr(rows, op), xs),
        inputs,
        terms=units,
        tolerance=256 + 64 * steps,
        same_from_views=False,
    )


def embedding(rng):
    rows_of, width = size(rng, low=1), size(rng)
    indices = rng.integers(-rows_of, rows_of, sizes(rng, int(rng.integers(0, 3)), 300)).astype(
        pick(rng, ["int32", "int64"])
    )
    (table,) = drawn(rng, (rows_of, width), whole=chance(rng))
    axis = pick(rng, [0, 0, 0, 1])
    if axis == 1:
        table = np.ascontiguousarray(table.T)
    return Case(
        f"take {table.shape} by {indices.shape}, axis={axis}",
        lambda x: lm.ops.take(x, indices, axis),
        lambda x: np.take(x, indices, axis),
        [table],
        terms=max(indices.size, 1),
        linear=True,
    )


def ctc(rng):
    """Targets of any length that their frames can spell, labels from a few classes so that some repeat."""
    batch, classes = int(rng.integers(1, 5)), pick(rng, [2, 3, 5, 16, 17, 33])
    frames, longest = int(rng.integers(1, 60)), int(rng.integers(0, 40))
    blank = int(rng.integers(classes))
    others = [c for c in range(classes) if c != blank]
    labels = rng.choice(others[: pick(rng, [2, 30])], (batch, longest))
    used, lengths = rng.integers(0, frames + 1, batch), np.zeros(batch, int)
    for i, row in enumerate(labels):
        needed = 1 + np.arange(longest) + np.cumsum([False, *(row[1:] == row[:-1])][:longest])
        lengths[i] = rng.integers(0, (needed <= used[i]).sum() + 1)
        row[lengths[i] :] = pick(rng, [0, -7, 99])  # not read
    labels = labels.astype(pick(rng, ["int32", "int64", "float32"]))
    x = rounded(rng.standard_normal((batch, frames, classes)) * pick(rng, [0.1, 1, 10]))
    others = (lengths, used, blank)
    return Case(
        f"ctc_loss {x.shape}, lengths={lengths.tolist()}, frames={used.tolist()}, blank={blank}",
        lambda x: lm.ops.ctc_loss(labels, x, *others),
        lambda x: alpha_loss(labels, x, *others),
        [x],
        tolerance=64 + 4 * np.sqrt(frames),
        floor=1.0,
    )


def attention(rng):
    batch, groups, key_heads = (int(rng.integers(1, 4)) for _ in range(3))
    queries, keys = size(rng), size(rng)
    if chance(rng, 0.1):  # more than a block of queries, or of keys
        batch, queries, keys = 1, int(rng.integers(120, 140)), int(rng.integers(250, 264))
    width, value_width = size(rng, high=40), size(rng, high=40)
    heads = groups * key_heads
    given = (batch, queries, heads, width), (batch, keys, key_heads, width), (batch, keys, key_heads, value_width)
    scores = (batch, heads, queries, keys)
    broadcast = [1 if chance(rng) else n for n in scores]
    inputs = list(drawn(rng, *given, *([tuple(broadcast)] if chance(rng) else [])))
    kwargs = {
        "mask": rng.random([1 if chance(rng) else n for n in scores]) < 0.7 if chance(rng) else None,
        "is_causal": chance(rng),
        "sliding_window": int(rng.integers(1, 50)) if chance(rng, 0.3) else None,
        "first": int(rng.integers(0, 20)) if chance(rng, 0.3) else None,
        "zero_unseen": chance(rng),
    }
    masked = None if kwargs["mask"] is None else kwargs["mask"].shape
    return Case(
        f"dot_product_attention {given}, bias {len(inputs) > 3}, {kwargs | {'mask': masked}}",
        lambda *xs: lm.ops.dot_product_attention(*xs, **kwargs),
        lambda *xs: rows_attention.attention(*xs, **kwargs),
        inputs,
        terms=max(width, keys),
        tolerance=256,
        floor=1.0,
        same_from_views=False,
    )
