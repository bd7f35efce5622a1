"""What the Keras peers share; KERAS_BACKEND is set before this is imported.

`fit` variants: fit (as compile sets it up by default: XLA on JAX, none on TensorFlow's CPUs); on request xla
(jit_compile=True, TensorFlow alone), steps32 (steps_per_execution) and xla+steps32.
"""

import keras

from benchmarks import kinds, loop, workloads


def forget():
    keras.utils.clear_session()


def choose(case, also, step, fit):
    """Variants of a case: the first of its kind's list, and those of the rest that are asked for and fit its epoch."""
    first, *optional = {"model": step, "fit": fit}[case["kind"]]
    if workloads.NETS[case["name"]].steps % workloads.STEPS_PER_EXECUTION:
        optional = [name for name in optional if "steps32" not in name]
    return [first] + [name for name in optional if name in also]


def parts(name):
    """(model, loss function, optimizer), all built."""
    keras.utils.set_random_seed(0)
    net = workloads.NETS[name]
    inputs = keras.Input(net.input, dtype="int32" if workloads.takes_ids(net) else "float32")
    model = keras.Sequential([inputs, *kinds.chain(keras, net)])
    loss_function = {
        "binary": lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        "sparse": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "mse": keras.losses.MeanSquaredError,
    }[net.loss]()
    make_optimizer = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}[net.optimizer]
    optimizer = make_optimizer(learning_rate=workloads.learning_rate(net))
    optimizer.build(model.trainable_variables)
    return model, loss_function, optimizer


def fit_loop(name, accuracy, variant="fit"):
    """The Loop of `Model.fit` over NumPy arrays."""
    model, loss_function, optimizer = parts(name)
    options = variant.split("+")
    model.compile(
        optimizer,
        loss_function,
        metrics=["accuracy"] if accuracy else None,
        jit_compile=True if "xla" in options else "auto",
        steps_per_execution=workloads.STEPS_PER_EXECUTION if "steps32" in options else 1,
    )
    return loop.model_fit(model, keras.callbacks.Callback, name)
