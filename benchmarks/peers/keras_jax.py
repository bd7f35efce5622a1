"""Keras on JAX: the stateless step of Keras' guide "Writing a training loop in JAX", jitted, its state donated.

Step variants: jit waits for the loss of each step; on request ahead, which waits for that of the step before, so that
Python may prepare a step while XLA's threads run another. `fit`: see keras_common.py.
"""

import functools
import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import keras

from benchmarks import workloads
from benchmarks.peers import keras_common
from benchmarks.peers.keras_common import fit_loop, parts

forget = keras_common.forget

# JAX has this flag, but does not read it from the environment.
jax.config.update("jax_cpu_enable_async_dispatch", os.environ.get("JAX_CPU_ENABLE_ASYNC_DISPATCH") != "0")


def set_threads(threads):
    """XLA has made its pool by now, as large as NPROC and the CPUs that the worker is bound to."""


def versions():
    return {"keras": keras.__version__, "jax": jax.__version__}


def variants(case, also):
    return keras_common.choose(case, also, step=["jit", "ahead"], fit=["fit", "steps32"])


def trainer(name, variant="jit"):
    """train_step(x, y) -> loss over device arrays: forward, loss, backward, optimiser."""
    model, loss_function, optimizer = parts(name)

    def loss_and_updates(trainable, fixed, x, y):
        logits, fixed = model.stateless_call(trainable, fixed, x, training=True)
        return loss_function(y, logits), fixed

    gradient = jax.value_and_grad(loss_and_updates, has_aux=True)

    @functools.partial(jax.jit, donate_argnums=0)
    def update(state, x, y):
        trainable, fixed, slots = state
        (loss, fixed), gradients = gradient(trainable, fixed, x, y)
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return loss, (trainable, fixed, slots)

    variables = model.trainable_variables, model.non_trainable_variables, optimizer.variables
    state = tuple([variable.value for variable in group] for group in variables)
    before = jax.numpy.zeros(())

    def train_step(x, y):
        nonlocal state, before
        loss, state = update(state, x, y)
        (before if variant == "ahead" else loss).block_until_ready()
        before = loss
        return loss

    return train_step


def tensors(x, y):
    return jax.device_put(x), jax.device_put(y)


def model_step(name, variant="jit"):
    """step() of a net on its fixed data."""
    x, y = tensors(*workloads.data(name))
    train_step = trainer(name, variant)
    return lambda: train_step(x, y)


FACTORIES = {"model": model_step, "fit": fit_loop}
