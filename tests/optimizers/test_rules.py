"""Update rules against their published formulas in float64, and what surrounds every rule."""

import math

import numpy as np
import pytest

import lamina as lm
from lamina import optimizers

SHAPES = [(3, 5), (7,), (), (0, 4), (67, 70), (2, 9, 17), (40, 33), (2, 0, 3)]
STEPS = 20


def rms(x):
    return np.sqrt(np.mean(x * x)) if x.size else 0.0


class Rmsprop:
    def __init__(self, shape, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered
        self.v = self.m = self.a = 0.0

    def __call__(self, p, g, lr, t):
        self.v = self.rho * self.v + (1 - self.rho) * g * g
        self.a = self.rho * self.a + (1 - self.rho) * g
        variance = self.v - self.a**2 if self.centered else self.v
        self.m = self.momentum * self.m + lr * g / np.sqrt(variance + self.epsilon)
        return p - self.m


class Adagrad:
    def __init__(self, shape, initial_accumulator_value=0.1, epsilon=1e-7):
        self.v, self.epsilon = initial_accumulator_value, epsilon

    def __call__(self, p, g, lr, t):
        self.v = self.v + g * g
        return p - lr * g / np.sqrt(self.v + self.epsilon)


class Adadelta:
    def __init__(self, shape, rho=0.95, epsilon=1e-7):
        self.rho, self.epsilon, self.v, self.x = rho, epsilon, 0.0, 0.0

    def __call__(self, p, g, lr, t):
        self.v = self.rho * self.v + (1 - self.rho) * g * g
        step = np.sqrt(self.x + self.epsilon) / np.sqrt(self.v + self.epsilon) * g
        self.x = self.rho * self.x + (1 - self.rho) * step * step
        return p - lr * step


class Moments:
    def __init__(self, shape, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.b1, self.b2, self.epsilon, self.m, self.v, self.product = beta_1, beta_2, epsilon, 0.0, 0.0, 1.0

    def take(self, g):
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = self.b2 * self.v + (1 - self.b2) * g * g


class Adamax(Moments):
    def __call__(self, p, g, lr, t):
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = np.maximum(self.b2 * self.v, np.abs(g))
        return p - lr / (1 - self.b1**t) * self.m / (self.v + self.epsilon)


class Nadam(Moments):
    def __call__(self, p, g, lr, t):
        self.take(g)
        mu, after = (self.b1 * (1 - 0.5 * 0.96**s) for s in (t, t + 1))
        self.product *= mu
        m = after * self.m / (1 - self.product * after) + (1 - mu) * g / (1 - self.product)
        return p - lr * m / (np.sqrt(self.v / (1 - self.b2**t)) + self.epsilon)


class Lamb(Moments):
    def __call__(self, p, g, lr, t):
        self.take(g)
        d = self.m / (1 - self.b1**t) / (np.sqrt(self.v / (1 - self.b2**t)) + self.epsilon)
        long, wide = np.linalg.norm(p), np.linalg.norm(d)
        return p - lr * (long / wide if long > 0 and wide > 0 else 1.0) * d


class Lion:
    def __init__(self, shape, beta_1=0.9, beta_2=0.99):
        self.b1, self.b2, self.m = beta_1, beta_2, 0.0

    def __call__(self, p, g, lr, t):
        direction = np.sign(self.b1 * self.m + (1 - self.b1) * g)
        self.m = self.b2 * self.m + (1 - self.b2) * g
        return p - lr * direction


class Ftrl:
    """McMahan et al. 2013, with weights sigma_i = (n_i^k - n_i-1^k) / lr."""

    def __init__(self, shape, power=-0.5, start=0.1, l1=0.0, l2=0.0, shrinkage=0.0, beta=0.0):
        self.k, self.n, self.z = -power, start, 0.0
        self.l1, self.l2, self.shrinkage, self.beta = l1, l2, shrinkage, beta

    def __call__(self, p, g, lr, t):
        n = self.n + g * g
        self.z = self.z + g + 2 * self.shrinkage * p - (n**self.k - self.n**self.k) / lr * p
        self.n = n
        solved = -(self.z - np.sign(self.z) * self.l1) / ((self.beta + n**self.k) / lr + 2 * self.l2)
        return np.where(np.abs(self.z) <= self.l1, 0.0, solved)


class Adafactor:
    def __init__(self, shape, decay=-0.8, epsilon_1=1e-30, epsilon_2=1e-3, threshold=1.0):
        self.decay, self.e1, self.e2, self.threshold = decay, epsilon_1, epsilon_2, threshold
        self.r = self.c = self.v = 0.0

    def __call__(self, p, g, lr, t):
        if p.size == 0:
            return p
        b, square = 1 - t**self.decay, g * g + self.e1
        if p.ndim < 2:
            self.v = b * self.v + (1 - b) * square
        else:
            self.r = b * self.r + (1 - b) * square.mean(-1)
            self.c = b * self.c + (1 - b) * square.mean(-2)
            self.v = self.r[..., None] * self.c[..., None, :] / self.r.mean(-1)[..., None, None]
        u = g / np.sqrt(self.v)
        alpha = max(self.e2, rms(p)) * min(lr, 1 / math.sqrt(t))
        return p - alpha * u / max(1.0, rms(u) / self.threshold)


RULES = {  # name: optimizer of shared arguments, reference of a shape
    "rmsprop": (lambda **k: optimizers.RMSprop(0.01, **k), Rmsprop),
    "rmsprop momentum": (
        lambda **k: optimizers.RMSprop(0.01, 0.8, 0.7, 1e-3, **k),
        lambda s: Rmsprop(s, 0.8, 0.7, 1e-3),
    ),
    "rmsprop centered": (
        lambda **k: optimizers.RMSprop(0.01, epsilon=1e-2, centered=True, **k),
        lambda s: Rmsprop(s, epsilon=1e-2, centered=True),
    ),
    "rmsprop both": (
        lambda **k: optimizers.RMSprop(0.01, 0.9, 0.5, 1e-2, True, **k),
        lambda s: Rmsprop(s, 0.9, 0.5, 1e-2, True),
    ),
    "adagrad": (lambda **k: optimizers.Adagrad(0.1, **k), Adagrad),
    "adagrad start": (lambda **k: optimizers.Adagrad(0.1, 0.0, 1e-3, **k), lambda s: Adagrad(s, 0.0, 1e-3)),
    "adadelta": (lambda **k: optimizers.Adadelta(1.0, **k), Adadelta),
    "adadelta rho": (lambda **k: optimizers.Adadelta(1.0, 0.7, 1e-3, **k), lambda s: Adadelta(s, 0.7, 1e-3)),
    "adamax": (lambda **k: optimizers.Adamax(0.01, **k), Adamax),
    "nadam": (lambda **k: optimizers.Nadam(0.01, **k), Nadam),
    "nadam betas": (lambda **k: optimizers.Nadam(0.01, 0.7, 0.8, 1e-3, **k), lambda s: Nadam(s, 0.7, 0.8, 1e-3)),
    "lion": (lambda **k: optimizers.Lion(0.01, **k), Lion),
    "lion betas": (lambda **k: optimizers.Lion(0.01, 1.0, 0.5, **k), lambda s: Lion(s, 1.0, 0.5)),
    "ftrl": (lambda **k: optimizers.Ftrl(0.1, **k), Ftrl),
    "ftrl all": (
        lambda **k: optimizers.Ftrl(0.1, -0.5, 0.2, 0.3, 0.1, 0.05, 0.2, **k),
        lambda s: Ftrl(s, -0.5, 0.2, 0.3, 0.1, 0.05, 0.2),
    ),
    "ftrl power": (lambda **k: optimizers.Ftrl(0.1, -0.8, **k), lambda s: Ftrl(s, -0.8)),
    "ftrl power 0": (lambda **k: optimizers.Ftrl(0.1, 0.0, **k), lambda s: Ftrl(s, 0.0)),
    "lamb": (lambda **k: optimizers.Lamb(0.01, **k), Lamb),
    "lamb betas": (lambda **k: optimizers.Lamb(0.01, 0.7, 0.8, 1e-3, **k), lambda s: Lamb(s, 0.7, 0.8, 1e-3)),
    "adafactor": (lambda **k: optimizers.Adafactor(0.1, **k), Adafactor),
    "adafactor all": (
        lambda **k: optimizers.Adafactor(0.1, -0.5, 1e-3, 0.3, 0.6, **k),
        lambda s: Adafactor(s, -0.5, 1e-3, 0.3, 0.6),
    ),
}
SHARED = {
    "plain": {},
    "value": {"clipvalue": 0.5},
    "norm": {"clipnorm": 2.0, "weight_decay": 0.3},
    "global": {"global_clipnorm": 5.0},
    "decay": {"weight_decay": 0.3},
    "scale": {"loss_scale_factor": 8.0, "global_clipnorm": 5.0},
    "gather": {"gradient_accumulation_steps": 2, "clipnorm": 1.0, "loss_scale_factor": 2.0},
    "average": {"use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 4},
}


def clipped(grads, clipvalue=None, clipnorm=None, global_clipnorm=None, **_):
    if clipvalue:
        return [np.clip(g, -clipvalue, clipvalue) for g in grads]
    if clipnorm:
        return [g * min(1.0, clipnorm / max(np.linalg.norm(g), 1e-300)) for g in grads]
    if global_clipnorm:
        return [g * min(1.0, global_clipnorm / np.sqrt(sum((g * g).sum() for g in grads))) for g in grads]
    return grads


def reference(make, start, steps, lr, shared):
    """(parameters, averages) in float64."""
    rules, ps = [make(p.shape) for p in start], [p.astype(np.float64) for p in start]
    period, averages, t = shared.get("gradient_accumulation_steps", 1), [p * 0 for p in ps], 0
    for first in range(0, len(steps), period):
        means = [np.mean(gs, axis=0, dtype=np.float64) for gs in zip(*steps[first : first + period])]
        t += 1
        grads = clipped([g / shared.get("loss_scale_factor", 1.0) for g in means], **shared)
        for i, g in enumerate(grads):
            p = ps[i] - ps[i] * shared.get("weight_decay", 0.0) * lr
            ps[i] = rules[i](p, g, lr, t)
            keep = shared.get("ema_momentum", 0.0) if t > 1 else 0.0
            averages[i] = keep * averages[i] + (1 - keep) * ps[i]
            if "ema_overwrite_frequency" in shared and t % shared["ema_overwrite_frequency"] == 0:
                ps[i] = averages[i]
    return ps, averages


def train(make, dtypes, shared, n=STEPS, zeros=False):
    rng = np.random.default_rng(5)
    dtypes = [dtypes[i % len(dtypes)] for i in range(len(SHAPES))]
    start = [rng.standard_normal(s).astype(d) for s, d in zip(SHAPES, dtypes)]
    scale = 0.0 if zeros else 1.0
    steps = [[np.asarray(rng.standard_normal(s) * scale, d) for s, d in zip(SHAPES, dtypes)] for _ in range(n)]
    optimizer, vs = make(**shared), [lm.Variable(p) for p in start]
    for grads in steps:
        optimizer.apply([lm.convert_to_tensor(g) for g in grads], vs)
    return optimizer, vs, start, steps


def close(got, want, dtype):
    tolerance = 2e-5 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtypes", [("float32",), ("float64",), ("float64", "float32")], ids="-".join)
def test_formulas(name, shared, dtypes):
    make, rule = RULES[name]
    shared = SHARED[shared]
    optimizer, vs, start, steps = train(make, dtypes, shared)
    lr = float(optimizer.learning_rate)
    want, averages = reference(rule, start, steps, lr, shared)
    judged = "float32" if "float32" in dtypes else "float64"
    for v, p in zip(vs, want):
        close(v.numpy(), p, judged)
    assert int(optimizer.iterations) == STEPS // shared.get("gradient_accumulation_steps", 1)
    optimizer.finalize_variable_values(vs)
    for v, p in zip(vs, averages if "use_ema" in shared else want):
        close(v.numpy(), p, judged)
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer) and again.get_config() == optimizer.get_config()


@pytest.mark.parametrize("name", RULES)
def test_zero_gradients_give_finite_weights_and_state(name):
    optimizer, vs, *_ = train(RULES[name][0], ("float32",), {"clipnorm": 1.0}, zeros=True)
    for v in [*vs, *optimizer.variables]:
        assert np.isfinite(v.numpy()).all()


def test_where_keras_divides_by_zero():
    zero, one = lm.ops.zeros((2, 2)), lm.Variable(np.ones((2, 2), np.float32))
    optimizers.Ftrl(initial_accumulator_value=0.0).apply([zero], [one])
    assert (one.numpy() == 1).all()  # nothing to solve for
    corner = lm.convert_to_tensor(np.float32([[0, 0], [0, 1]]))  # an empty row crosses an empty column
    optimizer = optimizers.Adafactor(0.1)
    for _ in range(3):
        optimizer.apply([corner], [one])
    assert np.isfinite(one.numpy()).all() and one.numpy()[1, 1] < 1
    constant = lm.convert_to_tensor(np.float32([[30, 30], [-7, 0.3]]))  # mean square - square of mean rounds below 0
    optimizer = optimizers.RMSprop(1e-9, centered=True)
    for _ in range(400):
        optimizer.apply([constant], [one])
    assert np.isfinite(one.numpy()).all()


@pytest.mark.parametrize("name", RULES)
def test_same_bits_for_any_number_of_threads(name, threads):
    seen = set()
    for n in (1, 3):
        threads(n)
        optimizer, vs, *_ = train(RULES[name][0], ("float32", "float64"), {"global_clipnorm": 1.0}, n=3)
        seen.add(b"".join(v.numpy().tobytes() for v in [*vs, *optimizer.variables]))
    assert len(seen) == 1


@pytest.mark.parametrize("name", ["rmsprop both", "nadam", "adafactor", "lamb"])
def test_state_moves_to_another_optimizer(name):
    shared = {"use_ema": True, "gradient_accumulation_steps": 2}
    make = RULES[name][0]
    first, a, start, steps = train(make, ("float32",), shared, n=5)
    second, b = make(**shared), [lm.Variable(v) for v in a]
    second.build(b)
    assert [v.shape for v in second.variables] == [v.shape for v in first.variables]
    for target, source in zip(second.variables, first.variables):
        target.assign(source)
    for optimizer, vs in ((first, a), (second, b)):
        for grads in steps[:3]:
            optimizer.apply([lm.convert_to_tensor(g) for g in grads], vs)
    for x, y in zip([*a, *first.variables], [*b, *second.variables]):
        assert (x.numpy() == y.numpy()).all()


def test_names_of_variables():
    optimizer = optimizers.Adam(amsgrad=True, use_ema=True, gradient_accumulation_steps=2)
    optimizer.build([lm.Variable([1.0], name="a"), lm.Variable([1.0], name="b")])
    pairs = ["a_average", "b_average", "a_gradient_accumulator", "b_gradient_accumulator", "a_momentum", "a_velocity"]
    pairs += ["b_momentum", "b_velocity", "a_velocity_hat", "b_velocity_hat"]
    assert [v.path for v in optimizer.variables] == [f"adam/{n}" for n in ["iteration", "learning_rate", *pairs]]


def test_a_variable_without_gradients_keeps_its_average():
    a, b = lm.Variable([1.0]), lm.Variable([2.0])
    optimizer = optimizers.SGD(0.5, use_ema=True)
    optimizer.build([a, b])
    with pytest.warns(UserWarning, match="without a gradient"):
        optimizer.apply([lm.ops.ones((1,)), None], [a, b])
    optimizer.finalize_variable_values([a, b])
    assert a.numpy()[0] == 0.5 and b.numpy()[0] == 2.0


def test_fit_ends_with_the_averages_and_scales_the_loss():
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    y = x.sum(axis=1, keepdims=True)

    def fitted(optimizer):
        lm.utils.set_random_seed(0)
        model = lm.Sequential([lm.layers.Dense(1, input_shape=(3,))])
        model.compile(optimizer, "mse")
        model.fit(x, y, batch_size=4, epochs=2, verbose=0, shuffle=False)
        return model

    averaged = fitted(optimizers.SGD(0.1, use_ema=True))
    for v, average in zip(averaged.trainable_variables, averaged.optimizer.variables[2:]):
        assert (v.numpy() == average.numpy()).all()
    plain, scaled = fitted(optimizers.SGD(0.1)), fitted(optimizers.SGD(0.1, loss_scale_factor=8.0))
    for v, w in zip(plain.get_weights(), scaled.get_weights()):
        np.testing.assert_allclose(v, w, rtol=1e-6)


def test_compile_takes_rmsprop_by_default():
    model = lm.Sequential([lm.layers.Dense(1, input_shape=(3,))])
    model.compile(loss="mse")
    assert isinstance(model.optimizer, optimizers.RMSprop)
    model.fit(np.ones((4, 3), np.float32), np.ones((4, 1), np.float32), verbose=0)
    for name in ("sgd", "RMSprop", "adam", "adamw", "adagrad", "adadelta", "adamax", "nadam", "ftrl", "lion", "lamb"):
        assert type(optimizers.get(name)).__name__.lower() == name.lower()


def own_update(**shared):
    class Own(optimizers.Optimizer):
        def update(self, parameters, gradients, slots, weight_decay):
            raise AssertionError("not reached")

    return Own(0.1, **shared)


ERRORS = [
    (lambda: optimizers.RMSprop(rho=1.5), r"\[rmsprop\] rho is a number of at least 0 and at most 1.*rho=1.5"),
    (lambda: optimizers.RMSprop(momentum=-1), r"\[rmsprop\] momentum.*momentum=-1"),
    (lambda: optimizers.RMSprop(name="mine", epsilon=None), r"\[mine\] epsilon.*epsilon=None"),
    (lambda: optimizers.Adagrad(initial_accumulator_value=-1), r"\[adagrad\] initial_accumulator_value"),
    (lambda: optimizers.Adadelta(rho=True), r"\[adadelta\] rho.*rho=True"),
    (lambda: optimizers.Adamax(beta_2=1), r"\[adamax\] beta_2 is a number of at least 0 and below 1.*beta_2=1"),
    (lambda: optimizers.Nadam(beta_1=1), r"\[nadam\] beta_1.*beta_1=1"),
    (lambda: optimizers.Lamb(epsilon=-1), r"\[lamb\] epsilon.*epsilon=-1"),
    (lambda: optimizers.Lion(beta_1=0), r"\[lion\] beta_1 is above 0.*beta_1=0"),
    (lambda: optimizers.Ftrl(learning_rate_power=1), r"\[ftrl\] learning_rate_power.*at most 0.*=1"),
    (lambda: optimizers.Ftrl(l1_regularization_strength=-1), r"\[ftrl\] l1_regularization_strength"),
    (lambda: optimizers.Ftrl(0.0).apply([1.0], [lm.Variable(1.0)]), r"\[ftrl\] learning_rate must be above 0"),
    (lambda: optimizers.Adafactor(beta_2_decay=1), r"\[adafactor\] beta_2_decay.*beta_2_decay=1"),
    (lambda: optimizers.Adafactor(clip_threshold=0), r"\[adafactor\] clip_threshold is above 0.*clip_threshold=0"),
    (lambda: optimizers.SGD(use_ema=True, ema_momentum=2), r"\[SGD\] ema_momentum.*ema_momentum=2"),
    (lambda: optimizers.SGD(ema_overwrite_frequency=0), r"\[SGD\] ema_overwrite_frequency.*at least 1.*=0"),
    (lambda: optimizers.SGD(gradient_accumulation_steps=1), r"\[SGD\] gradient_accumulation_steps.*at least 2.*=1"),
    (lambda: optimizers.SGD(loss_scale_factor=-1), r"\[SGD\] loss_scale_factor.*=-1"),
    (lambda: own_update(use_ema=True), r"\[own\] an optimizer with its own update.*use_ema=True"),
    (
        lambda: optimizers.SGD(use_ema=True).finalize_variable_values([lm.Variable([1.0], name="w")]),
        r"\[SGD\] keeps no average of these variables. Received: w",
    ),
]


@pytest.mark.parametrize("call, message", ERRORS)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="unexpected"):
        optimizers.RMSprop(decay=0.1)
