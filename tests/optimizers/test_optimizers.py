"""Optimizers against their formulas in float64."""

import math

import numpy as np
import pytest

import lamina as lm
from lamina import optimizers
from lamina.optimizers import schedules

rng = np.random.default_rng(2)
SHAPES = [(3, 5), (7,), ()]
START = [rng.normal(size=s) for s in SHAPES]
STEPS = [[rng.normal(size=s) for s in SHAPES] for _ in range(4)]


def sgd(p, grads, lr=0.01, momentum=0.0, nesterov=False, decay=0.0):
    m = 0.0
    for g in grads:
        p = p - p * decay * lr
        if momentum:
            m = m * momentum - g * lr
            p = p + (m * momentum - g * lr if nesterov else m)
        else:
            p = p - g * lr
    return p


def adam(p, grads, lr=0.001, b1=0.9, b2=0.999, eps=1e-7, amsgrad=False, decay=0.0):
    m = v = top = 0.0
    for t, g in enumerate(grads, 1):
        p = p - p * decay * lr
        m, v = m + (g - m) * (1 - b1), v + (g * g - v) * (1 - b2)
        top = np.maximum(top, v) if amsgrad else v
        p = p - m * lr * math.sqrt(1 - b2**t) / (1 - b1**t) / (np.sqrt(top) + eps)
    return p


ROWS = [
    (lambda: optimizers.SGD(0.1), lambda p, g: sgd(p, g, 0.1)),
    (lambda: optimizers.SGD(0.1, momentum=0.9), lambda p, g: sgd(p, g, 0.1, 0.9)),
    (lambda: optimizers.SGD(0.1, 0.8, nesterov=True), lambda p, g: sgd(p, g, 0.1, 0.8, True)),
    (lambda: optimizers.SGD(0.1, weight_decay=0.3), lambda p, g: sgd(p, g, 0.1, decay=0.3)),
    (lambda: optimizers.Adam(), adam),
    (lambda: optimizers.Adam(0.05, 0.8, 0.9, 1e-3), lambda p, g: adam(p, g, 0.05, 0.8, 0.9, 1e-3)),
    (lambda: optimizers.Adam(0.05, amsgrad=True), lambda p, g: adam(p, g, 0.05, amsgrad=True)),
    (lambda: optimizers.AdamW(0.05), lambda p, g: adam(p, g, 0.05, decay=0.004)),
    (lambda: optimizers.SGD(1.0, clipvalue=0.5), lambda p, g: sgd(p, np.clip(g, -0.5, 0.5), 1.0)),
]


def variables():
    return [lm.Variable(p.astype(np.float32), name=f"v{i}") for i, p in enumerate(START)]


@pytest.mark.parametrize("make, formula", ROWS)
def test_steps(make, formula):
    optimizer, vs = make(), variables()
    for grads in STEPS:
        optimizer.apply_gradients(zip([lm.convert_to_tensor(g.astype(np.float32)) for g in grads], vs))
    assert int(optimizer.iterations) == len(STEPS)
    for i, v in enumerate(vs):
        want = formula(START[i], [np.asarray(step[i]) for step in STEPS])
        np.testing.assert_allclose(v.numpy(), want, rtol=2e-6, atol=2e-6)
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer) and again.get_config() == optimizer.get_config()


@pytest.mark.parametrize("kind", ["clipnorm", "global_clipnorm"])
def test_clipping_by_norm(kind):
    vs, grads = variables(), STEPS[0]
    optimizers.SGD(1.0, **{kind: 1.0}).apply([lm.convert_to_tensor(g.astype(np.float32)) for g in grads], vs)
    norms = [np.sqrt((g**2).sum()) for g in grads]
    if kind == "global_clipnorm":
        norms = [np.sqrt(sum(n * n for n in norms))] * len(norms)
    for start, v, g, norm in zip(START, vs, grads, norms):
        np.testing.assert_allclose(v.numpy(), start - g * min(1.0, 1.0 / norm), rtol=1e-5, atol=1e-6)


def test_decay_leaves_out_what_is_excluded():
    vs = variables()
    optimizer = optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[vs[0]], var_names=["v1"])
    optimizer.apply([lm.ops.zeros(v.shape) for v in vs], vs)
    for v, start, factor in zip(vs, START, (1.0, 1.0, 0.95)):
        np.testing.assert_allclose(v.numpy(), start * factor, rtol=1e-6)


def test_settings_and_variables_may_change_between_steps():
    one, v, other = lm.ops.ones((1,)), lm.Variable([1.0]), lm.Variable([1.0])
    optimizer = optimizers.SGD(0.5)
    optimizer.apply([one], [v])
    optimizer.weight_decay = 0.5
    optimizer.apply([one], [other])
    assert (v.numpy()[0], other.numpy()[0]) == (0.5, 0.25)
    optimizer.clipvalue = 0.25
    optimizer.apply([one, one], [other, v])
    assert (v.numpy()[0], other.numpy()[0]) == (0.25, 0.0625)
    optimizer.apply([lm.convert_to_tensor(np.zeros(1))], [v])  # a gradient of another dtype
    assert v.numpy()[0] == 0.1875


