"""PyTorch's side of the kernels between the products, see benchmarks/between.py."""

import itertools

import torch
from torch.nn import functional

from benchmarks import workloads


def stepper(forward, sources, dy, gradient):
    for source in sources:
        source.requires_grad_(gradient)
    return (lambda: torch.autograd.grad(forward(), sources, dy)) if gradient else forward


def operands(case, variant):
    """(x, dy) as tensors; images NHWC -> NCHW, contiguous in the variant's memory format."""
    layout = torch.channels_last if variant == "channels_last" else torch.contiguous_format
    tensors = map(torch.from_numpy, workloads.between_data(case))
    return (t.permute(0, 3, 1, 2).contiguous(memory_format=layout) if t.ndim == 4 else t for t in tensors)


def pool(gradient, variant="eager", **case):
    x, dy = operands(case | {"kind": "pool"}, variant)
    call = {"max": functional.max_pool2d, "average": functional.avg_pool2d}[case["which"]]
    return stepper(lambda: call(x, *case["settings"]), [x], dy, gradient)


def norm(gradient, variant="eager", **case):
    x, dy = operands(case | {"kind": "norm"}, variant)
    size = case["shape"][-1]
    gamma, beta, mean, var = torch.ones(size), torch.zeros(size), torch.zeros(size), torch.ones(size)
    forward = {
        "batch": lambda: functional.batch_norm(x, mean, var, gamma, beta, training=True, momentum=0.01, eps=1e-3),
        "group": lambda: functional.group_norm(x, case["settings"], gamma, beta, eps=1e-3),
        "layer": lambda: functional.layer_norm(x, (size,), gamma, beta, eps=1e-3),
        "rms": lambda: functional.rms_norm(x, (size,), gamma, eps=1e-3),
    }[case["which"]]
    sources = [x, gamma] if case["which"] == "rms" else [x, gamma, beta]
    return stepper(forward, sources, dy, gradient)


def softmax(gradient, variant="eager", **case):
    x, dy = operands(case | {"kind": "softmax"}, variant)
    call = getattr(functional, case["which"])
    return stepper(lambda: call(x, -1), [x], dy, gradient)


def cross_entropy(gradient, variant="eager", **case):
    x, dy = operands(case | {"kind": "cross_entropy"}, variant)
    classes = torch.from_numpy(workloads.labels(case))
    return stepper(lambda: functional.cross_entropy(x, classes, reduction="none"), [x], dy, gradient)


def ctc(gradient, variant="eager", **case):
    x, dy = operands(case | {"kind": "ctc"}, variant)
    labels, lengths, frames = map(torch.from_numpy, workloads.sequences(case))

    def forward():
        log_p = functional.log_softmax(x, -1).transpose(0, 1)
        return functional.ctc_loss(log_p, labels, frames, lengths, reduction="none")

    return stepper(forward, [x], dy, gradient)


def recurrent(gradient, variant="eager", **case):
    x, dy = operands(case | {"kind": "recurrent"}, variant)
    make = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[case["which"]]
    layer = make(case["shape"][2], case["settings"], batch_first=True)
    return stepper(lambda: layer(x)[0], [x, *layer.parameters()], dy, gradient)


def unary(gradient, variant="eager", **case):
    x, dy = operands(case | {"kind": "unary"}, variant)
    call = {"exp": torch.exp, "tanh": torch.tanh, "gelu": functional.gelu}[case["which"]]
    return stepper(lambda: call(x), [x], dy, gradient)


def adam(tensors, size, variant="eager"):
    parameters = [torch.ones(size, requires_grad=True) for _ in range(tensors)]
    for parameter in parameters:
        parameter.grad = torch.ones(size)
    fused = {"fused": True} if variant == "fused" else {}
    return torch.optim.Adam(parameters, lr=workloads.LEARNING_RATE["adam"], **fused).step


def embedding(rows, width, optimizer, variant="eager"):
    layer = torch.nn.Embedding(rows, width, sparse=True)
    batches = itertools.cycle([torch.from_numpy(ids) for ids in workloads.batches_of_ids(rows)])
    dy = torch.ones(32, 64, width)
    make = {"adam": torch.optim.SparseAdam, "sgd": torch.optim.SGD}[optimizer]
    rule = make(layer.parameters(), lr=workloads.LEARNING_RATE[optimizer])

    def step():
        rule.zero_grad()
        layer(next(batches)).backward(dy)
        rule.step()

    return step


def triad(gradient, variant="eager", **case):
    x, y = operands(case | {"kind": "triad"}, variant)
    out = torch.empty_like(x)
    return lambda: torch.add(x, y, alpha=3.0, out=out)


FACTORIES = {
    "pool": pool,
    "norm": norm,
    "softmax": softmax,
    "cross_entropy": cross_entropy,
    "ctc": ctc,
    "recurrent": recurrent,
    "unary": unary,
    "adam": adam,
    "embedding": embedding,
    "triad": triad,
}
