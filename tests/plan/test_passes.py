"""What the passes leave of a recording: constants folded, dead launches dropped, state written last, groups, places."""

import numpy as np
import pytest

import lamina as lm
from lamina import layers, losses, ops, optimizers

from ..function.twice import check_twice
from .placement import check_placement


def x32(*shape):
    return lm.convert_to_tensor(np.random.default_rng(0).standard_normal(shape).astype("float32"))


def plan_of(step, *args):
    function = lm.function(step)
    function(*args)
    result = function(*args)
    (plan,) = function.plans
    check_placement(plan)
    return plan, result


def names(plan):
    return [launch.op for launch in plan.launches]


def test_constants_are_computed_once():
    plan, y = plan_of(lambda x: x + (ops.ones((3,)) * 2.0 + ops.exp(ops.zeros((3,)))), x32(3))
    assert names(plan) == ["add"]
    np.testing.assert_array_equal(y.numpy(), x32(3).numpy() + 3)


def test_constants_that_are_results_or_written_in_parts_are_not():
    f = lm.function(lambda x: (ops.ones((3,)), ops.pad(x, [[1, 1]])))
    x = x32(3)
    first, second = f(x), f(x)
    assert first[0]._core.address != second[0]._core.address and second[0].numpy().tolist() == [1, 1, 1]
    np.testing.assert_array_equal(second[1].numpy(), np.pad(x.numpy(), 1))
    plan, _ = plan_of(lambda x: ops.sum(ops.pad(x, [[1, 1]])), x)
    assert names(plan) == ["full", "assign", "sum"]


def test_what_nobody_reads_is_dropped():
    v = lm.Variable([1.0, 2.0, 3.0])

    def step(x):
        ops.exp(ops.tanh(x))
        unused = v * 3.0 + x
        del unused
        v.assign(x * 2.0)
        return None

    plan, _ = plan_of(step, x32(3))
    assert names(plan) == ["multiply", "assign"]


def test_gradients_that_nobody_asks_for_are_dropped():
    w = lm.Variable(np.ones((4, 4), "float32"))

    def step(x):
        with lm.GradientTape() as tape:
            tape.watch(x)
            loss = ops.sum(ops.matmul(x, w))
        tape.gradient(loss, [x, w])
        return loss

    plan, _ = plan_of(step, x32(4, 4))
    assert names(plan) == ["matmul", "sum"]


def test_state_is_written_last():
    model = lm.Sequential(
        [layers.Dense(6, input_shape=(5,)), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(3)]
    )
    optimizer, metric = optimizers.Adam(), lm.metrics.SparseCategoricalAccuracy()

    def step(x, y):
        with lm.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = ops.mean(losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True))
        metric.update_state(y, y_pred)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    plan, _ = plan_of(step, x32(8, 5), lm.convert_to_tensor(np.arange(8) % 3))
    writes = [any(plan.buffers[b].role == "state" for b in launch.writes) for launch in plan.launches]
    assert writes == sorted(writes) and sum(writes) == 5  # moving statistics, draws, total, count, weights
    last = names(plan)[-5:]
    assert sorted(last) == ["adam", "assign", "assign", "batch_norm_moving", "random_advance"]


def test_the_order_of_writes_and_reads_of_state_stays():
    v, w = lm.Variable([1.0]), lm.Variable([1.0])

    def step(x):
        w.assign(v * 2.0)
        v.assign(x)
        y = v * 3.0
        v.assign(y)
        return w * 1.0 + y

    plan, _ = plan_of(step, x32(1))
    assert names(plan) == ["multiply", "assign", "assign", "multiply", "multiply", "add", "assign"]


def test_a_write_that_reads_what_is_written_later_stays_before_it():
    def make():
        v, w, u = lm.Variable([1.0]), lm.Variable([2.0]), lm.Variable([3.0])

        def step(x):
            w.assign(v)  # before v changes
            v.assign(x)
            u.assign(x)
            u.assign(v)  # the later of two writes counts
            return v * 3.0 + u

        return step, lambda: [v, w, u]

    check_twice(make, [(lm.convert_to_tensor([float(i)]),) for i in range(5)])


def test_item_wise_results_take_the_place_of_operands_that_die():
    plan, y = plan_of(lambda x: ops.sum(ops.exp(ops.tanh(ops.square(x) + 1.0)) * x), x32(3000))
    offsets = {b.offset for b in plan.buffers if b.role == "intermediate" and b.bytes == 12000}
    assert len(offsets) == 1


def test_operands_that_are_read_again_or_in_another_way_keep_their_place():
    def step(x):
        a = ops.exp(x)
        b = ops.tanh(a)
        c = a + b  # a lives on until here
        d = ops.square(c)
        e = d[::-1] * d  # d is read in two ways
        f = ops.cast(e, "float64") * 2.0  # other sizes
        return ops.sum(f), ops.sum(d * d[:1])

    x = x32(3000)
    plan, got = plan_of(step, x)
    want = step(x)
    assert [t.numpy().tobytes() for t in got] == [t.numpy().tobytes() for t in want]


