"""Every row of cases.py: values, gradients, strides, symbolic shapes, threads, errors."""

import numpy as np
import pytest

import lamina as lm

from .cases import ROWS
from .rows import is_input

MAX_DIFFERENCED = 500  # elements of a sample whose gradient is checked, one finite difference each

pytestmark = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


def call(row, args, kwargs):
    f = lm.ops
    for part in row.op.split("."):
        f = getattr(f, part)
    out = f(*args, **kwargs)
    return out if isinstance(out, (tuple, list)) else (out,)


def tensors(args, dtype, leaf=False):
    def convert(a):
        if isinstance(a, (list, tuple)) and any(is_input(x) for x in a):
            return type(a)(convert(x) for x in a)
        if not is_input(a):
            return a
        return lm.Variable(a.astype(dtype)) if leaf else lm.convert_to_tensor(a.astype(dtype))

    return [convert(a) for a in args]


def inputs_of(args):
    return [x for a in args for x in (a if isinstance(a, (list, tuple)) else [a]) if isinstance(x, lm.Tensor)]


def scaled_close(got, want, rtol):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape
    if want.size:
        finite = np.isfinite(want)
        np.testing.assert_array_equal(np.isfinite(got), finite)
        scale = np.abs(want[finite]).max(initial=1e-3)
        np.testing.assert_allclose(got[finite] / scale, want[finite] / scale, rtol=rtol, atol=rtol)


def test_values(row, rng):
    for args, kwargs in row.samples(rng):
        want = row.reference(*args, **kwargs)
        want = want if isinstance(want, tuple) else (want,)
        for dtype, rtol in (("float64", 1e-10), ("float32", row.rtol32)):
            got = call(row, tensors(args, dtype), kwargs)
            assert len(got) == len(want)
            for g, w in zip(got, want):
                scaled_close(g, w, rtol)


def test_views_give_the_same_bits(row, rng):
    for args, kwargs in row.samples(rng):

        def strided(a):
            if isinstance(a, (list, tuple)) and any(is_input(x) for x in a):
                return type(a)(strided(x) for x in a)
            if not is_input(a):
                return a
            wide = np.repeat(np.flip(a.astype(np.float32)), 2, axis=-1) if a.ndim else a.astype(np.float32)
            t = lm.convert_to_tensor(wide)
            return t[tuple([slice(None, None, -1)] * (a.ndim - 1) + [slice(None, None, -2)])] if a.ndim else t

        plain = call(row, tensors(args, "float32"), kwargs)
        for g, w in zip(call(row, [strided(a) for a in args], kwargs), plain):
            np.testing.assert_array_equal(g.numpy(), w.numpy())


def total(outputs, weights):
    return sum(lm.ops.sum(y * w) for y, w in zip(outputs, weights) if y.dtype.startswith("float"))


def test_gradient(row, rng):
    if not row.grad:
        for args, kwargs in row.samples(rng)[:1]:
            if row.op != "cast":
                assert not any(y.requires_grad for y in call(row, tensors(args, "float64", leaf=True), kwargs))
        return
    for args, kwargs in row.samples(rng):
        leaves = tensors(args, "float64", leaf=True)
        outputs = call(row, leaves, kwargs)
        weights = [lm.convert_to_tensor(rng.standard_normal(y.shape)) for y in outputs]
        variables = inputs_of(leaves)
        if not 0 < sum(v.size for v in variables) <= MAX_DIFFERENCED:
            continue

        def f(*values, leaves=leaves, variables=variables, kwargs=kwargs, weights=weights):
            swap = dict(zip(map(id, variables), values))
            replaced = [
                type(a)(swap.get(id(x), x) for x in a) if isinstance(a, (list, tuple)) else swap.get(id(a), a)
                for a in leaves
            ]
            return total(call(row, replaced, kwargs), weights)

        lm.check_gradients(f, *variables, second=row.second)
        # The float32 gradient against the float64 one.
        want = lm.grad(f, tuple(range(len(variables))))(*variables)
        singles = tensors(args, "float32", leaf=True)
        y32 = total(call(row, singles, kwargs), [lm.ops.cast(w, "float32") for w in weights])
        y32.backward()
        for v, w in zip(inputs_of(singles), want):
            got = np.zeros(v.shape) if v.grad is None else v.grad
            scaled_close(got, w, 10 * row.rtol32)


def test_symbolic_shape_is_the_eager_one(row, rng):
    for args, kwargs in row.samples(rng):
        eager = call(row, tensors(args, "float32"), kwargs)

        def symbol(a):
            if isinstance(a, (list, tuple)) and any(is_input(x) for x in a):
                return type(a)(symbol(x) for x in a)
            return lm.Tensor(lm._core.symbolic(a.shape, "float32")) if is_input(a) else a

        for s, e in zip(call(row, [symbol(a) for a in args], kwargs), eager):
            assert (s.shape, s.dtype) == (e.shape, e.dtype)


def test_same_bits_for_any_number_of_threads(row, rng, threads):
    for args, kwargs in row.samples(rng):
        results = []
        for n in (1, 2, 3):
            threads(n)
            results.append([y.numpy().tobytes() for y in call(row, tensors(args, "float32"), kwargs)])
        assert results[0] == results[1] == results[2]


@pytest.mark.filterwarnings("ignore:.function. ndarray data became a constant")
def test_captured_steps_have_eager_bits(row, rng, threads):
    """Results and gradients of a replay on other values than those of the capture."""
    for args, kwargs in row.samples(rng):
        inputs = inputs_of(tensors(args, "float32"))

        def step(*values, args=args, kwargs=kwargs):
            def fill(a):
                if isinstance(a, (list, tuple)) and any(is_input(x) for x in a):
                    return type(a)(fill(x) for x in a)
                return next(at) if is_input(a) else a

            with lm.GradientTape() as tape:
                values = [x * 1.0 for x in values]
                tape.watch(values)
                at = iter(values)
                outputs = call(row, [fill(a) for a in args], kwargs)
                losses = [lm.ops.sum(y * y) for y in outputs if y.requires_grad]
            return outputs, tape.gradient(losses, values) if losses else None

        function = lm.function(step)
        function(*[lm.convert_to_tensor(np.flip(x.numpy()).copy()) for x in inputs])
        for n in (1, 2):
            threads(n)
            got, want = function(*inputs), step(*inputs)
            assert flat(got) == flat(want)
        assert len(function.plans) == 1


def flat(tree):
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in flat(part)]
    return [None if tree is None else (tree.shape, tree.dtype, tree.numpy().tobytes())]


def test_errors(row):
    for args, kwargs, exception, message in row.errors:
        with pytest.raises(exception, match=message):
            call(row, args, kwargs)
