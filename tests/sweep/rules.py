"""Optimiser rules: parameters after some steps against the formulas in float64."""

import hashlib
from dataclasses import dataclass

import numpy as np

import lamina as lm
from lamina import optimizers

from ..optimizers import test_rules
from ..optimizers.test_rules import SHARED, Moments, reference
from .check import THREADS, same_on_all
from .sizes import chance, pick, shape


class Sgd:
    def __init__(self, shape, momentum=0.0, nesterov=False):
        self.momentum, self.nesterov, self.m = momentum, nesterov, 0.0

    def __call__(self, p, g, lr, t):
        self.m = self.momentum * self.m - lr * g
        return p + (self.momentum * self.m - lr * g if self.nesterov else self.m)


class Adam(Moments):
    def __init__(self, shape, amsgrad=False):
        super().__init__(shape)
        self.amsgrad, self.top = amsgrad, 0.0

    def __call__(self, p, g, lr, t):
        self.take(g)
        self.top = np.maximum(self.top, self.v)
        alpha = lr * np.sqrt(1 - self.b2**t) / (1 - self.b1**t)
        return p - alpha * self.m / (np.sqrt(self.top if self.amsgrad else self.v) + self.epsilon)


class Lion(test_rules.Lion):
    """Marks elements whose sum all but cancels: rounding decides on its sign."""

    unsure = False

    def __call__(self, p, g, lr, t):
        a, b = self.b1 * self.m, (1 - self.b1) * g
        self.unsure = self.unsure | (np.abs(a + b) < 1e-6 * (np.abs(a) + np.abs(b)))
        return super().__call__(p, g, lr, t)


RULES = test_rules.RULES | {
    "lion": (test_rules.RULES["lion"][0], Lion),
    "sgd": (lambda **k: optimizers.SGD(0.01, **k), Sgd),
    "momentum": (lambda **k: optimizers.SGD(0.01, 0.9, **k), lambda s: Sgd(s, 0.9)),
    "nesterov": (lambda **k: optimizers.SGD(0.01, 0.9, True, **k), lambda s: Sgd(s, 0.9, True)),
    "adam": (lambda **k: optimizers.Adam(0.01, **k), Adam),
    "amsgrad": (lambda **k: optimizers.Adam(0.01, amsgrad=True, **k), lambda s: Adam(s, True)),
}


@dataclass
class Rule:
    """A rule's steps from given parameters and gradients; checked and named as a `Case` is."""

    text: str
    name: str
    shared: dict
    start: list
    steps: list

    def check(self, rng, threads=THREADS):
        first, (optimizer, parameters) = same_on_all(threads, self._run, self._digest)
        rate = float(optimizer.learning_rate)
        rules = []

        def make(of_shape):
            rules.append(RULES[self.name][1](of_shape))
            return rules[-1]

        want, _ = reference(make, self.start, self.steps, rate, self.shared)
        for i, (p, w, rule) in enumerate(zip(parameters, want, rules)):
            w = np.where(getattr(rule, "unsure", False), p.numpy(), w)
            np.testing.assert_allclose(p.numpy(), w, 2e-5, 2e-5, err_msg=f"parameter {i} of shape {w.shape}")
        return first

    def digest(self, rng):
        return self._digest(self._run())

    def _run(self):
        optimizer, parameters = RULES[self.name][0](**self.shared), [lm.Variable(p) for p in self.start]
        for grads in self.steps:
            optimizer.apply([lm.convert_to_tensor(g) for g in grads], parameters)
        return optimizer, parameters

    @staticmethod
    def _digest(run):
        optimizer, parameters = run
        h = hashlib.sha256()
        for v in (*parameters, *optimizer.variables):
            h.update(v.numpy().tobytes())
        return h.hexdigest()[:16]


def optimizer(rng):
    name, shared = pick(rng, list(RULES)), pick(rng, list(SHARED))
    shapes = [shape(rng, 5_000, ranks=(0, 1, 1, 2, 2, 3)) for _ in range(int(rng.integers(1, 6)))]
    if chance(rng, 0.2):
        shapes.append((int(rng.integers(1, 40_000)),))
    draw = lambda: [np.asarray(rng.standard_normal(s), np.float32) for s in shapes]  # noqa: E731
    start, steps = draw(), [draw() for _ in range(4)]
    return Rule(f"{name}, {shared}, {shapes}", name, SHARED[shared], start, steps)