@pytest.mark.parametrize(
    ("step", "sizes"),
    [
        (lambda x: ops.exp(ops.tanh(x * x)) + 1.0, [4]),
        (lambda x: ops.sum(ops.exp(x)) * ops.tanh(x), [1, 1, 2]),  # the sum lies between
        (lambda x: ops.exp(x[::-1]) + ops.tanh(x), [3]),  # backwards reads of what the group does not write
        (lambda x: ops.exp(x)[::-1] + x, [1, 1]),  # backwards reads of what it writes
        (lambda x: ops.exp(x)[1:] * 2.0, [1, 1]),  # another range
        (lambda x: ops.exp(ops.pad(x, [[1, 1]])[:5000]), [1, 1, 1]),  # as many items, one place further
        (lambda x: ops.exp(x) + ops.exp(x)[0], [2, 1]),  # one item for all
        (lambda x: ops.tanh(ops.exp(x[:100])), [1, 1]),  # too small
        (lambda x: ops.reshape(ops.exp(x), (50, 100)) + ops.exp(x[:1]), None),  # same items, another shape
    ],
    ids=str,
)
def test_groups(step, sizes):
    x = x32(5000)
    plan, got = plan_of(step, x)
    numbers = [launch.group for launch in plan.launches]
    if sizes is not None:
        assert [numbers.count(g) for g in sorted(set(numbers))] == sizes
    assert got.numpy().tobytes() == step(x).numpy().tobytes()


@pytest.mark.parametrize("n", [3000, 50_000])
@pytest.mark.parametrize(
    "step",
    [
        lambda a: a[::-1] * a,
        lambda a: (a[::-1] + 1.0) + ops.exp(a),
        lambda a: ops.where(a > 0.0, a[::-1], a) - ops.tanh(a),
        lambda a: (a[:1] + a) * ops.exp(a),
        lambda a: (ops.exp(a), ops.tanh(a[::-1]))[1] + ops.exp(a),
        lambda a: ops.concatenate([ops.exp(a)[1:], ops.exp(a)[:1]], 0) + ops.square(a),
    ],
)
def test_no_result_takes_the_place_of_what_its_group_reads_in_another_way(step, n, threads):
    def joined(x):  # an intermediate that is not itself the result of an item-wise launch
        return ops.sum(step(ops.concatenate([x[: n // 2], x[n // 2 :]], 0)) * x), step(x + 0.0)[:7]

    for count in (1, 2):
        threads(count)
        _, got = plan_of(joined, x32(n))
        assert [t.numpy().tobytes() for t in got] == [t.numpy().tobytes() for t in joined(x32(n))]


def test_writes_to_state_are_in_groups_of_their_own():
    v, w = (lm.Variable(np.zeros(5000, "float32")) for _ in range(2))

    def step(x):
        y = x * 2.0 + v
        v.assign(y)
        w.assign_add(y)
        return y

    plan, _ = plan_of(step, x32(5000))
    state = [any(plan.buffers[b].role == "state" for b in launch.writes) for launch in plan.launches]
    groups = [launch.group for launch in plan.launches]
    assert state == [False, False, False, True, True] and groups == [0, 0, 0, 1, 1]


def test_more_operands_than_a_mask_has_bits():
    many = [lm.Variable(np.full((n % 5 + 1,), float(n), "float32")) for n in range(150)]
    optimizer = optimizers.Adam(0.1)

    def step(x):
        parts = [v * x for v in many]
        joined = ops.concatenate(parts, axis=0)
        optimizer.apply(parts, many)
        return joined, ops.exp(joined[:1])

    twin = [lm.Variable(v.numpy()) for v in many]
    function, x = lm.function(step), x32(1)
    got = [[t.numpy().tobytes() for t in function(x)] for _ in range(3)]
    check_placement(function.plans[0])
    many, optimizer = twin, optimizers.Adam(0.1)
    assert [[t.numpy().tobytes() for t in step(x)] for _ in range(3)] == got


def test_shared_memory_of_a_training_step_is_far_below_its_sum():
    model = lm.Sequential(
        [layers.Dense(64, activation="relu", input_shape=(32,)), *[layers.Dense(64) for _ in range(6)]]
    )

    def step(x):
        with lm.GradientTape() as tape:
            loss = ops.mean(ops.square(model(x, training=True)))
        return tape.gradient(loss, model.trainable_variables)

    plan, _ = plan_of(step, x32(128, 32))
    arena = check_placement(plan)
    total = sum(b.bytes for b in plan.buffers if b.role == "intermediate")
    assert arena < 0.8 * total
