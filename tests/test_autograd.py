"""The engine: tapes, nesting, leaves, write checks, memory."""

import gc
import threading
import weakref

import numpy as np
import pytest

import lamina as lm
from lamina import ops


def test_backward_accumulates_into_leaves():
    v = lm.Variable([1.0, 2.0])
    for n in (1, 2):
        ops.sum(v * v).backward()
        np.testing.assert_array_equal(v.grad.numpy(), n * np.array([2.0, 4.0]))


def test_backward_needs_a_scalar_and_a_graph():
    v = lm.Variable([1.0, 2.0])
    with pytest.raises(ValueError, match=r"\[backward\] needs a scalar.*shape=\(2,\)"):
        (v * 2.0).backward()
    with pytest.raises(ValueError, match=r"\[backward\] nothing was recorded"):
        ops.sum(lm.convert_to_tensor([1.0])).backward()
    (v * 2.0).backward(lm.convert_to_tensor([1.0, 10.0]))
    assert v.grad.numpy().tolist() == [2, 20]


def test_tape_structures_unconnected_and_integers():
    v, w = lm.Variable(2.0), lm.Variable(3.0)
    with lm.GradientTape(persistent=True) as tape:
        y = v * v
    got = tape.gradient(y, {"v": v, "w": [w]})
    assert float(got["v"]) == 4 and got["w"] == [None]
    assert float(tape.gradient(y, w, unconnected_gradients="zero")) == 0
    with pytest.raises(ValueError, match=r"unconnected_gradients"):
        tape.gradient(y, w, unconnected_gradients="maybe")
    with pytest.raises(TypeError, match=r"\[GradientTape.watch\] only floating"):
        tape.watch(lm.convert_to_tensor([1]))


def test_a_tape_answers_once_unless_persistent():
    v = lm.Variable(2.0)
    with lm.GradientTape() as tape:
        y = v * v
    tape.gradient(y, v)
    with pytest.raises(RuntimeError, match=r"answers once.*persistent"):
        tape.gradient(y, v)


def test_a_tape_answers_only_for_what_ran_inside_it():
    v = lm.Variable(2.0)
    before = v * v
    with lm.GradientTape(persistent=True) as tape:
        y = before * 3.0
    after = y * v
    assert tape.gradient(y, v) is None
    assert float(tape.gradient(y, before)) == 3
    assert tape.gradient(after, v) is None


def test_watched_constants_and_intermediates():
    x = lm.convert_to_tensor(3.0)
    with lm.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    assert float(tape.gradient(z, x)) == 4 * 27
    assert float(tape.gradient(z, y)) == 18
    with lm.GradientTape(watch_accessed_variables=False) as quiet:
        v = lm.Variable(1.0)
        y = v * 2.0
    assert quiet.gradient(y, v) is None


def test_vector_targets_are_summed_with_a_warning():
    v = lm.Variable([1.0, 2.0])
    with lm.GradientTape() as tape:
        y = v * v
    with pytest.warns(UserWarning, match=r"not a scalar.*summed"):
        assert tape.gradient(y, v).numpy().tolist() == [2, 4]
    with lm.GradientTape() as tape:
        y = v * v
    weights = lm.convert_to_tensor([1.0, 10.0])
    assert tape.gradient(y, v, output_gradients=weights).numpy().tolist() == [2, 40]


def test_nested_tapes_give_second_derivatives():
    v = lm.Variable(2.0)
    with lm.GradientTape() as outer:
        with lm.GradientTape() as inner:
            y = v * v * v
        first = inner.gradient(y, v)
    assert float(first) == 12 and float(outer.gradient(first, v)) == 12


def test_grad_of_grad_of_grad():
    f = lambda x: ops.sum(ops.sin(x))  # noqa: E731
    third = lm.grad(lambda x: ops.sum(lm.grad(lambda x: ops.sum(lm.grad(f)(x)))(x)))
    np.testing.assert_allclose(third(lm.convert_to_tensor([0.3, 1.0])).numpy(), [-np.cos(0.3), -np.cos(1)], rtol=1e-5)
    a, b = lm.grad(lambda x, y: x * y, argnums=(0, 1))(2.0, 3.0)
    assert (float(a), float(b)) == (3, 2)
    with pytest.raises(TypeError, match=r"\[grad\] needs floating"):
        lm.grad(lambda x: x)(1)
    with pytest.raises(ValueError, match=r"\[grad\] the function must return a scalar"):
        lm.grad(lambda x: x)(lm.convert_to_tensor([1.0, 2.0]))


def test_no_grad_and_enable_grad():
    v = lm.Variable(2.0)
    with lm.no_grad():
        assert not (v * v).requires_grad
        with lm.enable_grad():
            assert (v * v).requires_grad
    assert not lm.no_grad()(lambda: v * v)().requires_grad
    assert (v * v).requires_grad

    seen = []
    with lm.no_grad():
        t = threading.Thread(target=lambda: seen.append((v * v).requires_grad))
        t.start()
        t.join()
    assert seen == [True]  # the mode belongs to its thread


def test_trainable_false_stops_gradients():
    v = lm.Variable(2.0, trainable=False)
    assert not (v * v).requires_grad
    v.trainable = True
    assert (v * v).requires_grad
    assert not ops.stop_gradient(v * v).requires_grad
    assert not lm.Variable(np.int64(1)).requires_grad


@pytest.mark.parametrize("write", [lambda v: v.assign([0.0, 0.0]), lambda v: v.assign_add([1.0, 1.0])])
def test_a_value_written_since_raises_with_the_op(write):
    v = lm.Variable([1.0, 2.0])
    y = ops.sum(ops.square(v[:2]))
    write(v)
    with pytest.raises(RuntimeError, match=r"\[square\] a value needed for its gradient was written"):
        y.backward()
    z = ops.sum(v + 1.0)  # addition keeps no values
    write(v)
    z.backward()


def test_graphs_are_freed_without_the_collector():
    gc.collect()
    gc.disable()
    try:
        v = lm.Variable(np.ones((100, 100), "float32"))
        before = lm._core.allocator_stats()["in_use"]
        refs = []
        for _ in range(20):
            with lm.GradientTape() as tape:
                y = ops.sum(ops.tanh(v * 2.0) / (ops.exp(v) + 1.0))
            refs.append(weakref.ref(y))
            tape.gradient(y, v)
            del y, tape
        assert all(r() is None for r in refs)
        assert lm._core.allocator_stats()["in_use"] == before
    finally:
        gc.enable()


def test_mixed_types_get_gradients_in_their_own_type():
    a, b = lm.Variable(np.float32([1, 2])), lm.Variable(np.float64([3, 4]))
    for y in (a * b, a + b, ops.where([True, False], a, b)):
        a.grad = b.grad = None
        ops.sum(y).backward()
        assert (a.grad.dtype, b.grad.dtype) == ("float32", "float64")


def test_one_tensor_used_twice():
    x = lm.Variable(3.0)
    y = x * x
    (y * y + y).backward()
    assert float(x.grad) == 4 * 27 + 6


def test_check_gradients_finds_a_wrong_gradient():
    from lamina.autograd import record

    def wrong(x):
        return record("wrong", (x * 2.0)._core, (x,), lambda dy: dy * 3.0)

    with pytest.raises(AssertionError, match=r"\[check_gradients\] the gradient of input 0 differs.*Received: 3"):
        lm.check_gradients(lambda x: ops.sum(wrong(x)), [1.0])
    assert lm.check_gradients(lambda x, y: ops.sum(x * y), [1.0, 2.0], [3.0, 4.0], second=True) < 1e-6
