"""Steps on the rows that a batch looked up: against published formulas on those rows alone, and against dense steps."""

import copy

import numpy as np
import pytest

import lamina as lm
from lamina import _core, optimizers
from lamina.row_gradient import RowGradient
from lamina.tensor import Tensor

from .test_rules import RULES, SHARED, clipped

N, WIDTH, STEPS = 37, 19, 6
STATE = ("m", "v", "a", "x", "n", "z", "r")  # of the reference rules: one row for each of the table's
SHARED = {name: SHARED[name] for name in ("plain", "value", "norm", "global", "decay", "scale")}


class Sgd:
    def __init__(self, shape, momentum=0.0, nesterov=False):
        self.momentum, self.nesterov, self.m = momentum, nesterov, 0.0

    def __call__(self, p, g, lr, t):
        self.m = self.momentum * self.m - lr * g
        return p + (self.momentum * self.m - lr * g if self.nesterov else self.m)


class Adam:
    """Kingma and Ba 2015; on rows, what torch.optim.SparseAdam does."""

    def __init__(self, shape, amsgrad=False):
        self.amsgrad, self.m, self.v, self.x = amsgrad, 0.0, 0.0, 0.0

    def __call__(self, p, g, lr, t):
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.999 * self.v + 0.001 * g * g
        self.x = np.maximum(self.x, self.v)
        v = self.x if self.amsgrad else self.v
        return p - lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * self.m / (np.sqrt(v) + 1e-7)


RULES = RULES | {
    "sgd": (lambda **k: optimizers.SGD(0.1, **k), Sgd),
    "momentum": (lambda **k: optimizers.SGD(0.1, 0.9, **k), lambda s: Sgd(s, 0.9)),
    "nesterov": (lambda **k: optimizers.SGD(0.1, 0.9, True, **k), lambda s: Sgd(s, 0.9, True)),
    "adam": (lambda **k: optimizers.Adam(0.01, **k), Adam),
    "amsgrad": (lambda **k: optimizers.Adam(0.01, amsgrad=True, **k), lambda s: Adam(s, True)),
}


def batches(rng, dtype="float64", count=STEPS):
    """(ids, gradient rows, gradient of another variable); one batch is empty, one has an id in every place."""
    shapes = [(4, 3), (0,), (11,), (60,), (2, 2, 2), (1,)]
    for i in range(count):
        ids = rng.integers(-N, N, shapes[i % len(shapes)]).astype(["int32", "int64", "int8"][i % 3])
        if i % len(shapes) == 5:
            ids[:] = 7
        yield ids, rng.standard_normal((*ids.shape, WIDTH)).astype(dtype), rng.standard_normal((5, 3)).astype(dtype)


def row_gradient(ids, rows):
    return RowGradient(lm.convert_to_tensor(rows)._core, lm.convert_to_tensor(ids)._core, (N, WIDTH))


def summed(ids, rows):
    """The distinct ids, and the gradient's row of each."""
    distinct, place = np.unique(ids.reshape(-1) % N, return_inverse=True)
    sums = np.zeros((len(distinct), WIDTH))
    np.add.at(sums, place, rows.reshape(-1, WIDTH))
    return distinct, sums


