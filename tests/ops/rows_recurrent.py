"""Rows of lamina.ops.recurrent, against the formulas step by step."""

import numpy as np

from .rows import Row

# steps, samples, units: around blocks of 16 samples and the vectors' sizes
SIZES = [(1, 1, 1), (3, 2, 5), (2, 17, 3), (4, 3, 16), (2, 33, 9), (3, 18, 40), (0, 2, 3), (2, 0, 3)]
FUNCTIONS = {None: lambda x: x, "relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def over_steps(step, x, states, mask, reverse):
    outputs = []
    for t in range(len(x))[::-1] if reverse else range(len(x)):
        after = step(x[t], *states)
        if mask is not None:
            after = [np.where(mask[t][:, None], new, old) for new, old in zip(after, states)]
        states = after
        outputs.append(states[0])
    return (np.stack(outputs) if outputs else np.zeros((0, *states[0].shape)), *states)


def simple_rnn(x, kernel, h, mask=None, activation="tanh", reverse=False):
    return over_steps(lambda x, h: [FUNCTIONS[activation](x + h @ kernel)], x, [h], mask, reverse)


def lstm(x, kernel, h, c, mask=None, reverse=False):
    def step(x, h, c):
        i, f, g, o = np.split(x + h @ kernel, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return [sigmoid(o) * np.tanh(c), c]

    return over_steps(step, x, [h, c], mask, reverse)


def gru(x, kernel, bias, h, mask=None, reverse=False):
    def step(x, h):
        s = h @ kernel + (0 if bias is None else bias)
        (xz, xr, xn), (sz, sr, sn) = np.split(x, 3, axis=1), np.split(s, 3, axis=1)
        z = sigmoid(xz + sz)
        return [z * h + (1 - z) * np.tanh(xn + sigmoid(xr + sr) * sn)]

    return over_steps(step, x, [h], mask, reverse)


def samples(gates, states, biased=False, **kwargs):
    def draw(rng):
        found = []
        for i, (steps, batch, units) in enumerate(SIZES):
            args = [rng.standard_normal((steps, batch, gates * units)), rng.standard_normal((units, gates * units)) / 2]
            if biased:
                args.append(rng.standard_normal(gates * units) if i % 2 else None)
            args += [rng.standard_normal((batch, units)) for _ in range(states)]
            mask = rng.random((steps, batch)) > 0.3 if i % 3 else None
            found.append((tuple(args), {"mask": mask, "reverse": i % 2 == 0, **kwargs}))
        return found

    return draw


X, W, H = np.ones((3, 2, 8)), np.ones((2, 8)), np.ones((2, 2))
ERRORS = [
    ((X, np.ones((2, 6)), H, H), {}, ValueError, r"\[lstm\] kernel must be float64 of shape \(2, 8\).*\(2, 6\)"),
    ((X[0], W, H, H), {}, ValueError, r"\[lstm\] needs projected inputs .*x.shape=\(2, 8\)"),
    ((X, W, np.ones((3, 2)), H), {}, ValueError, r"\[lstm\] h0 must be float64 of shape \(2, 2\).*h0.shape=\(3"),
    ((X, W, H, np.ones((2, 3))), {}, ValueError, r"\[lstm\] c0 must be float64 of shape \(2, 2\)"),
    ((X, W, H, H), {"mask": np.ones((2, 3), bool)}, ValueError, r"\[lstm\] mask must be bool of shape \(3, 2\)"),
]

ROWS = [
    *[
        Row("recurrent.simple_rnn", samples(1, 1, activation=f), simple_rnn, rtol32=2e-5, id=f"simple_rnn-{f}")
        for f in FUNCTIONS
    ],
    Row("recurrent.lstm", samples(4, 2), lstm, rtol32=2e-5, errors=ERRORS),
    Row("recurrent.gru", samples(3, 1, biased=True), gru, rtol32=2e-5),
]
