"""Rows of lamina.ops.ctc, against sums over every path and searches without a beam."""

import itertools

import numpy as np

from .rows import Row


def log_softmax(x):
    e = x - x.max(-1, keepdims=True, initial=-np.inf)
    return e - np.log(np.exp(e).sum(-1, keepdims=True))


def collapsed(path, blank, merge=True):
    """What a path of classes spells."""
    kept = [c for i, c in enumerate(path) if not (merge and i and c == path[i - 1])]
    return tuple(c for c in kept if c != blank)


def spelled(log_p, blank):
    """{labels: probability} of everything that the frames [T, C] can spell, path by path."""
    found = {}
    for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)):
        labels = collapsed(path, blank)
        found[labels] = found.get(labels, 0.0) + np.exp(sum(log_p[t, c] for t, c in enumerate(path)))
    return found


def ctc_loss(target, output, target_length, output_length, mask_index=0):
    classes = output.shape[2]
    losses = np.zeros(len(output))
    for i, (labels, x) in enumerate(zip(target, output)):
        found = spelled(log_softmax(x[: int(output_length[i])]), mask_index % classes)
        losses[i] = -np.log(found[tuple(int(c) for c in labels[: int(target_length[i])])])
    return losses


def alpha_loss(target, output, target_length, output_length, mask_index=0):
    """The recursion of Graves et al. 2006 over 2 L + 1 positions, one probability at a time."""
    losses = np.zeros(len(output))
    for i, x in enumerate(log_softmax(output)):
        labels = target[i][: int(target_length[i])]
        classes = np.full(2 * len(labels) + 1, mask_index)
        classes[1::2] = labels
        alpha = np.full(len(classes), -np.inf)
        alpha[:1] = 0.0
        for t in range(int(output_length[i])):
            before = alpha if t else np.concatenate([[0.0], alpha[1:]])
            one, two = (np.concatenate([np.full(k, -np.inf), before[:-k]])[: len(classes)] for k in (1, 2))
            skips = (
                (np.arange(len(classes)) % 2 == 1) & (classes != np.roll(classes, 2)) & (np.arange(len(classes)) > 1)
            )
            alpha = np.logaddexp(np.logaddexp(before, one), np.where(skips, two, -np.inf)) + x[t, classes]
            if t == 0:
                alpha = np.where(np.arange(len(classes)) < 2, x[0, classes], -np.inf)
        losses[i] = -np.logaddexp.reduce(alpha[-2:])
    return losses


def small(rng):
    """T <= 6, L <= 3: every length, repeats, every blank, labels as floats."""
    cases = []
    for blank, classes, kind in ((0, 3, "int32"), (2, 3, "int64"), (-1, 4, "float32"), (1, 4, "uint8")):
        rows = []
        for frames, length in itertools.product(range(7), range(4)):
            labels = rng.choice([c for c in range(classes) if c != blank % classes], 3)
            needed = length + sum(labels[k] == labels[k - 1] for k in range(1, length))
            if needed <= frames:
                rows.append((labels, length, frames))
        labels, lengths, frames = (np.array(column) for column in zip(*rows))
        x = 2 * rng.standard_normal((len(rows), 6, classes))
        cases.append(((labels.astype(kind), x, lengths, frames), {"mask_index": blank}))
    x = rng.standard_normal((3, 4, 3))
    cases += [
        ((np.zeros((3, 0), int), x, np.zeros(3, int), np.array([4, 1, 0])), {}),  # nothing but blanks
        ((np.ones((0, 2), int), x[:0], np.zeros(0, int), np.zeros(0, int)), {}),
        ((np.array([[1, 1]] * 3), 40 * x, np.array([2, 1, 2]), np.array([3, 4, 4])), {}),
        ((np.array([[2, 9]] * 3, "float32"), x, np.array([1, 1, 0], "float32"), np.array([3, 4, 4])), {}),
    ]
    return cases


