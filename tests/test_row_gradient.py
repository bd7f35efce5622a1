"""The gradient of a looked-up table: rows until somebody reads it, the tensor they stand for then."""

import copy
import pickle

import numpy as np
import pytest

import lamina as lm
from lamina.row_gradient import RowGradient


def looked_up(table, ids):
    with lm.GradientTape() as tape:
        loss = lm.ops.sum(lm.ops.square(lm.ops.take(table, ids, axis=0)))
    return tape.gradient(loss, table)


def dense(table, *batches):
    want = np.zeros(table.shape, "float32")
    for ids in batches:
        np.add.at(want, ids, 2 * table.numpy()[ids])
    return want


@pytest.fixture
def table(rng):
    return lm.Variable(rng.standard_normal((6, 3)).astype("float32"))


A, B = np.array([[1, 5], [1, -1]]), np.array([0, 1], "int32")


def test_read_as_a_tensor(table):
    gradient = looked_up(table, A)
    assert type(gradient) is RowGradient and (gradient.shape, gradient.dtype) == ((6, 3), "float32")
    want = dense(table, A)
    np.testing.assert_allclose(gradient.numpy(), want, rtol=1e-6)
    np.testing.assert_allclose((gradient * 2.0).numpy(), 2 * want, rtol=1e-6)
    np.testing.assert_allclose((1.0 + gradient).numpy(), 1 + want, rtol=1e-6)
    for twin in (copy.copy(gradient), copy.deepcopy(gradient), pickle.loads(pickle.dumps(gradient))):
        np.testing.assert_array_equal(twin.numpy(), gradient.numpy())
    assert "shape=(6, 3)" in repr(gradient)


def test_two_look_ups_add_their_rows(table):
    with lm.GradientTape() as tape:
        loss = sum(lm.ops.sum(lm.ops.square(lm.ops.take(table, ids, axis=0))) for ids in (A, B))
    gradient = tape.gradient(loss, table)
    assert type(gradient) is RowGradient
    np.testing.assert_allclose(gradient.numpy(), dense(table, A, B), rtol=1e-6)


def test_another_use_makes_it_dense(table):
    with lm.GradientTape() as tape:
        loss = lm.ops.sum(lm.ops.square(lm.ops.take(table, A, axis=0))) + lm.ops.sum(table)
    gradient = tape.gradient(loss, table)
    assert type(gradient) is lm.Tensor
    np.testing.assert_allclose(gradient.numpy(), dense(table, A) + 1, rtol=1e-6)


def test_left_in_grad_and_added_to(table):
    for ids in (A, B):
        lm.ops.sum(lm.ops.square(lm.ops.take(table, ids, axis=0))).backward()
    np.testing.assert_allclose(table.grad.numpy(), dense(table, A, B), rtol=1e-6)


def test_second_derivatives(table):
    with lm.GradientTape() as outer:
        with lm.GradientTape() as inner:
            loss = lm.ops.sum(lm.ops.power(lm.ops.take(table, A, axis=0), 3.0))
        first = lm.ops.sum(inner.gradient(loss, table))
    want = np.zeros((6, 3), "float32")
    np.add.at(want, A, 6 * table.numpy()[A])
    np.testing.assert_allclose(outer.gradient(first, table).numpy(), want, rtol=1e-5)


def test_gradients_that_outlive_a_captured_step(table):
    held = {}

    @lm.function
    def results(ids):
        gradient = looked_up(table, ids)
        return gradient, lm.ops.sum(gradient)

    @lm.function
    def holds(ids):
        held["last"] = looked_up(table, ids)

    for ids in (A, A + 0, A[::-1] - 1, A % 5):
        want = dense(table, ids)
        gradient, total = results(ids)
        np.testing.assert_allclose(gradient.numpy(), want, rtol=1e-6)
        np.testing.assert_allclose(float(total), want.sum(), rtol=1e-5)
        holds(ids)
        np.testing.assert_allclose(held["last"].numpy(), want, rtol=1e-6)


def test_a_captured_step_never_makes_the_tensor(table):
    optimizer = lm.optimizers.SGD(0.5)

    @lm.function
    def step(ids):
        optimizer.apply([looked_up(table, ids)], [table])

    eager = lm.Variable(table)
    for ids in (A, A[::-1], A - 1):
        step(ids)
        lm.optimizers.SGD(0.5).apply([lm.convert_to_tensor(looked_up(eager, ids).numpy())], [eager])
    np.testing.assert_array_equal(table.numpy(), eager.numpy())
    assert not any("take_grad" in launch.op for launch in step.plans[0].launches)
