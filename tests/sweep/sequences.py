"""Losses of sequences."""

import numpy as np

import lamina as lm

from ..ops.rows_ctc import alpha_loss
from .check import Case, rounded
from .sizes import pick


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
