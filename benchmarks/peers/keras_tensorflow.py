"""Keras on TensorFlow: the step as a tf.function over tensors.

Step variants: graph (tf.function); on request xla (jit_compile=True). `fit`: see keras_common.py.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from benchmarks import workloads
from benchmarks.peers import keras_common
from benchmarks.peers.keras_common import fit_loop, parts

forget = keras_common.forget


def set_threads(threads):
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def versions():
    return {"keras": keras.__version__, "tensorflow": tf.__version__}


def variants(case, also):
    return keras_common.choose(case, also, step=["graph", "xla"], fit=["fit", "xla", "steps32", "xla+steps32"])


def trainer(name, variant="graph"):
    """train_step(x, y) -> loss over tensors: forward, loss, backward, optimiser."""
    model, loss_function, optimizer = parts(name)

    @tf.function(jit_compile=variant == "xla")
    def train_step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_function(y, model(x, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    return train_step


def tensors(x, y):
    return tf.constant(x), tf.constant(y)


def model_step(name, variant="graph"):
    """step() of a net on its fixed data."""
    x, y = tensors(*workloads.data(name))
    train_step = trainer(name, variant)
    return lambda: train_step(x, y)


FACTORIES = {"model": model_step, "fit": fit_loop}
