"""Twenty steps of each optimizer from the same weights with the same gradients give Keras' weights."""

import numpy as np
import pytest

import lamina as lm

from .both import close, keras

SCHEDULES = {
    "ExponentialDecay": dict(initial_learning_rate=0.1, decay_steps=5, decay_rate=0.5),
    "ExponentialDecay-staircase": dict(initial_learning_rate=0.1, decay_steps=5, decay_rate=0.5, staircase=True),
    "CosineDecay": dict(initial_learning_rate=0.1, decay_steps=12, alpha=0.1),
    "CosineDecay-warmup": dict(initial_learning_rate=0.0, decay_steps=12, warmup_target=0.2, warmup_steps=5),
    "PiecewiseConstantDecay": dict(boundaries=[3, 9], values=[0.3, 0.2, 0.1]),
}
RULES = [
    "SGD",
    "Adam",
    "AdamW",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adamax",
    "Nadam",
    "Lion",
    "Ftrl",
    "Lamb",
    "Adafactor",
]
SHARED = [
    dict(use_ema=True, ema_momentum=0.8),
    dict(use_ema=True, ema_overwrite_frequency=3),
    dict(gradient_accumulation_steps=3, clipnorm=0.7),
    dict(gradient_accumulation_steps=2, global_clipnorm=0.7, weight_decay=0.1),
    dict(gradient_accumulation_steps=3, use_ema=True, ema_overwrite_frequency=2, loss_scale_factor=4.0),
    dict(loss_scale_factor=8.0, global_clipnorm=0.05),
    dict(loss_scale_factor=8.0, clipvalue=0.05),
]
CASES = [
    ("SGD", {}),
    ("SGD", dict(learning_rate=0.1, momentum=0.9)),
    ("SGD", dict(learning_rate=0.1, momentum=0.9, nesterov=True)),
    ("SGD", dict(learning_rate=0.1, nesterov=True)),
    ("SGD", dict(learning_rate=0.1, momentum=0.9, weight_decay=0.02)),
    ("Adam", {}),
    ("Adam", dict(learning_rate=0.05, beta_1=0.8, beta_2=0.99, epsilon=1e-3)),
    ("Adam", dict(learning_rate=0.05, amsgrad=True)),
    ("Adam", dict(learning_rate=0.05, weight_decay=0.1)),
    ("AdamW", dict(learning_rate=0.05)),
    ("AdamW", dict(learning_rate=0.05, weight_decay=0.1, amsgrad=True)),
    ("RMSprop", {}),
    ("RMSprop", dict(learning_rate=0.05, rho=0.8, momentum=0.7, epsilon=1e-3)),
    ("RMSprop", dict(learning_rate=0.05, centered=True, weight_decay=0.1)),
    ("RMSprop", dict(learning_rate=0.05, momentum=0.9, centered=True)),
    ("Adagrad", {}),
    ("Adagrad", dict(learning_rate=0.1, initial_accumulator_value=0.0, epsilon=1e-3, weight_decay=0.1)),
    ("Adadelta", {}),
    ("Adadelta", dict(learning_rate=1.0, rho=0.8, epsilon=1e-3, weight_decay=0.1)),
    ("Adamax", {}),
    ("Adamax", dict(learning_rate=0.05, beta_1=0.8, beta_2=0.9, epsilon=1e-3, weight_decay=0.1)),
    ("Nadam", {}),
    ("Nadam", dict(learning_rate=0.05, beta_1=0.8, beta_2=0.9, epsilon=1e-3, weight_decay=0.1)),
    ("Lion", {}),
    ("Lion", dict(learning_rate=0.05, beta_1=0.8, beta_2=0.9, weight_decay=0.1)),
    ("Ftrl", {}),
    ("Ftrl", dict(learning_rate=0.5, l1_regularization_strength=0.3, l2_regularization_strength=0.2, beta=0.1)),
    ("Ftrl", dict(learning_rate=0.5, learning_rate_power=-0.7, l2_shrinkage_regularization_strength=0.1)),
    ("Ftrl", dict(learning_rate=0.5, learning_rate_power=0.0, initial_accumulator_value=0.4, weight_decay=0.1)),
    ("Lamb", {}),
    ("Lamb", dict(learning_rate=0.05, beta_1=0.8, beta_2=0.9, epsilon=1e-3, weight_decay=0.1)),
    ("Adafactor", {}),
    ("Adafactor", dict(learning_rate=0.5, beta_2_decay=-0.6, epsilon_1=1e-4, epsilon_2=0.1, weight_decay=0.1)),
    ("Adafactor", dict(learning_rate=0.05, clip_threshold=0.4, relative_step=False)),
    *[
        (name, dict(learning_rate=0.1, **clip))
        for name in RULES
        for clip in (dict(clipnorm=0.7), dict(clipvalue=0.3), dict(global_clipnorm=0.9))
    ],
    *[(name, dict(learning_rate=0.1, **shared)) for name in ("SGD", "Nadam", "Adafactor") for shared in SHARED],
    *[(name, dict(learning_rate=0.1, **SHARED[4])) for name in RULES],
    *[(name, dict(learning_rate=schedule)) for name in ("SGD", "Adam") for schedule in SCHEDULES],
]


def _made(library, name, arguments):
    rate = arguments.get("learning_rate")
    if isinstance(rate, str):
        schedule = getattr(library.optimizers.schedules, rate.partition("-")[0])
        arguments = {**arguments, "learning_rate": schedule(**SCHEDULES[rate])}
    return getattr(library.optimizers, name)(**arguments)


SHAPES = [(4, 5), (5,), (2, 3, 2), (), (37, 41)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, arguments", CASES, ids=lambda v: str(v))
def test_twenty_steps(name, arguments, dtype, rng):
    start = [rng.standard_normal(s).astype(dtype) for s in SHAPES]
    ours, theirs = _made(lm, name, arguments), _made(keras, name, arguments)
    mine, other = [lm.Variable(a) for a in start], [keras.Variable(a, dtype=dtype) for a in start]
    for step in range(20):
        grads = [(rng.standard_normal(a.shape) * (3 if step % 5 == 0 else 0.2)).astype(dtype) for a in start]
        ours.apply([lm.convert_to_tensor(g) for g in grads], mine)
        theirs.apply([keras.ops.convert_to_tensor(g) for g in grads], other)
    for v, o in zip(mine, other):
        assert v.dtype == dtype
        close(v.numpy(), np.asarray(o.value))
    assert int(ours.iterations) == int(theirs.iterations)
    close(float(ours.learning_rate), float(theirs.learning_rate))
    if isinstance(arguments.get("learning_rate"), str):  # a schedule's rate is no variable in Keras
        return
    assert [v.shape for v in ours.variables] == [tuple(v.shape) for v in theirs.variables]
    for v, o in zip(ours.variables, theirs.variables):
        close(v.numpy(), np.asarray(o.value))
    ours.finalize_variable_values(mine)
    theirs.finalize_variable_values(other)
    for v, o in zip(mine, other):
        close(v.numpy(), np.asarray(o.value))


@pytest.mark.parametrize("name", RULES)
def test_config(name):
    ours, theirs = _made(lm, name, {}).get_config(), _made(keras, name, {}).get_config()
    assert set(theirs) == set(ours)
    for key in set(ours) - {"name"}:
        assert ours[key] == pytest.approx(theirs[key]) if isinstance(ours[key], float) else ours[key] == theirs[key]
