"""How targets and predictions are brought to one shape, and the errors where they cannot be."""

from __future__ import annotations

from .. import ops
from ..probabilities import Probabilities
from ..tensor import FLOATING, Tensor, Variable, convert_to_tensor
from ..utils.warning import warn


def predictions(y_pred):
    """y_pred as a floating Tensor."""
    y_pred = convert_to_tensor(y_pred)
    return y_pred if y_pred.dtype in FLOATING else ops.cast(y_pred, "float32")


def elementwise(where, y_true, y_pred):
    """Targets and predictions of one shape and type; a last axis of 1 more or less is not counted.

    Nothing is broadcast: targets (N,) against predictions (N, 5) are an error rather than N * N differences.
    """
    y_pred = predictions(y_pred)
    y_true = convert_to_tensor(y_true, y_pred.dtype)
    true, pred = y_true.shape, y_pred.shape
    if true != pred:
        if true == (*pred, 1):
            y_true = ops.reshape(y_true, pred)
        elif pred == (*true, 1):
            y_true = ops.reshape(y_true, pred)
        else:
            raise mismatch(where, y_true, y_pred, "expected targets of the shape of the predictions")
    return y_true, y_pred


def classes(where, y_true, y_pred):
    """Class ids of shape y_pred.shape[:-1], and scores."""
    y_pred = predictions(y_pred)
    y_true = y_true if isinstance(y_true, Tensor) else convert_to_tensor(y_true)
    true, pred = y_true.shape, y_pred.shape
    if true != pred[:-1]:
        if not pred or true != (*pred[:-1], 1):
            raise mismatch(where, y_true, y_pred, "expected one class id for each row of scores")
        y_true = ops.reshape(y_true, pred[:-1])
    return y_true, y_pred


def scores_of(where, y_pred, from_logits):
    """(scores, whether they are logits): the logits behind the result of a softmax activation, else y_pred itself."""
    logits = y_pred.logits if type(y_pred) is Probabilities else None
    if logits is None:
        return y_pred, from_logits
    if from_logits:
        warn(
            f"[{where}] was given from_logits=True, but the predictions are probabilities already. "
            "Leave out from_logits, or the last layer's softmax."
        )
        return y_pred, True
    return logits, True


def mismatch(where, y_true, y_pred, expected):
    """The error for shapes that do not go together."""
    true, pred = y_true.shape, y_pred.shape
    remedy = ""
    if len(pred) > len(true) + 1 and true[:1] == pred[:1]:
        remedy = " The predictions keep the axes of an image: put a Flatten layer in front of the first Dense layer."
    elif true == pred and len(pred) >= 2:
        remedy = " For one-hot targets use categorical_crossentropy."
    elif len(true) + 1 == len(pred) and true[:1] == pred[:1]:
        remedy = (
            " For class ids as targets use sparse_categorical_crossentropy; "
            "for numbers let the last layer have one unit."
        )
    elif len(true) == len(pred) and true[:1] == pred[:1]:
        remedy = f" The last layer needs {true[-1]} units."
    layer = layer_of(y_pred)
    made = f" of layer {layer!r}" if layer else ""
    return ValueError(
        f"[{where}] the targets do not fit the predictions{made}; {expected}. "
        f"Received: y_true.shape={true}, y_pred.shape={pred}.{remedy}"
    )


def layer_of(tensor):
    """Path of the last layer with weights that a recorded tensor came through, or None."""
    edges, seen = [tensor._source], set()
    for edge in edges:  # breadth first: the nearest weight
        if isinstance(edge, Variable):
            return edge.path.rpartition("/")[0] or edge.path
        if id(edge) not in seen and hasattr(edge, "edges"):
            seen.add(id(edge))
            edges.extend(edge.edges)
    return None
