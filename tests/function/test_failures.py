"""What ends a capture or a replay, and what is left behind: nothing, or a whole step."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import lamina as lm
from lamina import _core, layers, metrics, ops, optimizers

from ..fresh import run
from .test_bits import batches, train_step
from .twice import bits

READS = {
    "float(x[0])": lambda x: float(x[0]),
    "int(x[0])": lambda x: int(x[0]),
    "x.numpy()": lambda x: x.numpy(),
    "x[0].item()": lambda x: x[0].item(),
    "bool(x[0] > 0.0)": lambda x: bool(x[0] > 0.0),
    'f"{x}"': lambda x: f"{x}",
    'f"{x[0]:.2f}"': lambda x: f"{x[0]:.2f}",
    "np.asarray(x)": lambda x: np.asarray(x),
    "repr(x)": lambda x: repr(x),
    "list(range(ops.cast(x[0], 'int32')))": lambda x: list(range(ops.cast(x[0], "int32"))),
    "x[0] in [1.0, 2.0]": lambda x: x[0] in [1.0, 2.0],
    "max(x)": lambda x: max(x),
    "np.from_dlpack(x)": lambda x: np.from_dlpack(x),
    "ops.boolean_mask(x, x > 0.0)": lambda x: ops.boolean_mask(x, x > 0.0),
}


@pytest.mark.parametrize("name", READS)
def test_reading_a_value_names_the_line(name):
    read = READS[name]

    @lm.function
    def step(x, ask):
        y = x * 2.0
        return read(y) if ask else y

    x = lm.convert_to_tensor([1.0, 2.0])
    for _ in range(2):
        with pytest.raises(
            lm.CaptureError, match=r"\[function\] a value was read.*Received: .*test_failures.py:\d+"
        ) as e:
            step(x, True)
        assert name in str(e.value)
        assert step(x, False).numpy().tolist() == [2, 4]
    for outside in (x, lm.Variable([1.0, 2.0])):
        with pytest.raises(lm.CaptureError):
            lm.function(lambda outside=outside: read(outside))()


def test_what_does_not_read_values():
    v = lm.Variable(np.ones((2, 3), "float32"))

    @lm.function
    def step(x):
        rows = [row * float(i) for i, row in enumerate(x)]  # iteration takes views
        count = int(lm.convert_to_tensor(3)) + len(x) + x.shape[0] + x.size + x.ndim  # host data of the step's own
        return sum(rows) * float(count) + v[0] * float(v.shape[1])

    x = lm.convert_to_tensor(np.ones((2, 3), "float32"))
    for _ in range(2):
        np.testing.assert_array_equal(step(x).numpy(), np.full(3, 3.0 + 2 + 2 + 6 + 2 + 3, "float32"))


def test_a_schedule_that_catches_its_errors_is_not_disturbed():
    """Whether a schedule reads values is found out without an exception in it."""

    class Schedule(optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            try:
                return 0.5 / (1 + int(step))
            except Exception:
                return 7.0

    v, optimizer = lm.Variable([1.0]), optimizers.SGD(Schedule())
    step = lm.function(lambda x: optimizer.apply([x], [v]))
    for _ in range(3):
        step(lm.convert_to_tensor([1.0]))
    np.testing.assert_allclose(v.numpy(), [1 - 0.5 - 0.25 - 0.5 / 3], rtol=1e-6)


def test_an_exception_in_the_step_leaves_everything_usable():
    v = lm.Variable([1.0])
    fail = [True, True]

    @lm.function
    def step(x):
        v.assign_add(x)
        with lm.GradientTape() as tape:
            loss = ops.sum(v * x)
            if fail and fail.pop():
                raise KeyError("mine")
        return tape.gradient(loss, v)

    x = lm.convert_to_tensor([2.0])
    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            step(x)
    assert not step.plans and lm.thread_state.mode.capture is None
    for i in range(3):
        assert step(x).numpy().tolist() == [2]
        assert v.numpy().tolist() == [7 + 2 * i]


def test_errors_of_ops_name_the_layer_also_in_a_capture():
    model = lm.Sequential([layers.Dense(2, input_shape=(3,), name="first")])
    step = lm.function(lambda x: model(x))
    with pytest.raises(ValueError, match=r"first"):
        step(lm.convert_to_tensor(np.ones((1, 4), "float32")))
    assert step(lm.convert_to_tensor(np.ones((1, 3), "float32"))).shape == (1, 2)


def training():
    """A step with every kind of state: weights, slots, counters, moving statistics, draws, metrics, gradients' sums."""
    model = lm.Sequential(
        [
            layers.Dense(6, input_shape=(5,)),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.BatchNormalization(),
            layers.Dense(3),
        ]
    )
    return train_step(model, optimizers.Adam(0.01, amsgrad=True), [metrics.SparseCategoricalAccuracy()])


