"""CTC: loss, gradient, decoding."""

import numpy as np
import pytest

import lamina as lm

from .both import close, gradients_of, keras, keras_gradients_of

RNG = np.random.default_rng(5)
LOGITS = (3 * RNG.standard_normal((5, 30, 8))).astype("float32")
LABELS = RNG.integers(1, 8, (5, 9)).astype("int32")
LENGTHS = np.array([9, 4, 1, 0, 6], "int32")
FRAMES = np.array([30, 17, 30, 12, 29], "int32")


@pytest.mark.parametrize("blank", [0, 7])
def test_loss_and_gradient(blank):
    labels = LABELS if blank == 0 else LABELS - 1
    y, (grad,) = gradients_of(lambda x: lm.ops.ctc_loss(labels, x, LENGTHS, FRAMES, blank), [LOGITS])
    other, (other_grad,) = keras_gradients_of(
        lambda x: keras.ops.ctc_loss(labels, x, LENGTHS, FRAMES, mask_index=blank), [LOGITS]
    )
    close(y, other)
    close(grad, other_grad, rtol=1e-4, atol=1e-5)  # Keras' float32 loses some of long sums


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
def test_loss_class(reduction):
    labels = np.where(np.arange(9) < LENGTHS[:, None], LABELS, 0)
    ours, theirs = lm.losses.CTC(reduction), keras.losses.CTC(reduction)
    y, (grad,) = gradients_of(lambda x: ours(labels, x), [LOGITS])
    other, (other_grad,) = keras_gradients_of(lambda x: theirs(labels, x), [LOGITS])
    close(y, other)
    close(grad, other_grad, rtol=1e-4, atol=1e-5)
    close(lm.losses.get("ctc")(labels, LOGITS), keras.losses.get("ctc")(labels, LOGITS).numpy().mean())


@pytest.mark.parametrize("blank", [0, 3, None])
@pytest.mark.parametrize("merge", [True, False])
def test_greedy_decoding(merge, blank):
    arguments = {"merge_repeated": merge, "mask_index": blank}
    check_decoding(LOGITS, FRAMES, arguments)


@pytest.mark.parametrize("blank", [0, 2, None])
@pytest.mark.parametrize("paths", [1, 4])
def test_beam_search(paths, blank):
    """Beams that hold all labellings: TensorFlow's search adds what one had before it left the beam.

    tests/ops/rows_ctc.py has narrow ones.
    """
    arguments = {"strategy": "beam_search", "beam_width": 50, "top_paths": paths, "mask_index": blank}
    check_decoding(LOGITS[:, :3, :4], np.array([3, 2, 3, 2, 3], "int32"), arguments)


def check_decoding(logits, frames, arguments):
    labels, scores = lm.ops.ctc_decode(logits, frames, **arguments)
    other, other_scores = keras.ops.ctc_decode(logits, frames, **arguments)
    np.testing.assert_array_equal(labels.numpy(), other.numpy())
    assert labels.dtype == "int32"
    close(scores.numpy(), other_scores.numpy())
