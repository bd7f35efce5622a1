"""Recurrent layers over whole sequences, each one launch: SimpleRNN, LSTM, GRU.

Sequences are time-major here: steps, samples, features. The inputs come multiplied by their kernel, for all steps at
once. With `reverse` the steps go from the last input to the first; results are in the order of the steps, but for the
gradient of x, which lies as x does.
"""

from __future__ import annotations

from .. import _core
from ..autograd import GradientTape, mode, record
from ..tensor import Tensor
from .arguments import choice, flag, under
from .arithmetic import where
from .common import floating, tensor
from .elementwise import relu, sigmoid, tanh
from .joining import flip, split, stack
from .linalg import dense, matmul
from .reduce import sum
from .shape import expand_dims, reshape, transpose

_FUNCTIONS = {None: lambda x: x, "relu": relu, "sigmoid": sigmoid, "tanh": tanh}


def simple_rnn(x, kernel, h, mask=None, activation="tanh", reverse=False):
    """h(t) = f(x(t) + h(t - 1) kernel).

    Args:
        x: projected inputs with their bias `[steps, batch, units]`.
        kernel: `[units, units]`.
        h: first state `[batch, units]`.
        mask: bool `[steps, batch]`; where it is False the state stays.
        activation: None, `"relu"`, `"sigmoid"` or `"tanh"`.
        reverse: whether the last input comes first.

    Returns:
        (h of every step `[steps, batch, units]`, last h).

    Raises:
        ValueError: where shapes do not fit.

    Example:
        >>> import lamina as lm
        >>> outputs, last = lm.ops.recurrent.simple_rnn(lm.ops.ones((3, 1, 1)), [[1.0]], [[0.0]], activation=None)
        >>> outputs.numpy()[:, 0, 0]
        array([1., 2., 3.], dtype=float32)
    """
    activation = choice("simple_rnn", "activation", activation, tuple(_FUNCTIONS))
    return under("simple_rnn", _run, "rnn", x, kernel, None, [h], mask, activation, reverse)


def lstm(x, kernel, h, c, mask=None, reverse=False):
    """Long short-term memory with sigmoid gates and tanh; Hochreiter and Schmidhuber 1997.

    Args:
        x: projected inputs with their bias `[steps, batch, 4 * units]`: input, forget, candidate, output gate.
        kernel: `[units, 4 * units]`.
        h: first state `[batch, units]`.
        c: first cell state `[batch, units]`.
        mask: bool `[steps, batch]`; where it is False the states stay.
        reverse: whether the last input comes first.

    Returns:
        (h of every step `[steps, batch, units]`, last h, last c).

    Raises:
        ValueError: where shapes do not fit.

    Example:
        >>> import lamina as lm
        >>> x, zeros = lm.ops.ones((3, 2, 8)), lm.ops.zeros((2, 2))
        >>> lm.ops.recurrent.lstm(x, lm.ops.zeros((2, 8)), zeros, zeros)[0].shape
        (3, 2, 2)
    """
    return _run("lstm", x, kernel, None, [h, c], mask, None, reverse)


def gru(x, kernel, bias, h, mask=None, reverse=False):
    """Gated recurrent unit with sigmoid gates and tanh, the reset gate after the product; Cho et al. 2014.

    Args:
        x: projected inputs with their bias `[steps, batch, 3 * units]`: update gate, reset gate, candidate.
        kernel: `[units, 3 * units]`.
        bias: of the recurrent product, `[3 * units]`, or None.
        h: first state `[batch, units]`.
        mask: bool `[steps, batch]`; where it is False the state stays.
        reverse: whether the last input comes first.

    Returns:
        (h of every step `[steps, batch, units]`, last h).

    Raises:
        ValueError: where shapes do not fit.

    Example:
        >>> import lamina as lm
        >>> x = lm.ops.ones((3, 2, 6))
        >>> lm.ops.recurrent.gru(x, lm.ops.zeros((2, 6)), None, lm.ops.zeros((2, 2)))[0].shape
        (3, 2, 2)
    """
    return _run("gru", x, kernel, bias, [h], mask, None, reverse)


def _run(kind, x, kernel, bias, states, mask, activation, reverse):
    x, kernel = floating(x), tensor(kernel)
    bias = None if bias is None else tensor(bias)
    states = [tensor(state) for state in states]
    of_mask = None if mask is None else tensor(mask)._core
    options = (of_mask, activation, flag(kind, "reverse", reverse))
    cores = [t._core for t in states]
    y, c, gates = _core.recurrent(
        kind, x._core, kernel._core, None if bias is None else bias._core, cores[0], (*cores, None)[1], *options
    )
    steps = x.shape[0]
    given = tuple(t for t in (x, kernel, bias, *states) if t is not None)

    def grad(dy, y):
        if mode.enabled and any(t._source is not None for t in (dy, *given)):
            return _composed_grad(kind, dy, given, bias is not None, mask, activation, reverse)
        cores = _core.recurrent_grad(kind, dy._core, y._core, c, gates, kernel._core, *options)
        dx, ds, *before = map(Tensor, cores)
        sizes = (steps * x.shape[1], x.shape[2])
        inputs = y[:steps]
        if reverse:
            inputs = flip(inputs, axis=0)
        product = reshape(ds, sizes)
        dkernel = matmul(transpose(reshape(inputs, (sizes[0], kernel.shape[0]))), product)
        found = [dx, dkernel] if bias is None else [dx, dkernel, sum(product, 0)]
        return (*found, *before[: len(states)])

    whole = record(kind, y, given, grad, saved=given, output=True)
    return (whole[1 : steps + 1], *(whole[steps + i] for i in range(len(states))))


def _composed_grad(kind, dy, given, biased, mask, activation, reverse):
    """The gradient in public ops: that of the steps one by one."""
    with GradientTape() as tape:
        tape.watch(list(given))
        y = _composed(kind, given, biased, mask, activation, reverse)
    return tape.gradient(y, list(given), output_gradients=dy)


def _composed(kind, given, biased, mask, activation, reverse):
    x, kernel, *rest = given
    bias = rest.pop(0) if biased else None
    states, outputs = rest, [rest[0]]
    for t in reversed(range(x.shape[0])) if reverse else range(x.shape[0]):
        after = _STEPS[kind](x[t], kernel, bias, states, activation)
        if mask is not None:
            counts = expand_dims(mask[t], 1)
            after = [where(counts, new, old) for new, old in zip(after, states)]
        states = after
        outputs.append(states[0])
    return stack([*outputs, *states[1:]], axis=0)


def _rnn_step(x, kernel, bias, states, activation):
    return [_FUNCTIONS[activation](x + matmul(states[0], kernel))]


def _lstm_step(x, kernel, bias, states, activation):
    h, c = states
    i, f, g, o = split(x + matmul(h, kernel), 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return [sigmoid(o) * tanh(c), c]


def _gru_step(x, kernel, bias, states, activation):
    h = states[0]
    (xz, xr, xn), (sz, sr, sn) = split(x, 3, axis=-1), split(dense(h, kernel, bias), 3, axis=-1)
    z, r = sigmoid(xz + sz), sigmoid(xr + sr)
    candidate = tanh(xn + r * sn)
    return [candidate + z * (h - candidate)]


_STEPS = {"rnn": _rnn_step, "lstm": _lstm_step, "gru": _gru_step}