def test_bad_data_drops_the_step_whole():
    step, variables = training()
    function = lm.function(step)
    rows = batches(4, (5,))
    for x, y in rows[:2]:
        function(x, y)
    before = bits(variables())
    bad = lm.convert_to_tensor(np.array([0, 1, 2, 11, 0, 1, 2, 0]))
    messages = []
    for call in (function, function):
        with pytest.raises(ValueError, match=r"\[sparse_categorical_crossentropy\] label .*value=11 at element 3") as e:
            call(rows[2][0], bad)
        messages.append(str(e.value))
        assert bits(variables()) == before
    with pytest.raises(ValueError) as e:
        step(rows[2][0], bad)
    assert str(e.value) == messages[0]

    lm.utils.set_random_seed(3)
    step, variables = training()
    for x, y in rows:
        step(x, y)
    want = bits(variables())
    lm.utils.set_random_seed(3)
    step, variables = training()
    function = lm.function(step)
    for x, y in rows:
        function(x, y)
        with pytest.raises(ValueError):
            function(x, bad)
    assert len(function.plans) == 1
    # The capture's own step is Python's: only replays are dropped whole.
    assert bits(variables()) == want


def test_bad_data_after_a_write_that_the_step_reads_again_ends_there():
    v = lm.Variable([1.0, 2.0])

    @lm.function
    def step(x, i):
        v.assign_add(x)
        picked = ops.take(v, i)
        v.assign(v * 2.0)
        return picked

    x = lm.convert_to_tensor([1.0, 1.0])
    step(x, lm.convert_to_tensor([1]))
    assert v.numpy().tolist() == [4, 6]
    with pytest.raises(ValueError, match=r"\[take\]"):
        step(x, lm.convert_to_tensor([5]))
    assert v.numpy().tolist() == [5, 7]
    assert step(x, lm.convert_to_tensor([0])).numpy().tolist() == [6]


def busy_step(state_first):
    """A step of about a second with a write to state before or after its long part."""
    v = lm.Variable(np.zeros((1100, 1100), "float32"))
    counter = lm.Variable(0.0)

    def step(x):
        if state_first:
            counter.assign_add(1.0)
        scale = counter * 0.0 + 1e-3
        y = x
        for _ in range(20):
            y = ops.matmul(y, x) * scale
        v.assign(y + counter)
        if not state_first:
            counter.assign_add(1.0)
        return ops.sum(y)

    return step, [v, counter]


def interrupt_once(after):
    thread = threading.Timer(after, lambda: _core.set_cancel(True))
    thread.start()
    return thread


@pytest.mark.parametrize("state_first", [False, True])
def test_an_interrupt_in_a_replay(state_first):
    step, variables = busy_step(state_first)
    function = lm.function(step)
    x = lm.convert_to_tensor(np.full((1100, 1100), 0.5, "float32"))
    function(x)
    start = time.perf_counter()
    want = float(function(x))
    length = time.perf_counter() - start
    before = [v.numpy() for v in variables]
    thread = interrupt_once(length * 0.4)
    try:
        if state_first:  # begun is finished
            assert float(function(x)) == want
            assert float(variables[1]) == before[1] + 1
        else:
            start = time.perf_counter()
            with pytest.raises(KeyboardInterrupt):
                function(x)
            assert time.perf_counter() - start < length * 0.9
            for v, b in zip(variables, before):
                np.testing.assert_array_equal(v.numpy(), b)
    finally:
        thread.join()
        _core.set_cancel(False)
    assert float(function(x)) == want


