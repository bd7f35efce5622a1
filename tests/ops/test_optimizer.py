"""The one-launch optimiser steps of the core, against Keras 3's formulas in float64."""

import itertools

import numpy as np
import pytest

import lamina as lm
from lamina import _core

SHAPES = [(3,), (0,), (130, 70), (1,), (64,), (5000,), (0, 4), (17, 3)] * 2
DECAY = [0.1 * (i % 2) for i in range(len(SHAPES))]


def core(array):
    return lm.convert_to_tensor(np.asarray(array))._core


def clip(gradients, value, norm, global_norm):
    if value:
        return [np.clip(g, -value, value) for g in gradients]
    if norm:
        return [g * norm / max(np.linalg.norm(g), norm) for g in gradients]
    if global_norm:
        total = np.sqrt(sum((g**2).sum() for g in gradients))
        return [g * min(global_norm / total, 1) for g in gradients]
    return gradients


def clips(value, norm, global_norm):
    return {"clipvalue": value, "clipnorm": norm, "global_clipnorm": global_norm}


def step(rule, parameters, gradients, *rest, **more):
    _core.optimizer_step(_core.parameter_group(rule, parameters, *rest, **more), gradients)


class Reference:
    def __init__(self, kind, parameters, lr):
        self.kind, self.lr, self.t = kind, lr, 0
        self.p = [p.astype(np.float64) for p in parameters]
        self.m, self.v, self.top = ([np.zeros(p.shape) for p in parameters] for _ in range(3))

    def step(self, gradients):
        self.t += 1
        for i, g in enumerate(gradients):
            p = self.p[i] - self.p[i] * DECAY[i] * self.lr
            if self.kind == "sgd":
                self.p[i] = p - g * self.lr
            elif self.kind in ("momentum", "nesterov"):
                self.m[i] = self.m[i] * 0.9 - g * self.lr
                self.p[i] = p + (self.m[i] if self.kind == "momentum" else self.m[i] * 0.9 - g * self.lr)
            else:
                alpha = self.lr * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
                self.m[i] += (g - self.m[i]) * (1 - 0.9)
                self.v[i] += (g * g - self.v[i]) * (1 - 0.999)
                self.top[i] = np.maximum(self.top[i], self.v[i])
                v = self.top[i] if self.kind == "amsgrad" else self.v[i]
                self.p[i] = p - self.m[i] * alpha / (np.sqrt(v) + 1e-7)


def run(kind, dtypes, clipping, rng, steps=3):
    parameters = [rng.standard_normal(s).astype(d) for s, d in zip(SHAPES, dtypes)]
    lr, iterations = core(np.float32(0.01)), core(np.int64(0))
    reference = Reference(kind, parameters, float(np.float32(0.01)))
    p = [core(x) for x in parameters]
    m, v, top = ([core(np.zeros(s, d)) for s, d in zip(SHAPES, dtypes)] for _ in range(3))
    for t in range(steps):
        gradients = [rng.standard_normal(s).astype(d) for s, d in zip(SHAPES, dtypes)]
        g = [core(x) for x in gradients]
        if kind in ("adam", "amsgrad"):
            rule, slots = "adam", [m, v, top if kind == "amsgrad" else []]
            settings = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
        else:
            rule, slots = "sgd", [] if kind == "sgd" else [m]
            settings = {"momentum": 0.9, "nesterov": kind == "nesterov"}
        step(rule, p, g, slots, lr, iterations, settings | clips(*clipping), DECAY)
        assert iterations.item() == t + 1
        reference.step(clip([x.astype(np.float64) for x in gradients], *clipping))
    return p, reference.p


KINDS = ["sgd", "momentum", "nesterov", "adam", "amsgrad"]
CLIPPINGS = [(0, 0, 0), (0.5, 0, 0), (0, 2.0, 0), (0, 0, 3.0)]


@pytest.mark.parametrize(("kind", "clipping"), [*itertools.product(KINDS, CLIPPINGS)])
@pytest.mark.parametrize("dtypes", [("float32",), ("float64",), ("float32", "float64")])
def test_steps(kind, clipping, dtypes, rng):
    each = list(itertools.islice(itertools.cycle(dtypes), len(SHAPES)))
    tolerance = 2e-6 if "float32" in dtypes else 1e-12
    for got, want in zip(*run(kind, each, clipping, rng)):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def test_same_bits_for_any_number_of_threads(threads):
    results = set()
    for n in (1, 3):
        threads(n)
        got, _ = run("adam", ["float32"] * len(SHAPES), (0, 0, 1.0), np.random.default_rng(0))
        results.add(b"".join(np.asarray(x).tobytes() for x in got))
    assert len(results) == 1


def test_a_global_norm_that_is_not_finite_spoils_every_gradient():
    p, q = core(np.ones(2, np.float32)), core(np.ones(2, np.float32))
    bad, good = core(np.float32([np.inf, 0])), core(np.ones(2, np.float32))
    step("sgd", [p, q], [bad, good], [], core(np.float32(1)), core(np.int64(0)), clips(0, 0, 1.0))
    assert np.isnan(np.asarray(p)).all() and np.isnan(np.asarray(q)).all()


def test_errors():
    p, g64 = core(np.ones(3, np.float32)), core(np.ones(3))
    lr, it = core(np.float32(1)), core(np.int64(0))
    for parameters, gradients, rate, clipping, message in [
        ([p], [], lr, (0, 0, 0), r"\[sgd\] needs one gradient.*1 parameters, 0 gradients"),
        ([p], [g64], lr, (0, 0, 0), r"\[sgd\] gradient must have shape \(3,\) and dtype float32.*float64"),
        ([p], [p], lr, (1, 1, 0), r"\[sgd\] only one of.*clipvalue=1, clipnorm=1"),
        ([p], [p], it, (0, 0, 0), r"\[sgd\] learning_rate must be one float"),
    ]:
        with pytest.raises(ValueError, match=message):
            step("sgd", parameters, gradients, [], rate, it, clips(*clipping))
    for rule, slots, more, message in [
        ("adm", [], {}, r"\[optimizer_step\] rule is unknown. Received: rule=adm"),
        ("adam", [[p]], {}, r"\[adam\] needs 2 to 3 lists of slots. Received: 1"),
        ("adam", [[], [p]], {}, r"\[adam\] needs one slot per parameter. Received: 0 for 1"),
        ("adam", [[p], [g64]], {}, r"\[adam\] slot must have shape \(3,\) and dtype float32.*float64"),
        ("adafactor", [[p], [p]], {}, r"\[adafactor\] needs 3 to 3 lists of slots. Received: 2"),
        ("nadam", [[p], [p]], {}, r"\[nadam\] needs one float as state. Received: 0 tensors"),
        ("sgd", [], {"state": [p]}, r"\[sgd\] needs nothing as state. Received: 1 tensors"),
        ("sgd", [], {"averages": [g64]}, r"\[sgd\] average must have shape \(3,\) and dtype float32.*float64"),
        ("sgd", [], {"accumulators": [p]}, r"\[sgd\] needs accumulators where.*Received: 1, gradient_accum.*=1"),
        ("sgd", [], {"weight_decay": [0.1, 0.1]}, r"\[sgd\] needs one weight decay.*1 parameters, 2 weight decays"),
        ("sgd", [], {"settings": {"rhoo": 1.0}}, r"\[sgd\] has no such setting. Received: rhoo=1"),
    ]:
        with pytest.raises(ValueError, match=message):
            step(rule, [p], [p], slots, lr, it, **{"settings": {}, **more})
