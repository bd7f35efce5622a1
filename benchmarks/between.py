"""Lamina's side of the kernels between the products: pooling, normalisation, losses, recurrent layers, optimiser.

Factories as in ops.py, which has the command line. With `gradient` a step is forward and gradient of x and weights.
"""

import itertools

from benchmarks import workloads


def stepper(forward, sources, dy, gradient):
    """step(): forward(), or with the gradients of sources for the result's gradient dy."""
    import lamina as lm

    def with_gradients():
        with lm.GradientTape() as tape:
            for source in sources:
                tape.watch(source)
            y = forward()
        return tape.gradient(y, sources, output_gradients=dy)

    return with_gradients if gradient else forward


def operands(case):
    import lamina as lm

    return (lm.convert_to_tensor(array) for array in workloads.between_data(case))


def pool(gradient, variant="eager", **case):
    import lamina as lm

    x, dy = operands(case | {"kind": "pool"})
    call = {"max": lm.ops.max_pool, "average": lm.ops.average_pool}[case["which"]]
    return stepper(lambda: call(x, *case["settings"]), [x], dy, gradient)


def norm(gradient, variant="eager", **case):
    import lamina as lm

    x, dy = operands(case | {"kind": "norm"})
    gamma, beta = (lm.convert_to_tensor(make(case["shape"][-1])) for make in (workloads.ones, workloads.zeros))
    moving = [lm.Variable(make(case["shape"][-1])) for make in (workloads.zeros, workloads.ones)]
    forward = {
        "batch": lambda: lm.ops.batch_norm(x, *moving, gamma, beta),
        "group": lambda: lm.ops.group_norm(x, case["settings"], gamma, beta),
        "layer": lambda: lm.ops.layer_normalization(x, gamma, beta, epsilon=1e-3),
        "rms": lambda: lm.ops.rms_normalization(x, gamma, epsilon=1e-3),
    }[case["which"]]
    sources = [x, gamma] if case["which"] == "rms" else [x, gamma, beta]
    return stepper(forward, sources, dy, gradient)


def alike(kind):
    """Ops of one operand, whose result has its shape."""

    def make(gradient, variant="eager", **case):
        import lamina as lm

        x, dy = operands(case | {"kind": kind})
        call, exact = getattr(lm.ops, case["which"]), {"approximate": False} if case["which"] == "gelu" else {}
        return stepper(lambda: call(x, **exact), [x], dy, gradient)

    return make


def cross_entropy(gradient, variant="eager", **case):
    import lamina as lm

    x, dy = operands(case | {"kind": "cross_entropy"})
    classes = lm.convert_to_tensor(workloads.labels(case))
    return stepper(lambda: lm.ops.sparse_categorical_crossentropy(classes, x, from_logits=True), [x], dy, gradient)


def ctc(gradient, variant="eager", **case):
    import lamina as lm

    x, dy = operands(case | {"kind": "ctc"})
    labels, *lengths = map(lm.convert_to_tensor, workloads.sequences(case))
    return stepper(lambda: lm.ops.ctc_loss(labels, x, *lengths), [x], dy, gradient)


def recurrent(gradient, variant="eager", **case):
    """The outputs of all steps."""
    import lamina as lm

    x, dy = operands(case | {"kind": "recurrent"})
    make = {"lstm": lm.layers.LSTM, "gru": lm.layers.GRU}[case["which"]]
    layer = make(case["settings"], return_sequences=True)
    layer.build(x.shape)
    return stepper(lambda: layer(x), [x, *layer.trainable_variables], dy, gradient)


def adam(tensors, size, variant="eager"):
    import lamina as lm

    variables = [lm.Variable(workloads.ones(size)) for _ in range(tensors)]
    gradients = [lm.convert_to_tensor(workloads.ones(size)) for _ in range(tensors)]
    optimizer = lm.optimizers.Adam(workloads.LEARNING_RATE["adam"])
    optimizer.build(variables)

    def step():
        optimizer.apply(gradients, variables)

    return lm.function(step) if variant == "captured" else step


def embedding(rows, width, optimizer, variant="eager"):
    """Vectors of the ids of a batch, a gradient of ones, and a step on the rows of the batch."""
    import lamina as lm

    layer = lm.layers.Embedding(rows, width, sparse_gradient=True)
    layer.build()
    batches = itertools.cycle([lm.convert_to_tensor(ids) for ids in workloads.batches_of_ids(rows)])
    dy = lm.ops.ones((32, 64, width))
    rule = {"adam": lm.optimizers.Adam, "sgd": lm.optimizers.SGD}[optimizer](workloads.LEARNING_RATE[optimizer])

    def step(ids):
        with lm.GradientTape() as tape:
            y = layer(ids)
        rule.apply([tape.gradient(y, layer.embeddings, output_gradients=dy)], [layer.embeddings])

    run = lm.function(step) if variant == "captured" else step
    return lambda: run(next(batches))


def triad(gradient, variant="eager", **case):
    """x + y: the same three streams; the freed result of the call before is written again."""
    x, y = operands(case | {"kind": "triad"})
    return lambda: x + y


FACTORIES = {
    "pool": pool,
    "norm": norm,
    "softmax": alike("softmax"),
    "cross_entropy": cross_entropy,
    "ctc": ctc,
    "recurrent": recurrent,
    "unary": alike("unary"),
    "adam": adam,
    "embedding": embedding,
    "triad": triad,
}


def cases(kinds):
    """The cases of the named kinds, forward and forward + gradient."""
    for kind in (kind for kind in workloads.BETWEEN if kind in kinds):
        for which, shape, settings in workloads.BETWEEN[kind]:
            for gradient in (False,) if kind == "triad" else (False, True):
                case = {"kind": kind, "which": which, "shape": shape, "settings": settings}
                yield case | {"gradient": gradient}
    if "adam" in kinds:
        for tensors, size in workloads.ADAM:
            yield {"kind": "adam", "tensors": tensors, "size": size}
    if "embedding" in kinds:
        for rows, width, optimizer in workloads.EMBEDDING:
            yield {"kind": "embedding", "rows": rows, "width": width, "optimizer": optimizer}