def test_ctrl_c_while_a_step_finishes_comes_once():
    step, variables = busy_step(True)
    function = lm.function(step)
    x = lm.convert_to_tensor(np.full((1100, 1100), 0.5, "float32"))
    function(x)
    timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        function(x)
        time.sleep(5)
    timer.join()
    assert float(variables[1]) == 2
    assert float(ops.sum(ops.ones((3,)))) == 3  # and not a second time


def test_an_interrupt_before_a_step_that_does_nothing_but_write_state():
    v = lm.Variable([[0.0], [0.0]])
    function = lm.function(lambda x: (v.assign(x), None)[1])
    function(lm.convert_to_tensor([[1.0], [1.0]]))
    x, column = lm.convert_to_tensor([[2.0], [3.0]]), lm.convert_to_tensor([[4.0], [5.0], [6.0], [7.0]])
    core = function.plans[0]._core
    _core.set_cancel(True)
    try:
        function(x)  # goes on to its end
        assert v.numpy().tolist() == [[2], [3]]
        with pytest.raises(KeyboardInterrupt):  # many steps end between two of them
            core.replay_rows([column._core], None, 0, 2, 2, 10.0, [], None)
        assert v.numpy().tolist() == [[2], [3]]
    finally:
        _core.set_cancel(False)
    assert core.replay_rows([column._core], None, 0, 2, 2, 10.0, [], None)[0] == 2
    assert v.numpy().tolist() == [[6], [7]]


OUT_OF_MEMORY = """
import resource
import numpy as np
import lamina as lm
from lamina import _core, ops

v = lm.Variable(0.0)

@lm.function
def step(x, n):
    y = x
    for _ in range(n):
        y = ops.matmul(y, x) + ops.transpose(y)
    v.assign_add(1.0)
    return ops.sum(y)

x = lm.convert_to_tensor(np.full((2500, 2500), 1e-3, "float32"))
small = lm.convert_to_tensor(np.full((25, 25), 1e-3, "float32"))
want = [float(step(small, 2)) for _ in range(2)][1]
wide = float(step(x, 1))                         # captured; its arena comes with the first replay
_core.trim()
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (24 << 20), resource.RLIM_INFINITY))
for _ in range(2):
    try:
        step(x, 1)
        raise SystemExit("memory was there")
    except MemoryError as error:
        assert "[allocate] cannot get" in str(error), error
    assert float(v) == 3, float(v)
    assert float(step(small, 2)) == want
    v.assign(3.0)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert float(step(x, 1)) == wide and float(v) == 4
"""


def test_out_of_memory_leaves_everything_usable():
    done = run(OUT_OF_MEMORY)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("grain", ["1", "7"])
def test_work_that_really_splits(grain):
    """The same bits where every loop is split as finely as can be."""
    names = ["test_optimizers_and_schedules[amsgrad]", "test_convolutions_metrics_and_item_wise_groups[2]"]
    names += ["test_groups_of_item_wise_launches", "test_second_derivatives_persistent_tapes_and_grad"]
    here = os.path.join(os.path.dirname(__file__), "test_bits.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *[f"{here}::{name}" for name in names]],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "LAMINA_GRAIN": grain},
    )
    assert done.returncode == 0, done.stdout


def test_gradients_left_in_grad_are_refused():
    v = lm.Variable([2.0, 3.0])

    def step(x, leave=False):
        loss = lm.ops.sum(v * v * x)
        loss.backward()
        v.assign_sub(v.grad * 0.1)
        if not leave:
            v.grad = None
        return loss

    captured, x = lm.function(step), lm.convert_to_tensor([1.0, 2.0])
    with pytest.raises(lm.CaptureError, match=r"leaves gradients in \.grad.*test_failures\.py:\d+ \(loss\.backward"):
        captured(x, leave=True)
    v.grad = None
    before = v.numpy()
    results = [float(captured(x)) for _ in range(3)]
    after = v.numpy()
    v.assign(before)
    assert [float(step(x)) for _ in range(3)] == results and (v.numpy() == after).all()
