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
    *[
        (name, dict(learning_rate=0.1, **clip))
        for name in ("SGD", "Adam", "AdamW")
        for clip in (dict(clipnorm=0.7), dict(clipvalue=0.3), dict(global_clipnorm=0.9))
    ],
    *[(name, dict(learning_rate=schedule)) for name in ("SGD", "Adam") for schedule in SCHEDULES],
]


def _made(library, name, arguments):
    rate = arguments.get("learning_rate")
    if isinstance(rate, str):
        schedule = getattr(library.optimizers.schedules, rate.partition("-")[0])
        arguments = {**arguments, "learning_rate": schedule(**SCHEDULES[rate])}
    return getattr(library.optimizers, name)(**arguments)


@pytest.mark.parametrize("name, arguments", CASES, ids=lambda v: str(v))
def test_twenty_steps(name, arguments, rng):
    start = [rng.standard_normal(s).astype("float32") for s in ((4, 5), (5,), (2, 3, 2))]
    ours, theirs = _made(lm, name, arguments), _made(keras, name, arguments)
    mine, other = [lm.Variable(a) for a in start], [keras.Variable(a) for a in start]
    for step in range(20):
        grads = [(rng.standard_normal(a.shape) * (3 if step % 5 == 0 else 0.2)).astype("float32") for a in start]
        ours.apply([lm.convert_to_tensor(g) for g in grads], mine)
        theirs.apply([keras.ops.convert_to_tensor(g) for g in grads], other)
    for v, o in zip(mine, other):
        close(v.numpy(), np.asarray(o.value))
    assert int(ours.iterations) == int(theirs.iterations) == 20
    close(float(ours.learning_rate), float(theirs.learning_rate))
    if not isinstance(arguments.get("learning_rate"), str):  # a schedule's rate is no variable in Keras
        assert len(ours.variables) == len(theirs.variables)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_config(name):
    ours, theirs = _made(lm, name, {}).get_config(), _made(keras, name, {}).get_config()
    lacking = {"use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps"}
    assert set(theirs) - set(ours) == lacking
    for key in set(ours) & set(theirs) - {"name"}:
        assert ours[key] == pytest.approx(theirs[key]) if isinstance(ours[key], float) else ours[key] == theirs[key]
