"""Connectionist temporal classification: the loss of label sequences that are shorter than the frames, and decoding."""

from __future__ import annotations

from .. import _core
from ..autograd import mode, record
from ..tensor import Tensor
from .arguments import choice, flag, integer
from .common import floating, tensor
from .shape import reshape


def ctc_loss(target, output, target_length, output_length, mask_index=0):
    """-log of the probability of label sequences under frames of logits, over all alignments; Graves et al. 2006.

    A path chooses one class for each frame; it spells a target if merging its repeated classes and then dropping the
    blanks leaves the target. Equal neighbours in a target therefore need a blank between them.

    Args:
        target: labels `[batch, length]`, integers or whole floats; what lies past `target_length` is not read.
        output: logits `[batch, time, classes]`, float32 or float64 (the softmax over the classes is done here).
        target_length: number of labels of each sample, `[batch]`, 0 to length.
        output_length: number of frames of each sample, `[batch]`, 0 to time; later frames have no gradient.
        mask_index: the blank class; negative counts from the end.

    Returns:
        Tensor `[batch]`; 0 for an empty target without frames. Infinity, with a gradient of 0, where logits of
        -infinity leave the target a probability of 0 (log-probabilities below -1e29 count as that).

    Raises:
        ValueError: if shapes do not fit, a label or length is out of range, a label is the blank, or a sample has
            fewer frames than labels and repeats.

    Example:
        >>> import lamina as lm
        >>> logits = lm.ops.zeros((1, 2, 3))  # 3 of the 9 paths spell [1]: 1 1, 0 1, 1 0
        >>> lm.ops.ctc_loss([[1]], logits, [1], [2]).numpy()
        array([1.0986123], dtype=float32)
    """
    target, x = tensor(target), floating(output)
    lengths = (tensor(target_length)._core, tensor(output_length)._core)
    wanted = mode.enabled and x._source is not None
    loss, dx = _core.ctc_loss(target._core, x._core, *lengths, integer("ctc_loss", "mask_index", mask_index), wanted)
    if not wanted:
        return Tensor(loss)

    return record(
        "ctc_loss", loss, (x,), lambda dy: record("ctc_loss_grad", dx, (x,), _refuse) * reshape(dy, (-1, 1, 1))
    )


def _refuse(dy):
    raise NotImplementedError(
        "[ctc_loss] has no second derivative; expected one derivative at most. Received: a gradient of its gradient. "
        "Take the gradient of this loss outside of the other tape, or under no_grad."
    )


def ctc_decode(
    inputs, sequence_lengths, strategy="greedy", beam_width=100, top_paths=1, merge_repeated=True, mask_index=0
):
    """Label sequences from the logits of a network trained with `ctc_loss`; no gradient.

    `"greedy"` takes the likeliest class of every frame, merges repeats and drops blanks. `"beam_search"` sums over all
    alignments of a labelling and keeps the `beam_width` best labellings after each frame; Graves 2012, 7.5.

    Args:
        inputs: logits `[batch, time, classes]`.
        sequence_lengths: number of frames of each sample, `[batch]`.
        strategy: `"greedy"` or `"beam_search"`.
        beam_width: labellings that the search keeps.
        top_paths: labellings that the search returns, at most beam_width.
        merge_repeated: whether greedy decoding merges repeated classes; the search does.
        mask_index: the blank class; negative counts from the end, None is the last.

    Returns:
        Tuple of int32 labels `[top_paths, batch, time]` (`[1, batch, time]` for greedy), -1 after their end, and scores
        `[batch, top_paths]`: log-probabilities, best first; for greedy minus the sum of the chosen logits. Where fewer
        than `top_paths` labellings have a probability above 0, the rest is -1 and -infinity.

    Raises:
        ValueError: for an unknown strategy, shapes that do not fit, a length out of range, top_paths > beam_width.

    Example:
        >>> import lamina as lm
        >>> logits = 5.0 * lm.ops.one_hot([[1, 1, 0, 1, 2]], 3)
        >>> labels, scores = lm.ops.ctc_decode(logits, [5])
        >>> labels.numpy()
        array([[[ 1,  1,  2, -1, -1]]], dtype=int32)
    """
    op = "ctc_decode"
    blank = -1 if mask_index is None else integer(op, "mask_index", mask_index)
    merge = flag(op, "merge_repeated", merge_repeated)
    x, lengths = floating(inputs)._core, tensor(sequence_lengths)._core
    if choice(op, "strategy", strategy, ("greedy", "beam_search")) == "greedy":
        found = _core.ctc_greedy_decode(x, lengths, blank, merge)
    else:
        width, paths = integer(op, "beam_width", beam_width), integer(op, "top_paths", top_paths)
        found = _core.ctc_beam_decode(x, lengths, blank, width, paths)
    return Tensor(found[0]), Tensor(found[1])
