"""The contract that captured steps build on: a recorded mlp step, replayed from C++, gives eager's bits."""

import numpy as np
import pytest

import lamina as lm
from lamina import _core
from lamina.ops.linalg import dense


class MlpStep:
    """One training step of Dense 64 relu, Dense 10 with Adam, on a fixed batch."""

    def __init__(self, batch=32):
        rng = np.random.default_rng(0)
        self.x = lm.convert_to_tensor(rng.standard_normal((batch, 28, 28, 1)).astype("float32"))
        self.y = lm.convert_to_tensor(rng.integers(0, 10, batch))
        shapes = [(784, 64), (64,), (64, 10), (10,)]
        self.weights = [lm.Variable((rng.standard_normal(s) * 0.05).astype("float32")) for s in shapes]
        self.slots = [[lm.Variable(np.zeros(s, "float32"), trainable=False) for s in shapes] for _ in range(2)]
        self.rate = lm.Variable(1e-3, trainable=False)
        self.iterations = lm.Variable(np.int64(0), trainable=False)
        self.loss = lm.Variable(0.0, trainable=False)

    def __call__(self):
        w1, b1, w2, b2 = self.weights
        with lm.GradientTape() as tape:
            hidden = dense(lm.ops.reshape(self.x, (-1, 784)), w1, b1, "relu")
            logits = dense(hidden, w2, b2)
            loss = lm.ops.mean(lm.ops.sparse_categorical_crossentropy(self.y, logits, from_logits=True))
        grads = tape.gradient(loss, self.weights)
        m, v = ([s._core for s in slot] for slot in self.slots)
        group = _core.parameter_group(
            "adam",
            [w._core for w in self.weights],
            [m, v],
            self.rate._core,
            self.iterations._core,
            {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
        )
        _core.optimizer_step(group, [g._core for g in grads])
        self.loss.assign(loss)

    def state(self):
        tensors = [*self.weights, *self.slots[0], *self.slots[1], self.iterations, self.loss]
        return [t.numpy().tobytes() for t in tensors]


def record(step):
    recording = _core.Recording()
    recording.open()
    try:
        step()
    finally:
        plan = recording.close()
    return plan


def test_replayed_steps_have_eager_bits(threads):
    eager, replayed = MlpStep(), MlpStep()
    plan = record(replayed)
    eager()
    assert replayed.state() == eager.state()
    for n in (1, 2, 4):
        threads(n)
        for _ in range(5):
            eager()
            plan.replay()
            assert replayed.state() == eager.state()


def test_new_batches_are_written_into_the_recorded_inputs():
    eager, replayed = MlpStep(), MlpStep()
    plan = record(replayed)
    eager()
    rng = np.random.default_rng(1)
    for _ in range(3):
        x = rng.standard_normal((32, 28, 28, 1)).astype("float32")
        for step in (eager, replayed):
            _core.assign(step.x._core, lm.convert_to_tensor(x)._core)
        eager()
        plan.replay()
        assert replayed.state() == eager.state()


def test_a_plan_outlives_what_it_was_recorded_from():
    step, reference = MlpStep(), MlpStep()
    plan = record(step)
    weights = step.weights
    del step
    plan.replay()
    reference()
    reference()
    assert [w.numpy().tobytes() for w in weights] == reference.state()[:4]


def test_a_replay_allocates_nothing_and_does_not_grow():
    step = MlpStep()
    plan = record(step)
    plan.replay()
    before = _core.allocator_stats()["in_use"]
    _core.reset_peak()
    for _ in range(100):
        plan.replay()
    assert _core.allocator_stats()["in_use"] == before
    assert _core.allocator_stats()["peak"] == before
    assert plan.num_launches == len(plan.ops) > 5


def test_bad_data_in_a_replay_raises_as_in_eager():
    step = MlpStep()
    plan = record(step)
    _core.assign(step.y._core, _core.full((32,), 11.0, "int64"))
    before = step.state()[:4]
    with pytest.raises(ValueError, match=r"\[sparse_categorical_crossentropy\] label.*Received: value=11"):
        plan.replay()
    assert step.state()[:4] == before
