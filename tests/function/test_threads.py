"""Captures and replays from several Python threads, and no growth over many replays."""

import gc
import resource
import threading

import numpy as np
import pytest

import lamina as lm
from lamina import _core, layers, ops, optimizers

from .test_bits import small_model, train_step


def in_threads(n, work):
    """Runs work(i) in n threads at once; raises what they raise, and fails where one hangs."""
    errors, start = [], threading.Barrier(n)

    def run(i):
        try:
            start.wait()
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not any(t.is_alive() for t in threads), "threads wait for each other"
    if errors:
        raise errors[0]


@pytest.mark.parametrize("size", [3, 200])
def test_one_function_many_threads(size, threads):
    """Small steps keep the interpreter, large ones let go of it; their arrays die as soon as they are passed."""
    threads(2)
    w = lm.convert_to_tensor(np.random.default_rng(0).standard_normal((size, size)).astype("float32"))

    def step(x, y):
        z = ops.tanh(ops.matmul(x, w)) * y
        return ops.sum(z), ops.matmul(z, z) + x, x

    function = lm.function(step)

    def work(i):
        rng = np.random.default_rng(i)
        kept = []
        for _ in range(60):
            x, y = (rng.standard_normal((size, size)).astype("float32") for _ in range(2))
            want = [t.numpy().tobytes() for t in step(lm.convert_to_tensor(x), lm.convert_to_tensor(y))]
            kept.append((function(x, y), want))
            del x, y
        for got, want in kept:
            assert [t.numpy().tobytes() for t in got] == want

    in_threads(4, work)
    assert len(function.plans) == 1


def test_functions_that_share_an_arena_and_different_functions(threads):
    threads(2)
    functions = [
        lm.function(lambda x, k=k: ops.sum(ops.exp(-ops.square(x * float(k + 1)))) + x[0, 0]) for k in range(2)
    ]
    sizes = (3, 150, 400)

    def work(i):
        rng = np.random.default_rng(i)
        for n in range(80):
            x = lm.convert_to_tensor(rng.standard_normal((sizes[n % 3], 64)).astype("float32"))
            f = functions[(n + i) % 2]
            assert f(x).numpy().tobytes() == f.python_function(x).numpy().tobytes()

    in_threads(4, work)
    assert [len(f.plans) for f in functions] == [3, 3]


def test_captures_at_the_same_time_do_not_mix():
    """Each thread records its own launches only, also while another one frees tensors that were recorded."""
    shared = lm.convert_to_tensor(np.ones((64, 64), "float32"))

    def work(i):
        for n in range(30):
            v = lm.Variable(np.full((64, 64), float(i), "float32"))

            @lm.function
            def step(x, v=v, i=i):
                kept = [x * float(k) for k in range(i + 2)]
                v.assign_add(shared)
                return sum(kept) + v

            x = lm.convert_to_tensor(np.full((64, 64), float(n), "float32"))
            for call in range(3):
                want = n * sum(range(i + 2)) + i + 1 + call
                assert (step(x).numpy() == want).all()
            assert [buffer.role for buffer in step.plans[0].buffers].count("state") == 2

    in_threads(4, work)


def test_one_thread_captures_while_others_replay_and_change_layers():
    model = lm.Sequential([layers.Dense(8, activation="relu", input_shape=(8,)), layers.Dense(2)])
    function = lm.function(lambda x: model(x))
    stop = threading.Event()

    def work(i):
        if i == 0:
            for n in range(40):
                model.layers[0].trainable = n % 2 == 0
            stop.set()
            return
        rng = np.random.default_rng(i)
        while not stop.is_set():
            x = lm.convert_to_tensor(rng.standard_normal((1 + rng.integers(5), 8)).astype("float32"))
            assert function(x).numpy().tobytes() == model(x).numpy().tobytes()

    in_threads(4, work)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_nothing_grows():
    """Small steps by the short way, with results dropped at once; then a training step of every kind of state."""
    v = lm.Variable([0.0, 0.0])

    @lm.function
    def small(x):
        v.assign_add(x * 2.0)
        return ops.sum(x), x

    step, _ = train_step(small_model(), optimizers.Adam(0.01))
    train = lm.function(step)
    x = lm.convert_to_tensor([1e-3, 1e-3])
    batch = lm.convert_to_tensor(np.ones((4, 5), "float32")), lm.convert_to_tensor(np.array([0, 1, 2, 0]))

    def some(n):
        for _ in range(n):
            small(x)
        for _ in range(n // 100):
            train(*batch)

    some(2000)
    gc.collect()
    before = len(gc.get_objects()), _core.allocator_stats()["in_use"], resident()
    gc.disable()
    try:
        some(100_000)
        after = len(gc.get_objects()), _core.allocator_stats()["in_use"], resident()
    finally:
        gc.enable()
    assert after[0] - before[0] < 50
    assert after[1] == before[1]
    assert after[2] - before[2] < 1 << 20


def test_captures_do_not_pile_up():
    """Recaptures after changes of a layer, failed captures, and functions made and dropped."""
    model = lm.Sequential([layers.Dense(50, input_shape=(400,)), layers.Dropout(0.5)])
    f = lm.function(lambda x, bad: float(ops.sum(x)) if bad else model(x, training=True))
    x = lm.convert_to_tensor(np.ones((60, 400), "float32"))

    def some(n):
        for i in range(n):
            model.layers[1].rate = 0.1 + i % 2 * 0.1
            f(x, False)
            f(x, False)
            with pytest.raises(lm.CaptureError):
                f(x, True)
            g = lm.function(lambda x: ops.tanh(model(x)))
            g(x)
            g(x)
            del g

    some(20)
    gc.collect()
    before = _core.allocator_stats()["in_use"], resident()
    some(150)
    gc.collect()
    assert _core.allocator_stats()["in_use"] == before[0]
    assert resident() - before[1] < 4 << 20
