"""Training side by side: `python -m benchmarks.models --kinds step fit --peers pytorch --threads 1 2`.

Holds Lamina's side of the nets in workloads.py. Lamina is imported inside the functions: the parent process,
which only directs the workers, never loads a framework.
"""

import argparse

import numpy as np

from benchmarks import kinds, loop, runner, workloads


def set_threads(threads):
    import lamina as lm

    lm.set_num_threads(threads)


def versions():
    import lamina as lm
    from lamina import _core

    packages = {"lamina": lm.__version__, "numpy": np.__version__}
    return packages | {"isa": _core.isa(), "threads": _core.thread_backend()}


def variants(case, also):
    """The variants of a case; "captured" runs the step through lm.function. `fit` captures by itself."""
    kinds = {kind: ("eager", ["captured"]) for kind in ("model", "adam", "embedding", "decode")} | {
        "fit": ("fit", ["eager"])
    }
    default, optional = kinds.get(case["kind"], ("eager", []))
    return [default] + [name for name in optional if name in also]


def build(name):
    """The net as a Sequential of Lamina's layers."""
    import lamina as lm

    return lm.Sequential(kinds.chain(lm, workloads.NETS[name]))


def parts(name):
    """(model, loss function, optimizer) of a net."""
    import lamina as lm

    net = workloads.NETS[name]
    loss_function = {
        "binary": lambda: lm.losses.BinaryCrossentropy(from_logits=True),
        "sparse": lambda: lm.losses.SparseCategoricalCrossentropy(from_logits=True),
        "mse": lm.losses.MeanSquaredError,
    }[net.loss]()
    make_optimizer = {"adam": lm.optimizers.Adam, "sgd": lm.optimizers.SGD}[net.optimizer]
    return build(name), loss_function, make_optimizer(learning_rate=workloads.learning_rate(net))


def trainer(name, variant="eager"):
    """train_step(x, y) -> loss over tensors: forward, loss, backward, optimiser."""
    import lamina as lm

    model, loss_function, optimizer = parts(name)

    def train_step(x, y):
        with lm.GradientTape() as tape:
            loss = loss_function(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    return lm.function(train_step) if variant == "captured" else train_step


def tensors(x, y):
    import lamina as lm

    return lm.convert_to_tensor(x), lm.convert_to_tensor(y)


def model_step(name, variant="eager"):
    """step() of a net on its fixed data."""
    x, y = tensors(*workloads.data(name))
    train_step = trainer(name, variant)
    return lambda: train_step(x, y)


def fit_loop(name, accuracy, variant="fit"):
    """The Loop of `Model.fit` over arrays; the variant "eager" captures no step."""
    import lamina as lm

    model, loss_function, optimizer = parts(name)
    metrics = ["accuracy"] if accuracy else None
    model.compile(optimizer, loss_function, metrics=metrics, run_eagerly=variant == "eager")
    return loop.model_fit(model, lm.callbacks.Callback, name)


FACTORIES = {"model": model_step, "fit": fit_loop}


def cases(kinds, names):
    """The cases of "step" (kind "model"), "fit" and "fit+accuracy" (classifiers alone) for each net."""
    found = []
    for kind in kinds:
        if kind == "step":
            found += [{"kind": "model", "name": name} for name in names]
        else:
            accuracy = kind == "fit+accuracy"
            chosen = [name for name in names if not accuracy or workloads.NETS[name].loss != "mse"]
            found += [{"kind": "fit", "name": name, "accuracy": accuracy} for name in chosen]
    return found


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", choices=workloads.NETS, default=list(workloads.NETS))
    parser.add_argument("--kinds", nargs="+", choices=["step", "fit", "fit+accuracy"], default=["step"])
    runner.add_arguments(parser, peers=["pytorch"])
    args = parser.parse_args()
    runner.run("models", cases(args.kinds, args.workloads), args)


if __name__ == "__main__":
    main()