def step_on_rows(rule, p, distinct, g, lr, t):
    """The rule on some rows of p and of its own state."""
    part = copy.copy(rule)
    names = [name for name in STATE if hasattr(rule, name)]
    for name in names:
        whole = np.broadcast_to(getattr(rule, name), (N,) if name == "r" else p.shape).copy()
        setattr(rule, name, whole)
        setattr(part, name, whole[distinct])
    p[distinct] = part(p[distinct], g, lr, t)
    for name, value in vars(part).items():
        if name not in names:
            setattr(rule, name, value)
        elif np.shape(value) or len(distinct):
            getattr(rule, name)[distinct] = value


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("name", RULES)
def test_a_step_is_the_rule_on_the_rows_of_the_batch(name, shared, dtype, rng):
    make, rule = RULES[name]
    shared = SHARED[shared]
    optimizer = make(**shared)
    lr = float(optimizer.learning_rate)
    start = rng.standard_normal((N, WIDTH)).astype(dtype), rng.standard_normal((5, 3)).astype(dtype)
    table, other = variables = [lm.Variable(p) for p in start]
    table.sparse_gradient = True
    p, q = (s.astype(np.float64) for s in start)
    rules = rule((N, WIDTH)), rule((5, 3))
    decay = 1 - shared.get("weight_decay", 0.0) * lr
    for t, (ids, rows, dense) in enumerate(batches(rng, dtype), 1):
        optimizer.apply([row_gradient(ids, rows), lm.convert_to_tensor(dense)], variables)
        distinct, sums = summed(ids, rows.astype(np.float64))
        scale = shared.get("loss_scale_factor", 1.0)
        sums, dense = clipped([sums / scale, dense.astype(np.float64) / scale], **shared)
        p[distinct] *= decay
        step_on_rows(rules[0], p, distinct, sums, lr, t)
        q = rules[1](q * decay, dense, lr, t)
    tolerance = 3e-5 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(table.numpy(), p, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(other.numpy(), q, rtol=tolerance, atol=tolerance)


def trained(make, dense, sparse_gradient, rng, shared):
    optimizer, table = make(**shared), lm.Variable(rng.standard_normal((N, WIDTH)).astype("float32"))
    table.sparse_gradient = sparse_gradient
    for ids, rows, _ in batches(rng, "float32"):
        gradient = row_gradient(ids, rows)
        optimizer.apply([Tensor(gradient._core) if dense else gradient], [table])
    return [table, *optimizer.variables]


EXACT = ["sgd", "adagrad", "adagrad start"]


@pytest.mark.parametrize("shared", ["plain", "value", "scale"])
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("sparse_gradient", [False, True])
def test_rules_at_rest_give_what_dense_steps_give(name, shared, sparse_gradient):
    shared = {key: value for key, value in SHARED[shared].items() if key != "global_clipnorm"}
    runs = [trained(RULES[name][0], dense, sparse_gradient, np.random.default_rng(3), shared) for dense in (0, 1)]
    for by_row, dense in zip(*runs):
        np.testing.assert_array_equal(by_row.numpy(), dense.numpy())


@pytest.mark.parametrize(
    "name, sparse_gradient, shared",
    [(name, False, {}) for name in set(RULES) - set(EXACT)]
    + [(name, False, {"weight_decay": 0.1}) for name in EXACT]
    + [("adam", True, {"use_ema": True}), ("sgd", True, {"gradient_accumulation_steps": 2})],
)
def test_other_steps_are_dense(name, sparse_gradient, shared):
    rng = np.random.default_rng
    runs = [trained(RULES[name][0], dense, sparse_gradient, rng(3), shared) for dense in (False, True)]
    for by_row, dense in zip(*runs):
        np.testing.assert_array_equal(by_row.numpy(), dense.numpy())


@pytest.mark.parametrize("name", RULES)
def test_same_bits_for_any_number_of_threads(name, threads):
    seen = set()
    for n in (1, 3):
        threads(n)
        state = trained(RULES[name][0], False, True, np.random.default_rng(3), {"global_clipnorm": 1.0})
        seen.add(b"".join(v.numpy().tobytes() for v in state))
    assert len(seen) == 1


def test_only_rows_of_the_batch_are_written(rng):
    start = rng.standard_normal((N, WIDTH)).astype("float32")
    table = lm.Variable(start)
    table.sparse_gradient = True
    optimizer = optimizers.AdamW(0.1, weight_decay=0.5)
    optimizer.apply([row_gradient(np.array([3, 3, -1]), np.zeros((3, WIDTH), "float32"))], [table])
    named = np.isin(np.arange(N), [3, N - 1])
    np.testing.assert_array_equal(table.numpy()[~named], start[~named])
    np.testing.assert_allclose(table.numpy()[named], start[named] * 0.95, rtol=1e-6)


def test_bad_ids_change_nothing(rng):
    table = lm.Variable(rng.standard_normal((N, WIDTH)).astype("float32"))
    before = table.numpy()
    for ids, message in [([0, N], rf"\[sgd\] index is out of range.*value={N}"), ([0.0, 1.0], "must be integers")]:
        with pytest.raises((ValueError, TypeError), match=message):
            optimizers.SGD(1.0).apply([row_gradient(np.array(ids), np.ones((2, WIDTH), "float32"))], [table])
        np.testing.assert_array_equal(table.numpy(), before)


def test_core_errors():
    def core(*shape, dtype="float32"):
        return lm.ops.zeros(shape, dtype)._core

    p, ids, lr, it = core(4, 3), core(2, dtype="int32"), core(), core(dtype="int64")
    for parameter, gradient, more, message in [
        (p, p, {}, r"\[sgd\] gradient must have shape \(2, 3\).*shape=\(4, 3\)"),
        (core(4), core(2), {}, r"\[sgd\] only a matrix has rows. Received: number 0 with shape=\(4,\)"),
        (p, core(2, 3), {"averages": [p]}, r"\[sgd\] rows of a gradient are neither gathered nor averaged"),
    ]:
        with pytest.raises(ValueError, match=message):
            group = _core.parameter_group("sgd", [parameter], [], lr, it, {}, **more)
            _core.optimizer_step(group, [gradient], [ids])
