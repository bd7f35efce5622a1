"""PyTorch eager, NCHW as its users write it.

Variants: eager; channels_last (nets with convolutions: weights and input in NHWC strides); on request compile
(torch.compile of forward and loss) and fused (the optimiser's fused kernel).
"""

import itertools

import torch
from torch import nn

from benchmarks import workloads


def set_threads(threads):
    torch.set_num_threads(threads)


def versions():
    return {"torch": torch.__version__, "isa": torch.backends.cpu.get_cpu_capability().lower()}


def variants(case, also):
    names, optional = ["eager"], []
    layers = workloads.NETS[case["name"]].layers if case["kind"] == "model" else []
    if case["kind"] == "conv" or any(layer[0] == "conv" for layer in layers):
        names.append("channels_last")
    if case["kind"] == "model":
        optional = ["compile", "fused"]
    return names + [name for name in optional if name in also]


def build(name):
    """The net as nn.Sequential; `probe` runs along and tells each layer its input width."""
    net = workloads.NETS[name]
    probe = tensors(*workloads.data(name, batch=1))[0]
    modules = []
    for kind, *arguments in net.layers:
        if kind == "dense":
            units, activation = arguments
            added = [nn.Linear(probe.shape[1], units)] + ([nn.ReLU()] if activation == "relu" else [])
        elif kind == "conv":
            filters, kernel = arguments
            added = [nn.Conv2d(probe.shape[1], filters, kernel), nn.ReLU()]
        else:
            added = [nn.MaxPool2d(*arguments) if kind == "pool" else nn.Flatten()]
        modules += added
        probe = nn.Sequential(*added)(probe)
    return nn.Sequential(*modules)


def trainer(name, variant="eager"):
    """train_step(x, y) -> loss over tensors: forward, loss, backward, optimiser."""
    net = workloads.NETS[name]
    torch.manual_seed(0)
    model = build(name)
    if variant == "channels_last":
        model = model.to(memory_format=torch.channels_last)
    loss_function = {"binary": nn.BCEWithLogitsLoss, "sparse": nn.CrossEntropyLoss, "mse": nn.MSELoss}[net.loss]()
    make_optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[net.optimizer]
    fused = {"fused": True} if variant == "fused" else {}
    optimizer = make_optimizer(model.parameters(), lr=workloads.LEARNING_RATE[net.optimizer], **fused)

    def forward(x, y):
        return loss_function(model(x), y)

    if variant == "compile":
        forward = torch.compile(forward)

    def train_step(x, y):
        optimizer.zero_grad()
        loss = forward(x, y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return train_step


def tensors(x, y, variant="eager"):
    """(x, y) as tensors; images NHWC -> NCHW, contiguous in the variant's memory format."""
    x = torch.from_numpy(x)
    if x.ndim == 4:
        layout = torch.channels_last if variant == "channels_last" else torch.contiguous_format
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=layout)
    return x, torch.from_numpy(y)


def model_step(name, variant="eager"):
    """step() of a net on its fixed data."""
    x, y = tensors(*workloads.data(name), variant)
    train_step = trainer(name, variant)
    return lambda: train_step(x, y)


def add(size, recorded, calls, variant="eager"):
    a = torch.ones(size, requires_grad=recorded)

    def step():
        for _ in itertools.repeat(None, calls):
            a + a

    return step


def gemm(n, variant="eager"):
    a, b = (torch.from_numpy(array) for array in workloads.gemm_data(n))
    return lambda: a @ b


def conv(gradient, variant="eager", **case):
    layout = torch.channels_last if variant == "channels_last" else torch.contiguous_format
    x, w, dy = (torch.from_numpy(array) for array in workloads.conv_data(case))
    w = w.permute(3, 2, 0, 1).contiguous(memory_format=layout)
    x, dy = (t.permute(0, 3, 1, 2).contiguous(memory_format=layout) for t in (x, dy))
    sources = [x, w] if workloads.needs_input_gradient(case) else [w]
    for source in sources:
        source.requires_grad_(gradient)

    def forward():
        return nn.functional.conv2d(x, w, stride=case["stride"], padding=case["padding"])

    return (lambda: torch.autograd.grad(forward(), sources, dy)) if gradient else forward


FACTORIES = {"model": model_step, "add": add, "gemm": gemm, "conv": conv}