def long(rng):
    """Sizes around the vectors, frames by the hundred."""
    cases = []
    for frames, longest, classes in ((20, 7, 29), (40, 15, 5), (40, 16, 5), (90, 31, 33), (90, 33, 40), (300, 70, 29)):
        x = 3 * rng.standard_normal((5, frames, classes))
        labels = rng.integers(1, classes, (5, longest))
        lengths = np.array([longest, longest // 2, 1, 0, longest])
        repeats = [(row[1:n] == row[: max(n - 1, 0)]).sum() for row, n in zip(labels, lengths)]
        least = lengths + repeats
        cases.append(((labels, x, lengths, np.maximum(least, [frames, frames - 3, frames // 2, 2, least[4]])), {}))
    return cases


def greedy(inputs, sequence_lengths, strategy="greedy", merge_repeated=True, mask_index=0):
    batch, time, classes = inputs.shape
    labels, scores = np.full((1, batch, time), -1, "int32"), np.zeros((batch, 1))
    blank = (-1 if mask_index is None else mask_index) % classes
    for i, n in enumerate(sequence_lengths):
        found = collapsed(inputs[i, :n].argmax(-1), blank, merge_repeated)
        labels[0, i, : len(found)], scores[i] = found, -inputs[i, :n].max(-1).sum()
    return labels, scores


def searched(inputs, sequence_lengths, strategy="beam_search", beam_width=100, top_paths=1, mask_index=0):
    batch, time, classes = inputs.shape
    labels, scores = np.full((top_paths, batch, time), -1, "int32"), np.full((batch, top_paths), -np.inf)
    for i, n in enumerate(sequence_lengths):
        found = spelled(log_softmax(inputs[i, :n]), (-1 if mask_index is None else mask_index) % classes)
        best = sorted(found, key=found.get, reverse=True)[:top_paths]
        for k, path in enumerate(best):
            labels[k, i, : len(path)], scores[i, k] = path, np.log(found[path])
    return labels, scores


def beam_searched(inputs, sequence_lengths, strategy="beam_search", beam_width=100, top_paths=1, mask_index=0):
    """The search with a dict of labellings: (ending in a blank, ending in a label)."""
    batch, time, classes = inputs.shape
    labels, scores = np.full((top_paths, batch, time), -1, "int32"), np.full((batch, top_paths), -np.inf)
    for i, n in enumerate(sequence_lengths):
        beams = {(): (0.0, -np.inf)}
        for x in log_softmax(inputs[i, :n]):
            after = {}
            for path, (blank, label) in beams.items():
                both = np.logaddexp(blank, label)
                shares = {path: (both + x[mask_index], label + x[path[-1]] if path else -np.inf)}
                for c in set(range(classes)) - {mask_index}:
                    shares[(*path, c)] = (-np.inf, x[c] + (blank if path[-1:] == (c,) else both))
                for key, share in shares.items():
                    after[key] = np.logaddexp(after.get(key, (-np.inf, -np.inf)), share)
            beams = dict(sorted(after.items(), key=lambda item: -np.logaddexp(*item[1]))[:beam_width])
        for k, (path, share) in enumerate(list(beams.items())[:top_paths]):
            labels[k, i, : len(path)], scores[i, k] = path, np.logaddexp(*share)
    return labels, scores


def narrow(rng):
    lengths = np.array([30, 0, 1, 17])
    return [
        ((rng.standard_normal((4, 30, c)), lengths), {"strategy": "beam_search", "beam_width": w, "top_paths": p})
        for c, w, p in ((2, 1, 1), (5, 4, 2), (8, 20, 20), (8, 100, 3))
    ]


def decoded(**kwargs):
    def samples(rng):
        lengths = [np.array([5, 0, 1, 4]), np.array([3, 5, 2, 5], "int64")]
        cases = [((3 * rng.standard_normal((4, 5, c)), n), kwargs) for c in (2, 3, 4) for n in lengths]
        return [*cases, ((rng.standard_normal((0, 3, 3)), np.zeros(0, int)), kwargs)]

    return samples


def wide(rng):
    return [((rng.standard_normal((3, 200, 29)), np.array([200, 7, 0])), {"merge_repeated": m}) for m in (True, False)]


X, T, N, F = np.zeros((2, 4, 3)), np.ones((2, 2), int), np.array([2, 1]), np.array([4, 4])


def bad(message, target=T, output=X, target_length=N, output_length=F, exception=ValueError, **kwargs):
    return (target, output, target_length, output_length), kwargs, exception, r"\[ctc_loss\] " + message


ERRORS = [
    bad(
        r"target has a label out of range; .* 0 <= label < 3. Received: value=3 at element 2",
        np.array([[1, 2], [3, 1]]),
    ),
    bad(r"target has a label out of range.*value=-1 at element 1", np.array([[1, -1], [1, 1]])),
    bad(r"target has a label out of range.*value=1.5 at element 0", np.array([[1.5, 1], [1, 1]])),
    bad(r"target has a label out of range.*value=nan at element 0", np.array([[np.nan, 1], [1, 1]])),
    bad(r"target holds the blank class, mask_index.*value=0 at element 1", np.array([[1, 0], [1, 1]])),
    bad(r"target holds the blank class.*value=2 at element 1", np.array([[1, 2], [1, 1]]), mask_index=-1),
    bad(r"output_length leaves no path .* needs 3 frames.*value=2 at element 0", output_length=np.array([2, 1])),
    bad(r"output_length leaves no path .* needs 1 frames.*value=0 at element 1", output_length=np.array([3, 0])),
    bad(r"target_length is out of range; .* up to 2. Received: value=3 at element 1", target_length=np.array([2, 3])),
    bad(r"target_length is out of range.*value=-1", target_length=np.array([-1, 1])),
    bad(r"output_length is out of range; .* up to 4. Received: value=5 at", output_length=np.array([5, 4])),
    bad(r"output_length is out of range.*value=3.5 at", output_length=np.array([3.5, 4.0])),
    bad(r"output must hold logits.*output.shape=\(4, 3\)", output=X[0]),
    bad(r"target must hold labels.*target.shape=\(2,\), output.shape=\(2, 4, 3\)", N),
    bad(r"target must hold labels.*target.shape=\(1, 2\)", T[:1]),
    bad(r"target_length must have one value.*target_length.shape=\(3,\)", target_length=np.ones(3, int)),
    bad(r"output_length must have one value.*output_length.shape=\(2, 1\)", output_length=F[:, None]),
    bad(r"mask_index must be one of 3 classes. Received: mask_index=3", mask_index=3),
    bad(r"mask_index must be one of 3 classes. Received: mask_index=-4", mask_index=-4),
    bad(r"mask_index must be an integer", mask_index=0.5, exception=TypeError),
    bad(r"target must be integers.*target.dtype=bool", T > 0, exception=TypeError),
]


def bad_decode(message, *args, exception=ValueError, **kwargs):
    return (args or (X, F)), kwargs, exception, r"\[ctc_decode\] " + message


DECODE_ERRORS = [
    bad_decode(r"strategy must be .*strategy='beam'", strategy="beam"),
    bad_decode(
        r"needs 1 <= top_paths <= beam_width.*top_paths=3, beam_width=2",
        strategy="beam_search",
        beam_width=2,
        top_paths=3,
    ),
    bad_decode(r"needs 1 <= top_paths.*top_paths=0", strategy="beam_search", top_paths=0),
    bad_decode(r"beam_width times the frames", strategy="beam_search", beam_width=2**30),
    bad_decode(r"sequence_lengths is out of range; .* up to 4. Received: value=5 at element 1", X, np.array([4, 5])),
    bad_decode(r"sequence_lengths must have one value.*shape=\(1,\)", X, F[:1]),
    bad_decode(r"inputs must hold logits.*inputs.shape=\(4, 3\)", X[0], F),
    bad_decode(r"mask_index must be one of 3 classes", mask_index=3),
    bad_decode(r"sequence_lengths must be integers", X, F > 0, exception=TypeError),
]

ROWS = [
    Row("ctc_loss", small, ctc_loss, second=False, errors=ERRORS),
    Row("ctc_loss", long, alpha_loss, second=False, rtol32=1e-5, id="ctc_loss-long"),
    Row("ctc_decode", decoded(), greedy, grad=False, errors=DECODE_ERRORS),
    Row("ctc_decode", wide, greedy, grad=False, id="ctc_decode-wide"),
    Row("ctc_decode", decoded(mask_index=None, merge_repeated=False), greedy, grad=False, id="ctc_decode-last"),
    Row("ctc_decode", narrow, beam_searched, grad=False, rtol32=1e-5, id="ctc_decode-narrow"),
    *[
        Row(
            "ctc_decode",
            decoded(strategy="beam_search", top_paths=paths, mask_index=blank),
            searched,
            grad=False,
            rtol32=1e-5,
            id=f"ctc_decode-beam-{paths}-{blank}",
        )
        for paths, blank in ((1, 0), (3, 1), (40, None))
    ],
]
