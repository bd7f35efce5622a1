"""Random programs of ops over inputs and variables: replays have Python's bits, whatever is kept or passed back."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina as lm
from lamina import ops

from ..plan.placement import check_placement
from .twice import bits

LARGEST = 20_000  # elements of a value
UNARY = [ops.tanh, ops.relu, ops.sigmoid, ops.square, ops.negative, ops.abs, ops.sign, lambda x: ops.exp(-ops.abs(x))]
BINARY = [ops.add, ops.subtract, ops.multiply, ops.maximum, ops.minimum, lambda a, b: a / (ops.abs(b) + 1.0)]
REDUCE = [ops.sum, ops.mean, ops.max, ops.prod]
VIEWS = [
    lambda x: ops.transpose(x),
    lambda x: x[::-1],
    lambda x: x[::2],
    lambda x: x[1:],
    lambda x: x[..., : max(x.shape[-1] // 2, 1)],
    lambda x: x[..., ::-1],
    lambda x: ops.reshape(x, (-1,)),
    lambda x: ops.expand_dims(x, 0),
    lambda x: ops.expand_dims(x, -1),
    lambda x: ops.broadcast_to(x, (2, *x.shape)),
]

instruction = st.tuples(
    st.sampled_from(
        "unary unary binary binary binary view reduce where cast join many matmul read assign add random".split()
    ),
    st.integers(0, 9),
    st.integers(0, 30),
    st.integers(0, 30),
)
program = st.fixed_dictionaries(
    {
        "n": st.sampled_from([1, 7, 64, 5000]),
        "code": st.lists(instruction, min_size=3, max_size=25),
        "results": st.lists(st.integers(0, 30), min_size=1, max_size=5),
        "again": st.integers(0, 4),  # which result is passed back in
    }
)


def fits(*shapes):
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return len(shape) <= 4 and np.prod(shape) <= LARGEST


def execute(code, values, variables):
    """Runs a program; instructions whose operands do not fit are skipped."""
    for kind, which, i, j in code:
        a, b = values[i % len(values)], values[j % len(values)]
        v = variables[which % len(variables)]
        if kind == "unary":
            values.append(UNARY[which % len(UNARY)](a))
        elif kind == "binary" and fits(a.shape, b.shape):
            values.append(BINARY[which % len(BINARY)](a, b))
        elif kind == "where" and fits(a.shape, b.shape):
            values.append(ops.where(a > b, a, b * 0.5))
        elif kind == "view" and 0 < a.ndim < 4 and a.size <= LARGEST // 2:
            values.append(VIEWS[which](a))
        elif kind == "reduce" and a.ndim:
            values.append(REDUCE[which % 4](a, axis=(None, 0, -1)[which % 3], keepdims=which > 6))
        elif kind == "cast":
            values.append(ops.cast(ops.cast(a, ("float64", "int32", "bool")[which % 3]), "float32"))
        elif kind == "join" and a.ndim and a.shape == b.shape and a.size <= LARGEST // 2:
            values.append(ops.concatenate([a, b, a][: 2 + which % 2], axis=which % a.ndim))
        elif kind == "many" and a.size <= 64 and a.ndim:
            values.append(ops.concatenate([a * float(k) for k in range(70)], axis=0)[: a.shape[0] * 3])
        elif kind == "matmul" and a.ndim == 2 and a.shape[0] <= 8:
            values.append(ops.matmul(a, ops.transpose(a)))
        elif kind == "read":
            values.append((v, v.detach(), v * 1.0)[which % 3])
        elif kind in ("assign", "add") and fits(a.shape, v.shape) and np.broadcast_shapes(a.shape, v.shape) == v.shape:
            value = ops.tanh(ops.broadcast_to(a, v.shape)) if which % 2 else ops.broadcast_to(a, v.shape)
            v.assign(value) if kind == "assign" else v.assign_add(value)
        elif kind == "random":
            values.append(ops.random.uniform(a.shape, seed=None if which % 2 else 3))
    return values


def outcome(program, capture):
    n = program["n"]
    lm.utils.set_random_seed(1)
    start = np.random.default_rng(0)
    variables = [lm.Variable(start.standard_normal(shape).astype("float32")) for shape in ((n,), (2, n), (), (n, 1))]

    def step(x, y):
        values = execute(program["code"], [x, y, x * 0.5], variables)
        return [values[i % len(values)] for i in program["results"]]

    function = lm.function(step) if capture else step
    rng = np.random.default_rng(1)
    x = y = None
    kept, views, log = [], [], []
    for call in range(5):
        fresh = lm.convert_to_tensor(rng.standard_normal(n).astype("float32"))
        fresh2 = lm.convert_to_tensor(rng.standard_normal((2, n)).astype("float32"))
        back = kept[-1][program["again"] % len(kept[-1])] if kept else fresh
        back = back.detach()
        x = back if call in (2, 3) and back.shape == (n,) else fresh
        y = back if call in (2, 3) and back.shape == (2, n) else x if call == 4 and n == 1 else fresh2
        if call == 3 and n != 1:
            x = variables[0].detach()  # memory that the step may write
        results = function(x, y)
        own = [r for r in results if not shares(r, variables)]
        kept.append(results)
        views.append([(t.numpy(), t.numpy().copy()) for t in own])
        log.append((bits(results), bits(variables)))
    for pairs in views:
        for view, at_once in pairs:
            np.testing.assert_array_equal(view, at_once)
    if capture:
        for plan in function.plans:
            check_placement(plan)
    return log, [bits([t for t in results if not shares(t, variables)]) for results in kept]


def shares(tensor, variables):
    return any(0 <= tensor._core.address - v._core.address < v.nbytes for v in variables)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(program)
def test_random_programs(program):
    eager, captured = outcome(program, False), outcome(program, True)
    for call, (want, got) in enumerate(zip(eager[0], captured[0])):
        assert got == want, f"call {call}"
    assert eager[1] == captured[1]