def test_state_goes_on_after_it_is_copied():
    first, second = optimizers.Adam(0.1), optimizers.Adam(0.1)
    a, b = variables(), variables()
    grads = [[lm.convert_to_tensor(g.astype(np.float32)) for g in step] for step in STEPS]
    first.apply(grads[0], a)
    for target, source in zip(b, a):
        target.assign(source)
    second.build(b)
    for target, source in zip(second.variables, first.variables):
        target.assign(source)
    first.apply(grads[1], a)
    second.apply(grads[1], b)
    for x, y in zip(a, b):
        assert (x.numpy() == y.numpy()).all()


def test_missing_gradients_are_named_once():
    vs = variables()
    optimizer = optimizers.SGD(0.1)
    with pytest.warns(UserWarning, match=r"\[SGD\].*v1, v2"):
        optimizer.apply([lm.ops.ones(vs[0].shape), None, None], vs)
    optimizer.apply([lm.ops.ones(vs[0].shape), None, None], vs)
    np.testing.assert_allclose(vs[0].numpy(), START[0] - 0.2, rtol=1e-5)
    with pytest.raises(ValueError, match=r"no variable has a gradient.*v0, v1, v2"):
        optimizer.apply([None] * 3, vs)


def test_constraints_hold_after_a_step():
    v = lm.Variable([1.0, -1.0])
    v.constraint = lambda w: lm.ops.maximum(w, 0.0)
    optimizers.SGD(0.1).apply([lm.ops.zeros((2,))], [v])
    assert v.numpy().tolist() == [1.0, 0.0]


def test_learning_rate_is_written_and_followed():
    v = lm.Variable([0.0])
    optimizer = optimizers.SGD(0.5)
    optimizer.learning_rate = 2.0
    optimizer.apply([lm.ops.ones((1,))], [v])
    assert v.numpy()[0] == -2.0
    optimizer.learning_rate.assign(3.0)
    optimizer.apply([lm.ops.ones((1,))], [v])
    assert v.numpy()[0] == -5.0
    optimizer = optimizers.SGD(schedules.PiecewiseConstantDecay([0], [1.0, 0.25]))
    for want in (-6.0, -6.25):
        optimizer.apply([lm.ops.ones((1,))], [v])
        assert v.numpy()[0] == want
    assert optimizers.deserialize(optimizers.serialize(optimizer)).get_config() == optimizer.get_config()


@pytest.mark.parametrize(
    "schedule, step, rate",
    [
        (schedules.ExponentialDecay(0.1, 10, 0.5), 15, 0.1 * 0.5**1.5),
        (schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True), 15, 0.05),
        (schedules.CosineDecay(0.2, 100), 50, 0.1),
        (schedules.CosineDecay(0.2, 100, alpha=0.1), 200, 0.02),
        (schedules.CosineDecay(0.0, 100, warmup_target=0.2, warmup_steps=10), 5, 0.1),
        (schedules.CosineDecay(0.0, 100, warmup_target=0.2, warmup_steps=10), 60, 0.1),
        (schedules.PiecewiseConstantDecay([5, 10], [1.0, 0.5, 0.1]), 5, 1.0),
        (schedules.PiecewiseConstantDecay([5, 10], [1.0, 0.5, 0.1]), 11, 0.1),
    ],
)
def test_schedules(schedule, step, rate):
    assert schedule(step) == pytest.approx(rate)
    assert schedules.deserialize(schedule.serialize())(step) == pytest.approx(rate)


def test_wrong_gradient_leaves_the_variables():
    vs = variables()
    with pytest.raises(ValueError, match=r"gradient.shape=\(2,\), v1.shape=\(7,\)"):
        optimizers.Adam().apply([lm.ops.zeros((3, 5)), lm.ops.zeros((2,)), lm.ops.zeros(())], vs)
    assert all((v.numpy() == s.astype(np.float32)).all() for v, s in zip(vs, START))


ERRORS = [
    (lambda: optimizers.get("adm"), ValueError, r"\[optimizer\] is unknown.*Did you mean 'adam'"),
    (lambda: optimizers.get(3), TypeError, r"\[optimizer\] is no optimizer"),
    (lambda: optimizers.SGD(-1.0), ValueError, r"learning_rate=-1"),
    (lambda: optimizers.SGD(momentum=2), ValueError, r"momentum=2"),
    (lambda: optimizers.Adam(beta_1=1.0), ValueError, r"beta_1=1"),
    (lambda: optimizers.Adam(clipnorm=1.0, clipvalue=1.0), ValueError, r"at most one kind of clipping"),
    (lambda: optimizers.Adam(clipnorm="1"), ValueError, r"clipnorm='1'"),
    (lambda: optimizers.Adam().apply([lm.ops.zeros(())], []), ValueError, r"1 gradients, 0 variables"),
    (lambda: optimizers.Adam().apply_gradients([(1.0, 2.0)]), TypeError, r"pairs \(gradient, Variable\)"),
    (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), ValueError, r"decay_steps=0"),
    (lambda: schedules.PiecewiseConstantDecay([1], [1.0]), ValueError, r"1 boundaries, 1 values"),
]


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
